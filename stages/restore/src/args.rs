//! The command line. Flags that `etcdutl snapshot restore` has mean what they mean there.

use contract::StageArgs;
use datadir::place::{Owner, Target};
use datadir::{Adjustments, Version};
use std::path::PathBuf;

/// The name that etcd gives a member that has none.
pub(crate) const DEFAULT_NAME: &str = "default";

/// Writes an etcd data directory from a snapshot: database, WAL and .snap, from which etcd 3.4 to
/// 3.7 start.
///
/// The snapshot is proved to the last byte before anything is written, and what was written is read
/// again and proved before it gets its name. A directory that is there is refused, or moved aside
/// with --replace; nothing is ever deleted. Needs no etcd binary, network or configuration.
#[derive(Debug, clap::Parser)]
#[command(name = "lifeboat-restore", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("output", |output| output.hide(true)))]
#[command(group(clap::ArgGroup::new("target").required(true).args(["data_dir", "all_members"])))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: StageArgs,

    /// The member's data directory, as etcd's own --data-dir names it; absent or empty
    #[arg(long, value_name = "DIR", help_heading = TARGET)]
    pub(crate) data_dir: Option<PathBuf>,

    /// The directory of the WAL, where etcd has a --wal-dir
    #[arg(long, value_name = "DIR", requires = "data_dir", help_heading = TARGET)]
    pub(crate) wal_dir: Option<PathBuf>,

    /// Write one data directory for each member below DIR, named as the member
    #[arg(long, value_name = "DIR", help_heading = TARGET)]
    #[arg(conflicts_with_all = ["name", "initial_advertise_peer_urls"])]
    pub(crate) all_members: Option<PathBuf>,

    /// Move what is there aside, to DIR.before-TIME
    #[arg(long, help_heading = TARGET)]
    pub(crate) replace: bool,

    /// Whose the new files are [default: as what is there, else this user]
    #[arg(long, value_name = "UID[:GID]", help_heading = TARGET)]
    pub(crate) owner: Option<Owner>,

    /// Put back what the newest restore moved aside; what is there becomes DIR.undone-TIME
    #[arg(long, help_heading = TARGET, conflicts_with_all = OF_RESTORE)]
    pub(crate) undo: bool,

    /// The member's name [default: "default", or the only member]
    #[arg(long, help_heading = CLUSTER)]
    pub(crate) name: Option<String>,

    /// All members of the new cluster: a=http://10.0.0.1:2380,b=… [default: those in the snapshot]
    #[arg(long, value_name = "NAME=URL,…", help_heading = CLUSTER)]
    pub(crate) initial_cluster: Option<String>,

    /// Ids are made of it; the same for all members of one restore [default: random]
    #[arg(long, value_name = "TOKEN", help_heading = CLUSTER)]
    pub(crate) initial_cluster_token: Option<String>,

    /// Must be what the cluster's list says of this member
    #[arg(long, value_name = "URLS", help_heading = CLUSTER)]
    pub(crate) initial_advertise_peer_urls: Option<String>,

    /// Raise the revision by N, so that no client sees a revision twice; with --mark-compacted
    #[arg(long, value_name = "N", help_heading = DATA)]
    pub(crate) bump_revision: Option<i64>,

    /// Mark everything before as compacted, so that old watches get an error and never silence
    #[arg(long, help_heading = DATA)]
    pub(crate) mark_compacted: bool,

    /// End the history at revision N, which the snapshot must still hold
    #[arg(long, value_name = "N", help_heading = DATA)]
    pub(crate) revision: Option<i64>,

    /// Keep alarms; a NOSPACE alarm makes the new cluster refuse writes
    #[arg(long, help_heading = DATA)]
    pub(crate) keep_alarms: bool,

    /// Make the database one of etcd X.Y, older or newer
    #[arg(long, value_name = "X.Y", help_heading = DATA)]
    pub(crate) target_version: Option<Version>,

    /// Turn authentication off; users and roles stay
    #[arg(long, help_heading = DATA)]
    pub(crate) disable_auth: bool,

    /// Accept a database without SHA-256, such as a copied member/snap/db
    #[arg(long, help_heading = PROOF)]
    pub(crate) skip_hash_check: bool,

    /// The SHA-256 that the whole snapshot must have
    #[arg(long, value_name = "HEX", value_parser = sha256, help_heading = PROOF)]
    pub(crate) expect_sha256: Option<String>,

    /// Print what was done as JSON, as described in docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

const TARGET: &str = "Where to";
const CLUSTER: &str = "The new cluster";
const DATA: &str = "The data";
const PROOF: &str = "Proof";

/// What says nothing to an undo.
const OF_RESTORE: [&str; 14] = [
    "name",
    "initial_cluster",
    "initial_cluster_token",
    "initial_advertise_peer_urls",
    "bump_revision",
    "mark_compacted",
    "revision",
    "keep_alarms",
    "target_version",
    "disable_auth",
    "skip_hash_check",
    "expect_sha256",
    "replace",
    "owner",
];

impl Args {
    pub(crate) fn adjustments(&self) -> Adjustments {
        Adjustments {
            bump: self.bump_revision,
            mark_compacted: self.mark_compacted,
            cut_at: self.revision,
            keep_alarms: self.keep_alarms,
            target_version: self.target_version,
            disable_auth: self.disable_auth,
        }
    }

    /// Where it goes. Before the members are known, any name stands for them.
    pub(crate) fn target(&self, members: &[String]) -> Target {
        match (&self.all_members, &self.data_dir) {
            (Some(dir), _) if members.is_empty() => {
                Target::all(dir.clone(), vec![DEFAULT_NAME.into()])
            }
            (Some(dir), _) => Target::all(dir.clone(), members.to_vec()),
            (None, data_dir) => {
                Target::one(data_dir.clone().unwrap_or_default(), self.wal_dir.clone())
            }
        }
    }
}

fn sha256(text: &str) -> Result<String, String> {
    const DIGITS: usize = 64;
    match text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(text.to_owned()),
        false => Err(format!("a SHA-256 has {DIGITS} hex digits")),
    }
}

const AFTER: &str = "\
Examples:
  lifeboat-restore --data-dir /var/lib/etcd < snapshot.db
      one member, as the snapshot lists it
  lifeboat-restore --data-dir /var/lib/etcd --replace --name cp-01 \\
      --initial-cluster cp-01=https://10.0.0.1:2380,cp-02=https://10.0.0.2:2380 \\
      --initial-cluster-token again-1 --bump-revision 1000000000 --mark-compacted -i snapshot.db
      run it on every node, each with its own --name and the same token
  lifeboat-restore --all-members restored -i snapshot.db
      every member at once, to be copied to the nodes
  lifeboat-restore --undo --data-dir /var/lib/etcd
      the directory that --replace moved aside comes back

Stop etcd on every member first. Never restore one member of a cluster that has its quorum: replace
that member (etcdctl member remove, member add).

Exit codes: 0 done, 2 usage, 3 configuration, 10 the stage before ended early, 20 the snapshot is
damaged, 30 the disk is full or not writable, 50 refused (the target is not empty, an etcd runs on
it, its owner cannot be kept), 60 a version beyond what is known. On any code but 0 the target is as
it was, unless the message says so.";
