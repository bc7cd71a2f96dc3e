//! Every limit of this crate, with its reason.
//!
//! A file beyond a limit is refused with the limit's name; it is never half read.

/// Longest run (a page and its overflow pages) that is gathered, in bytes.
///
/// A run holds at least one key and value, so this bounds the value. etcd accepts 1.5 MiB in a
/// request by default; operators who raise that stay far below this.
pub const RUN_BYTES_MAX: u64 = 64 << 20;

/// Longest branch run, in bytes. A proof holds one branch per level in memory.
pub const BRANCH_BYTES_MAX: u64 = 1 << 20;

/// Most runs with overflow pages that may be under way at one position of the file.
///
/// Live runs never overlap. Stale pages may claim pages that belong to others by now, a few deep.
/// Without a limit a forged file in which each page claims the next 64 MiB would cost thousands of
/// times its size.
pub const OPEN_RUNS_MAX: usize = 64;

/// Smallest page size, in bytes (the smallest that bbolt itself looks for).
pub const PAGE_BYTES_MIN: u32 = 1 << 10;

/// Largest page size, in bytes (64 KiB pages exist on arm64 and ppc64).
pub const PAGE_BYTES_MAX: u32 = 1 << 16;

/// Most pages in a file: 64 GiB at 4 KiB, eight times what etcd recommends at most.
pub const PAGES_MAX: u64 = 1 << 24;

/// Longest key, in bytes (bbolt's own `MaxKeySize`).
pub const KEY_BYTES_MAX: usize = 32_768;

/// Deepest tree. Two keys to a page at the least make 2^31 leaves at this depth.
pub const DEPTH_MAX: usize = 32;

/// Most buckets in the root bucket. etcd has ten.
pub const BUCKETS_MAX: usize = 1_024;
