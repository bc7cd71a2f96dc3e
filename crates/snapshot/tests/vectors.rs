//! Snapshots of real servers, with the values that those servers and their tools gave for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

use std::path::Path;

use lifeboat_snapshot::{
    Agreement, Expectations, MemberHashKv, NotComparable, Options, Report, TRAILER_BYTES, Trailer,
    Verdict, Verifier, VerifyError,
};

struct Vector {
    file: &'static str,
    hash_hex: &'static str,
    total_key_rows: u64,
    total_size: u64,
    hashkv: u32,
    storage_version: Option<&'static str>,
}

const VECTORS: [Vector; 4] = [
    Vector {
        file: "snap-3.4.23.db",
        hash_hex: "e10ecdc1",
        total_key_rows: 101,
        total_size: 360_448,
        hashkv: 343_783_554,
        storage_version: None,
    },
    Vector {
        file: "snap-3.5.1.db",
        hash_hex: "5491d62a",
        total_key_rows: 103,
        total_size: 356_352,
        hashkv: 116_705_355,
        storage_version: None,
    },
    Vector {
        file: "snap-3.5.30.db",
        hash_hex: "c229461e",
        total_key_rows: 103,
        total_size: 360_448,
        hashkv: 472_257_743,
        storage_version: None,
    },
    Vector {
        file: "snap-3.6.14.db",
        hash_hex: "7acb34a9",
        total_key_rows: 104,
        total_size: 356_352,
        hashkv: 4_015_851_964,
        storage_version: Some("3.6.0"),
    },
];

fn read(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    std::fs::read(path).unwrap()
}

fn verify(bytes: &[u8], expectations: &Expectations) -> Result<Report, VerifyError> {
    let mut verifier = Verifier::new(Options::default());
    verifier.update(bytes)?;
    verifier.finish(expectations)
}

fn answer(revision: i64, compact_revision: i64, hash: u32) -> MemberHashKv {
    MemberHashKv { member: "m1".to_owned(), revision, compact_revision, hash }
}

#[test]
fn i06_status_is_what_the_servers_tools_print() {
    for vector in VECTORS {
        let report = verify(&read(vector.file), &Expectations::default()).unwrap();
        let status = &report.status;
        assert_eq!(status.hash_hex, vector.hash_hex, "{}", vector.file);
        assert_eq!(status.hash, u32::from_str_radix(vector.hash_hex, 16).unwrap());
        assert_eq!(status.revision, 158);
        assert_eq!(status.total_key_rows, vector.total_key_rows, "{}", vector.file);
        assert_eq!(status.total_key_live, 43);
        assert_eq!(status.total_size, vector.total_size);
        assert_eq!(report.snapshot_bytes, vector.total_size + 32);
        assert_eq!(report.storage_version.as_deref(), vector.storage_version);
        assert_eq!((report.revision, report.compact_revision), (158, Some(96)));
    }
}

#[test]
fn i06_facts_are_what_the_servers_wrote() {
    for vector in VECTORS {
        let report = verify(&read(vector.file), &Expectations::default()).unwrap();
        let rows: u64 = report.buckets.values().sum();
        assert_eq!(rows, vector.total_key_rows);
        assert_eq!(report.buckets.len(), 10);
        assert_eq!(report.unknown_buckets, [""; 0]);
        assert_eq!(report.missing_buckets, [""; 0]);
        assert_eq!(report.leases, report.buckets["lease"]);
        assert_eq!(report.members.len() as u64, report.buckets["members"]);
        assert_eq!(report.rows_with_unknown_fields, 0);
        assert!(report.consistent_index.unwrap() > 158);
        // The raft term is kept from etcd 3.5 on.
        assert_eq!(report.term.is_some(), !vector.file.contains("3.4"));
        let minor = vector.file.get("snap-".len().."snap-3.x".len()).unwrap();
        assert!(report.cluster_version.unwrap().starts_with(minor), "{}", vector.file);
    }
}

#[test]
fn i06_hashkv_is_what_the_server_answered() {
    for vector in VECTORS {
        let expectations = Expectations {
            revision_barrier: Some(158),
            members: vec![answer(158, 96, vector.hashkv)],
            ..Expectations::default()
        };
        let report = verify(&read(vector.file), &expectations).unwrap();
        assert_eq!(report.hashkv.hash, Some(vector.hashkv));
        assert_eq!(report.hashkv.compared[0].verdict, Verdict::Agrees);
    }
}

#[test]
fn another_hashkv_is_refused() {
    for vector in VECTORS {
        let members = vec![
            answer(158, 96, vector.hashkv),
            MemberHashKv { member: "m2".to_owned(), ..answer(158, 96, vector.hashkv ^ 1) },
        ];
        let expectations =
            Expectations { revision_barrier: None, members, ..Expectations::default() };
        let error = verify(&read(vector.file), &expectations).unwrap_err();
        assert!(error.is_corrupt() && error.to_string().contains("member m2"), "{error}");
        assert!(matches!(
            error,
            VerifyError::HashKvMismatch { revision: 158, compact_revision: 96, expected, found, .. }
                if expected == vector.hashkv ^ 1 && found == vector.hashkv
        ));
    }
}

