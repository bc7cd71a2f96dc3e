//! The proof against everything that a disk or a program may do to a directory.
#![allow(clippy::disallowed_methods, reason = "throw-away files need no durability")]

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use bbolt::{BulkWriter, Database};
use snapshot::{Expectations, Options, Trailer, Verifier};
use tempfile::TempDir;

use super::*;
use crate::protobuf::{put_bytes, put_number};
use crate::{
    Adjustments, ErrorClass, WAL_FILE_NAME, WAL_SEGMENT_BYTES, WalProblem, build_database,
    snap_file, wal_file,
};
use snapshot::RowKey;

const PAGE_BYTES: u32 = 1_024;

fn put(key: &[u8], main: i64, value: &[u8], lease: u64) -> (Vec<u8>, Vec<u8>) {
    let mut kv = Vec::new();
    put_bytes(&mut kv, 1, key);
    let main_number = main.cast_unsigned();
    for (field, number) in [(2, main_number), (3, main_number), (4, 1)] {
        put_number(&mut kv, field, number);
    }
    put_bytes(&mut kv, 5, value);
    if lease != 0 {
        put_number(&mut kv, 6, lease);
    }
    (RowKey::first_of(main).to_vec(), kv)
}

/// A snapshot with several leaves, inline buckets, a long value, an alarm and a lease.
fn source() -> Vec<u8> {
    let row = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let mut keys: Vec<_> = (2..20)
        .map(|main| put(format!("/registry/pods/{main}").as_bytes(), main, &[7; 40], 0))
        .collect();
    keys.push(put(b"long", 20, &[9; 1_200], 77));
    keys.push(put(b"leased", 21, b"", 5));
    let buckets = [
        ("alarm", vec![row(b"\x08\x01\x10\x01", b"")]),
        ("auth", vec![row(b"authEnabled", &[1]), row(b"authRevision", &[0; 8])]),
        ("cluster", vec![row(b"clusterVersion", b"3.5.0"), row(b"downgrade", b"{}")]),
        ("extra", vec![row(b"k", &[1; 300]), row(b"l", &[1; 300])]),
        ("key", keys),
        ("lease", vec![row(&5_u64.to_be_bytes(), b"\x08\x05\x10\x3c")]),
        ("members", vec![row(b"1", b"{}")]),
        ("meta", vec![row(b"finishedCompactRev", &RowKey::first_of(3))]),
    ];
    let mut out = BulkWriter::new(Cursor::new(Vec::new()), PAGE_BYTES).unwrap();
    for (name, rows) in buckets {
        let mut bucket = out.bucket(name.as_bytes()).unwrap();
        rows.iter().for_each(|(key, value)| bucket.push(key, value).unwrap());
        bucket.end().unwrap();
    }
    out.finish().unwrap().0.into_inner()
}

/// A directory that was restored, and what it has to hold.
struct Scene {
    dir: TempDir,
    expected: Expected,
    database: Vec<u8>,
}

fn scene(adjust: &Adjustments) -> Scene {
    let source = source();
    let membership = Membership::parse("a=http://h:1,b=http://h:2", "t").unwrap();
    let options = Options { trailer: Trailer::Absent, ..Options::default() };
    let mut verifier = Verifier::new(options);
    verifier.update(&source).unwrap();
    let (report, view) =
        verifier.finish_altered(&Expectations::default(), &adjust.alteration()).unwrap();
    let mut out = Cursor::new(Vec::new());
    let database = Database::open(&source, source.len() as u64).unwrap();
    let built = build_database(&database, &membership, adjust, &mut out).unwrap();
    built.must_be_from(&report).unwrap();
    assert_eq!((built.leases_made, built.downgrade_dropped), (1, true));
    let member = &membership.members()[0];
    let expected = Expected::new(&membership, member, &view.unwrap(), &built);
    let dir = tempfile::tempdir().unwrap();
    let (snap, wal) = (dir.path().join("snap"), dir.path().join("wal"));
    fs::create_dir(&snap).unwrap();
    fs::create_dir(&wal).unwrap();
    fs::write(snap.join("db"), out.get_ref()).unwrap();
    let (name, bytes) = snap_file(&membership);
    fs::write(snap.join(name), bytes).unwrap();
    let mut log = fs::File::create(wal.join(WAL_FILE_NAME)).unwrap();
    log.write_all(&wal_file(&membership, member)).unwrap();
    log.set_len(WAL_SEGMENT_BYTES).unwrap();
    Scene { dir, expected, database: out.into_inner() }
}

