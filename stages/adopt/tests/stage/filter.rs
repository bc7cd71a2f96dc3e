//! Without a run: a filter that makes an ordinary snapshot of what it is given.

use crate::common::{database, foreign, gzip, program, sealed, stage};

#[test]
fn a_snapshot_passes_as_it_is() {
    let snapshot = sealed(&database(30));
    let ended = stage(&[], &snapshot).expect(0);
    assert!(ended.stdout == snapshot && ended.stderr.is_empty(), "{}", ended.stderr);
    assert!(stage(&[], &gzip(&snapshot)).expect(0).stdout == snapshot);
}

#[test]
fn a_database_without_a_digest_gets_one_and_the_cost_is_told() {
    let raw = database(30);
    for input in [raw.clone(), gzip(&raw)] {
        let ended = stage(&[], &input).expect(0);
        assert!(ended.stdout == sealed(&raw));
        assert!(ended.stderr.contains("it has no SHA-256 behind it"), "{}", ended.stderr);
    }
}

#[test]
fn a_length_that_no_database_has_is_refused_and_no_file_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out");
    let snapshot = sealed(&database(3));
    for cut in [1, 31, 33, 100, 4_000] {
        let arguments = ["-o", output.to_str().unwrap()];
        let ended = stage(&arguments, &snapshot[..snapshot.len() - cut]).expect(20);
        assert!(ended.stderr.contains("no length of a database"), "{}", ended.stderr);
        assert!(!output.exists());
    }
}

#[test]
fn f50_more_than_the_limit_is_refused() {
    let packed = gzip(&sealed(&database(3_000)));
    let ended = stage(&["--bytes-max", "1000000"], &packed).expect(20);
    assert!(ended.stderr.contains("more than 1000000 bytes"), "{}", ended.stderr);
}

#[test]
fn what_other_programs_pack_is_unpacked() {
    let snapshot = sealed(&database(300));
    for (tool, arguments) in [
        ("gzip", &["-c"][..]),
        ("zstd", &["-q", "-c"]),
        ("zstd", &["-q", "-c", "-19", "--long=27"]),
        ("zstd", &["-q", "-c", "--no-check"]),
        ("zip", &["-q", "-", "-"]),
    ] {
        let Some(path) = program(tool, "what_other_programs_pack") else { continue };
        let packed = foreign(&path, arguments, &snapshot);
        assert!(packed != snapshot);
        let ended = stage(&[], &packed);
        assert!(ended.stdout == snapshot, "{tool} {arguments:?}: {}", ended.stderr);
        ended.expect(0);
    }
}

#[test]
fn a_look_says_what_the_input_is_and_reads_no_more() {
    let look = |input: &[u8]| {
        let line = stage(&["--look"], input).expect(0).stdout;
        serde_json::from_slice::<serde_json::Value>(&line).unwrap()
    };
    let kind = |input: &[u8]| look(input)["kind"].as_str().unwrap().to_owned();
    assert_eq!(kind(&database(1)), "database");
    assert_eq!(kind(&gzip(b"")), "gzip");
    assert_eq!(kind(b"age-encryption.org/v1\n-> X25519 "), "age");
    assert_eq!(kind(b"PK\x03\x04"), "zip");
    assert_eq!(kind(b""), "other");
    assert_eq!(look(&database(1)), serde_json::json!({"version": 1, "kind": "database"}));
}
