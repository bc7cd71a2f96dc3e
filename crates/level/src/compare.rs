//! Which copies are lacking, by the catalogues alone.

use crate::policy::{candidate, newest_cluster_id, tier};
use catalogue::{Backup, BackupName, Catalogue, DestinationCatalogue, Manifest, State};
use config::{Location, Pipeline};
use jiff::{Span, Timestamp};
use retention::{Action, Guards, Ignored, Policy};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is lacking everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Level {
    /// What can be made good, the newest backup first.
    pub works: Vec<Work>,
    /// What has to be told besides.
    pub remarks: Vec<Remark>,
}

/// One backup that some destinations lack and others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its name.
    pub backup: BackupName,
    /// What it is.
    pub manifest: Manifest,
    /// The key of its manifest.
    pub manifest_key: String,
    /// SHA-256 of the manifest's bytes, in hex.
    pub manifest_sha256: String,
    /// The destinations with a healthy copy, the nearest first; never empty.
    pub sources: Vec<String>,
    /// The others; never empty.
    pub lacks: Vec<Lack>,
}

/// One copy that is lacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Where.
    pub destination: String,
    /// Why.
    pub why: Why,
    /// What is wrong with what is there.
    pub problem: Option<String>,
}

/// Why a copy does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nothing of it is listed, or an artifact without its manifest.
    Missing,
    /// A manifest is there that cannot be read, or whose artifact is missing or of another length.
    Broken,
    /// A scrub found other bytes than the manifest says.
    Damaged,
    /// A drill of it failed, and nobody has compared its bytes since.
    InDoubt,
}

impl Why {
    /// The words for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Why::Missing => "missing",
            Why::Broken => "broken",
            Why::Damaged => "damaged",
            Why::InDoubt => "in doubt",
        }
    }
}

/// Something that no copy makes good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// What kind of thing.
    pub kind: Kind,
    /// About which backup, if about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupName>,
    /// About which destination, if about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// For people.
    pub problem: String,
}

/// The kinds of remarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two manifests of one backup differ.
    Fork,
    /// Suspect for what it is and not for how it lies there: it is not spread.
    Suspect,
    /// Some copies are lacking, and no destination has a whole one.
    NoSource,
    /// A destination holds a manifest that this program does not understand, or that has another
    /// name: it is left alone.
    Strange,
    /// The policy cannot be applied to a destination, so that nothing is copied to it.
    Policy,
}

impl Kind {
    /// Whether a destination is not level because of it.
    #[must_use]
    pub fn is_lack(self) -> bool {
        !matches!(self, Kind::Suspect)
    }
}

impl Level {
    /// How many copies each destination lacks that another one could give.
    #[must_use]
    pub fn lagging(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for lack in self.works.iter().flat_map(|work| &work.lacks) {
            *counts.entry(lack.destination.clone()).or_default() += 1;
        }
        counts
    }
}

/// The names of the destinations in the order in which a copy is best taken from them: those on
/// this machine first.
#[must_use]
pub fn nearest_first(pipeline: &Pipeline) -> Vec<String> {
    let is_far = |name: &&String| {
        !matches!(pipeline.destinations[*name].location(), Ok(Location::Directory(_)))
    };
    let mut names: Vec<&String> = pipeline.destinations.keys().collect();
    names.sort_by_key(is_far);
    names.into_iter().cloned().collect()
}

/// Compares what all destinations hold. `order` is that of [`nearest_first`]; without a policy every
/// destination is to have everything. A destination that could not be read lacks nothing that
/// anybody knows of, and gives nothing.
#[must_use]
pub fn compare(
    catalogue: &Catalogue,
    policy: Option<&Policy>,
    order: &[String],
    now: Timestamp,
) -> Level {
    let readable: Vec<&DestinationCatalogue> =
        catalogue.destinations.iter().filter(|d| d.problem.is_none()).collect();
    let mut by_name: BTreeMap<&BackupName, Vec<(&str, &Backup)>> = BTreeMap::new();
    for destination in &readable {
        for backup in &destination.backups {
            by_name.entry(&backup.name).or_default().push((&destination.destination, backup));
        }
    }
    let names: Vec<&str> = readable.iter().map(|d| d.destination.as_str()).collect();
    let mut level = Level::default();
    for (name, copies) in by_name.into_iter().rev() {
        one(name, &copies, &names, order, &mut level);
    }
    if let Some(policy) = policy {
        keep_wanted(&mut level, catalogue, &readable, policy, now);
    }
    level.works.retain(|work| !work.lacks.is_empty());
    level
}

