//! One destination, read back: copy after copy, each with a record of what was found.

use crate::args::Args;
use catalogue::{Backup, Depth, Finding, State};
use contract::{Exit, Failure};
use level::{Found, Scrubbed};
use repair::{Crew, Note};
use std::time::Instant;

/// What was found of one copy, and the exit code of whatever kept it from being read or recorded.
pub(crate) struct Read {
    pub(crate) copy: Scrubbed,
    pub(crate) trouble: u8,
}

/// Reads the copies of one destination, in order.
pub(crate) async fn all(
    crew: &Crew,
    args: &Args,
    destination: &str,
    backups: &[&Backup],
    deadline: Option<Instant>,
) -> Vec<Read> {
    let mut read = Vec::with_capacity(backups.len());
    for backup in backups {
        let is_over = deadline.is_some_and(|at| Instant::now() >= at) || crew.halt().is_stopped();
        read.push(match is_over {
            true => Read { copy: unread(destination, backup), trouble: Exit::Ok.code() },
            false => one(crew, args, destination, backup).await,
        });
        failpoint::pass("scrub.copy_read");
    }
    read
}

fn unread(destination: &str, backup: &Backup) -> Scrubbed {
    Scrubbed {
        backup: backup.name.clone(),
        destination: destination.to_owned(),
        manifest_key: backup.manifest_key.clone(),
        depth: Depth::Digest,
        result: Found::Left,
        artifact_bytes: backup.manifest.as_ref().map_or(0, |m| m.artifact.bytes),
        problem: None,
        record: None,
    }
}

async fn one(crew: &Crew, args: &Args, destination: &str, backup: &Backup) -> Read {
    let mut read = Read { copy: unread(destination, backup), trouble: Exit::Ok.code() };
    let manifest = match &backup.manifest {
        Some(manifest) if backup.state.is_usable() => manifest,
        // The listing has told.
        _ => {
            read.copy.problem.clone_from(&backup.problem);
            match backup.exit {
                None => read.copy.result = Found::Damaged,
                // A whole copy beside it says what belongs there. Somebody has to look all the same.
                Some(exit) if backup.state == State::Forged => {
                    (read.copy.result, read.trouble) = (Found::Damaged, exit);
                }
                Some(exit) => (read.copy.result, read.trouble) = (Found::Unread, exit),
            }
            return read;
        }
    };
    let name = &backup.name;
    let problem = match crew.read_whole(destination, manifest).await {
        Ok(Some(Ok(()))) => None,
        Ok(Some(Err(problem))) => Some(problem),
        Ok(None) => Some("the artifact is missing".to_owned()),
        Err(e) if e.is_archived() => {
            tracing::info!("{name} in {destination} lies in an archive, and is not read");
            (read.copy.result, read.copy.problem) = (Found::Archived, Some(e.told()));
            return read;
        }
        Err(e) => {
            tracing::warn!("{name} could not be read in {destination}: {}", e.told());
            read.copy.result = Found::Unread;
            (read.copy.problem, read.trouble) = (Some(e.told()), e.exit().code());
            return read;
        }
    };
    match &problem {
        None => tracing::info!("{name} in {destination} is whole"),
        Some(problem) => tracing::warn!("{name} in {destination} is damaged: {problem}"),
    }
    read.copy.result = if problem.is_none() { Found::Whole } else { Found::Damaged };
    read.copy.problem = problem;
    if !args.no_record {
        record(crew, &mut read, backup).await;
    }
    read
}

async fn record(crew: &Crew, read: &mut Read, backup: &Backup) {
    let Some(manifest) = &backup.manifest else { return };
    // What is on record already is not said again and again.
    if read.copy.problem.is_some() && backup.is_doubted(Depth::Digest) {
        return;
    }
    let (finding, summary) = match &read.copy.problem {
        None => (Finding::Checked, "every byte was read back, and is what the manifest says"),
        Some(problem) => (Finding::Suspect, problem.as_str()),
    };
    let manifest_sha256 = &backup.manifest_sha256;
    let note = Note { manifest, manifest_sha256, finding, depth: Depth::Digest, summary };
    let destination = read.copy.destination.clone();
    match crew.note(&destination, note).await {
        Ok(key) => {
            read.copy.record = Some(key);
            crew.sweep(&destination, &backup.superfluous).await;
        }
        Err(e) => {
            tracing::warn!("what was found is not recorded: {}", e.told());
            read.trouble = e.exit().code();
        }
    }
}
