//! What was seen of a cluster, as plain facts: everything that a diagnosis is made of.
//!
//! An answer that did not come is here with its reason, never left out. Does not: judge.

use crate::backup::Backup;
use crate::commands::Tools;
use etcd::certificates::Certificate;
use etcd::{HashKv, Listed, Status, Trouble};
use jiff::Timestamp;
use std::fmt;

/// Everything that was seen, at the last look.
#[derive(Debug, Clone)]
pub(crate) struct Observations {
    pub(crate) at: Timestamp,
    /// How often it was looked. What may pass by itself, such as an election, is looked at twice.
    pub(crate) looks: u32,
    /// Every member that answered or that a member lists, by name.
    pub(crate) members: Vec<Member>,
    /// Configured addresses that did not answer and that no member calls its own.
    pub(crate) strays: Vec<Address>,
    pub(crate) certificates: Vec<Certificate>,
    /// How many raft entries, or revisions, a member may be behind (`capture.max_lag`).
    pub(crate) max_lag: u64,
    pub(crate) backup: Backup,
    /// How commands are written here.
    pub(crate) tools: Tools,
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: u64,
    /// As the members list it; empty if it never started, or if nobody lists it.
    pub(crate) name: String,
    /// Where it was asked.
    pub(crate) addresses: Vec<Address>,
    /// What it said, if it did.
    pub(crate) answer: Option<Answer>,
}

/// One address, and whether anybody answered there.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) url: String,
    /// Else a member advertises it.
    pub(crate) is_configured: bool,
    /// Why there was no answer.
    pub(crate) silence: Option<Silence>,
}

/// Why an address gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It was asked.
    Trouble(Trouble),
    /// It was not, for this reason.
    NotAsked(String),
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Trouble(trouble) => trouble.fmt(f),
            Silence::NotAsked(reason) => f.write_str(reason),
        }
    }
}

/// What one member said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Where.
    pub(crate) address: String,
    /// How long its status took, in milliseconds.
    pub(crate) latency_ms: u64,
    /// Its leader and its term when the look began.
    pub(crate) before: (u64, u64),
    /// Its status when the look ended.
    pub(crate) status: Status,
    /// The members as it knows them by itself.
    pub(crate) members: Result<Vec<Listed>, Trouble>,
    /// The revision that it read through a majority.
    pub(crate) linearizable: Result<i64, Trouble>,
    /// And by itself.
    pub(crate) serializable: Result<i64, Trouble>,
    /// HashKV at that revision, the same for all members of a cluster.
    pub(crate) hashkv_revision: i64,
    pub(crate) hashkv: Result<HashKv, Trouble>,
}
