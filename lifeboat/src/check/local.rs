//! What only this machine can be asked: directories for state and scratch, and files that should be
//! private.
//!
//! The part of it that a run must not begin without ([`must_be_fit`]) is looked at by `lifeboat
//! run` too, with the same functions and the same words.

use super::HERE;
use crate::cli::Common;
use crate::error::Error;
use crate::views::bytes;
use config::Pipeline;
use contract::{CheckReport, Exit, Finding, Place};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A run directory has a dozen small files.
const STATE_BYTES_MIN: u64 = 256 << 10;
const WRITABLE_BY_ALL: u32 = 0o002;
const READABLE_BY_ALL: u32 = 0o004;

/// Refuses a run whose state would be open to others, or could not be written.
///
/// # Errors
/// [`Error::Unfit`] with the first thing that is wrong.
pub(crate) fn must_be_fit(pipeline: &Pipeline) -> Result<(), Error> {
    match directories(pipeline).into_iter().find(|finding| finding.exit.is_some()) {
        Some(finding) => Err(Error::Unfit(Box::new(finding))),
        None => Ok(()),
    }
}

pub(super) fn look(common: &Common, pipeline: &Pipeline) -> Result<CheckReport, Error> {
    let config = common.config_path()?;
    let mut report = CheckReport::new(HERE);
    report.add(of_config(&config));
    directories(pipeline).into_iter().for_each(|finding| report.add(finding));
    private_files(pipeline).into_iter().for_each(|finding| report.add(finding));
    Ok(report)
}

/// Who can write the configuration can run programs as this user.
fn of_config(path: &Path) -> Finding {
    let shown = path.display();
    match path.metadata() {
        Ok(meta) if meta.mode() & WRITABLE_BY_ALL != 0 => {
            let detail = format!("everybody may change {shown}, and with it what runs here");
            Finding::warning("config", detail, format!("chmod o-w {shown}"))
        }
        _ => Finding::good("config", shown.to_string()),
    }
}

/// Where a run writes: its state, and what waits for a slow destination.
fn directories(pipeline: &Pipeline) -> Vec<Finding> {
    let state = &pipeline.run.state_dir;
    let mut findings = directory("run.state_dir", state, "state in ", true);
    let home = state.join(&pipeline.cluster);
    if findings.iter().all(|finding| finding.exit.is_none()) && home.symlink_metadata().is_ok() {
        let inner = directory("run.state_dir", &home, "", true);
        findings.extend(inner.into_iter().filter(|finding| finding.next.is_some()));
    }
    if let Some(spool) = &pipeline.replicate.spool_dir {
        // What waits there has no name, so that others in `/tmp` cannot reach it.
        findings.extend(directory("replicate.spool_dir", spool, "spool in ", false));
    }
    findings
}

fn directory(key: &str, path: &Path, label: &str, is_private: bool) -> Vec<Finding> {
    let place = match Place::look(path) {
        Ok(place) => place,
        Err(e) => {
            let detail = format!("{} cannot be looked at: {e}", path.display());
            let finding = Finding::bad("directory", detail, Exit::LocalDisk);
            return vec![finding.next("name a directory that this user can reach").about(key)];
        }
    };
    let exposed = if is_private { place.exposed() } else { None };
    let mut findings: Vec<Finding> = exposed.into_iter().chain(place.unusable()).collect();
    if findings.is_empty() {
        let kept = if place.is_in_memory { ", in memory: gone after a restart" } else { "" };
        let free = bytes(place.free_bytes);
        let detail = format!("{label}{} ({free} free{kept})", path.display());
        return vec![Finding::good("directory", detail)];
    }
    findings.iter_mut().for_each(|finding| key.clone_into(&mut finding.about));
    findings
}

/// Whether there is room for what may have to wait for a slow destination: the artifact, which is
/// no larger than the snapshot.
pub(super) fn room(pipeline: &Pipeline, snapshot_bytes: Option<u64>) -> Option<Finding> {
    let state = Place::look(&pipeline.run.state_dir).ok()?;
    if state.unusable().is_none() && state.free_bytes < STATE_BYTES_MIN {
        let free = bytes(state.free_bytes);
        let detail = format!("{free} are free for the receipts of a run");
        let finding = Finding::bad("room", detail, Exit::LocalDisk).about("run.state_dir");
        return Some(finding.next("make room, or set run.state_dir to a larger volume"));
    }
    let has_several = pipeline.destinations.len() > 1;
    let needed = snapshot_bytes?.min(pipeline.replicate.spool_bytes_max);
    let place =
        Place::look(pipeline.replicate.spool_dir.as_ref().unwrap_or(&pipeline.run.state_dir));
    let free = place.ok()?.free_bytes;
    (has_several && free < needed).then(|| {
        let detail = format!(
            "{} are free for a destination that lags behind, up to {} may be needed",
            bytes(free),
            bytes(needed)
        );
        let next = "make room, or set replicate.spool_dir to a larger volume";
        Finding::warning("room", detail, next).about("replicate.spool_dir")
    })
}

/// Files with secrets that the configuration names and everybody can read.
fn private_files(pipeline: &Pipeline) -> Vec<Finding> {
    let capture = &pipeline.capture;
    let mut named: Vec<(String, &PathBuf)> = Vec::new();
    let single = [
        ("capture.key_file", &capture.key_file),
        ("capture.password_file", &capture.password_file),
    ];
    named.extend(
        single.into_iter().filter_map(|(key, path)| Some((key.to_owned(), path.as_ref()?))),
    );
    let identities = pipeline.decrypt.identities_files.iter();
    named.extend(identities.map(|path| ("decrypt.identities_files".to_owned(), path)));
    let credentials = pipeline.destinations.iter().filter_map(|(name, destination)| {
        let path = destination.credentials_file.as_ref()?;
        Some((format!("destinations.{name}.credentials_file"), path))
    });
    named.extend(credentials);
    let open = named.into_iter().filter_map(|(key, path)| {
        let mode = path.metadata().ok()?.mode();
        (mode & READABLE_BY_ALL != 0).then(|| {
            let detail =
                format!("everybody can read {} (mode {:04o})", path.display(), mode & 0o7777);
            Finding::warning("secret", detail, format!("chmod 600 {}", path.display())).about(key)
        })
    });
    open.collect()
}
