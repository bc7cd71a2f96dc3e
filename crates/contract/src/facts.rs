//! What the stages learn, as it stands in their receipts. The manifest is made of it.
//!
//! These are the shapes of the JSON that crosses from one program to another, and nothing else:
//! no logic lives here but the empty form. Ids of etcd (64 bits) are lower-case hex, as `etcdctl` prints them,
//! because many JSON readers round large numbers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `capture` saw of the live cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureFacts {
    /// etcd's own id of the cluster, in hex.
    pub cluster_id: String,
    /// Id of the member that gave the snapshot, in hex.
    pub member_id: String,
    /// Its name.
    pub member_name: String,
    /// The endpoint that was asked, without credentials.
    pub endpoint: String,
    /// Version of that member.
    pub etcd_version: String,
    /// Storage version that came with the snapshot (etcd 3.6 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_version: Option<String>,
    /// Id of the leader as that member saw it, in hex.
    pub leader_id: String,
    /// Raft term of that member.
    pub raft_term: u64,
    /// Raft index that it had committed.
    pub raft_index: u64,
    /// Raft index that it had applied.
    pub raft_applied_index: u64,
    /// Size of its database file in bytes, as it says.
    pub db_bytes: u64,
    /// Bytes of that in use.
    pub db_bytes_in_use: u64,
    /// Every write up to this revision is in the snapshot: a linearizable read before it began.
    pub revision_barrier: i64,
    /// Alarms that were raised, such as `NOSPACE`.
    pub alarms: Vec<Alarm>,
    /// Every member of the cluster.
    pub members: Vec<Member>,
    /// What each member answered when asked for HashKV at the barrier.
    pub hashkv: Vec<MemberHashKv>,
    /// Why the snapshot needs a careful eye, such as a member that was down; often empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// Present where nothing was captured: another tool had made the snapshot, and `adopt` read its
    /// file. Then nobody saw the cluster: every id, name, version and list above is empty, every
    /// number 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
}

/// Where a snapshot came from that another tool had made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The file's name, without its folder.
    pub file: String,
    /// What it was wrapped in, the outermost first: `age`, `gzip`, `zip`, `zstd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrapped: Vec<String>,
    /// Whether it ended with the SHA-256 that etcd sends. If not, it was a copied `member/snap/db`:
    /// the digest behind it is of what was read, and tells nothing of what etcd had written.
    pub has_trailer: bool,
    /// What says when it was taken.
    pub time_from: TimeFrom,
}

/// What says when a file's snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeFrom {
    /// Whoever adopted it.
    Given,
    /// The zip file, of the entry in it.
    ZipEntry,
    /// The file's own time of modification.
    FileTime,
}

impl CaptureFacts {
    /// What is known of the cluster where nobody saw it.
    #[must_use]
    pub fn unseen(adopted: Adopted) -> Self {
        CaptureFacts {
            cluster_id: String::new(),
            member_id: String::new(),
            member_name: String::new(),
            endpoint: String::new(),
            etcd_version: String::new(),
            storage_version: None,
            leader_id: String::new(),
            raft_term: 0,
            raft_index: 0,
            raft_applied_index: 0,
            db_bytes: 0,
            db_bytes_in_use: 0,
            revision_barrier: 0,
            alarms: Vec::new(),
            members: Vec::new(),
            hashkv: Vec::new(),
            degraded: Vec::new(),
            adopted: Some(adopted),
        }
    }
}

/// A raised alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The member that raised it, in hex.
    pub member_id: String,
    /// `NOSPACE` or `CORRUPT`.
    pub alarm: String,
}

/// One member, as the cluster lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id in hex.
    pub id: String,
    /// Its name; empty if it never started.
    pub name: String,
    /// Where its peers reach it. A restore needs them.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it is a learner.
    pub learner: bool,
    /// Its version, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_version: Option<String>,
}

/// One member's answer to HashKV at the barrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberHashKv {
    /// The member's id in hex.
    pub member_id: String,
    /// Its name.
    pub member_name: String,
    /// The answer, or why there is none.
    #[serde(flatten)]
    pub answer: HashKvAnswer,
}

/// An answer to HashKV.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HashKvAnswer {
    /// The member answered.
    Hash {
        /// The hash.
        hash: u32,
        /// The revision that it was asked for.
        revision: i64,
        /// The compact revision under which it was computed.
        compact_revision: i64,
    },
    /// The member did not.
    Missing {
        /// Why not.
        missing: String,
    },
}

