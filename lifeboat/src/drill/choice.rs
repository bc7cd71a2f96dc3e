//! Which copies are drilled.

use super::DrillArgs;
use crate::error::Error;
use crate::views::choose;
use crate::way_back;
use catalogue::{Backup, BackupName, Catalogue, Manifest};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// One copy of a backup.
#[derive(Debug)]
pub(crate) struct Copy<'a> {
    pub(crate) destination: &'a str,
    pub(crate) backup: &'a Backup,
    pub(crate) manifest: &'a Manifest,
}

/// The copies that the arguments ask for, in the order in which they are drilled.
///
/// # Errors
/// When there is none.
pub(crate) fn copies<'a>(
    catalogue: &'a Catalogue,
    args: &DrillArgs,
    seed: u64,
) -> Result<Vec<Copy<'a>>, Error> {
    let mut visible = catalogue.clone();
    visible.destinations.retain(|d| args.from.as_ref().is_none_or(|f| *f == d.destination));
    let names = match args.sample {
        None => vec![choose(&visible, &args.backup)?],
        Some(count) => match sample(&visible, usize::from(count), seed) {
            names if names.is_empty() => vec![choose(&visible, "latest")?],
            names => names,
        },
    };
    let mut all = Vec::new();
    for name in names {
        all.extend(of_backup(catalogue, &name, args)?);
    }
    Ok(all)
}

/// The copies of one backup: all of them, or the best one of those that may be taken.
fn of_backup<'a>(
    catalogue: &'a Catalogue,
    name: &BackupName,
    args: &DrillArgs,
) -> Result<Vec<Copy<'a>>, Error> {
    let is_wanted = |d: &str| args.from.as_ref().is_none_or(|from| from == d);
    let of_it = catalogue.copies().filter(|(d, b)| b.name == *name && is_wanted(d));
    let mut usable = Vec::new();
    let mut problems = Vec::new();
    for (destination, backup) in of_it {
        // What is missing or cut short needs no drill to be found out.
        match backup.manifest.as_ref().filter(|_| backup.state.is_usable()) {
            Some(manifest) => usable.push(Copy { destination, backup, manifest }),
            None => {
                let problem = backup.problem.as_deref().unwrap_or("it is broken");
                problems.push(format!("{destination}: {problem}"));
            }
        }
    }
    if usable.is_empty() {
        let why = problems.join("; ");
        let of_it = catalogue.copies().filter(|(d, b)| b.name == *name && is_wanted(d));
        let exit = way_back::exit_of(of_it.map(|(_, backup)| backup));
        return Err(Error::NoCopy { backup: name.to_string(), why, exit });
    }
    for problem in &problems {
        tracing::warn!("the copy of {name} is not drilled in {problem}");
    }
    if !args.each_destination {
        // A suspect copy is drilled only where there is no better one: by its name, perhaps to clear
        // it.
        let best = usable.iter().position(|copy| copy.backup.state.is_trusted()).unwrap_or(0);
        usable = vec![usable.swap_remove(best)];
    }
    Ok(usable)
}

/// Trusted backups: those that were never proven in any order, then those that were longest ago.
fn sample(catalogue: &Catalogue, count: usize, seed: u64) -> Vec<BackupName> {
    let mut proven: BTreeMap<&BackupName, Option<jiff::Timestamp>> = BTreeMap::new();
    for (_, backup) in catalogue.copies().filter(|(_, backup)| backup.state.is_trusted()) {
        let at = proven.entry(&backup.name).or_default();
        *at = (*at).max(backup.proven_at);
    }
    let draw = |name: &BackupName| {
        let mut hasher = DefaultHasher::new();
        (seed, name).hash(&mut hasher);
        hasher.finish()
    };
    let mut all: Vec<_> = proven.into_iter().map(|(name, at)| (at, draw(name), name)).collect();
    all.sort();
    all.into_iter().take(count).map(|(_, _, name)| name.clone()).collect()
}