fn one(
    name: &BackupName,
    copies: &[(&str, &Backup)],
    readable: &[&str],
    order: &[String],
    level: &mut Level,
) {
    let mut remark = |kind, destination: Option<&str>, problem: String| {
        let (backup, destination) = (Some(name.clone()), destination.map(str::to_owned));
        level.remarks.push(Remark { kind, backup, destination, problem });
    };
    let told = copies.iter().filter(|(_, b)| b.state != State::Broken);
    let stories: BTreeSet<&str> = told.map(|(_, b)| b.manifest_sha256.as_str()).collect();
    if stories.len() > 1 {
        let problem = copies.iter().find_map(|(_, b)| b.problem.clone()).unwrap_or_default();
        return remark(Kind::Fork, None, problem);
    }
    let mut healthy: Vec<(&str, &Backup)> =
        copies.iter().filter(|(_, b)| b.state.is_trusted()).copied().collect();
    let place = |name: &str| order.iter().position(|o| o == name).unwrap_or(usize::MAX);
    healthy.sort_by_key(|(destination, _)| place(destination));
    let Some((_, best)) = healthy.first() else {
        let (kind, problem) = without_source(copies);
        return remark(kind, None, problem);
    };
    let Some(manifest) = best.manifest.clone() else { return };
    let mut lacks = Vec::new();
    for destination in readable {
        let there: Vec<&Backup> =
            copies.iter().filter(|(d, _)| d == destination).map(|(_, b)| *b).collect();
        match lack(&there, best) {
            Ok(None) => {}
            Ok(Some((why, problem))) => {
                lacks.push(Lack { destination: (*destination).to_owned(), why, problem });
            }
            Err(problem) => remark(Kind::Strange, Some(destination), problem),
        }
    }
    level.works.push(Work {
        backup: name.clone(),
        manifest,
        manifest_key: best.manifest_key.clone(),
        manifest_sha256: best.manifest_sha256.clone(),
        sources: healthy.iter().map(|(destination, _)| (*destination).to_owned()).collect(),
        lacks,
    });
}

/// Why nothing can be copied, when no copy is healthy.
fn without_source(copies: &[(&str, &Backup)]) -> (Kind, String) {
    let problems = copies.iter().filter_map(|(d, b)| Some(format!("{d}: {}", b.problem.as_ref()?)));
    let problems = problems.collect::<Vec<_>>().join("; ");
    let is_of_cluster = |b: &Backup| {
        b.state == State::Suspect && b.doubt.is_none_or(|doubt| !doubt.depth.is_of_scrub())
    };
    match copies.iter().any(|(_, b)| is_of_cluster(b)) {
        true => (Kind::Suspect, problems),
        false => (Kind::NoSource, format!("no destination has a whole copy ({problems})")),
    }
}

/// What a destination lacks of a backup of which `best` is a healthy copy, seen what is `there`.
fn lack(there: &[&Backup], best: &Backup) -> Result<Option<(Why, Option<String>)>, String> {
    if there.iter().any(|b| b.state.is_trusted()) {
        return Ok(None);
    }
    let here = match there {
        [] => return Ok(Some((Why::Missing, None))),
        [only] => only,
        _ => return Err(format!("{} manifests are there, none of them sound", there.len())),
    };
    if here.exit.is_some() || here.manifest_key != best.manifest_key {
        let problem = here.problem.clone().unwrap_or_default();
        return Err(format!("{} is left as it is: {problem}", here.manifest_key));
    }
    let why = match (here.state, here.doubt) {
        (State::Broken, _) => Why::Broken,
        (_, Some(doubt)) if doubt.depth.is_of_scrub() => Why::Damaged,
        (_, Some(doubt)) if here.verified.is_none_or(|looked| looked.at < doubt.at) => Why::InDoubt,
        _ => return Ok(None),
    };
    Ok(Some((why, here.problem.clone())))
}

