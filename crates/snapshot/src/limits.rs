//! Every limit of this crate, with its reason.

/// Memory for page summaries when the caller gives no other, in bytes. More goes to a scratch file.
pub const MEMORY_BYTES_DEFAULT: usize = 32 << 20;

/// Summaries may take this many bytes for each byte of the database. A row of 32 bytes of summary
/// takes at least 43 bytes in the file, so only a forged file (stale runs nested many deep) comes
/// near.
pub const SUMMARY_BYTES_PER_BYTE_MAX: u64 = 2;

/// Problems of single pages that are remembered with their details. Further ones are remembered as
/// damage.
pub const PAGE_PROBLEMS_MAX: usize = 1 << 16;

/// Small keys and values that are kept of one leaf page (`meta`, `auth`, `cluster`, `members`,
/// `alarm`).
pub const FACTS_PER_PAGE_MAX: usize = 256;

/// Longest value that is kept as a fact, in bytes.
pub const FACT_BYTES_MAX: usize = 64;

/// Kubernetes resources that are counted by name; the rest is counted together.
pub const RESOURCE_GROUPS_MAX: usize = 1_024;

/// Longest name of a Kubernetes resource that is counted by name, in bytes.
pub const RESOURCE_NAME_BYTES_MAX: usize = 256;

/// Providers and keys of Kubernetes' encryption at rest that are counted by name; the rest is counted
/// together. What a row keeps has five bits for them, and two numbers are taken.
pub const ENCRYPTION_NAMES_MAX: usize = 30;

/// Longest name of such a provider and key that is counted by name, in bytes.
pub const ENCRYPTION_NAME_BYTES_MAX: usize = 256;

/// Distinct pairs of revision and compact revision for which one snapshot is compared with members.
pub const HASHKV_PAIRS_MAX: usize = 64;

/// Least memory for the set of keys that tells live rows from old ones, in bytes. With less, a pass
/// over all rows would be needed for every few keys.
pub const SEEN_KEYS_BYTES_MIN: usize = 1 << 20;
