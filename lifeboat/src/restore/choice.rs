//! Which backup is meant: by name, by time or by revision.
//!
//! Owns: the choice, over the catalogue alone. Only backups with a trusted copy are chosen, unless
//! one is named: a suspect one is still the right bytes for whoever asks for it.
//!
//! A revision belongs to a history. Where the catalogue holds backups of several etcd clusters
//! (one that was rebuilt), that of the newest backup is meant first.

use super::error::{Error, Near};
use super::time::At;
use crate::views;
use catalogue::{BackupName, Catalogue, Manifest, State};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// By name, and cut off at a revision if one is given.
    Name(String, Option<i64>),
    /// The newest one that was taken at or before this.
    At(At),
    /// Just this revision, of whatever backup has it.
    Revision(i64),
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen<'a> {
    pub(crate) backup: BackupName,
    pub(crate) manifest: &'a Manifest,
    /// Where its history is cut off, if it goes on above what was asked for.
    pub(crate) cut: Option<i64>,
}

/// Chooses one backup.
pub(crate) fn choose<'a>(
    catalogue: &'a Catalogue,
    wanted: &Wanted,
) -> Result<Chosen<'a>, crate::error::Error> {
    match wanted {
        Wanted::Name(name, cut) => {
            let backup = views::choose(catalogue, name)?;
            by_name(catalogue, backup, *cut)
        }
        Wanted::At(at) => Ok(by_time(catalogue, at)?),
        Wanted::Revision(revision) => Ok(by_revision(catalogue, *revision)?),
    }
}

fn by_name(
    catalogue: &Catalogue,
    backup: BackupName,
    cut: Option<i64>,
) -> Result<Chosen<'_>, crate::error::Error> {
    let copies = crate::way_back::usable_copies(catalogue, &backup, None)?;
    let trusted = trusted(catalogue).find(|manifest| manifest.backup == backup);
    // There is at least one copy, or there had been an error.
    let Some(manifest) = trusted.or(copies.first().map(|(_, manifest)| *manifest)) else {
        let (why, exit) = ("no one has one".into(), contract::Exit::Corrupt);
        return Err(crate::error::Error::NoCopy { backup: backup.to_string(), why, exit });
    };
    let (from, to) = history(manifest);
    match cut {
        Some(revision) if revision < from || revision > to => {
            Err(Error::Outside { backup: backup.to_string(), revision, from, to }.into())
        }
        cut => Ok(Chosen { backup, manifest, cut: cut.filter(|revision| *revision < to) }),
    }
}

fn by_time<'a>(catalogue: &'a Catalogue, at: &At) -> Result<Chosen<'a>, Error> {
    let found = trusted(catalogue)
        .filter(|manifest| manifest.taken_at <= at.time)
        .max_by(|a, b| (a.taken_at, &a.backup).cmp(&(b.taken_at, &b.backup)));
    let oldest = || {
        let oldest = trusted(catalogue).min_by_key(|manifest| manifest.taken_at)?;
        Some(format!("{} of {}", oldest.backup, oldest.taken_at))
    };
    let Some(manifest) = found else {
        let cluster = catalogue.cluster.clone();
        return Err(Error::NoneAt { cluster, at: at.time, oldest: oldest() });
    };
    Ok(Chosen { backup: manifest.backup.clone(), manifest, cut: None })
}

fn by_revision(catalogue: &Catalogue, revision: i64) -> Result<Chosen<'_>, Error> {
    // One that was adopted does not know its cluster, and comes after those that do.
    let newest = trusted(catalogue)
        .filter(|m| m.cluster_id().is_some())
        .max_by(|a, b| a.backup.cmp(&b.backup));
    let cluster_id = newest.and_then(Manifest::cluster_id);
    let is_other = |m: &Manifest| m.cluster_id().is_none() || cluster_id != m.cluster_id();
    let has = |m: &&Manifest| {
        let (from, to) = history(m);
        from <= revision && revision <= to
    };
    let found = trusted(catalogue).filter(has).min_by(|a, b| {
        let key = |m: &Manifest| (is_other(m), m.snapshot.revision);
        // Of several that end alike the newest.
        key(a).cmp(&key(b)).then_with(|| b.backup.cmp(&a.backup))
    });
    let Some(manifest) = found else {
        let below = trusted(catalogue).filter(|m| m.snapshot.revision < revision);
        let above = trusted(catalogue).filter(|m| m.snapshot.revision >= revision);
        return Err(Error::NoneWithRevision {
            cluster: catalogue.cluster.clone(),
            revision,
            below: below.max_by_key(|m| m.snapshot.revision).map(near),
            above: above.min_by_key(|m| m.snapshot.revision).map(near),
        });
    };
    let cut = (manifest.snapshot.revision > revision).then_some(revision);
    Ok(Chosen { backup: manifest.backup.clone(), manifest, cut })
}

fn near(manifest: &Manifest) -> Near {
    let (from, to) = history(manifest);
    Near { backup: manifest.backup.to_string(), from, to }
}

/// The revisions that a backup can be brought back at. etcd answers reads at its compact revision,
/// and not below.
fn history(manifest: &Manifest) -> (i64, i64) {
    let from = manifest.snapshot.compact_revision.unwrap_or(1).max(1);
    (from, manifest.snapshot.revision)
}

/// The manifests of trusted copies, newest first.
fn trusted(catalogue: &Catalogue) -> impl Iterator<Item = &Manifest> {
    let copies = catalogue.copies().filter(|(_, backup)| backup.state.is_trusted());
    copies.filter_map(|(_, backup)| backup.manifest.as_ref())
}

/// What is wrong with every copy of a backup that was chosen by name, where none is trusted.
pub(crate) fn doubts(catalogue: &Catalogue, name: &BackupName) -> Option<String> {
    let all: Vec<_> = catalogue.copies().filter(|(_, b)| b.name == *name).collect();
    if all.iter().any(|(_, backup)| backup.state.is_trusted()) {
        return None;
    }
    let suspect = all.iter().find(|(_, backup)| backup.state == State::Suspect)?;
    let why = suspect.1.problem.as_deref().unwrap_or("it is suspect");
    Some(format!("{}: {why}", suspect.0))
}

#[cfg(test)]
mod tests;
