//! Names, lengths, hashes and manifests of one destination.
//!
//! Invariant: every file below the folder is in [`Holding::objects`] or, when a writer that was
//! killed left it, in [`Holding::unfinished`]; nothing is passed over.
//! Does not: open artifacts; see `open`.

use super::signature::Signer;
use super::{Checker, Verdict};
use crate::run;
use crate::vault::{FolderVault, Vault};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The digits of a revision in a manifest's name.
const REVISION_DIGITS: usize = 20;

/// One destination: the folder below which an object's key is its path.
#[derive(Debug, Clone)]
pub struct Place {
    /// The destination's name in `pipeline.toml`.
    pub name: String,
    /// Where its objects are files. It need not exist.
    pub folder: PathBuf,
    /// Where they really are, when no server keeps them as files; the folder is then made from it.
    pub far: Option<Far>,
}

/// The objects of a server, below a prefix.
#[derive(Debug, Clone)]
pub struct Far {
    /// Where they are.
    pub vault: Arc<dyn Vault>,
    /// What their names begin with, with the slash.
    pub prefix: String,
}

impl Place {
    /// The keys of all objects, as they are now.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let Some(far) = &self.far else {
            return FolderVault { folder: self.folder.clone() }.objects("").into_keys().collect();
        };
        let all = far.vault.objects(&far.prefix).into_keys();
        all.filter_map(|name| name.strip_prefix(&far.prefix).map(str::to_owned)).collect()
    }

    /// The bytes of an object, as they are now.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        match &self.far {
            Some(far) => far.vault.get(&format!("{}{key}", far.prefix)),
            None => std::fs::read(self.folder.join(key)).ok(),
        }
    }

    /// Puts other bytes there, as a hand would.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        match &self.far {
            Some(far) => far.vault.put(&format!("{}{key}", far.prefix), bytes),
            None => {
                let written = durable::replace(&self.folder.join(key), bytes);
                written.unwrap_or_else(|e| panic!("{e:?}"));
            }
        }
    }

    /// Takes an object away, as a hand would.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn remove(&self, key: &str) {
        match &self.far {
            Some(far) => far.vault.remove(&format!("{}{key}", far.prefix)),
            None => {
                let removed = durable::remove_file(&self.folder.join(key));
                removed.unwrap_or_else(|e| panic!("{e:?}"));
            }
        }
    }
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its length.
    pub bytes: u64,
    /// In hex, as `sha256sum` prints it.
    pub sha256: String,
}

/// A manifest, and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub manifest: String,
    /// The key of the artifact that it names, if it names one.
    pub artifact: Option<String>,
    /// The revision of the snapshot, 0 when the manifest does not say.
    pub revision: i64,
    /// Whether it could be restored.
    pub verdict: Verdict,
}

/// What one destination holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Every object, by its key.
    pub objects: BTreeMap<String, Stored>,
    /// Hidden names that writers left who were killed.
    pub unfinished: BTreeSet<String>,
    /// Every backup that has a manifest, by the backup's name.
    pub backups: BTreeMap<String, Found>,
    /// Keys of artifacts that no manifest stands beside.
    pub orphans: BTreeSet<String>,
}

impl Holding {
    /// The names of the backups that could be restored.
    #[must_use]
    pub fn restorable(&self) -> BTreeSet<&str> {
        let sound = |found: &&Found| found.verdict == Verdict::Restorable;
        self.backups.iter().filter(|(_, f)| sound(f)).map(|(name, _)| name.as_str()).collect()
    }
}

/// What an object is, by the last part of its key.
enum Kind<'a> {
    /// Of the backup with this name.
    Manifest(&'a str),
    /// Of the backup with this name.
    Artifact(&'a str),
    Other,
}

/// `<time>-<run>.db…` or `<time>-<run>-<revision>.json`.
fn kind(key: &str) -> Kind<'_> {
    let file = key.rsplit('/').next().unwrap_or(key);
    let Some((stem, suffix)) = file.split_once('.') else { return Kind::Other };
    let is_name = |name: &str| {
        let (time, run) = name.split_once('-').unwrap_or_default();
        time.len() == "20261120T021400Z".len() && run.len() == 26 && !run.contains('-')
    };
    match stem.rsplit_once('-') {
        _ if is_name(stem) => Kind::Artifact(stem),
        Some((name, digits)) if suffix == "json" && is_name(name) => {
            let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
            match digits.len() == REVISION_DIGITS && all_digits {
                true => Kind::Manifest(name),
                false => Kind::Other,
            }
        }
        _ => Kind::Other,
    }
}

