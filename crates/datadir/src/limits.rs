//! Every limit of this crate, with its reason.

pub use crate::membership::MEMBERS_MAX;
pub use crate::snap::SNAP_BYTES_MAX;
pub use crate::url::URL_BYTES_MAX;
pub use crate::wal::WAL_RECORDS_BYTES_MAX;

/// Most leases of a snapshot. Each takes eight bytes of memory while the database is built; a large
/// Kubernetes cluster has some thousands.
pub const LEASES_MAX: usize = 4 << 20;

/// Most live keys whose lease is missing. Each takes some 32 bytes of memory.
pub const ORPHANS_MAX: usize = 1 << 20;

/// Most alarms of a snapshot: two kinds for each member that ever was.
pub const ALARMS_MAX: usize = 4_096;

/// Longest value outside the key space that is looked at (`confState`, a member), in bytes.
pub const FACT_BYTES_MAX: usize = 64 << 10;

/// Memory for the summaries of the database that is proved, in bytes; more goes to a scratch file. Two
/// million rows fit; one million is proved in two thirds of the time that a scratch file would cost.
pub const PROOF_MEMORY_BYTES_MAX: usize = 128 << 20;

/// Entries of a directory that are looked at when it is proved.
pub const ENTRIES_MAX: usize = 16;
