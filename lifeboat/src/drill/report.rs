//! What a drill found out: the JSON of `lifeboat drill --json`, and the evidence.

use super::choice::Copy;
use crate::chain::{Cause, Outcome};
use catalogue::{Depth, Finding};
use contract::drill::{DrillCheck, DrillFacts, EtcdProgram};
use contract::facts::RestoreFacts;
use contract::{Exit, RunId};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The phases that somebody has to wait for before the restored data are served.
const UNTIL_SERVED: [&str; 5] = ["read", "build", "prove", "publish", "start"];
/// Stages whose verdict that bytes are corrupt is about those of the backup.
const JUDGES: [&str; 5] = ["fetch", "decrypt", "decompress", "restore", "drill"];

/// What one invocation found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) version: u32,
    pub(crate) cluster: String,
    pub(crate) run: String,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
    pub(crate) exit: u8,
    pub(crate) tool: String,
    pub(crate) drills: Vec<Drilled>,
}

/// How one drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Result {
    /// etcd served it, and everything compared was the same.
    Proven,
    /// It was restored and read again, and no etcd was started.
    Restored,
    /// Something about the backup is wrong.
    Suspect,
    /// The drill did not come to an end, for a reason that is none of the backup's.
    NotTried,
}

impl Result {
    /// What a record says of it, if there is to be one.
    pub(crate) fn finding(self) -> Option<Finding> {
        match self {
            Result::Proven => Some(Finding::Proven),
            Result::Restored => Some(Finding::Restored),
            Result::Suspect => Some(Finding::Suspect),
            Result::NotTried => None,
        }
    }

    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        self.finding().map_or("not tried", Finding::name)
    }
}

/// One copy, drilled.
#[derive(Debug, Serialize)]
pub(crate) struct Drilled {
    pub(crate) backup: String,
    pub(crate) destination: String,
    pub(crate) taken_at: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) result: Result,
    pub(crate) depth: Depth,
    pub(crate) exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etcd: Option<EtcdProgram>,
    /// Age of the backup when the drill began: what would have been lost.
    pub(crate) rpo_seconds: i64,
    /// From the first byte fetched until etcd served: what somebody would have waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rto_ms: Option<u64>,
    pub(crate) phases_ms: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restored: Option<Restored>,
    pub(crate) checks: Vec<DrillCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    /// The key of the record beside the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_problem: Option<String>,
}

/// What was restored.
#[derive(Debug, Serialize)]
pub(crate) struct Restored {
    pub(crate) revision: i64,
    pub(crate) keys_live: u64,
    pub(crate) db_bytes: u64,
    pub(crate) members: usize,
    /// What was put right, dropped or made.
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        cluster: &str,
        run: &RunId,
        (started_at, finished_at): (Timestamp, Timestamp),
        drills: Vec<Drilled>,
    ) -> Self {
        let exit = drills.iter().fold(Exit::Ok.code(), |all, one| contract::worse(all, one.exit));
        let tool = format!("lifeboat {}", env!("CARGO_PKG_VERSION"));
        let (cluster, run) = (cluster.to_owned(), run.to_string());
        Report { version: 1, cluster, run, started_at, finished_at, exit, tool, drills }
    }
}

impl Drilled {
    /// Before anything was tried.
    pub(crate) fn new(
        copy: &Copy<'_>,
        at: Timestamp,
        depth: Depth,
        etcd: Option<&EtcdProgram>,
    ) -> Self {
        Drilled {
            backup: copy.backup.name.to_string(),
            destination: copy.destination.to_owned(),
            taken_at: copy.manifest.taken_at,
            at,
            result: Result::NotTried,
            depth,
            exit: Exit::Bug.code(),
            etcd: etcd.cloned(),
            rpo_seconds: at.as_second() - copy.manifest.taken_at.as_second(),
            rto_ms: None,
            phases_ms: BTreeMap::new(),
            restored: None,
            checks: Vec::new(),
            cause: None,
            record: None,
            record_problem: None,
        }
    }

    /// Takes in how the chain ended and what its last two steps left.
    pub(crate) fn take(
        &mut self,
        outcome: &Outcome,
        restored: Option<RestoreFacts>,
        proved: Option<DrillFacts>,
    ) {
        self.exit = outcome.code;
        self.cause.clone_from(&outcome.cause);
        if let Some(facts) = restored {
            self.phases_ms.extend(facts.phases_ms);
            self.restored = Some(Restored {
                revision: facts.revision,
                keys_live: facts.keys_live,
                db_bytes: facts.db_bytes,
                members: facts.members.len(),
                notes: facts.notes,
            });
        }
        if let Some(facts) = proved {
            // `restore` has a phase of this name: the whole way from the store.
            let named = |(name, ms): (String, u64)| match name.as_str() {
                "read" => ("read_again".to_owned(), ms),
                _ => (name, ms),
            };
            self.phases_ms.extend(facts.phases_ms.into_iter().map(named));
            self.checks = facts.checks;
        }
        self.result = judge(outcome, self.depth);
        self.rto_ms = UNTIL_SERVED.iter().map(|name| self.phases_ms.get(*name)).sum();
    }

    /// How deep it came, for a record. Bytes that differ when they are fetched are those of one copy, and
    /// whoever compares them again clears that.
    pub(crate) fn depth_of_record(&self) -> Depth {
        let stage = self.cause.as_ref().map(|cause| cause.stage.as_str());
        match (self.result, stage) {
            (Result::Suspect, Some("fetch")) => Depth::Digest,
            _ => self.depth,
        }
    }

    /// Whether a signal ended it.
    pub(crate) fn was_stopped(&self) -> bool {
        self.exit > 128
    }

    /// What was compared, or what was wrong, in a sentence.
    pub(crate) fn summary(&self) -> String {
        match &self.cause {
            None => {
                let checks = self.checks.len();
                format!("{checks} checks of depth {} passed", self.depth.name())
            }
            Some(cause) => {
                let causes = match cause.causes.as_str() {
                    "" => String::new(),
                    causes => format!(": {causes}"),
                };
                format!("{} failed: {}{causes}", cause.stage, cause.message)
            }
        }
    }
}

fn judge(outcome: &Outcome, depth: Depth) -> Result {
    let is_corrupt = outcome.code == Exit::Corrupt.code();
    match (&outcome.cause, depth) {
        (None, Depth::Digest | Depth::Content | Depth::Native) => Result::Restored,
        (None, Depth::Etcd | Depth::ThreeMembers) => Result::Proven,
        (Some(cause), _) if is_corrupt && JUDGES.contains(&cause.stage.as_str()) => Result::Suspect,
        (Some(_), _) => Result::NotTried,
    }
}
