//! What the objects of one destination add up to.
//!
//! A backup is a manifest with its artifact. A manifest without its artifact is a broken backup;
//! an artifact without a manifest is no backup at all but an orphan, left by a run that was
//! killed. Neither ever counts as kept, and neither hides the other backups. What drills and scrubs
//! found out lies beside it in records, which make a copy better or worse only when they speak of its bytes.

use crate::manifest::{Manifest, ManifestError};
use crate::name::{BackupName, ObjectName};
use crate::record::{Depth, Drilled, Looked, Told};
use contract::Exit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use trust::{Signed, Trust};

/// One object, as a listing shows it. The key is without the destination's own prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When the store got it.
    pub modified: Option<Timestamp>,
}

/// How far a backup can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A drill restored it, and a real etcd that started from it held what the manifest says.
    Proven,
    /// Its bytes were proved when it was made, and the artifact is there in full length.
    Verified,
    /// Proved as bytes, but the cluster said that its own data was corrupt, a drill failed, a scrub
    /// found other bytes, or another destination tells another story of the same backup.
    Suspect,
    /// The manifest cannot be read, or the artifact is missing or has another length.
    Broken,
    /// Nobody who is trusted signed the manifest, as it is or for this place.
    Forged,
}

impl State {
    /// Whether a copy in this state counts as a backup.
    #[must_use]
    pub fn is_trusted(self) -> bool {
        matches!(self, State::Proven | State::Verified)
    }

    /// Whether there is a manifest that can be used and an artifact of the right length: bytes that
    /// whoever asks for them by name may have, trusted or suspect.
    #[must_use]
    pub fn is_usable(self) -> bool {
        matches!(self, State::Proven | State::Verified | State::Suspect)
    }

    /// The better one of two: of a backup whose copies differ, the best one counts.
    #[must_use]
    pub fn best(self, other: Self) -> Self {
        let rank = |state| match state {
            State::Proven => 0,
            State::Verified => 1,
            State::Suspect => 2,
            State::Broken => 3,
            State::Forged => 4,
        };
        if rank(other) < rank(self) { other } else { self }
    }

    /// The word for it in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Proven => "proven",
            State::Verified => "verified",
            State::Suspect => "suspect",
            State::Broken => "broken",
            State::Forged => "forged",
        }
    }
}

/// One backup in one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its name.
    pub name: BackupName,
    /// How far it can be trusted.
    pub state: State,
    /// What is wrong with a backup that is not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The exit code that belongs to the problem, where it is not damage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// The key of the manifest.
    pub manifest_key: String,
    /// SHA-256 of the manifest's bytes, in hex.
    pub manifest_sha256: String,
    /// The manifest, if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// Who signed it, where somebody is to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// When the drill began that proved it, for one that is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_at: Option<Timestamp>,
    /// The newest drill of this copy, whatever it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drilled>,
    /// When a scrub or a drill last read all of it and found nothing wrong, and how deep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Looked>,
    /// The look that made a suspect copy suspect, where a record says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Looked>,
    /// Keys of the records of all its drills and checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// Those of them that newer ones make superfluous.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superfluous: Vec<String>,
    /// What is odd about those records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Backup {
    /// By what two copies tell one story of the backup: what was signed, else every byte of the manifest.
    #[must_use]
    pub fn story(&self) -> &str {
        self.signed.as_ref().map_or(&self.manifest_sha256, |signed| &signed.statement_sha256)
    }

    /// Whether it is suspect already because of a look of just this depth: there is no need to say so
    /// again.
    #[must_use]
    pub fn is_doubted(&self, depth: Depth) -> bool {
        self.doubt.is_some_and(|doubt| doubt.depth == depth)
    }
}

/// An artifact that no manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What one destination holds of one cluster, oldest backup first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationCatalogue {
    /// The destination's name.
    pub destination: String,
    /// Where it is, without credentials.
    pub location: String,
    /// Why it could not be read; the lists are empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The exit code that belongs to the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// Backups.
    pub backups: Vec<Backup>,
    /// Artifacts without a manifest.
    pub orphans: Vec<Orphan>,
    /// Keys of records of which neither manifest nor artifact is there any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stray_records: Vec<String>,
}

/// What all destinations hold of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Version of this JSON.
    pub version: u32,
    /// The cluster.
    pub cluster: String,
    /// When it was read.
    pub read_at: Timestamp,
    /// One entry for each destination.
    pub destinations: Vec<DestinationCatalogue>,
}

