//! Snapshots of real servers through a restore: HashKV stays what those servers answered.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fail")]

use std::io::Cursor;
use std::path::Path;

use bbolt::Database;
use lifeboat_datadir::{Adjustments, Membership, Version, build_database};
use snapshot::{Expectations, Options, Trailer, Verifier};

/// File, and HashKV at revision 158, compacted at 96.
const VECTORS: [(&str, u32); 4] = [
    ("snap-3.4.23.db", 343_783_554),
    ("snap-3.5.1.db", 116_705_355),
    ("snap-3.5.30.db", 472_257_743),
    ("snap-3.6.14.db", 4_015_851_964),
];

#[test]
fn a_restored_database_has_the_hashkv_of_its_server() {
    let membership = Membership::parse("m1=http://127.0.0.1:27001", "tok1").unwrap();
    for (file, hashkv) in VECTORS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshot/tests/vectors");
        let snapshot = std::fs::read(folder.join(file)).unwrap();
        let source = Database::open(&snapshot, snapshot.len() as u64 - 32).unwrap();
        for target_version in [None, Some(Version::new(3, 4)), Some(Version::new(3, 7))] {
            let adjust = Adjustments { target_version, ..Adjustments::default() };
            let mut out = Cursor::new(Vec::new());
            let built = build_database(&source, &membership, &adjust, &mut out).unwrap();
            let options = Options { trailer: Trailer::Absent, ..Options::default() };
            let mut verifier = Verifier::new(options);
            verifier.update(out.get_ref()).unwrap();
            let report = verifier.finish(&Expectations::default()).unwrap();
            assert_eq!(report.hashkv.hash, Some(hashkv), "{file}");
            assert_eq!((report.hashkv.revision, report.hashkv.compact_revision), (158, 96));
            assert_eq!(report.members, ["79b1d09c634368fc"]);
            assert_eq!(report.status.hash, built.status_hash);
            assert!(built.bytes < snapshot.len() as u64);
            let version = report.storage_version.map(|text| text.parse::<Version>().unwrap());
            assert_eq!(version, built.storage_version);
            let expected = match target_version {
                None => built.snapshot_storage_version,
                Some(target) => (target == Version::new(3, 7)).then_some(target),
            };
            assert_eq!(built.storage_version, expected, "{file}");
        }
    }
}
