//! The commit: manifests, written last, where a proved copy of the artifact is.
//!
//! If too few destinations can be brought to have both, what this run wrote is taken back as far
//! as its permissions reach. What cannot be taken back is an artifact without a manifest, which
//! nothing lists, or, in the rare case that a manifest could be written in one place and not in
//! enough others, a whole and proved backup that the run does not claim.

use bytes::Bytes;
use catalogue::Manifest;
use contract::{Exit, Failure};
use destinations::Opened;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{ErrorKind, Keeping, Operation, Outcome, StoreError};

/// What became of each destination, by name.
pub(crate) type Copies = BTreeMap<String, Result<(), destinations::Error>>;

/// Where this very process made the artifact. One that was there already belongs to an earlier
/// process of the same run, which may have committed it: it is never taken back.
pub(crate) fn made(outcomes: &[Outcome]) -> Vec<String> {
    let is_made = |o: &&Outcome| o.result.as_ref().is_ok_and(|kept| !kept.stored.existed);
    outcomes.iter().filter(is_made).map(|outcome| outcome.destination.clone()).collect()
}

/// Where the artifact was completed and no copy came of it. One that is not what it has to be goes
/// whoever made it, because no backup will ever come of it; one that merely could not be read back
/// goes only where this process made it. Nobody else would remove either.
pub(crate) fn spoilt(outcomes: &[Outcome]) -> Vec<String> {
    let is_spoilt = |o: &&Outcome| {
        o.result.as_ref().is_err_and(|e| {
            let of_bytes = matches!(e.kind(), ErrorKind::Corrupt { .. });
            let of_settings = matches!(e.kind(), ErrorKind::SilentDowngrade { .. });
            let is_wrong = e.operation() == Operation::ReadBack && (of_bytes || of_settings);
            o.made || is_wrong
        })
    };
    outcomes.iter().filter(is_spoilt).map(|outcome| outcome.destination.clone()).collect()
}

/// Turns the fan-out's outcomes into copies.
pub(crate) fn artifacts(outcomes: Vec<Outcome>) -> Copies {
    let copy = |outcome: Outcome| {
        if outcome.lag.spooled_bytes > 0 {
            tracing::warn!(
                spooled_bytes = outcome.lag.spooled_bytes,
                "destination {} lagged behind",
                outcome.destination
            );
        }
        (outcome.destination, outcome.result.map(drop).map_err(destinations::Error::from))
    };
    outcomes.into_iter().map(copy).collect()
}

/// Writes the manifest wherever the artifact is, reading each one back.
pub(crate) async fn manifests(
    copies: &mut Copies,
    opened: &BTreeMap<String, Opened>,
    manifest: &Manifest,
) {
    let key = manifest.object_name().key(&manifest.cluster);
    let bytes = Bytes::from(manifest.to_bytes());
    for (name, copy) in copies.iter_mut().filter(|(_, copy)| copy.is_ok()) {
        let Some(opened) = opened.get(name) else { continue };
        failpoint::pass("replicate.manifest.writing");
        let keeping = opened.keeping(&manifest.tier, manifest.taken_at).of_record();
        let written = write_manifest(opened, &key, &bytes, &keeping);
        *copy = match tokio::time::timeout(opened.timeout, written).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(timed_out(name, &key, opened.timeout).into()),
        };
        failpoint::pass("replicate.manifest.settled");
    }
}

async fn write_manifest(
    opened: &Opened,
    key: &str,
    bytes: &Bytes,
    keeping: &Keeping,
) -> Result<(), StoreError> {
    opened.store.put_new(key, bytes.clone(), keeping).await?;
    failpoint::pass("replicate.manifest.created");
    store::read_back_small(&*opened.store, key, bytes, opened.timeout).await
}

/// Where this process made the artifact and the manifest was refused or came out as something
/// else: an orphan, or listed and broken for ever. After a failure that says nothing of what the
/// store did, both may be there and whole, and stay.
pub(crate) fn misrecorded(copies: &Copies, made: &[String]) -> Vec<String> {
    let is_final = |e: &destinations::Error| e.exit() != Exit::Transient;
    let damaged =
        |name: &&String| copies.get(*name).is_some_and(|copy| copy.as_ref().is_err_and(is_final));
    made.iter().filter(damaged).cloned().collect()
}

fn timed_out(name: &str, key: &str, after: Duration) -> StoreError {
    StoreError::new(name, Operation::Put, key, ErrorKind::Stalled { after })
}

/// Takes back what this run wrote: the manifest first, so that it is never without its artifact.
pub(crate) async fn take_back(
    opened: &BTreeMap<String, Opened>,
    touched: &[String],
    manifest_key: Option<&str>,
    artifact_key: &str,
) {
    for name in touched {
        let Some(opened) = opened.get(name) else { continue };
        for key in manifest_key.into_iter().chain([artifact_key]) {
            failpoint::pass("replicate.taking_back");
            let deleted = tokio::time::timeout(opened.timeout, opened.store.delete(key)).await;
            match deleted {
                Ok(Ok(())) => {}
                Ok(Err(e)) if matches!(e.kind(), ErrorKind::Denied { .. }) => {
                    tracing::warn!("{e}; without its manifest it is listed as an orphan");
                    break;
                }
                Ok(Err(e)) => {
                    tracing::warn!("{e}");
                    break;
                }
                Err(_) => {
                    tracing::warn!("destination {name} did not answer; {key} may still be there");
                    break;
                }
            }
        }
    }
}
