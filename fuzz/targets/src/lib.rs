//! What every reader of outside bytes must hold to, as functions of any bytes.
//!
//! Each target takes bytes, makes of them what the reader is given, and panics when the reader
//! breaks its word. The same functions run under cargo-fuzz (`fuzz/fuzz_targets`), under proptest
//! with a bound (`tests/bounded.rs`), and over the vectors in `tests/vectors`.
//!
//! Input that begins with [`STRUCTURED`] is a list of choices: the target builds something sound,
//! damages it where the choices say, and seals checksums and digests again, because a plain flip
//! dies at the first digest. Any other input is given to the reader as it is.
//!
//! Does not: hold a reader's code; the stages' own tests fuzz what only they can reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a target fails by panicking"
)]

mod answers;
mod choices;
mod database;
mod documents;
#[path = "../../../crates/snapshot/tests/common/mod.rs"]
mod model;
mod names;
mod pages;
mod retained;
mod scratch;
mod vectors;

pub use answers::{ListVerdict, list_verdict, s3_answers};
pub use choices::STRUCTURED;
pub use database::{damaged_snapshot, mvcc_records, snapshot, sound_snapshots, verify};
pub use documents::{
    load_pipeline, manifest, manifest_name, pipeline, plan, read_plan, read_receipt, receipt,
};
pub use names::object_names;
pub use pages::bbolt_pages;
pub use retained::retention_plan;
pub use vectors::{Verdict, verdict};

/// A function of any bytes that panics when a reader breaks its word.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also that of its program under `fuzz/fuzz_targets`.
pub const TARGETS: [(&str, Target); 10] = [
    ("bbolt_pages", bbolt_pages),
    ("mvcc_records", mvcc_records),
    ("snapshot", snapshot),
    ("manifest", manifest),
    ("receipt", receipt),
    ("plan", plan),
    ("pipeline", pipeline),
    ("object_names", object_names),
    ("retention_plan", retention_plan),
    ("s3_answers", s3_answers),
];