impl Catalogue {
    /// All backups of all destinations, newest first; a backup with three copies is there three
    /// times, each with the name of its destination.
    pub fn copies(&self) -> impl Iterator<Item = (&str, &Backup)> {
        let mut all: Vec<(&str, &Backup)> = self
            .destinations
            .iter()
            .flat_map(|d| d.backups.iter().map(|b| (d.destination.as_str(), b)))
            .collect();
        all.sort_by(|a, b| b.1.name.cmp(&a.1.name));
        all.into_iter()
    }
}

/// Marks backups of which two destinations hold different manifests: every run writes the same one
/// everywhere, so somebody changed one of them, and nobody here can say which. What is signed by
/// somebody trusted differs only where it says something else: nobody else can make it doubtful.
pub fn mark_forks(destinations: &mut [DestinationCatalogue]) {
    mark_stripped(destinations);
    let mut stories: BTreeMap<BackupName, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for destination in destinations.iter() {
        for backup in destination.backups.iter().filter(|b| b.state.is_usable()) {
            let told = stories.entry(backup.name.clone()).or_default();
            let by = told.entry(backup.story().to_owned()).or_default();
            by.push(destination.destination.clone());
        }
    }
    stories.retain(|_, told| told.len() > 1);
    for backup in destinations.iter_mut().flat_map(|d| d.backups.iter_mut()) {
        let Some(told) = stories.get(&backup.name).filter(|_| backup.state.is_usable()) else {
            continue;
        };
        let sides: Vec<String> = told.values().map(|by| by.join(" and ")).collect();
        backup.state = State::Suspect;
        backup.proven_at = None;
        backup.problem = Some(format!("the manifests of {} differ", sides.join(" and of ")));
    }
}

/// One without a signature, of a backup that another destination holds signed: somebody took it away.
/// That it is old enough to need none makes it no better.
fn mark_stripped(destinations: &mut [DestinationCatalogue]) {
    let all = destinations.iter().flat_map(|d| &d.backups);
    let signed: BTreeSet<BackupName> =
        all.filter(|b| b.signed.is_some()).map(|b| b.name.clone()).collect();
    for backup in destinations.iter_mut().flat_map(|d| d.backups.iter_mut()) {
        if backup.signed.is_some() || !backup.state.is_usable() || !signed.contains(&backup.name) {
            continue;
        }
        backup.state = State::Forged;
        backup.exit = Some(Exit::Forged.code());
        backup.problem = Some("it is forged: another destination holds it signed".into());
        (backup.manifest, backup.proven_at) = (None, None);
    }
}

/// What a listing and the objects that were read come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assembled {
    /// Backups, the oldest first.
    pub backups: Vec<Backup>,
    /// Artifacts without a manifest.
    pub orphans: Vec<Orphan>,
    /// Keys of records of which nothing else is there.
    pub stray_records: Vec<String>,
}

/// The names of all records of each backup, the newest first.
type Records = BTreeMap<BackupName, Vec<(String, ObjectName)>>;

/// What was read of manifests and records. A manifest is judged by itself as soon as it is there, and its bytes
/// are not kept: whoever can write to a destination can put many large ones there.
#[derive(Debug, Clone, Default)]
pub struct Looks {
    manifests: BTreeMap<String, ReadManifest>,
    records: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone)]
struct ReadManifest {
    sha256: String,
    read: Result<(Manifest, Option<Signed>), ManifestError>,
}

impl Looks {
    /// Takes the bytes of a manifest or a record of this cluster, and lets pass what is neither.
    pub fn take(&mut self, cluster: &str, key: String, bytes: &[u8], trust: &Trust) {
        match ObjectName::parse(cluster, &key) {
            Some(name @ ObjectName::Manifest { .. }) => {
                let read = Manifest::read(cluster, &name, bytes, trust);
                let sha256 = contract::Digest::of(bytes).sha256;
                self.manifests.insert(key, ReadManifest { sha256, read });
            }
            Some(ObjectName::Record { .. }) => {
                self.records.insert(key, bytes.to_vec());
            }
            Some(ObjectName::Artifact { .. }) | None => {}
        }
    }
}

