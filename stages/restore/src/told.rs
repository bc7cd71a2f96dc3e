//! What a restore tells: facts for the receipt and for `--json`, and a screen for people.

use crate::args::Args;
use crate::error::Error;
use crate::members::NewCluster;
use contract::Job;
use contract::facts::{RestoreFacts, RestoredHashKv, RestoredMember};
use datadir::place::Published;
use datadir::{Built, Member};
use snapshot::ServerView;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// What servers answer as compact revision when history was never compacted.
const NEVER_COMPACTED: i64 = -1;

/// How long each phase takes.
pub(crate) struct Phases {
    since: Instant,
    ms: BTreeMap<String, u64>,
}

impl Phases {
    pub(crate) fn begin() -> Self {
        Phases { since: Instant::now(), ms: BTreeMap::new() }
    }

    /// Ends a phase, and begins the next one.
    pub(crate) fn end(&mut self, phase: &str) {
        let ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ms.insert(phase.to_owned(), ms);
        self.since = Instant::now();
    }
}

/// What was done.
pub(crate) struct Done<'a> {
    pub(crate) cluster: &'a NewCluster,
    pub(crate) written: &'a [Member],
    pub(crate) view: &'a ServerView,
    pub(crate) built: &'a Built,
}

impl Done<'_> {
    pub(crate) fn facts(
        &self,
        published: &Published,
        notes: Vec<String>,
        phases: Phases,
    ) -> RestoreFacts {
        let membership = &self.cluster.membership;
        let members = self.written.iter().zip(&published.data_dirs);
        let hash = |hash| RestoredHashKv {
            revision: self.view.revision,
            compact_revision: self.view.compact_revision.unwrap_or(NEVER_COMPACTED),
            hash,
        };
        RestoreFacts {
            cluster_id: format!("{:x}", membership.cluster_id()),
            token: membership.token().to_owned(),
            initial_cluster: membership.initial_cluster(),
            members: members.map(|(member, dir)| restored(member, dir, published)).collect(),
            revision: self.view.revision,
            snapshot_revision: self.built.snapshot_revision,
            bump: self.built.bump,
            compact_revision: self.view.compact_revision,
            hashkv: self.view.hashkv.map(hash),
            keys_live: self.view.keys_live,
            db_bytes: self.built.bytes,
            is_kubernetes: self.built.is_kubernetes,
            notes,
            encryption_at_rest: self.view.encryption_at_rest.clone(),
            phases_ms: phases.ms,
        }
    }
}

fn restored(member: &Member, data_dir: &Path, published: &Published) -> RestoredMember {
    RestoredMember {
        name: member.name.clone(),
        id: member.id_hex(),
        peer_urls: member.peer_urls.clone(),
        data_dir: data_dir.display().to_string(),
        wal_dir: published.wal_dir.as_ref().map(|dir| dir.display().to_string()),
        moved_aside: published.moved_aside.iter().map(|m| m.to.display().to_string()).collect(),
    }
}

/// The screen: what was restored, what has to be known, what to type next.
pub(crate) fn say(facts: &RestoreFacts, job: &Job, args: &Args) {
    for member in &facts.members {
        tracing::info!(
            id = member.id,
            peer_urls = member.peer_urls.join(","),
            "member {} is restored into {}",
            member.name,
            member.data_dir
        );
    }
    tracing::info!(
        keys = facts.keys_live,
        bytes = facts.db_bytes,
        cluster = facts.cluster_id,
        token = facts.token,
        "proved by reading it again: revision {}",
        facts.revision
    );
    if let Some(first) = facts.members.first() {
        for aside in &first.moved_aside {
            tracing::info!("what was there before is {aside}");
        }
    }
    if job.run_dir().is_some() {
        // Whoever reads the receipt knows the whole way, shows the notes, and says what is next.
        return;
    }
    for note in &facts.notes {
        tracing::warn!("{note}");
    }
    for (key, values) in &facts.encryption_at_rest {
        tracing::warn!(values, "values are encrypted by Kubernetes: its API server needs {key}");
    }
    let moved = facts.members.iter().any(|member| !member.moved_aside.is_empty());
    for line in next(facts) {
        tracing::info!("next: {line}");
    }
    if moved {
        tracing::info!("to go back: lifeboat-restore --undo {}", place(args));
    }
}

/// The place as it was typed.
fn place(args: &Args) -> String {
    let named = [
        ("--all-members", &args.all_members),
        ("--data-dir", &args.data_dir),
        ("--wal-dir", &args.wal_dir),
    ];
    let typed = named.iter().filter_map(|(flag, dir)| Some((flag, dir.as_ref()?)));
    let words: Vec<String> = typed.map(|(flag, dir)| format!("{flag} {}", dir.display())).collect();
    words.join(" ")
}

/// One line for each member.
fn next(facts: &RestoreFacts) -> Vec<String> {
    let others = |name: &str| facts.initial_cluster.split(',').any(|m| !m.starts_with(name));
    let mut lines: Vec<String> = facts
        .members
        .iter()
        .map(|member| {
            let wal = member.wal_dir.as_ref().map(|dir| format!(" --wal-dir {dir}"));
            format!(
                "etcd --name {} --data-dir {}{} --initial-advertise-peer-urls {} --initial-cluster \
                 {} --initial-cluster-token {} with its other flags as before",
                member.name,
                member.data_dir,
                wal.unwrap_or_default(),
                member.peer_urls.join(","),
                facts.initial_cluster,
                facts.token
            )
        })
        .collect();
    if let [only] = facts.members.as_slice()
        && others(&format!("{}=", only.name))
    {
        lines.insert(
            0,
            format!(
                "on every other member the same restore, of the same snapshot, with \
                 --initial-cluster {} --initial-cluster-token {}",
                facts.initial_cluster, facts.token
            ),
        );
    }
    lines
}

/// The facts on standard output, if they are wanted.
pub(crate) fn print(facts: &RestoreFacts, args: &Args) -> Result<(), Error> {
    if !args.json {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(facts).map_err(|e| Error::Print(e.into()))?;
    contract::print(text + "\n").map_err(Error::Print)
}
