//! Proves an etcd snapshot in one pass, and says what is in it.
//!
//! [`Verifier`] takes the bytes as they stream by and gives a [`Report`] or a [`VerifyError`]. A
//! report means: the digest matches, the bbolt trees are sound, every row decodes, the history has
//! no hole, the snapshot is not older than the barrier, and no live member that could be compared
//! holds other rows. It also carries what `etcdutl snapshot status` prints and the HashKV that a
//! server started from the snapshot answers.
//!
//! Invariants: no input makes it panic; memory is bounded ([`limits`], [`Options`]); no plaintext
//! of the key space is ever written anywhere; nothing is read twice.
//!
//! It reads no files and no network, and it knows nothing of compression or encryption.
//!
//! ```
//! use lifeboat_snapshot::{Expectations, Options, Verifier};
//!
//! let mut verifier = Verifier::new(Options::default());
//! verifier.update(b"no snapshot")?;
//! assert!(verifier.finish(&Expectations::default()).is_err());
//! # Ok::<(), lifeboat_snapshot::VerifyError>(())
//! ```

pub mod limits;

mod blob;
mod crc;
mod digest;
mod encryption;
mod error;
mod facts;
mod groups;
mod hashkv;
mod history;
mod keep;
mod key_value;
mod ledger;
mod page_table;
mod report;
mod revision;
mod row;
mod server_view;
mod spill;
mod summary;
mod survey;
mod verifier;

pub use digest::{TRAILER_BYTES, TrailedDigest};
pub use error::{ErrorClass, VerifyError};
pub use hashkv::MemberHashKv;
pub use key_value::KeyValue;
pub use report::{
    Alarm, HashKvReport, MemberComparison, NotComparable, PageCounts, Report, Status, Verdict,
};
pub use revision::{Revision, RowKey};
pub use row::RecordProblem;
pub use server_view::{Alteration, ServerView};
pub use verifier::{Agreement, Expectations, Options, Trailer, Verifier};