impl Scene {
    fn new() -> Self {
        scene(&Adjustments::default())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.path("wal").join(WAL_FILE_NAME)
    }

    fn prove(&self) -> Result<Proved, ProofError> {
        prove(self.dir.path(), &self.path("wal"), &self.expected)
    }

    fn prove_copy(&self) -> Result<(), ProofError> {
        prove_copy(self.dir.path(), &self.path("wal"), &self.expected)
    }

    /// The database alone, without reading 64 MB of zeros each time.
    fn check_database(&self, bytes: &[u8], expected: &Expected) -> Result<Proved, ProofError> {
        // In place: some file systems wait for the disk when a file was truncated and written again.
        let mut file = fs::OpenOptions::new().write(true).open(self.path("snap/db")).unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        database::check(self.dir.path(), expected)
    }
}

#[test]
fn what_was_written_is_proved() {
    let bump = Adjustments { bump: Some(100), mark_compacted: true, ..Adjustments::default() };
    let cut =
        Adjustments { cut_at: Some(9), disable_auth: true, keep_alarms: true, ..bump.clone() };
    for adjust in [Adjustments::default(), bump] {
        let scene = scene(&adjust);
        let proved = scene.prove().unwrap();
        scene.prove_copy().unwrap();
        assert_eq!(proved.view.keys_live, 20);
        assert_eq!(proved.report.term, Some(1));
        assert!(proved.report.alarms.is_empty() && proved.report.auth_enabled);
        assert_eq!(proved.report.leases, 2);
    }
    // Without the long rows no key names a lease; a scene wants one made.
    assert!(std::panic::catch_unwind(|| scene(&cut)).is_err());
}

#[test]
fn f56_a_flipped_bit_anywhere_in_the_database_is_found() {
    let scene = Scene::new();
    scene.check_database(&scene.database, &scene.expected).unwrap();
    // Every byte of the meta pages and the first leaf; of the rest, every kind of byte.
    let near = 4 * PAGE_BYTES as usize;
    for at in (0..near).chain((near..scene.database.len()).step_by(3)) {
        let mut damaged = scene.database.clone();
        damaged[at] ^= 1 << (at % 8);
        let found = scene.check_database(&damaged, &scene.expected);
        assert!(found.is_err(), "byte {at} of {}", damaged.len());
        let class = found.unwrap_err().class();
        assert!(matches!(class, ErrorClass::Corrupt | ErrorClass::Unsupported), "byte {at}");
    }
    let mut damaged = scene.database.clone();
    damaged[near + 100] ^= 4;
    fs::write(scene.path("snap/db"), damaged).unwrap();
    assert!(matches!(scene.prove_copy(), Err(ProofError::Differs { .. })));
    let length = scene.database.len();
    for cut in [0, 1, 1_024, length / 2, length - 1_024, length - 1] {
        scene.check_database(&scene.database[..cut], &scene.expected).unwrap_err();
    }
    let longer = [&scene.database[..], &[0; 1_024]].concat();
    scene.check_database(&longer, &scene.expected).unwrap_err();
}

