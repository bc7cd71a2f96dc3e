//! What the objects of one destination add up to.
//!
//! A backup is a manifest with its artifact. A manifest without its artifact is a broken backup;
//! an artifact without a manifest is no backup at all but an orphan, left by a run that was
//! killed. Neither ever counts as kept, and neither hides the other backups.

use crate::manifest::{Manifest, ManifestError};
use crate::name::{BackupName, ObjectName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Its bytes were proved when it was made, and the artifact is there in full length.
    Verified,
    /// Proved as bytes, but the cluster said that its own data was corrupt, or another destination
    /// tells another story of the same backup.
    Suspect,
    /// The manifest cannot be read, or the artifact is missing or has another length.
    Broken,
}

impl State {
    /// The word for it in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Verified => "verified",
            State::Suspect => "suspect",
            State::Broken => "broken",
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
/// everywhere, so somebody changed one of them, and nobody here can say which.
pub fn mark_forks(destinations: &mut [DestinationCatalogue]) {
    let mut stories: BTreeMap<BackupName, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for destination in destinations.iter() {
        for backup in destination.backups.iter().filter(|b| b.state != State::Broken) {
            let told = stories.entry(backup.name.clone()).or_default();
            let by = told.entry(backup.manifest_sha256.clone()).or_default();
            by.push(destination.destination.clone());
        }
    }
    stories.retain(|_, told| told.len() > 1);
    for backup in destinations.iter_mut().flat_map(|d| d.backups.iter_mut()) {
        let Some(told) = stories.get(&backup.name).filter(|_| backup.state != State::Broken) else {
            continue;
        };
        let sides: Vec<String> = told.values().map(|by| by.join(" and ")).collect();
        backup.state = State::Suspect;
        backup.problem = Some(format!("the manifests of {} differ", sides.join(" and of ")));
    }
}

/// Puts a listing and the manifests that were read together.
///
/// `read` gives, for each key of a manifest in the listing, its bytes.
#[must_use]
pub fn assemble(
    cluster: &str,
    objects: &[Object],
    read: &BTreeMap<String, Vec<u8>>,
) -> (Vec<Backup>, Vec<Orphan>) {
    let lengths: BTreeMap<&str, u64> = objects.iter().map(|o| (o.key.as_str(), o.bytes)).collect();
    let mut backups = Vec::new();
    let mut orphans = Vec::new();
    for object in objects {
        let Some(name) = ObjectName::parse(cluster, &object.key) else {
            continue;
        };
        match (&name, read.get(&object.key)) {
            (ObjectName::Manifest { backup, .. }, Some(bytes)) => {
                let manifest = Manifest::from_bytes(cluster, &name, bytes);
                backups.push(judge(backup, &object.key, bytes, manifest, &lengths));
            }
            (ObjectName::Manifest { .. }, None) => {}
            (ObjectName::Artifact { .. }, _) => {
                orphans.push(Orphan { key: object.key.clone(), bytes: object.bytes });
            }
        }
    }
    // An artifact whose manifest is there, even a damaged one, is no orphan.
    let named: BTreeSet<&BackupName> = backups.iter().map(|b| &b.name).collect();
    orphans.retain(|orphan| match ObjectName::parse(cluster, &orphan.key) {
        Some(ObjectName::Artifact { backup, .. }) => !named.contains(&backup),
        _ => false,
    });
    backups.sort_by(|a, b| a.name.cmp(&b.name));
    (backups, orphans)
}

fn judge(
    name: &BackupName,
    key: &str,
    bytes: &[u8],
    manifest: Result<Manifest, ManifestError>,
    lengths: &BTreeMap<&str, u64>,
) -> Backup {
    let newer = matches!(manifest, Err(ManifestError::Newer { .. }));
    let (state, problem, manifest) = match manifest {
        Err(e) => (State::Broken, Some(format!("the manifest is unusable: {e}")), None),
        Ok(manifest) => {
            let found = lengths.get(manifest.artifact_key().as_str()).copied();
            let (state, problem) = judge_artifact(&manifest, found);
            (state, problem, Some(manifest))
        }
    };
    Backup {
        name: name.clone(),
        state,
        problem,
        exit: newer.then(|| contract::Exit::Unsupported.code()),
        manifest_key: key.to_owned(),
        manifest_sha256: contract::Digest::of(bytes).sha256,
        manifest,
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
