//! `--check` of every destination: can it take the next backup, and give it back?
//!
//! Owns: what the findings of a probe (`store::probe`) mean for a run, the clocks, and what local
//! directories have in common. All destinations are tried at once, each with a limit.
//!
//! Does not: leave anything behind, but an empty directory where none was, and the one object of a
//! writer that may not delete.

use crate::{Error, matrix, open_all, read_one};
use catalogue::DestinationCatalogue;
use config::{Location, Pipeline};
use contract::{Capability, Clock, Exit, Finding, Place};
use std::time::Duration;
use store::{ErrorKind, Operation, Probe, StoreError, Verdict};

/// The folder, below that of the cluster, in which a probe writes. It is no tier of any backup, so
/// that no catalogue takes what lies in it for one.
const FOLDER: &str = "lifeboat-check";

/// How long one destination may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long one request of it may take.
const PATIENCE: config::Duration = config::Duration::from_secs(10);
/// Signatures hold for minutes; a backup's name is as wrong as the clock.
const SKEW_WARN_SECONDS: i64 = 30;
const SKEW_FAIL_SECONDS: i64 = 180;
/// A local directory with less room is about to fail.
const FREE_BYTES_WARN: u64 = 1 << 30;

/// What trying every destination out has shown.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is well, and what is not.
    pub findings: Vec<Finding>,
    /// What each of them can do.
    pub capabilities: Vec<Capability>,
}

/// Tries every destination out.
pub async fn check_all(pipeline: &Pipeline, clock: Clock) -> Checked {
    let pipeline = &impatient(pipeline);
    let places = local_places(pipeline).await;
    let mut findings: Vec<Finding> = Vec::new();
    places.iter().for_each(|local| findings.extend(look(local)));
    let opened = open_all(pipeline).await;
    let probes = opened.into_iter().map(|(name, opened)| async move {
        let (folder, object) = (format!("{}/{FOLDER}", pipeline.cluster), probe_name());
        let found = match opened {
            Ok(opened) => {
                let (now, keeping) = (move || clock.now(), opened.probed());
                let probe = store::probe(&*opened.store, &folder, &object, &keeping, &now);
                tokio::time::timeout(LIMIT, probe).await.map_err(|_| stalled(&name))
            }
            Err(e) => Err(e),
        };
        (name, found)
    });
    let mut capabilities = Vec::new();
    for (name, found) in futures::future::join_all(probes).await {
        let written = pipeline.destinations.get(&name).cloned().unwrap_or_default();
        match found {
            Ok(probe) => {
                capabilities.extend(matrix::row(&name, &written, &probe));
                let misfits = matrix::misfits(pipeline, &written, &probe);
                findings.extend(judge(&name, probe));
                findings.extend(misfits.into_iter().map(|finding| finding.about(&name)));
            }
            Err(e) => {
                capabilities.extend(matrix::row(&name, &written, &Probe::default()));
                findings.push(Finding::failed(trouble(&e), &e).about(name));
            }
        }
    }
    let cluster = pipeline.cluster.clone();
    let places = blocking(move || tidy_up(places, &cluster)).await.unwrap_or_default();
    findings.extend(shared_disks(pipeline, &places));
    // One destination after the other; the sort keeps the order within each.
    findings.sort_by(|a, b| a.about.cmp(&b.about));
    Checked { findings, capabilities }
}

/// With a limit for each destination in which its own words can still be heard: a store that is away
/// would be insisted on for longer than a check lasts.
fn impatient(pipeline: &Pipeline) -> Pipeline {
    let mut pipeline = pipeline.clone();
    for destination in pipeline.destinations.values_mut() {
        let timeout = destination.timeout.unwrap_or(PATIENCE);
        destination.timeout = Some(timeout.min(PATIENCE));
    }
    pipeline
}

/// Reads every destination, and asks whether something could be deleted there, with a key that
/// nothing lies under.
pub async fn look_all(pipeline: &Pipeline) -> Vec<(String, Result<DestinationCatalogue, Error>)> {
    let looks = open_all(pipeline).await.into_iter().map(|(name, opened)| async move {
        let look = async {
            let opened = opened?;
            let catalogue = read_one(&opened, &pipeline.cluster).await?;
            let nothing = format!("{}/{FOLDER}/{}", pipeline.cluster, probe_name());
            opened.store.delete(&nothing).await?;
            Ok(catalogue)
        };
        let limited = tokio::time::timeout(LIMIT, look).await;
        let looked = limited.unwrap_or_else(|_| Err(stalled(&name)));
        (name, looked)
    });
    futures::future::join_all(looks).await
}

fn probe_name() -> String {
    ulid::Ulid::generate().to_string().to_lowercase()
}

fn stalled(name: &str) -> Error {
    StoreError::new(name, Operation::Open, "", ErrorKind::Stalled { after: LIMIT }).into()
}

/// A word for it that does not change.
fn trouble(e: &Error) -> &'static str {
    match e {
        Error::Store(e) if matches!(e.kind(), ErrorKind::NotMounted { .. }) => "mount",
        _ => "open",
    }
}