/// One diverged member must not keep a sound majority from being backed up; a snapshot from the
/// diverged one, or one that no majority stands behind, is refused.
#[test]
fn a_majority_with_the_giver_is_enough_where_it_is_asked_for() {
    let vector = &VECTORS[0];
    let judge = |giver: &str, voters: usize, differ: &[&str]| {
        let member = |name: &&str| MemberHashKv {
            member: (*name).to_owned(),
            ..answer(158, 96, vector.hashkv ^ u32::from(differ.contains(name)))
        };
        let expectations = Expectations {
            members: ["m1", "m2", "m3"].iter().map(member).collect(),
            agreement: Agreement::Majority { giver: giver.to_owned(), voters },
            ..Expectations::default()
        };
        let verdicts = |r: Report| {
            r.hashkv.compared.iter().map(|c| (c.verdict, c.computed)).collect::<Vec<_>>()
        };
        verify(&read(vector.file), &expectations).map(verdicts)
    };
    let agrees = (Verdict::Agrees, None);
    let differs = (Verdict::Disagrees, Some(vector.hashkv));
    assert_eq!(judge("m1", 3, &[]).unwrap(), [agrees; 3]);
    assert_eq!(judge("m1", 3, &["m3"]).unwrap(), [agrees, agrees, differs]);
    let refused = |giver: &str, voters, differ: &[&str], named: &str| {
        let error = judge(giver, voters, differ).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    };
    refused("m3", 3, &["m3"], "member m3");
    refused("m1", 3, &["m2", "m3"], "member m2");
    refused("m1", 4, &["m3"], "member m3");
    refused("m1", 5, &["m3"], "member m3");
}

#[test]
fn answers_about_other_states_are_not_compared() {
    let snapshot = read("snap-3.5.30.db");
    for (revision, compact_revision, reason) in [
        (159, 96, NotComparable::RevisionAfterSnapshot),
        (158, 95, NotComparable::SnapshotCompactedFurther),
        (158, -1, NotComparable::SnapshotCompactedFurther),
        (120, 121, NotComparable::CompactedPastRevision),
    ] {
        let members = vec![answer(revision, compact_revision, 1)];
        let expectations =
            Expectations { revision_barrier: None, members, ..Expectations::default() };
        let report = verify(&snapshot, &expectations).unwrap();
        let compared = &report.hashkv.compared[0];
        assert_eq!(compared.verdict, Verdict::NotComparable);
        assert_eq!(compared.reason, Some(reason));
    }
}

#[test]
fn every_chunking_gives_the_same_report() {
    for vector in VECTORS {
        let snapshot = read(vector.file);
        let whole = verify(&snapshot, &Expectations::default()).unwrap();
        for size in [1, 7, 31, 32, 33, 4_095, 4_096, 4_097, 32_768, 100_000] {
            let mut verifier = Verifier::new(Options::default());
            snapshot.chunks(size).try_for_each(|chunk| verifier.update(chunk)).unwrap();
            let report = verifier.finish(&Expectations::default()).unwrap();
            assert_eq!(report, whole, "{} in chunks of {size}", vector.file);
        }
    }
}

#[test]
fn a_report_survives_its_json() {
    for vector in VECTORS {
        let expectations = Expectations {
            revision_barrier: None,
            members: vec![answer(158, 96, vector.hashkv), answer(159, 96, 0)],
            ..Expectations::default()
        };
        let report = verify(&read(vector.file), &expectations).unwrap();
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        let fields: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(fields["status"]["hash_hex"], vector.hash_hex);
        assert_eq!(fields["hashkv"]["compared"][0]["verdict"], "agrees");
        assert_eq!(fields["hashkv"]["compared"][1]["reason"], "revision_after_snapshot");
    }
}

#[test]
fn a_database_without_its_trailer_is_accepted_when_asked_for() {
    for vector in VECTORS {
        let snapshot = read(vector.file);
        let whole = verify(&snapshot, &Expectations::default()).unwrap();
        let database = &snapshot[..snapshot.len() - TRAILER_BYTES];
        for trailer in [Trailer::Absent, Trailer::Either] {
            let mut verifier = Verifier::new(Options { trailer, ..Options::default() });
            verifier.update(database).unwrap();
            let report = verifier.finish(&Expectations::default()).unwrap();
            assert_eq!((report.has_trailer, &report.sha256), (false, &whole.sha256));
            assert_eq!(report.status, whole.status);
        }
        let refused = verify(database, &Expectations::default());
        assert!(matches!(refused, Err(VerifyError::NoTrailer { .. })));
    }
}

#[test]
fn a_refused_snapshot_stays_refused() {
    let mut verifier = Verifier::new(Options::default());
    assert!(verifier.update(&[7; 100_000]).is_err());
    assert!(matches!(verifier.update(b"more"), Err(VerifyError::Refused)));
    assert!(matches!(verifier.finish(&Expectations::default()), Err(VerifyError::Refused)));
}

#[test]
fn an_empty_stream_is_refused() {
    let error = verify(&[], &Expectations::default()).unwrap_err();
    assert!(matches!(error, VerifyError::Truncated { found: 0, .. }));
}
