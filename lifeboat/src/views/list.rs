//! `lifeboat list`: every backup in a line, newest first.

use super::{bytes, exit_of_unreadable, plural, print, print_json, read_catalogue};
use crate::cli::{Common, OutputArgs};
use crate::copies;
use crate::error::Error;
use catalogue::{Backup, Catalogue, State};
use comfy_table::{ContentArrangement, Table, presets};
use contract::Exit;
use serde::Serialize;
use std::collections::BTreeMap;

/// One backup over all destinations. This is the JSON of `lifeboat list --json`.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    taken_at: Option<jiff::Timestamp>,
    tier: Option<String>,
    revision: Option<i64>,
    keys: Option<u64>,
    snapshot_bytes: Option<u64>,
    artifact_bytes: Option<u64>,
    /// The best state of its copies.
    state: State,
    /// The state of each copy by destination.
    copies: BTreeMap<String, State>,
    /// When the last drill began that proved one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    proven_at: Option<jiff::Timestamp>,
    /// When each copy was last read back whole, by a scrub or a drill.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    verified_at: BTreeMap<String, jiff::Timestamp>,
    /// Whether another tool had made it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    adopted: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Listing {
    version: u32,
    cluster: String,
    backups: Vec<Row>,
    orphans: Vec<Leftover>,
    /// How many copies each destination lacks that another one could give.
    lagging: BTreeMap<String, usize>,
    unreadable: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Leftover {
    destination: String,
    key: String,
    bytes: u64,
}

pub(crate) fn list(common: &Common, args: &OutputArgs) -> Result<Exit, Error> {
    let catalogue = read_catalogue(common)?;
    let lagging = copies::lagging(&catalogue, &common.pipeline()?)?;
    let listing = listing(&catalogue, lagging);
    // Nothing seen is only an answer where everything could be looked at.
    let unseen = exit_of_unreadable(&catalogue).filter(|_| listing.backups.is_empty());
    match args.json {
        true => print_json(&listing)?,
        false => print(&table(&listing))?,
    }
    Ok(unseen.unwrap_or(Exit::Ok))
}

fn listing(catalogue: &Catalogue, lagging: BTreeMap<String, usize>) -> Listing {
    let mut backups: Vec<Row> = Vec::new();
    for (destination, backup) in catalogue.copies() {
        match backups.last_mut() {
            Some(row) if row.name == backup.name.as_str() => row.add(destination, backup),
            _ => {
                let mut row = Row::of(backup);
                row.add(destination, backup);
                backups.push(row);
            }
        }
    }
    let destinations = &catalogue.destinations;
    let leftover = destinations.iter().flat_map(|d| {
        let leftover = |o: &catalogue::Orphan| Leftover {
            destination: d.destination.clone(),
            key: o.key.clone(),
            bytes: o.bytes,
        };
        d.orphans.iter().map(leftover).collect::<Vec<_>>()
    });
    let dark =
        destinations.iter().filter_map(|d| Some((d.destination.clone(), d.problem.clone()?)));
    Listing {
        version: 1,
        cluster: catalogue.cluster.clone(),
        backups,
        orphans: leftover.collect(),
        lagging,
        unreadable: dark.collect(),
    }
}

impl Row {
    fn of(backup: &Backup) -> Self {
        Row {
            name: backup.name.to_string(),
            taken_at: None,
            tier: None,
            revision: None,
            keys: None,
            snapshot_bytes: None,
            artifact_bytes: None,
            state: backup.state,
            copies: BTreeMap::new(),
            proven_at: None,
            verified_at: BTreeMap::new(),
            adopted: false,
            problems: Vec::new(),
        }
    }

    /// Takes in one copy. The first readable manifest describes the backup.
    fn add(&mut self, destination: &str, backup: &Backup) {
        if let (None, Some(manifest)) = (self.taken_at, &backup.manifest) {
            self.taken_at = Some(manifest.taken_at);
            self.tier = Some(manifest.tier.clone());
            self.revision = Some(manifest.snapshot.revision);
            self.keys = Some(manifest.snapshot.total_key_live);
            self.snapshot_bytes = Some(manifest.snapshot.snapshot_bytes);
            self.artifact_bytes = Some(manifest.artifact.bytes);
            self.adopted = manifest.etcd.adopted.is_some();
        }
        self.state = self.state.best(backup.state);
        self.proven_at = self.proven_at.max(backup.proven_at);
        self.copies.insert(destination.to_owned(), backup.state);
        let looked = backup.verified.map(|looked| (destination.to_owned(), looked.at));
        self.verified_at.extend(looked);
        let texts = backup.problem.iter().chain(&backup.notes);
        self.problems.extend(texts.map(|text| format!("{destination}: {text}")));
    }
}

fn table(listing: &Listing) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["BACKUP", "TAKEN", "REVISION", "KEYS", "SIZE", "STORED", "STATE", "COPIES"]);
    for row in &listing.backups {
        let number = |n: Option<String>| n.unwrap_or_else(|| "?".into());
        table.add_row([
            row.name.clone(),
            number(row.taken_at.map(|t| t.strftime("%Y-%m-%d %H:%M:%SZ").to_string())),
            number(row.revision.map(|n| n.to_string())),
            number(row.keys.map(|n| n.to_string())),
            number(row.snapshot_bytes.map(bytes)),
            number(row.artifact_bytes.map(bytes)),
            state(row),
            copies_of(row),
        ]);
    }
    let mut text = match listing.backups.is_empty() {
        true => format!("cluster {:?} has no backup\n", listing.cluster),
        false => lines(&table),
    };
    for row in &listing.backups {
        row.problems.iter().for_each(|p| text += &format!("! {}: {p}\n", row.name));
    }
    for (destination, problem) in &listing.unreadable {
        text += &format!("! {destination} could not be read: {problem}\n");
    }
    if let Some(lag) = copies::told(&listing.lagging) {
        text += &format!("! {lag}: `lifeboat sync` brings them level\n");
    }
    if !listing.orphans.is_empty() {
        let count = i64::try_from(listing.orphans.len()).unwrap_or(i64::MAX);
        let size = listing.orphans.iter().map(|o| o.bytes).sum();
        text += &format!(
            "! {} ({}) of runs that did not finish; they are no backups\n",
            plural(count, "artifact"),
            bytes(size)
        );
    }
    text
}

/// Without the blanks at the ends that a table without borders has.
fn lines(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("{}\n", line.trim())).collect()
}

/// With the day of the drill, because a proof ages.
fn state(row: &Row) -> String {
    match (row.state, row.proven_at) {
        (State::Proven, Some(at)) => format!("proven {}", at.strftime("%Y-%m-%d")),
        (state, _) => state.name().to_owned(),
    }
}

fn copies_of(row: &Row) -> String {
    // Where a drill proved some and not others, it is told which.
    let is_mixed = row.copies.values().any(|state| *state == State::Verified);
    let word = |(name, state): (&String, &State)| match state {
        State::Proven if is_mixed => format!("{name} (proven)"),
        State::Proven | State::Verified => name.clone(),
        state => format!("{name} ({})", state.name()),
    };
    row.copies.iter().map(word).collect::<Vec<_>>().join(", ")
}