#[test]
fn without_the_file_the_content_is_still_proved() {
    let scene = Scene::new();
    let receipt = Expected { file: None, ..scene.expected.clone() };
    scene.check_database(&scene.database, &receipt).unwrap();
    for (what, wrong) in [
        ("the revision", Expected { revision: 22, ..receipt.clone() }),
        ("the compact revision", Expected { compact_revision: Some(4), ..receipt.clone() }),
        ("the number of live keys", Expected { keys_live: 19, ..receipt.clone() }),
        ("HashKV", Expected { hashkv: Some(1), ..receipt.clone() }),
        ("HashKV", Expected { hashkv: None, ..receipt.clone() }),
    ] {
        let found = scene.check_database(&scene.database, &wrong).unwrap_err();
        assert!(matches!(&found, ProofError::Differs { what: of, .. } if of == what), "{found}");
    }
    // A value that is another one, in a database that is sound.
    let at = scene.database.windows(50).position(|window| window == [9; 50]).unwrap() + 10;
    let mut other = scene.database.clone();
    other[at] = 8;
    let found = scene.check_database(&other, &receipt).unwrap_err();
    assert!(found.to_string().contains("HashKV is"), "{found}");
    let found = prove_copy(scene.dir.path(), &scene.path("wal"), &receipt).unwrap_err();
    assert!(matches!(found, ProofError::NothingToCompare));
}

#[test]
fn a_sound_database_of_another_restore_is_found() {
    let scene = Scene::new();
    let members = ["a=http://h:1,b=http://h:3", "a=http://h:1", "a=http://h:1,c=http://h:2"];
    for other in members {
        let membership = Membership::parse(other, "t").unwrap();
        let wrong = Expected { membership, file: None, ..scene.expected.clone() };
        let found = scene.check_database(&scene.database, &wrong).unwrap_err();
        assert!(
            matches!(&found, ProofError::Differs { what, .. } if what.contains("member")),
            "{found}"
        );
    }
    let unknown = Expected { member: "z".to_owned(), ..scene.expected.clone() };
    let found = prove(scene.dir.path(), &scene.path("wal"), &unknown).unwrap_err();
    assert!(matches!(found, ProofError::NoSuchMember { .. }));
}

#[test]
fn small_buckets_are_what_they_have_to_be() {
    let scene = Scene::new();
    let receipt = Expected { file: None, ..scene.expected.clone() };
    let source = Database::open(&scene.database, scene.database.len() as u64).unwrap();
    type Change = (&'static str, &'static [u8], Option<&'static [u8]>, &'static str);
    let changes: [Change; 7] = [
        ("meta", b"confState", Some(b"{\"voters\":[1],\"auto_leave\":false}"), "confState"),
        ("meta", b"term", Some(b"\0\0\0\0\0\0\0\x02"), "the term"),
        ("meta", b"term", None, "the term"),
        ("meta", b"consistent_index", Some(b"\0\0\0\0\0\0\0\x01"), "the consistent index"),
        ("cluster", b"downgrade", Some(b"{}"), "the downgrade"),
        ("members", b"1", Some(b"{}"), "the number of members"),
        ("members_removed", b"1", Some(b"removed"), "the size of bucket members_removed"),
    ];
    let without_a_bucket = ("authRoles", &b""[..], None, "the list of missing buckets");
    for (bucket, key, value, what) in changes.into_iter().chain([without_a_bucket]) {
        let mut out = BulkWriter::new(Cursor::new(Vec::new()), PAGE_BYTES).unwrap();
        for name in source.bucket_names().unwrap() {
            if name == bucket.as_bytes() && key.is_empty() {
                continue;
            }
            let mut rows = source.rows(&name).unwrap().unwrap();
            let mut all = BTreeMap::new();
            while let Some((key, value)) = rows.next_row().unwrap() {
                all.insert(key.to_vec(), value.to_vec());
            }
            if name == bucket.as_bytes() {
                all.remove(key);
                all.extend(value.map(|value| (key.to_vec(), value.to_vec())));
            }
            let mut bucket = out.bucket(&name).unwrap();
            all.iter().for_each(|(key, value)| bucket.push(key, value).unwrap());
            bucket.end().unwrap();
        }
        let changed = out.finish().unwrap().0.into_inner();
        let found = scene.check_database(&changed, &receipt).unwrap_err();
        assert!(matches!(&found, ProofError::Differs { what: of, .. } if of == what), "{found}");
    }
}

