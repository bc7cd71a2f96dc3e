//! What a verified snapshot is, as facts. The field names are the JSON that receipts and manifests
//! carry.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything that the bytes of a snapshot say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Length of the snapshot in bytes, the trailer included.
    pub snapshot_bytes: u64,
    /// Length of the database in bytes: pages times page size.
    pub database_bytes: u64,
    /// SHA-256 of the snapshot without its trailer (equal to the trailer, if there is one), in hex;
    /// empty for [`crate::Trailer::Unhashed`].
    pub sha256: String,
    /// Whether the snapshot carried its digest.
    pub has_trailer: bool,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Pages of the database.
    pub pages: PageCounts,
    /// What `etcdutl snapshot status` prints.
    pub status: Status,
    /// Revision that a server started from this snapshot would be at.
    pub revision: i64,
    /// Revision up to which history is compacted, or is about to be.
    pub compact_revision: Option<i64>,
    /// Version of the storage schema (etcd 3.6 and later).
    pub storage_version: Option<String>,
    /// Version that the members had agreed on.
    pub cluster_version: Option<String>,
    /// Raft index that the snapshot contains.
    pub consistent_index: Option<u64>,
    /// Raft term of that index (etcd 3.5 and later).
    pub term: Option<u64>,
    /// Rows of each bucket.
    pub buckets: BTreeMap<String, u64>,
    /// Buckets that etcd 3.7 and earlier do not make.
    pub unknown_buckets: Vec<String>,
    /// Buckets that every etcd from 3.4 to 3.7 makes when it starts, and that are not there. HashKV
    /// covers `key` alone: without `auth`, for one, a restore has no authentication, and nobody else
    /// would notice.
    #[serde(default)]
    pub missing_buckets: Vec<String>,
    /// Number of leases.
    pub leases: u64,
    /// Whether authentication is on.
    pub auth_enabled: bool,
    /// Alarms that a restore would bring back.
    pub alarms: Vec<Alarm>,
    /// Ids of the members in the `members` bucket, in hex. It can lag behind in etcd 3.4 and 3.5.
    pub members: Vec<String>,
    /// Rows whose value has fields that this version does not know.
    pub rows_with_unknown_fields: u64,
    /// Live keys of each Kubernetes resource; empty when the cluster is not one of Kubernetes.
    pub kubernetes: BTreeMap<String, u64>,
    /// Live values that Kubernetes encrypted, by provider, version and key name, such as
    /// `aescbc:v1:key1`. Without those keys nobody can read them.
    #[serde(default)]
    pub encryption_at_rest: BTreeMap<String, u64>,
    /// HashKV of the snapshot, and how it compares with the live members.
    pub hashkv: HashKvReport,
}

/// Pages of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCounts {
    /// All pages.
    pub total: u64,
    /// Pages in use.
    pub reachable: u64,
    /// Pages not in use.
    pub free: u64,
}

/// What `etcdutl snapshot status` prints, by both of its rules for counting keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// CRC-32C over the names and rows of all buckets.
    pub hash: u32,
    /// The hash as the table form prints it.
    pub hash_hex: String,
    /// Main revision of the last row, 0 without rows.
    pub revision: i64,
    /// Rows of all buckets: `totalKey` of etcd 3.4 and 3.5.
    pub total_key_rows: u64,
    /// Live keys: `totalKey` of etcd 3.6 and later.
    pub total_key_live: u64,
    /// Length of the database in bytes.
    pub total_size: u64,
}

/// A raised alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Id of the member that raised it, in hex.
    pub member: String,
    /// `NOSPACE`, `CORRUPT`, or the number of a kind that is not known.
    pub alarm: String,
}

/// HashKV computed from the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashKvReport {
    /// The snapshot's own revision.
    pub revision: i64,
    /// The snapshot's own compact revision, -1 for none (as servers write it).
    pub compact_revision: i64,
    /// HashKV at that pair. `None` when no key is live and history is compacted: then the value
    /// depends on how far a server's compaction has come.
    pub hash: Option<u32>,
    /// The comparison with each member that answered.
    pub compared: Vec<MemberComparison>,
}

/// How one member's answer compares. A report has a member that disagrees only where the expectations
/// allow for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberComparison {
    /// The member, as the caller names it.
    pub member: String,
    /// Revision of the comparison.
    pub revision: i64,
    /// Compact revision of the member when it answered.
    pub compact_revision: i64,
    /// The member's answer.
    pub hash: u32,
    /// The outcome.
    pub verdict: Verdict,
    /// What the snapshot hashes to, where the member disagrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<u32>,
    /// Why there is no comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<NotComparable>,
}

/// Outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The member and the snapshot hold the same rows.
    Agrees,
    /// They do not.
    Disagrees,
    /// The answer says nothing about this snapshot.
    NotComparable,
}

/// Why an answer says nothing about a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotComparable {
    /// The answer is about a revision that the snapshot does not have.
    RevisionAfterSnapshot,
    /// The snapshot has compacted rows that the member still had.
    SnapshotCompactedFurther,
    /// The member's compact revision is past the revision of its answer.
    CompactedPastRevision,
    /// No key is live at the revision, so servers hash whatever compaction has left.
    NoLiveKey,
}

impl fmt::Display for NotComparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RevisionAfterSnapshot => "the answer is about a later revision",
            Self::SnapshotCompactedFurther => {
                "the snapshot is compacted further than the member was"
            }
            Self::CompactedPastRevision => "the member was compacted past the revision",
            Self::NoLiveKey => "no key is live at the revision",
        })
    }
}
