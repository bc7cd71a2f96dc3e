//! Which copies are lacking, by the catalogues alone.

use crate::aim::{Aim, Past};
use crate::policy::{candidate, candidates, newest_cluster_id, tier};
use crate::story::{is_stranger, manifests_of, most_told};
use catalogue::{
    Backup, BackupName, Catalogue, Depth, DestinationCatalogue, Manifest, ObjectName, State,
};
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
    /// By what a copy tells the same story.
    pub story: String,
    /// SHA-256 of each manifest that is there and can be read, by destination. What is not signed may differ.
    pub manifests: BTreeMap<String, String>,
    /// The destinations with a healthy copy, the nearest first; never empty.
    pub sources: Vec<String>,
    /// The others; never empty.
    pub lacks: Vec<Lack>,
}

impl Work {
    /// SHA-256 of the manifest that lies in a destination, or is to lie there.
    #[must_use]
    pub fn manifest_in(&self, destination: &str) -> &str {
        self.manifests.get(destination).unwrap_or(&self.manifest_sha256)
    }
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
    /// A manifest is there that nobody who is trusted signed.
    Forged,
    /// A scrub found other bytes than the manifest says.
    Damaged,
    /// A drill of it failed, or what is inside it was not sound, and nobody has compared its bytes
    /// since.
    InDoubt,
}

impl Why {
    /// The words for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Why::Missing => "missing",
            Why::Broken => "broken",
            Why::Forged => "forged",
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
    /// Nobody who is trusted signed it, and no whole copy says what belongs in its place: it is left
    /// alone, and never spread.
    Forged,
    /// Some copies are lacking, and no destination has a whole one.
    NoSource,
    /// A destination holds a manifest that this program does not understand, or that has another
    /// name: it is left alone.
    Strange,
    /// The policy cannot be applied to a destination, so that nothing is copied to it.
    Policy,
    /// Nobody encrypted it, and the destination is not on this machine: it is not copied there.
    Plaintext,
}