/// What a probe found, as findings about `name`.
fn judge(name: &str, probe: Probe) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut good: Vec<&str> = Vec::new();
    for (trial, verdict) in probe.trials {
        match verdict {
            // What a column of the matrix says is not said twice.
            Verdict::Good(words) if !matrix::has_column(trial) => good.push(words),
            Verdict::Good(_) => {}
            Verdict::Weak { what, hint } => {
                findings.push(Finding::warning(trial.name(), what, hint));
            }
            Verdict::Failed(error) => {
                findings.push(Finding::failed(trial.name(), &Error::Store(error)));
            }
        }
    }
    if let Some(key) = probe.left {
        findings.push(Finding::good("left", format!("{key} stays, for the next check")));
    }
    findings.extend(probe.clock_ahead_seconds.map(skew));
    if !good.is_empty() {
        findings.insert(0, Finding::good("probe", good.join(", ")));
    }
    findings.into_iter().map(|finding| finding.about(name)).collect()
}

fn skew(ahead: i64) -> Finding {
    let (seconds, side) = (ahead.abs(), if ahead > 0 { "behind" } else { "ahead of" });
    let detail = format!("this machine's clock is {seconds} s {side} the store's");
    let next = "set this machine's clock (chronyc tracking, timedatectl)";
    match seconds {
        s if s > SKEW_FAIL_SECONDS => Finding::bad("clock", detail, Exit::Credentials).next(next),
        s if s > SKEW_WARN_SECONDS => Finding::warning("clock", detail, next),
        0 => Finding::good("clock", "same clock"),
        _ => Finding::good("clock", format!("clocks {seconds} s apart")),
    }
}

/// A destination on this machine.
struct Local {
    name: String,
    place: Place,
}

/// Those that answer: one that hangs cannot be opened either, and is told by that.
async fn local_places(pipeline: &Pipeline) -> Vec<Local> {
    let directories = pipeline.destinations.iter().filter_map(|(name, destination)| {
        match destination.location() {
            Ok(Location::Directory(path)) => Some((name.clone(), path)),
            _ => None,
        }
    });
    let looks = directories.map(|(name, path)| async move {
        let path = std::path::absolute(path).ok()?;
        let place = blocking(move || Place::look(&path)).await?.ok()?;
        Some(Local { name, place })
    });
    futures::future::join_all(looks).await.into_iter().flatten().collect()
}

/// What touches a file system that may be away, on a thread that may hang; nothing, if it does.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let working = tokio::task::spawn_blocking(work);
    tokio::time::timeout(PATIENCE.get(), working).await.ok()?.ok()
}

fn look(local: &Local) -> Vec<Finding> {
    let place = &local.place;
    let path = place.path.display();
    let mut findings = Vec::new();
    findings.extend(place.unusable());
    if place.is_open_to_all() {
        let detail = format!("everybody may remove backups from {path}");
        findings.push(Finding::warning("mode", detail, format!("chmod o-w {path}")));
    }
    if place.is_in_memory {
        let detail = format!("{path} is in memory: it does not survive a restart");
        findings.push(Finding::warning("volume", detail, "name a directory on a disk"));
    }
    if place.unusable().is_none() && place.free_bytes < FREE_BYTES_WARN {
        let detail = format!("only {} MiB are free on {path}", place.free_bytes >> 20);
        findings.push(Finding::warning("room", detail, "make room, or prune more"));
    }
    findings.into_iter().map(|finding| finding.about(&local.name)).collect()
}

/// Copies on one disk are lost together.
fn shared_disks(pipeline: &Pipeline, places: &[Local]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (position, local) in places.iter().enumerate() {
        let mut before = places[..position].iter();
        if let Some(other) = before.find(|other| other.place.device == local.place.device) {
            let detail =
                format!("on the same file system as {}: they are lost together", other.name);
            let next = "move one of them to another disk, or add a bucket";
            findings.push(Finding::warning("independence", detail, next).about(&local.name));
        }
    }
    let state = Place::look(&pipeline.run.state_dir).map(|place| place.device);
    if let ([only], 1) = (places, pipeline.destinations.len())
        && state.is_ok_and(|device| device == only.place.device)
    {
        let detail = "the only copy lies on this machine's own file system";
        let next = "add a destination on another machine, or a bucket";
        findings.push(Finding::warning("independence", detail, next).about(&only.name));
    }
    findings
}

/// Takes the folders away that the probe made below each directory; those that hold something
/// stay, and so does the directory itself, as after any other look at it.
fn tidy_up(places: Vec<Local>, cluster: &str) -> Vec<Local> {
    for local in &places {
        let above = local.place.path.join(cluster);
        for folder in [above.join(FOLDER), above] {
            // It may hold backups, or not be there.
            let _ = std::fs::remove_dir(folder);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Level;

    #[test]
    fn f39_f40_a_clock_that_is_off_is_named_with_its_side() {
        for (ahead, level, words) in [
            (0, Level::Ok, "same clock"),
            (30, Level::Ok, "30 s apart"),
            (31, Level::Warning, "31 s behind"),
            (-180, Level::Warning, "180 s ahead of"),
            (-181, Level::Failed, "181 s ahead of"),
        ] {
            let finding = skew(ahead);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.detail.contains(words), "{finding:?}");
        }
    }
}
