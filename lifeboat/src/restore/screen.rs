//! What was restored, on one screen or as JSON: what, from where, how old, and what to type next.

use super::intent::Intent;
use crate::error::Error;
use crate::views::{age, bytes, plural, print, print_json, quoted};
use crate::way_back::Done;
use contract::facts::RestoreFacts;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// The JSON of `lifeboat restore --json`.
#[derive(Debug, Serialize)]
struct Restored<'a> {
    version: u32,
    cluster: &'a str,
    backup: &'a str,
    taken_at: Timestamp,
    /// What was written since is lost.
    age_seconds: i64,
    destination: &'a str,
    passed_over: Vec<PassedOver<'a>>,
    flavour: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flavour_because: Option<&'a str>,
    left_out: &'a [String],
    #[serde(flatten)]
    facts: &'a RestoreFacts,
    other_members: Vec<OtherMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<String>,
}

#[derive(Debug, Serialize)]
struct PassedOver<'a> {
    destination: &'a str,
    problem: &'a str,
}

#[derive(Debug, Serialize)]
struct OtherMember {
    member: String,
    command: String,
}

pub(crate) fn show(
    intent: &Intent<'_>,
    done: &Done,
    facts: &RestoreFacts,
    now: Timestamp,
) -> Result<(), Error> {
    let manifest = intent.chosen.manifest;
    let passed_over = done.passed_over.iter();
    let restored = Restored {
        version: 1,
        cluster: &manifest.cluster,
        backup: intent.chosen.backup.as_str(),
        taken_at: manifest.taken_at,
        age_seconds: now.as_second() - manifest.taken_at.as_second(),
        destination: &done.destination,
        passed_over: passed_over.map(|(d, p)| PassedOver { destination: d, problem: p }).collect(),
        flavour: intent.judged.flavour.name(),
        flavour_because: intent.judged.because,
        left_out: &intent.members.left_out,
        facts,
        other_members: other_members(intent, facts),
        undo: undo(intent, facts),
    };
    match intent.args.json {
        true => print_json(&restored),
        false => print(&page(intent, &restored)),
    }
}

/// Of the new cluster, those whose directories were not written by this call.
fn other_members(intent: &Intent<'_>, facts: &RestoreFacts) -> Vec<OtherMember> {
    let is_written = |name: &str| facts.members.iter().any(|member| member.name == name);
    let mut names: Vec<&str> = facts
        .initial_cluster
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| !is_written(name))
        .collect();
    names.dedup();
    let data_dir = intent.args.data_dir.as_deref();
    let command = |name: &str| intent.command(name, data_dir, intent.args.replace);
    names.iter().map(|n| OtherMember { member: (*n).to_owned(), command: command(n) }).collect()
}

/// What puts everything back as it was, where something was moved aside.
fn undo(intent: &Intent<'_>, facts: &RestoreFacts) -> Option<String> {
    let moved = facts.members.iter().find(|member| !member.moved_aside.is_empty())?;
    let all = intent.args.all_members.as_deref().map(|d| ("--all-members", d));
    let one = ("--data-dir", Path::new(&moved.data_dir));
    let (flag, directory) = all.unwrap_or(one);
    let mut command = format!("lifeboat restore --undo {flag} {}", words(directory));
    if let Some(directory) = &moved.wal_dir {
        command += &format!(" --wal-dir {}", quoted(directory));
    }
    Some(command)
}

fn words(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    quoted(&whole.to_string_lossy())
}

struct Page(String);

impl Page {
    fn line(&mut self, label: &str, text: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{label:<12} {text}");
    }
}

fn page(intent: &Intent<'_>, restored: &Restored<'_>) -> String {
    let (facts, mut page) = (restored.facts, Page(String::new()));
    page.line("restored", format!("{} of cluster {}", restored.backup, restored.cluster));
    page.line("from", restored.destination);
    for passed in &restored.passed_over {
        page.line("", format!("not from {}: {}", passed.destination, passed.problem));
    }
    page.line(
        "taken",
        format!(
            "{} ({} ago: what was written since is lost)",
            restored.taken_at,
            age(restored.age_seconds)
        ),
    );
    for member in &facts.members {
        let urls = member.peer_urls.join(",");
        page.line("member", format!("{} ({}) {urls}", member.name, member.id));
        page.line("", format!("data in {}", member.data_dir));
        member.wal_dir.iter().for_each(|dir| page.line("", format!("WAL in {dir}")));
        for aside in &member.moved_aside {
            page.line("", format!("what was there is now {aside}"));
        }
    }
    restored.left_out.iter().for_each(|who| page.line("left out", who));
    page.line("cluster id", format!("{} (token {})", facts.cluster_id, facts.token));
    page.line("revision", revision(facts));
    let keys = i64::try_from(facts.keys_live).unwrap_or(i64::MAX);
    page.line("holds", format!("{}, {}", plural(keys, "live key"), bytes(facts.db_bytes)));
    for (key, count) in &facts.encryption_at_rest {
        let count = plural(i64::try_from(*count).unwrap_or(i64::MAX), "value");
        page.line("encrypted", format!("{count}: the API servers need {key} to read this"));
    }
    facts.notes.iter().for_each(|note| page.line("note", note));
    next(&mut page, intent, restored);
    page.0
}

fn revision(facts: &RestoreFacts) -> String {
    match (facts.bump, facts.revision == facts.snapshot_revision) {
        (Some(by), _) => format!(
            "{} (raised by {by}; all below is compacted, so that watchers list anew)",
            facts.revision
        ),
        (None, true) => format!("{}, as in the backup", facts.revision),
        (None, false) => {
            format!("{}, cut off (the backup has {})", facts.revision, facts.snapshot_revision)
        }
    }
}

fn next(page: &mut Page, intent: &Intent<'_>, restored: &Restored<'_>) {
    for other in &restored.other_members {
        page.line("next", format!("on {}: {}", other.member, other.command));
    }
    let lifeboat = intent.program().join(" ");
    page.line("next", "start etcd on all members, before anything that uses it;");
    page.line("", format!("`{lifeboat} restore --plan` shows each step for {}", restored.flavour));
    let id = &restored.facts.cluster_id;
    page.line("then", format!("{} {lifeboat} run", accept(id)));
    if let Some(undo) = &restored.undo {
        page.line("undo", format!("{undo}    (etcd stopped)"));
    }
}

/// The first backup of a restored cluster has to be told that its new id is meant. Quoted twice:
/// an id of digits alone is still text.
pub(crate) fn accept(cluster_id: &str) -> String {
    format!("LIFEBOAT__REPLICATE__ACCEPT_CLUSTER_ID='\"{cluster_id}\"'")
}