/// Puts a listing, the manifests and the records of drills together.
///
/// `looks` has each manifest of the listing, and the records that [`crate::newest_records`] names. What
/// they say is judged as of `now`.
#[must_use]
pub fn assemble(cluster: &str, objects: &[Object], mut looks: Looks, now: Timestamp) -> Assembled {
    let lengths: BTreeMap<&str, u64> = objects.iter().map(|o| (o.key.as_str(), o.bytes)).collect();
    let mut manifests = Vec::new();
    let mut orphans: Vec<(BackupName, Orphan)> = Vec::new();
    let mut records = Records::new();
    for object in objects {
        match ObjectName::parse(cluster, &object.key) {
            Some(name @ ObjectName::Manifest { .. }) => manifests.push((&object.key, name)),
            Some(ObjectName::Artifact { backup, .. }) => {
                orphans.push((backup, Orphan { key: object.key.clone(), bytes: object.bytes }));
            }
            Some(ref name @ ObjectName::Record { ref backup, .. }) => {
                records.entry(backup.clone()).or_default().push((object.key.clone(), name.clone()));
            }
            None => {}
        }
    }
    records.values_mut().for_each(|all| all.sort_by(|a, b| drill_of(&b.1).cmp(&drill_of(&a.1))));
    let judge = Judge { cluster, lengths: &lengths, records: &records, read: &looks.records, now };
    let judged = manifests.iter().filter_map(|(key, name)| {
        let manifest = looks.manifests.remove(*key)?;
        Some(judge.of(key, name, manifest))
    });
    let mut backups: Vec<Backup> = judged.collect();
    backups.sort_by(|a, b| a.name.cmp(&b.name));
    // An artifact whose manifest is there, even a damaged one, is no orphan.
    let named: BTreeSet<&BackupName> = backups.iter().map(|b| &b.name).collect();
    let held: BTreeSet<&BackupName> = orphans.iter().map(|(name, _)| name).collect();
    let stray = records.iter().filter(|(name, _)| !named.contains(name) && !held.contains(name));
    let stray_records = stray.flat_map(|(_, all)| all.iter().map(|(key, _)| key.clone())).collect();
    let orphans = orphans.iter().filter(|(name, _)| !named.contains(name));
    let orphans = orphans.map(|(_, orphan)| orphan.clone()).collect();
    Assembled { backups, orphans, stray_records }
}

/// Records sort by the drill that made them.
fn drill_of(name: &ObjectName) -> Option<&BackupName> {
    match name {
        ObjectName::Record { drill, .. } => Some(drill),
        ObjectName::Artifact { .. } | ObjectName::Manifest { .. } => None,
    }
}

struct Judge<'a> {
    cluster: &'a str,
    lengths: &'a BTreeMap<&'a str, u64>,
    records: &'a Records,
    read: &'a BTreeMap<String, Vec<u8>>,
    now: Timestamp,
}

impl Judge<'_> {
    fn of(&self, key: &str, name: &ObjectName, manifest: ReadManifest) -> Backup {
        let ReadManifest { sha256: manifest_sha256, read } = manifest;
        // Of what is merely damaged the state says enough.
        let exit = read.as_ref().err().map(ManifestError::exit).filter(|e| *e != Exit::Corrupt);
        let backup = match name {
            ObjectName::Artifact { backup, .. }
            | ObjectName::Manifest { backup, .. }
            | ObjectName::Record { backup, .. } => backup.clone(),
        };
        let records = self.records.get(&backup).map(Vec::as_slice).unwrap_or_default();
        let ((state, problem, proven_at), believed, told) = match read {
            Err(e) => {
                let state = if e.is_of_trust() { State::Forged } else { State::Broken };
                let problem = format!("the manifest is unusable: {e}");
                ((state, Some(problem), None), None, Told::default())
            }
            Ok((manifest, signed)) => {
                let found = self.lengths.get(manifest.artifact_key().as_str()).copied();
                let (state, problem) = judge_artifact(&manifest, found);
                let (cluster, read) = (self.cluster, self.read);
                let told = Told::of(cluster, &manifest, &manifest_sha256, records, read, self.now);
                (told.decide(state, problem), Some((manifest, signed)), told)
            }
        };
        let (manifest, signed) = believed.unzip();
        Backup {
            name: backup,
            state,
            problem,
            exit: exit.map(Exit::code),
            manifest_key: key.to_owned(),
            manifest_sha256,
            manifest,
            signed: signed.flatten(),
            proven_at,
            doubt: told.doubt().filter(|_| state == State::Suspect),
            drill: told.last,
            verified: told.verified,
            superfluous: told.superfluous,
            records: records.iter().map(|(key, _)| key.clone()).collect(),
            notes: told.notes,
        }
    }
}

fn judge_artifact(manifest: &Manifest, found: Option<u64>) -> (State, Option<String>) {
    let expected = manifest.artifact.bytes;
    match found {
        None => (State::Broken, Some("the artifact is missing".into())),
        Some(found) if found != expected => {
            let text = format!("the artifact has {found} bytes; its manifest says {expected}");
            (State::Broken, Some(text))
        }
        Some(_) if manifest.etcd.alarms.iter().any(|a| a.alarm == "CORRUPT") => {
            (State::Suspect, Some("etcd had raised the alarm CORRUPT".into()))
        }
        Some(_) => (State::Verified, None),
    }
}
