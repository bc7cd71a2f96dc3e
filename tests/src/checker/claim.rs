//! What a run claimed, held against what the destinations show.
//!
//! - Exit 0 or 40, or a report that names a backup: this backup can be restored from at least as
//!   many destinations as `require` asks for (from all of them after exit 0).
//! - Anything else: nothing new is listed. Only a writer that was killed, or cut off from its
//!   destination, before it could tidy up may leave something, and if that is a backup, it is whole
//!   wherever it is listed.
//!   What a destination lacked and another one had may be supplied meanwhile; it is whole then. What
//!   was damaged may be replaced by it; the damaged bytes lie in quarantine then.
//! - Always: no object that stays has other bytes than before. What went away went because of
//!   `prune`, after a commit, manifest first, sound and older than what is left, and never so that
//!   fewer than `min_keep` are left.
//! - `lifeboat list` shows what is there: everything that looks sound as sound, and nothing else.

use super::look::Holding;
use super::{Picture, Verdict};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a run claimed, and what is known about it.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// Its exit code; 128 + n when signal n ended it.
    pub code: i32,
    /// The backup that it names as committed.
    pub backup: Option<String>,
    /// How many destinations must hold a backup.
    pub require: usize,
    /// The smallest number of sound backups that pruning may leave, when it prunes.
    pub min_keep: Option<usize>,
    /// Whether the run may have committed without being able to say so: its front or its writer
    /// was killed, or lost its way to a destination, after the first manifest.
    pub silent: bool,
    /// Whether a writer was killed, or lost its way to a destination, so that it could not take
    /// back what it had written.
    pub litter: bool,
    /// Whether a store spoilt what it acknowledged, and may have refused to take it back: then a
    /// manifest that nobody claims, and that is broken, may be left.
    pub spoilt: bool,
    /// What was done at all.
    pub deed: Deed,
    /// Whether a sync was to bring everything everywhere, or a scrub to read all of every copy, and
    /// every store told the truth: then exit 0 says that it is so.
    pub every: bool,
}

/// What a program set out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deed {
    /// To make a backup.
    #[default]
    Run,
    /// To remove old ones, and nothing else.
    Prune,
    /// To look, or to fetch: no destination may change.
    Read,
    /// To bring the destinations level.
    Sync,
    /// To read the copies back, and to make good what is damaged.
    Scrub,
}

/// Whatever is wrong with what a run did, or with what it claimed. Empty when all is well.
#[must_use]
pub fn violations(claim: &Claim, before: &Picture, after: &Picture) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, held) in before {
        match after.get(name) {
            Some(holds) => {
                let replaced = |key: &String| is_repaired(key, held, holds, before);
                let kept = kept(claim, held, holds, replaced);
                wrong.extend(kept.map(|why| format!("{name}: {why}")));
            }
            None => wrong.push(format!("{name} was not looked at afterwards")),
        }
    }
    wrong.extend(added(claim, before, after));
    if claim.deed == Deed::Read && before != after {
        wrong.push("something that only reads has changed a destination".into());
    }
    if claim.code == 0 && claim.every {
        wrong.extend(unlevelled(claim.deed, after));
    }
    wrong
}

/// What a sync or a scrub that ended with 0 has left undone, where no store hid anything from it.
fn unlevelled(deed: Deed, after: &Picture) -> Vec<String> {
    let mut wrong = Vec::new();
    let whole: BTreeSet<&str> = after.values().flat_map(Holding::restorable).collect();
    for (place, holds) in after {
        for name in whole.iter().filter(|_| deed == Deed::Sync) {
            let sound = holds.backups.get(*name).is_some_and(|f| f.verdict.looks_sound());
            if !sound {
                wrong.push(format!("exit 0, and {place} does not have {name}, which is whole"));
            }
        }
        for (name, found) in holds.backups.iter().filter(|_| deed == Deed::Scrub) {
            if found.verdict.looks_sound() && found.verdict != Verdict::Restorable {
                wrong.push(format!("exit 0, and {name} in {place} is {:?}", found.verdict));
            }
        }
    }
    wrong
}