/// What `verify` proved about the snapshot's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyFacts {
    /// Length of the snapshot in bytes, with its SHA-256 trailer.
    pub snapshot_bytes: u64,
    /// The trailer: SHA-256 of the database, in hex.
    pub db_sha256: String,
    /// The hash of `etcdutl snapshot status`.
    pub status_hash: u32,
    /// Revision that a server started from the snapshot is at; it never falls within a cluster. It
    /// is that of the last record, unless a compaction removed records above.
    pub revision: i64,
    /// `totalKey` as etcdctl 3.4 and etcdutl 3.5 count it: records of all buckets.
    pub total_key_records: u64,
    /// `totalKey` as etcdutl 3.6 and later count it: live keys.
    pub total_key_live: u64,
    /// `totalSize`: bytes of the database.
    pub total_bytes: u64,
    /// Pages that nothing uses, as a share of the database's bytes.
    pub free_bytes: u64,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Compact revision of the snapshot, if it was ever compacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compact_revision: Option<i64>,
    /// Raft index that the database had applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistent_index: Option<u64>,
    /// Storage version written in the database (etcd 3.6 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_version: Option<String>,
    /// Records of each bucket.
    pub buckets: BTreeMap<String, u64>,
    /// Live keys of each Kubernetes resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kubernetes: BTreeMap<String, u64>,
    /// Live values that Kubernetes encrypted, by provider, version and key name, such as
    /// `aescbc:v1:key1`. Without those keys nobody can read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub encryption_at_rest: BTreeMap<String, u64>,
    /// Whether authentication is on; absent where an older program did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_enabled: Option<bool>,
    /// Ids of the members in the bucket `members`, in hex. In etcd 3.4 and 3.5 it can lag behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_ids: Vec<String>,
    /// HashKV computed from the bytes, compared with the members' answers.
    pub hashkv: Vec<HashKvVerdict>,
}

/// HashKV of the bytes against one member's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashKvVerdict {
    /// The member's id in hex.
    pub member_id: String,
    /// Its name.
    pub member_name: String,
    /// Whether bytes and member agree. A member that disagrees fails the run, unless the member
    /// that gave the snapshot agrees and a majority of all voters with it.
    pub agrees: bool,
    /// The member's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<u32>,
    /// That of the bytes, where the member disagrees: it has diverged from the majority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<u32>,
    /// At this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Under this compact revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compact_revision: Option<i64>,
    /// Why the two cannot be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
}

/// What `compress` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressFacts {
    /// `zstd`.
    pub format: String,
    /// Its level.
    pub level: i32,
}

/// What `encrypt` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptFacts {
    /// `age`.
    pub format: String,
    /// Public recipients, each able to open the artifact alone.
    pub recipients: Vec<String>,
    /// Of the manifest that is to be made of all receipts, where a key signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// A signature over a manifest. The crate `trust` says what it covers and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The public key, as `ed25519:` and base64.
    pub key: String,
    /// The signature of that key, 64 bytes in base64.
    pub value: String,
}

/// What `replicate` committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicateFacts {
    /// The backup's name.
    pub backup: String,
    /// SHA-256 of its manifest, in hex.
    #[serde(default)]
    pub manifest_sha256: String,
    /// How many copies `require` asks for.
    pub required: usize,
    /// One entry for each destination.
    pub copies: Vec<Copy>,
}

/// One copy of the backup, or the lack of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The destination's name.
    pub destination: String,
    /// Whether the artifact and the manifest are there and were read back.
    pub stored: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How long it took from the beginning of the stage until the copy counted, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

/// What a program that is not ours did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFacts {
    /// The program and its arguments.
    pub program: Vec<String>,
}

/// What `prune` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneFacts {
    /// Names of the backups removed, for each destination.
    pub removed: BTreeMap<String, Vec<String>>,
    /// How many backups each destination keeps.
    pub kept: BTreeMap<String, usize>,
}

/// What `restore` wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreFacts {
    /// Id of the new cluster, in hex.
    pub cluster_id: String,
    /// The token that its ids are made of. All members of one restore have the same.
    pub token: String,
    /// `--initial-cluster` of the new cluster.
    pub initial_cluster: String,
    /// The members whose directories were written.
    pub members: Vec<RestoredMember>,
    /// Revision that a server started on them is at.
    pub revision: i64,
    /// Revision of the snapshot.
    pub snapshot_revision: i64,
    /// How far the revision was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bump: Option<i64>,
    /// Compact revision that a server started on them has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compact_revision: Option<i64>,
    /// HashKV that a server started on them answers; none where no key is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashkv: Option<RestoredHashKv>,
    /// Live keys.
    pub keys_live: u64,
    /// Length of the database in bytes.
    pub db_bytes: u64,
    /// Whether it holds objects of Kubernetes.
    pub is_kubernetes: bool,
    /// What was put right, dropped or made, one sentence each.
    pub notes: Vec<String>,
    /// Live values that Kubernetes encrypted, by provider and key name such as `aescbc:v1:key1`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub encryption_at_rest: BTreeMap<String, u64>,
    /// How long each phase took (`read`, `build`, `prove`, `publish`), in milliseconds.
    pub phases_ms: BTreeMap<String, u64>,
}

/// One directory that `restore` wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredMember {
    /// The member's name.
    pub name: String,
    /// Its id in the new cluster, in hex.
    pub id: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Its data directory.
    pub data_dir: String,
    /// Its WAL directory, where that lies elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_dir: Option<String>,
    /// Where what was there before has gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_aside: Vec<String>,
}

/// HashKV with what it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredHashKv {
    /// The revision to ask for.
    pub revision: i64,
    /// The compact revision under which it holds.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}