impl Checker {
    pub(super) fn look_at(&mut self, place: &Place) -> Holding {
        self.bring_near(place);
        let mut files = Vec::new();
        walk(&place.folder, &mut files);
        let mut holding = Holding::default();
        let hidden = |path: &Path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
        };
        let (unfinished, files): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|path| hidden(path));
        holding.unfinished = unfinished.iter().map(|path| key_of(place, path)).collect();
        holding.objects = hash(place, &files);
        for key in holding.objects.keys() {
            if let Kind::Manifest(name) = kind(key) {
                let found = self.weigh(place, &holding.objects, key, name);
                holding.backups.insert(name.to_owned(), found);
            }
        }
        let orphan = |key: &&String| match kind(key) {
            Kind::Artifact(name) => !holding.backups.contains_key(name),
            Kind::Manifest(_) | Kind::Other => false,
        };
        holding.orphans = holding.objects.keys().filter(orphan).cloned().collect();
        holding
    }

    /// Makes the folder of a place what its server holds. Objects that are what they were, by the
    /// server's own word, are not read again.
    fn bring_near(&mut self, place: &Place) {
        let Some(far) = &place.far else { return };
        let known = self.near.entry(place.name.clone()).or_default();
        let there = far.vault.objects(&far.prefix);
        let key = |name: &str| name.strip_prefix(&far.prefix).unwrap_or(name).to_owned();
        for name in known.keys().filter(|name| !there.contains_key(*name)) {
            let removed = durable::remove_file(&place.folder.join(key(name)));
            removed.unwrap_or_else(|e| panic!("{e:?}"));
        }
        for (name, tag) in &there {
            if known.get(name) == Some(tag) {
                continue;
            }
            let path = place.folder.join(key(name));
            let bytes = far.vault.get(name).unwrap_or_else(|| panic!("{name} went away"));
            let folder = path.parent().unwrap_or(&place.folder);
            durable::create_private_dir(folder).unwrap_or_else(|e| panic!("{e:?}"));
            durable::replace(&path, &bytes).unwrap_or_else(|e| panic!("{e:?}"));
        }
        *known = there;
    }

    fn weigh(
        &mut self,
        place: &Place,
        objects: &BTreeMap<String, Stored>,
        key: &str,
        name: &str,
    ) -> Found {
        let broken = |why: &str| Found {
            manifest: key.to_owned(),
            artifact: None,
            revision: 0,
            verdict: Verdict::Broken(why.to_owned()),
        };
        let Ok(text) = std::fs::read(place.folder.join(key)) else {
            return broken("the manifest cannot be read");
        };
        let Ok(manifest) = serde_json::from_slice::<Value>(&text) else {
            return broken("the manifest is no JSON");
        };
        if manifest["version"] != 1 || manifest["backup"] != name {
            return broken("the manifest is not that of its name");
        }
        let holds = |signer: &Signer| signer.has_signed(&manifest);
        let is_signed = |sha256: &String| match self.signatures.get(sha256) {
            Some(known) => *known,
            None => self.signer.as_ref().is_none_or(holds),
        };
        let sha256 = objects[key].sha256.clone();
        let is_signed = is_signed(&sha256);
        self.signatures.insert(sha256, is_signed);
        if !is_signed {
            return broken("nobody signed the manifest as it is");
        }
        let Some(file) = manifest["artifact"]["file"].as_str() else {
            return broken("the manifest names no artifact");
        };
        let artifact = format!("{}{file}", &key[..key.len() - last_part(key).len()]);
        let revision = manifest["snapshot"]["revision"].as_i64().unwrap_or_default();
        let verdict = match objects.get(&artifact) {
            None => Verdict::Broken(format!("{artifact} is not there")),
            Some(stored) if manifest["artifact"]["bytes"] != stored.bytes => {
                Verdict::Broken(format!("{artifact} has {} bytes", stored.bytes))
            }
            Some(stored) => {
                let known = (objects[key].sha256.clone(), stored.sha256.clone());
                match self.verdicts.get(&known) {
                    Some(verdict) => verdict.clone(),
                    None => {
                        let verdict = self.open(&place.folder.join(&artifact), stored, &manifest);
                        self.verdicts.insert(known, verdict.clone());
                        verdict
                    }
                }
            }
        };
        Found { manifest: key.to_owned(), artifact: Some(artifact), revision, verdict }
    }
}

fn last_part(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Length and SHA-256 of many files, with one call of `sha256sum`.
///
/// # Panics
/// When a file cannot be read.
fn hash(place: &Place, files: &[PathBuf]) -> BTreeMap<String, Stored> {
    let sums = sha256sum(files);
    let stored = files.iter().zip(sums).map(|(path, sha256)| {
        let meta = path.metadata().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (key_of(place, path), Stored { bytes: meta.len(), sha256 })
    });
    stored.collect()
}

/// The SHA-256 of each file, in hex, in order.
///
/// # Panics
/// When one cannot be read.
pub(super) fn sha256sum(files: &[PathBuf]) -> Vec<String> {
    if files.is_empty() {
        return Vec::new();
    }
    let output = run(Command::new("sha256sum").arg("-b").arg("--").args(files));
    let output = output.unwrap_or_else(|e| panic!("{e:?}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let sums: Vec<String> = text.lines().map(|line| line[..64].to_owned()).collect();
    assert_eq!(sums.len(), files.len(), "{text}");
    sums
}

fn key_of(place: &Place, path: &Path) -> String {
    let key = path.strip_prefix(&place.folder).unwrap_or(path);
    key.to_string_lossy().into_owned()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}
