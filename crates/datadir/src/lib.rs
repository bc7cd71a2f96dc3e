//! An etcd member's data directory, written and proved.
//!
//! Owns: the ids of a new cluster ([`Membership`]), the database of a restored member
//! ([`build_database`]), its log ([`wal_file`]), its `.snap` file ([`snap_file`]), and the proof that a
//! directory holds what it has to ([`prove`]). Real etcd 3.4, 3.5, 3.6 and 3.7 start from it.
//!
//! Invariants: the same input gives the same bytes; the database is the same for all members of a
//! restore, only the logs differ; memory is bounded by named constants; the clock, randomness and
//! the writing of files are the caller's.
//!
//! Does not: read logs that a server wrote, or change a directory in place.

pub mod limits;
pub mod place;

mod adjust;
mod database;
mod edits;
mod error;
mod facts;
mod fingerprint;
mod json;
mod leases;
mod membership;
mod proof;
mod protobuf;
mod snap;
mod url;
mod version;
mod wal;

pub use adjust::Adjustments;
pub use database::{Built, build_database};
pub use error::{BuildError, ErrorClass};
pub use membership::{Member, Membership, MembershipError};
pub use proof::{Expected, ExpectedFile, ProofError, Proved, prove, prove_copy};
pub use snap::{SnapProblem, snap_file};
pub use url::UrlProblem;
pub use version::{NotAVersion, Version};
pub use wal::{WAL_FILE_NAME, WAL_SEGMENT_BYTES, WalProblem, is_marker_wal, marker_wal, wal_file};