/// What happened to the objects that were there before.
fn kept<'a>(
    claim: &'a Claim,
    held: &'a Holding,
    holds: &'a Holding,
    is_repaired: impl Fn(&String) -> bool,
) -> impl Iterator<Item = String> + 'a {
    let changed = held.objects.iter().filter_map(|(key, old)| match holds.objects.get(key) {
        Some(new) if new != old && !is_repaired(key) => Some(format!("{key} was written twice")),
        _ => None,
    });
    let is_gone = |key: &&String| {
        !holds.objects.contains_key(*key) && !is_repaired(key) && !is_superseded(key, holds)
    };
    let gone: Vec<&String> = held.objects.keys().filter(is_gone).collect();
    let committed = claim.backup.is_some() || claim.silent || claim.deed == Deed::Prune;
    let mut wrong: Vec<String> = changed.collect();
    match claim.min_keep {
        _ if gone.is_empty() => {}
        Some(min_keep) if committed => wrong.extend(removed(min_keep, &gone, held, holds)),
        _ => wrong.push(format!("{gone:?} went away")),
    }
    wrong.into_iter()
}

/// Whether an object was damaged, its bytes lie in quarantine now, and in its place is what another
/// destination had there, or nothing yet. A manifest may come from beside a damaged artifact, if it is of
/// the whole one that lies here.
fn is_repaired(key: &str, held: &Holding, holds: &Holding, before: &Picture) -> bool {
    let Some((cluster, rest)) = key.split_once('/') else { return false };
    let old = &held.objects[key];
    let kept = format!("{cluster}/quarantine/{rest}/{}", &old.sha256[..16]);
    let is_right = |other: &Holding| {
        let of = |found: &super::Found| {
            found.verdict == Verdict::Restorable
                && (found.manifest == key || found.artifact.as_deref() == Some(key))
        };
        let is_whole = other.backups.values().any(of);
        let fits = holds.backups.values().any(of);
        (is_whole || fits) && other.objects.get(key) != Some(old)
    };
    let mut right = before.values().filter(|other| is_right(other));
    let now = holds.objects.get(key);
    holds.objects.get(&kept) == Some(old)
        && right.any(|other| now.is_none_or(|now| other.objects.get(key) == Some(now)))
}

/// What pruning took away.
fn removed(min_keep: usize, gone: &[&String], held: &Holding, holds: &Holding) -> Vec<String> {
    let mut wrong = Vec::new();
    for key in gone {
        let of = |f: &&super::Found| f.manifest == **key || f.artifact.as_ref() == Some(*key);
        match held.backups.iter().find(|(_, found)| of(found)) {
            // Records of drills and scrubs go after their backup.
            None if record_of(key).is_some_and(|name| !holds.backups.contains_key(name)) => {}
            None => wrong.push(format!("{key}, which belongs to no backup, was removed")),
            Some((name, found)) if !found.verdict.looks_sound() => {
                wrong.push(format!("{key} of {name}, which is broken, was removed as old"));
            }
            Some((name, found)) => {
                if holds.objects.contains_key(&found.manifest) {
                    wrong.push(format!("{key} went away before the manifest of {name}"));
                }
                let newer = |f: &&super::Found| f.revision >= found.revision;
                let left = holds.backups.values().filter(|f| f.verdict.looks_sound());
                if left.filter(newer).count() < min_keep {
                    wrong.push(format!("{name} went away, and too few newer ones are left"));
                }
            }
        }
    }
    wrong
}

/// The backup that a record is about, by its name.
fn record_of(key: &str) -> Option<&str> {
    let file = key.rsplit('/').next()?;
    Some(file.split_once(&format!("-{}-", word_of(file)?))?.0)
}

/// What a record says of its backup.
fn word_of(file: &str) -> Option<&'static str> {
    let words = ["proven", "restored", "checked", "suspect"];
    words.into_iter().find(|word| file.contains(&format!("-{word}-")))
}

/// Whether this is a record, and another one of the same copy says the same, or clears it.
fn is_superseded(key: &str, holds: &Holding) -> bool {
    let Some((name, word)) = record_of(key).zip(word_of(key)) else { return false };
    let says =
        |other: &String, word| record_of(other) == Some(name) && word_of(other) == Some(word);
    let clears = |other: &String| word == "suspect" && says(other, "checked");
    holds.objects.keys().any(|other| says(other, word) || clears(other))
}

