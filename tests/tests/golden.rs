//! What people read, word for word: help, tables, JSON and errors, one file per case.
//!
//! `golden/data` is what three runs against etcd 3.7 left in two directories, dated back; then one
//! artifact and one manifest were taken away. `golden/pipeline.toml` names it. Times that pass and
//! paths of this machine are `[..]` in the cases.
//!
//! After a change on purpose: `TRYCMD=overwrite cargo test -p lifeboat-tests --test golden`, put
//! the `[..]` back, and read the difference.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::binaries::binary;

/// Every program that a case may call.
const PROGRAMS: [&str; 16] = [
    "lifeboat",
    "lifeboat-adopt",
    "lifeboat-capture",
    "lifeboat-verify",
    "lifeboat-compress",
    "lifeboat-encrypt",
    "lifeboat-replicate",
    "lifeboat-prune",
    "lifeboat-fetch",
    "lifeboat-restore",
    "lifeboat-drill",
    "lifeboat-doctor",
    "lifeboat-sync",
    "lifeboat-scrub",
    "lifeboat-catalogue",
    "lifeboat-notify",
];
/// So that nothing of the machine gets in, and the cases fit into 100 columns.
const VARIABLES: [(&str, &str); 10] = [
    ("COLUMNS", "100"),
    ("NO_COLOR", "1"),
    ("TZ", "UTC"),
    ("LC_ALL", "C"),
    ("HOME", "/dev/null"),
    ("RUST_BACKTRACE", "0"),
    ("LIFEBOAT_LOG", "human"),
    ("LIFEBOAT_LOG_LEVEL", "warn,lifeboat=info"),
    ("LIFEBOAT_CONFIG", "pipeline.toml"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

#[test]
fn people_read_what_was_written_for_them() {
    let cases = trycmd::TestCases::new();
    for program in PROGRAMS {
        cases.register_bin(program, binary(program).unwrap());
    }
    for (name, value) in VARIABLES {
        cases.env(name, value);
    }
    cases.case("golden/*.trycmd");
}