impl Kind {
    /// Whether a destination is not level because of it.
    #[must_use]
    pub fn is_lack(self) -> bool {
        !matches!(self, Kind::Suspect | Kind::Forged)
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

/// Compares what all destinations hold. A destination that could not be read lacks nothing that
/// anybody knows of, and gives nothing.
#[must_use]
pub fn compare(catalogue: &Catalogue, aim: &Aim, now: Timestamp) -> Level {
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
        one(name, &copies, &names, &aim.order, &mut level);
    }
    match &aim.policy {
        Some(policy) => keep_wanted(&mut level, catalogue, &readable, policy, now),
        None => keep_own_time(&mut level, &readable, aim.past),
    }
    keep_sealed(&mut level, &aim.sealed);
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
    let told = copies.iter().filter(|(_, b)| b.state.is_usable());
    let stories: BTreeSet<&str> = told.map(|(_, b)| b.story()).collect();
    if stories.len() > 1 {
        let problem = copies.iter().find_map(|(_, b)| b.problem.clone()).unwrap_or_default();
        return remark(Kind::Fork, None, problem);
    }
    let mut healthy: Vec<(&str, &Backup)> =
        copies.iter().filter(|(_, b)| b.state.is_trusted()).copied().collect();
    let place = |name: &str| order.iter().position(|o| o == name).unwrap_or(usize::MAX);
    healthy.sort_by_key(|(destination, _)| place(destination));
    let best = most_told(&healthy);
    let (strangers, copies): (Vec<(&str, &Backup)>, Vec<_>) =
        copies.iter().partition(|(_, b)| is_stranger(b, best));
    for (destination, stranger) in &strangers {
        let problem = stranger.problem.clone().unwrap_or_default();
        remark(Kind::Forged, Some(destination), format!("{}: {problem}", stranger.manifest_key));
    }
    let Some(best) = best else {
        if !copies.is_empty() {
            let (kind, problem) = without_source(&copies);
            remark(kind, None, problem);
        }
        return;
    };
    let Some(manifest) = best.manifest.clone() else { return };
    let mut lacks = Vec::new();
    for destination in readable {
        let there: Vec<&Backup> =
            copies.iter().filter(|(d, _)| d == destination).map(|(_, b)| *b).collect();
        match standing(&there, best) {
            Standing::Level => {}
            Standing::Lacking(why, problem) => {
                lacks.push(Lack { destination: (*destination).to_owned(), why, problem });
            }
            Standing::Told(kind, problem) => remark(kind, Some(destination), problem),
        }
    }
    level.works.push(Work {
        backup: name.clone(),
        manifest,
        manifest_key: best.manifest_key.clone(),
        manifest_sha256: best.manifest_sha256.clone(),
        story: best.story().to_owned(),
        manifests: manifests_of(&copies),
        sources: healthy.iter().map(|(destination, _)| (*destination).to_owned()).collect(),
        lacks,
    });
}

/// Why nothing can be copied, when no copy is healthy: because one or more are hurt, or because of
/// what the backup itself is.
fn without_source(copies: &[(&str, &Backup)]) -> (Kind, String) {
    let problems = copies.iter().filter_map(|(d, b)| Some(format!("{d}: {}", b.problem.as_ref()?)));
    let problems = problems.collect::<Vec<_>>().join("; ");
    let is_hurt = |b: &Backup| {
        !b.state.is_usable() || b.doubt.is_some_and(|doubt| doubt.depth == Depth::Digest)
    };
    match copies.iter().any(|(_, b)| is_hurt(b)) {
        false => (Kind::Suspect, problems),
        true => (Kind::NoSource, format!("no destination has a whole copy ({problems})")),
    }
}

/// How one destination stands with one backup.
enum Standing {
    /// It has it whole.
    Level,
    /// It lacks it; the problem of what is there.
    Lacking(Why, Option<String>),
    /// It is no matter of copies.
    Told(Kind, String),
}

/// How a destination stands with a backup of which `best` is a healthy copy, seen what is `there`.
fn standing(there: &[&Backup], best: &Backup) -> Standing {
    if there.iter().any(|b| b.state.is_trusted()) {
        return Standing::Level;
    }
    let strange = |problem: String| Standing::Told(Kind::Strange, problem);
    let here = match there {
        [] => return Standing::Lacking(Why::Missing, None),
        [only] => only,
        _ => return strange(format!("{} manifests are there, none of them sound", there.len())),
    };
    let problem = here.problem.clone();
    let is_newer = here.exit.is_some() && here.state != State::Forged;
    if is_newer || here.manifest_key != best.manifest_key {
        let problem = problem.unwrap_or_default();
        return strange(format!("{} is left as it is: {problem}", here.manifest_key));
    }
    match (here.state, here.doubt) {
        (State::Broken, _) => Standing::Lacking(Why::Broken, problem),
        (State::Forged, _) => Standing::Lacking(Why::Forged, problem),
        (_, Some(doubt)) if doubt.depth == Depth::Digest => {
            Standing::Lacking(Why::Damaged, problem)
        }
        // Its bytes may be others than those that were looked into: they are compared once.
        (_, Some(doubt)) if here.verified.is_none_or(|looked| looked.at < doubt.at) => {
            Standing::Lacking(Why::InDoubt, problem)
        }
        // They are the right ones: no copy of them would be any better.
        _ => Standing::Told(Kind::Suspect, problem.unwrap_or_default()),
    }
}

/// Turns what may not be brought to a destination, because nobody encrypted it, into remarks.
fn keep_sealed(level: &mut Level, sealed: &BTreeSet<String>) {
    for work in level.works.iter_mut().filter(|work| !work.manifest.is_encrypted()) {
        for lack in work.lacks.extract_if(.., |lack| sealed.contains(&lack.destination)) {
            let problem = format!(
                "{} there, and not copied: nobody encrypted it, and replicate.allow_plaintext is \
                 not set",
                lack.why.name()
            );
            let (backup, destination) = (Some(work.backup.clone()), Some(lack.destination));
            level.remarks.push(Remark { kind: Kind::Plaintext, backup, destination, problem });
        }
    }
}

/// Drops from the works what is missing in a destination of the time before its own history, tier by
/// tier: somebody else, who is not known here, may have removed it.
fn keep_own_time(level: &mut Level, readable: &[&DestinationCatalogue], past: Past) {
    if past == Past::Whole {
        return;
    }
    let newest = newest_of_each_tier(level);
    let known: BTreeSet<BackupName> = level.works.iter().map(|work| work.backup.clone()).collect();
    for destination in readable {
        if past == Past::OfNewcomers && destination.backups.is_empty() {
            continue;
        }
        let mut begins: BTreeMap<String, BackupName> = newest.clone();
        // A name alone is no history; a damaged copy of what somebody has whole is.
        let is_history = |b: &&Backup| b.state.is_usable() || known.contains(&b.name);
        for backup in destination.backups.iter().filter(is_history) {
            let Some(tier) = tier_of(&backup.manifest_key) else { continue };
            let oldest = begins.entry(tier).or_insert_with(|| backup.name.clone());
            *oldest = backup.name.clone().min(oldest.clone());
        }
        for work in &mut level.works {
            let first = begins.get(&work.manifest.tier);
            let is_before = first.is_some_and(|first| work.backup < *first);
            let name = &destination.destination;
            work.lacks.retain(|l| l.destination != *name || l.why != Why::Missing || !is_before);
        }
    }
}

/// The newest backup of each tier that any destination has whole.
fn newest_of_each_tier(level: &Level) -> BTreeMap<String, BackupName> {
    let mut newest: BTreeMap<String, BackupName> = BTreeMap::new();
    for work in &level.works {
        let found = newest.entry(work.manifest.tier.clone());
        let found = found.or_insert_with(|| work.backup.clone());
        *found = work.backup.clone().max(found.clone());
    }
    newest
}

/// The tier in which a manifest lies, whatever is in it.
fn tier_of(manifest_key: &str) -> Option<String> {
    let (cluster, _) = manifest_key.split_once('/')?;
    match ObjectName::parse(cluster, manifest_key)? {
        ObjectName::Manifest { tier, .. } => Some(tier),
        ObjectName::Artifact { .. } | ObjectName::Record { .. } => None,
    }
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
    for backup in candidates(&destination.backups) {
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