/// Drops from the works what is missing in a destination whose own policy would not keep it.
fn keep_wanted(
    level: &mut Level,
    catalogue: &Catalogue,
    readable: &[&DestinationCatalogue],
    policy: &Policy,
    now: Timestamp,
) {
    // Nothing is removed here, however old the newest one is, and however many would go.
    let guards = Guards { allow_large_removal: true, ..policy.guards };
    let policy = Policy { stale_after: Span::new().years(10_000), guards, ..policy.clone() };
    let ours = newest_cluster_id(&catalogue.destinations).unwrap_or_default();
    for destination in readable {
        let name = &destination.destination;
        if !level.works.iter().any(|w| w.lacks.iter().any(|l| l.destination == *name)) {
            continue;
        }
        match unwanted(level, destination, &policy, ours, now) {
            Ok(unwanted) => level.drop_lacks(name, |backup| unwanted.contains(backup.as_str())),
            Err(problem) => {
                level.drop_lacks(name, |_| true);
                let (kind, destination) = (Kind::Policy, Some(name.clone()));
                level.remarks.push(Remark { kind, backup: None, destination, problem });
            }
        }
    }
}

/// What the policy would not keep in this destination if it lacked nothing.
fn unwanted(
    level: &Level,
    destination: &DestinationCatalogue,
    policy: &Policy,
    ours: u64,
    now: Timestamp,
) -> Result<BTreeSet<String>, String> {
    let mut filled: BTreeMap<&BackupName, retention::Backup> = BTreeMap::new();
    for backup in &destination.backups {
        if filled.insert(&backup.name, candidate(backup)).is_some() {
            return Err(format!("there are two manifests of {}", backup.name));
        }
    }
    for work in &level.works {
        if work.lacks.iter().any(|lack| lack.destination == destination.destination) {
            filled.insert(&work.backup, as_if_whole(work));
        }
    }
    let all: Vec<retention::Backup> = filled.into_values().collect();
    let plan = retention::plan(policy, &all, now, ours).map_err(|refusal| refusal.to_string())?;
    let unwanted = plan.decisions().iter().filter(|decision| is_unwanted(&decision.action));
    Ok(unwanted.map(|decision| decision.id.clone()).collect())
}

/// What is out of line with the history goes or stays by what lies beside it: it may have been
/// removed here for what is no longer here, and it would come back for the same reason. One of
/// another cluster is never removed.
fn is_unwanted(action: &Action) -> bool {
    match action {
        Action::Remove => true,
        Action::Keep { .. } => false,
        Action::Ignore { why } => {
            matches!(why, Ignored::FutureDated | Ignored::TimeDisagrees)
        }
    }
}

fn as_if_whole(work: &Work) -> retention::Backup {
    let id = work.manifest.cluster_id().and_then(|id| u64::from_str_radix(id, 16).ok());
    retention::Backup {
        id: work.backup.to_string(),
        cluster_id: id,
        is_adopted: work.manifest.etcd.adopted.is_some(),
        taken_at: work.manifest.taken_at,
        revision: work.manifest.snapshot.revision,
        state: retention::State::Verified,
        tier: tier(&work.manifest.tier),
    }
}

impl Level {
    /// What is there and damaged is made good all the same: pruning never removes it as it is.
    fn drop_lacks(&mut self, destination: &str, is_unwanted: impl Fn(&BackupName) -> bool) {
        for work in self.works.iter_mut().filter(|work| is_unwanted(&work.backup)) {
            work.lacks.retain(|l| l.destination != destination || l.why != Why::Missing);
        }
    }
}
