//! The log against that of etcdutl, and against every flipped bit.

use super::*;
use sha2::{Digest, Sha256};

const THREE: &str = "m1=http://127.0.0.1:27001,m2=http://127.0.0.1:27011,m3=http://127.0.0.1:27021";

/// SHA-256 of the whole file of 64 000 000 bytes that etcdutl wrote.
const SHA256: [(&str, &str); 3] = [
    ("m1", "7fc0b3dc3c3e1909e4fc54d39168bed045457e1a6a24b1b7128f9ae47365a4d4"),
    ("m2", "36cf27bf74882880f0974ee9b26f13c94035b85155ff62f437798f6a9e760cfa"),
    ("m3", "055a4bcc0a83b261e3d910de035e33886b3cb3f8b545f80d929e3e8ca92b10ec"),
];

fn three() -> Membership {
    Membership::parse(THREE, "tok1").unwrap()
}

fn log_of(membership: &Membership, name: &str) -> Vec<u8> {
    wal_file(membership, membership.member(name).unwrap())
}

fn check(bytes: &[u8]) -> Result<usize, WalProblem> {
    let three = three();
    check_records(bytes, &three, three.member("m2").unwrap())
}

#[test]
fn the_log_is_byte_for_byte_that_of_etcdutl() {
    for (name, sha256) in SHA256 {
        let mut log = log_of(&three(), name);
        let head =
            format!("{}/tests/vectors/wal-{name}-tok1-head4096.bin", env!("CARGO_MANIFEST_DIR"));
        let head = std::fs::read(head).unwrap();
        assert_eq!(log, head[..log.len()], "{name}");
        assert!(head[log.len()..].iter().all(|byte| *byte == 0));
        log.resize(usize::try_from(WAL_SEGMENT_BYTES).unwrap(), 0);
        assert_eq!(hex::encode(Sha256::digest(&log)), sha256, "{name}");
    }
}

#[test]
fn what_is_written_is_read() {
    let log = log_of(&three(), "m2");
    assert_eq!(check(&log), Ok(log.len()));
    let padded = [&log[..], &[0; 100]].concat();
    assert_eq!(check(&padded), Ok(log.len()));
    let alone = Membership::parse("a<>&=http://h:1,a=http://h:2", "t").unwrap();
    let log = wal_file(&alone, &alone.members()[0]);
    assert_eq!(check_records(&log, &alone, &alone.members()[0]), Ok(log.len()));
}

#[test]
fn f56_a_flipped_bit_anywhere_in_the_records_is_found() {
    let log = log_of(&three(), "m2");
    let padded = [&log[..], &[0; 64]].concat();
    for at in 0..padded.len() {
        for bit in 0..8 {
            let mut damaged = padded.clone();
            damaged[at] ^= 1 << bit;
            // Behind the records it is for the check of the zeros to find, unless it is a frame.
            let found = check(&damaged);
            assert!(found.is_err() || (at >= log.len() && found == Ok(log.len())), "{at}.{bit}");
        }
    }
}

#[test]
fn a_log_that_ends_early_is_refused() {
    let log = log_of(&three(), "m2");
    for length in 0..log.len() {
        assert!(check(&log[..length]).is_err(), "{length}");
    }
}

#[test]
fn the_log_of_another_member_or_cluster_is_refused() {
    let other = log_of(&three(), "m1");
    assert!(matches!(check(&other), Err(WalProblem::Record { number: 1, .. })));
    let token = Membership::parse(THREE, "tok2").unwrap();
    assert!(matches!(check(&log_of(&token, "m2")), Err(WalProblem::Record { number: 1, .. })));
}

#[test]
fn records_must_say_what_they_have_to() {
    let three = three();
    let m2 = three.member("m2").unwrap();
    let push = |records: &[(u64, Vec<u8>)]| {
        let mut log = Log::default();
        log.push_crc();
        records.iter().for_each(|(kind, data)| log.push(*kind, data));
        check_records(&log.bytes, &three, m2)
    };
    let mut records = vec![
        (METADATA, metadata(m2.id, three.cluster_id())),
        (SNAPSHOT, snapshot(0, 0, None)),
        (ENTRY, conf_entry(1, &three.members()[0])),
        (ENTRY, conf_entry(2, &three.members()[1])),
        (ENTRY, conf_entry(3, &three.members()[2])),
        (STATE, hard_state(three.members()[0].id, 3)),
        (SNAPSHOT, snapshot(3, TERM, Some(&conf_state(&three)))),
    ];
    push(&records).unwrap();
    let sound = records.clone();
    for (at, data) in [
        (3, conf_entry(3, &three.members()[1])),
        (3, conf_entry(2, &three.members()[2])),
        (5, hard_state(three.members()[0].id, 2)),
        (5, hard_state(three.members()[1].id, 3)),
        (6, snapshot(2, TERM, Some(&conf_state(&three)))),
        (6, snapshot(3, TERM, None)),
    ] {
        records[at].1 = data;
        let refused = push(&records);
        assert!(matches!(refused, Err(WalProblem::Record { number, .. }) if number == at + 1));
        records = sound.clone();
    }
    records.push((STATE, hard_state(three.members()[0].id, 3)));
    assert!(matches!(push(&records), Err(WalProblem::Record { number: 8, .. })));
}

#[test]
fn f06_the_marker_begins_as_a_log_and_is_wrong() {
    let marker = marker_wal();
    assert!(is_marker_wal(&marker));
    assert!(is_marker_wal(&[&marker[..], &[0; 1_000]].concat()));
    assert!(!is_marker_wal(&log_of(&three(), "m1")));
    assert!(!is_marker_wal(&marker[1..]) && !is_marker_wal(&[&marker[..], b"x"].concat()));
    assert_eq!(marker[..16], log_of(&three(), "m1")[..16]);
    assert!(matches!(check(&marker), Err(WalProblem::Crc { offset: 16, .. })));
    // A torn write leaves sectors of zeros, and etcd cuts those off; this record has none.
    assert!(marker.len() < 512);
}