/// What is there now and was not before.
fn added(claim: &Claim, before: &Picture, after: &Picture) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (place, holds) in after {
        let known = before.get(place).map(|held| &held.backups);
        let is_new = |name: &String| !known.is_some_and(|known| known.contains_key(name));
        for (name, found) in holds.backups.iter().filter(|(name, _)| is_new(name)) {
            let is_claimed = claim.backup.as_ref() == Some(name);
            if claim.spoilt && found.verdict != Verdict::Restorable {
                // That a claimed one is whole where it has to be is looked at below.
                continue;
            }
            if claim.spoilt && !is_claimed && !matches!(claim.code, 0 | 40) {
                // Whole after all, and the store would not take it away.
                continue;
            }
            // What another destination had before was supplied from there.
            if !before.values().any(|held| held.restorable().contains(name.as_str())) {
                names.insert(name);
            }
            if found.verdict != Verdict::Restorable {
                wrong.push(format!("{place}: the new backup {name} is {:?}", found.verdict));
            }
        }
        // What a repair brought from elsewhere may still lack its manifest; of the backup that the run itself
        // made, only where it says that a copy is lacking, and the bytes are right.
        let is_of_run = |key: &str, held: &Holding| {
            let name = claim.backup.as_deref().filter(|_| claim.code == 40);
            let is_it = name.is_some_and(|name| key.contains(name));
            is_it && is_supplied(held, key) && held.objects.get(key) == holds.objects.get(key)
        };
        let supplied = |key: &&String| {
            before.values().any(|held| is_supplied(held, key))
                || after.values().any(|held| is_of_run(key, held))
        };
        let litter =
            |key: &&String| !before.get(place).is_some_and(|h| is_known(h, key)) && !supplied(key);
        let left = holds.orphans.iter().chain(&holds.unfinished).filter(litter);
        let left: Vec<&String> = left.collect();
        if !claim.litter && !left.is_empty() {
            wrong.push(format!("{place}: {left:?} was left behind"));
        }
    }
    let others = names.iter().filter(|name| claim.backup.as_deref() != Some(**name)).count();
    match &claim.backup {
        Some(name) => wrong.extend(committed(claim, name, after)),
        None if matches!(claim.code, 0 | 40) && claim.deed == Deed::Run => {
            wrong.push(format!("exit {} without a backup", claim.code));
        }
        None => {}
    }
    if others > usize::from(claim.silent && claim.backup.is_none()) {
        wrong.push(format!("exit {}: nobody claims {names:?}", claim.code));
    }
    wrong
}

/// Whether this is the artifact of a whole backup there.
fn is_supplied(held: &Holding, key: &str) -> bool {
    let is_it = |f: &&super::Found| f.artifact.as_deref() == Some(key);
    held.backups.values().filter(is_it).any(|found| found.verdict == Verdict::Restorable)
}

fn is_known(held: &Holding, key: &str) -> bool {
    let of_old = held.backups.values().any(|found| found.artifact.as_deref() == Some(key));
    // What is left of a backup that pruning began to remove was no litter before.
    of_old || held.orphans.contains(key) || held.unfinished.contains(key)
}

/// Whether the backup that the run names is where it has to be.
fn committed(claim: &Claim, name: &str, after: &Picture) -> Vec<String> {
    let mut wrong = Vec::new();
    let holds = |held: &&Holding| held.restorable().contains(name);
    let count = after.values().filter(holds).count();
    if count < claim.require {
        wrong.push(format!(
            "exit {}: {name} is restorable in {count} destinations, {} are required",
            claim.code, claim.require
        ));
    }
    if claim.code == 0 && count < after.len() {
        wrong.push(format!("exit 0, and {name} is in {count} of {} destinations", after.len()));
    }
    wrong
}

/// Compares `lifeboat list --json` with the destinations. A destination that it could not read
/// is passed over.
#[must_use]
pub fn misread(listing: &Value, picture: &Picture) -> Vec<String> {
    let mut wrong = Vec::new();
    let rows = listing["backups"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (place, holds) in picture.iter().filter(|(place, _)| listing["unreadable"][place].is_null())
    {
        let said = |name: &str| {
            let row = rows.iter().find(|row| row["name"] == name)?;
            row["copies"][place].as_str()
        };
        for (name, found) in &holds.backups {
            let expected: &[&str] =
                if found.verdict.looks_sound() { &["verified"] } else { &["broken", "forged"] };
            let suspected =
                |key: &String| record_of(key) == Some(name) && word_of(key) == Some("suspect");
            let is_suspected = said(name) == Some("suspect") && holds.objects.keys().any(suspected);
            if !said(name).is_some_and(|said| expected.contains(&said)) && !is_suspected {
                let (said, verdict) = (said(name), &found.verdict);
                wrong.push(format!("{place}: {name} is listed as {said:?}, and is {verdict:?}"));
            }
        }
        for row in rows.iter().filter(|row| row["copies"][place].is_string()) {
            let name = row["name"].as_str().unwrap_or_default();
            if !holds.backups.contains_key(name) {
                wrong.push(format!("{place}: {name} is listed and is not there"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests;