#[test]
fn f56_a_flipped_bit_in_log_or_snap_is_found() {
    let scene = Scene::new();
    let log = fs::read(scene.log()).unwrap();
    let records = wal_file(&scene.expected.membership, &scene.expected.membership.members()[0]);
    let end = usize::try_from(WAL_SEGMENT_BYTES).unwrap();
    let near = [records.len(), records.len() + 8, (1 << 20) - 1, 1 << 20, end / 2, end - 1];
    for at in (0..records.len()).step_by(13).chain(near) {
        let mut file = fs::OpenOptions::new().write(true).open(scene.log()).unwrap();
        let write_at = |file: &mut fs::File, byte: u8| {
            std::io::Seek::seek(file, std::io::SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        write_at(&mut file, log[at] ^ 0x10);
        let (found, of_copy) = (scene.prove().unwrap_err(), scene.prove_copy().unwrap_err());
        assert!(matches!(found, ProofError::Wal { .. } | ProofError::WalBytes { .. }), "{found}");
        assert_eq!(found.to_string(), of_copy.to_string());
        write_at(&mut file, log[at]);
    }
    let snap = scene.path("snap").join(snap_file(&scene.expected.membership).0);
    let mut bytes = fs::read(&snap).unwrap();
    bytes[40] ^= 1;
    fs::write(&snap, &bytes).unwrap();
    assert!(matches!(scene.prove(), Err(ProofError::Snap { .. })));
    assert!(matches!(scene.prove_copy(), Err(ProofError::Snap { .. })));
    bytes[40] ^= 1;
    fs::write(&snap, &bytes).unwrap();
    scene.prove().unwrap();
}

#[test]
fn files_are_all_there_and_no_others() {
    let scene = Scene::new();
    let snap = format!("snap/{}", snap_file(&scene.expected.membership).0);
    let log = format!("wal/{WAL_FILE_NAME}");
    for missing in ["snap/db", &snap, &log] {
        let (path, away) = (scene.path(missing), scene.path("away"));
        fs::rename(&path, &away).unwrap();
        // What was moved away is foreign where it lies; that it is missing must show by itself.
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::copy(&away, elsewhere.path()).unwrap();
        fs::remove_file(&away).unwrap();
        let found = scene.prove().unwrap_err();
        assert!(matches!(&found, ProofError::Missing { path: of } if *of == path), "{found}");
        fs::copy(elsewhere.path(), &path).unwrap();
    }
    for foreign in ["snap/tmp", "snap/0000000000000001-0000000000000009.snap.db", "wal/1.wal", "x"]
    {
        let path = scene.path(foreign);
        fs::write(&path, b"").unwrap();
        let found = scene.prove().unwrap_err();
        assert!(matches!(&found, ProofError::Foreign { path: of } if *of == path), "{found}");
        fs::remove_file(&path).unwrap();
    }
    scene.prove().unwrap();
}

#[test]
fn the_log_has_the_length_of_a_segment_or_of_its_records() {
    let scene = Scene::new();
    let file = fs::OpenOptions::new().write(true).open(scene.log()).unwrap();
    for length in [0, 100, WAL_SEGMENT_BYTES - 1, WAL_SEGMENT_BYTES + 1] {
        file.set_len(length).unwrap();
        assert!(scene.prove().is_err(), "{length}");
    }
    let records = wal_file(&scene.expected.membership, &scene.expected.membership.members()[0]);
    fs::write(scene.log(), &records).unwrap();
    scene.prove().unwrap();
    fs::write(scene.log(), [&records[..], &[0; 8]].concat()).unwrap();
    let found = scene.prove().unwrap_err();
    let length = WalProblem::Length { found: records.len() as u64 + 8 };
    assert!(matches!(&found, ProofError::Wal { problem, .. } if *problem == length), "{found}");
}

#[test]
fn the_log_may_lie_elsewhere() {
    let scene = Scene::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let wal_dir = elsewhere.path().join("wal");
    fs::rename(scene.path("wal"), &wal_dir).unwrap();
    prove(scene.dir.path(), &wal_dir, &scene.expected).unwrap();
    assert!(matches!(scene.prove(), Err(ProofError::Missing { .. })));
}
