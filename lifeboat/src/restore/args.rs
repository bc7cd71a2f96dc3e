//! The command line of `lifeboat restore`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

const WHICH: &str = "Which backup";
const MEMBER: &str = "Which member, and where";
const CLUSTER: &str = "The new cluster";
const PLAN: &str = "Plan";

pub(crate) const AFTER: &str = "\
The directory appears only when everything was proved: the artifact, every record of the snapshot,
and what was written. What is there before is refused, or moved aside with --replace.

Revision: where the snapshot holds objects of Kubernetes, the new cluster begins above everything
that the lost one can have reached: the highest revision of any backup of it, plus 1 000 000 000 or
10 000 for each second since the newest one, whichever is more. All of the history below counts as
compacted, so that nobody who watches goes on from a revision that means something else now.

Token: a new one each time, the same for all members of one restore, so that members of the lost
cluster cannot join the new one. The output has the commands for the other members.

Examples:
  lifeboat restore --plan                              the whole recovery, step by step
  lifeboat restore --member cp-01 --replace            the newest backup to /var/lib/etcd
  lifeboat restore --at '2026-11-20 02:14' --data-dir /mnt/etcd
  lifeboat restore --all-members /tmp/look             one directory for each member
  lifeboat restore --undo --data-dir /var/lib/etcd     what was moved aside comes back

Exit codes: 0 restored and proved, 20 every copy is damaged, 21 no identity opens it, 30 no room,
41 there is no such backup, 50 the target is in use or not empty, or a guard said no.";

/// Which way a cluster is run: it decides where data are and what starts and stops things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flavour {
    /// Static pods of the kubelet, as kubeadm makes them.
    Kubeadm,
    /// Units of systemd.
    Systemd,
    /// k3s with its embedded etcd.
    K3s,
    /// RKE2.
    Rke2,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// A runbook, to attach to a change record.
    Markdown,
    /// For machines, as described in docs/json.md.
    Json,
    /// A script for each node, which asks before each step.
    Shell,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RestoreArgs {
    /// The backup: its name, or how its name begins [default: latest]
    #[arg(conflicts_with = "at")]
    pub(crate) backup: Option<String>,
    /// The newest one taken at or before this time: 2026-11-20T02:14:00Z, or '2026-11-20 02:14' here
    #[arg(long, value_name = "TIME", help_heading = WHICH, conflicts_with = "revision")]
    pub(crate) at: Option<String>,
    /// Exactly this revision of etcd: the history above it is cut off
    #[arg(long, value_name = "N", help_heading = WHICH)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) revision: Option<i64>,
    /// Take it from this destination only [default: the first with a copy, then the next]
    #[arg(long, value_name = "DESTINATION", help_heading = WHICH)]
    pub(crate) from: Option<String>,
    /// An identity that opens it; can be given several times [default: those of [decrypt]]
    #[arg(long, value_name = "FILE", help_heading = WHICH)]
    pub(crate) identity: Vec<PathBuf>,

    /// The member whose directory is written [default: the only one]
    #[arg(long, value_name = "NAME", help_heading = MEMBER, conflicts_with = "all_members")]
    pub(crate) member: Option<String>,
    /// Its data directory [default: that of the flavour, such as /var/lib/etcd]
    #[arg(long, value_name = "DIR", help_heading = MEMBER, conflicts_with = "all_members")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Its WAL directory, where etcd has --wal-dir
    #[arg(long, value_name = "DIR", help_heading = MEMBER, conflicts_with = "all_members")]
    pub(crate) wal_dir: Option<PathBuf>,
    /// Write a data directory for each member below this directory, named as the member
    #[arg(long, value_name = "DIR", help_heading = MEMBER)]
    pub(crate) all_members: Option<PathBuf>,
    /// Move what is there aside, to DIR.before-TIME, instead of refusing
    #[arg(long, help_heading = MEMBER)]
    pub(crate) replace: bool,
    /// Who owns what is written [default: the owner of what is there, else this user]
    #[arg(long, value_name = "UID[:GID]", help_heading = MEMBER)]
    pub(crate) owner: Option<String>,
    /// Put back what --replace moved aside
    #[arg(long, help_heading = MEMBER, conflicts_with_all = [
        "backup", "at", "revision", "from", "identity", "replace", "owner", "initial_cluster",
        "initial_cluster_token", "initial_advertise_peer_urls", "bump_revision", "no_bump",
        "keep_alarms", "target_version", "disable_auth", "plan",
    ])]
    pub(crate) undo: bool,

    /// Members and where their peers reach them [default: the voters of the manifest]
    #[arg(long, value_name = "NAME=URL,…", help_heading = CLUSTER)]
    pub(crate) initial_cluster: Option<String>,
    /// The token of the restore [default: a new one; the other members need the same]
    #[arg(long, value_name = "TOKEN", help_heading = CLUSTER)]
    pub(crate) initial_cluster_token: Option<String>,
    /// Where peers reach this member [default: as in the initial cluster]
    #[arg(long, value_name = "URL,…", help_heading = CLUSTER, conflicts_with = "all_members")]
    pub(crate) initial_advertise_peer_urls: Option<String>,
    /// Raise the revision by this much [default: see below]
    #[arg(long, value_name = "N", help_heading = CLUSTER, conflicts_with = "no_bump")]
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) bump_revision: Option<i64>,
    /// Leave the revision as it is in the backup
    #[arg(long, help_heading = CLUSTER)]
    pub(crate) no_bump: bool,
    /// Keep alarms that were raised when the backup was taken
    #[arg(long, help_heading = CLUSTER)]
    pub(crate) keep_alarms: bool,
    /// Make it fit for another version of etcd
    #[arg(long, value_name = "X.Y", help_heading = CLUSTER)]
    pub(crate) target_version: Option<String>,
    /// Turn etcd's own authentication off, where its passwords are lost
    #[arg(long, help_heading = CLUSTER)]
    pub(crate) disable_auth: bool,

    /// Change nothing: print the recovery of the whole cluster, step by step
    #[arg(long, help_heading = PLAN, conflicts_with_all = ["json", "all_members"])]
    pub(crate) plan: bool,
    /// How to print it: text, markdown (a runbook), json, or shell (a script for each node)
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = PLAN, requires = "plan")]
    #[arg(hide_possible_values = true)]
    pub(crate) format: Option<Format>,
    /// How the cluster is run: kubeadm, systemd, k3s or rke2 [default: a guess, which is said]
    #[arg(long, value_enum, value_name = "FLAVOUR", help_heading = PLAN)]
    #[arg(hide_possible_values = true)]
    pub(crate) flavour: Option<Flavour>,
    /// Write it into this directory
    #[arg(long, value_name = "DIR", help_heading = PLAN, requires = "plan")]
    pub(crate) output_dir: Option<PathBuf>,

    /// JSON on standard output, as described in docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw no progress bar
    #[arg(long)]
    pub(crate) no_progress: bool,
}
