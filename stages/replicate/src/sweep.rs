//! Throws away uploads of runs that were killed: parts that no object ever came of are invisible
//! in listings and cost money for ever.
//!
//! Only uploads of this cluster that are older than any run can be. It is tidying up after the
//! commit, so a failure is told and changes nothing; a writer may lack the permission.

use catalogue::ObjectName;
use config::Pipeline;
use destinations::Opened;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// No run is younger than this and dead, whatever its deadline.
const AGE_MIN: SignedDuration = SignedDuration::from_hours(24);

pub(crate) async fn sweep(pipeline: &Pipeline, opened: &BTreeMap<String, Opened>, now: Timestamp) {
    let twice = pipeline.run.deadline.get().saturating_mul(2);
    let age = SignedDuration::try_from(twice).unwrap_or(AGE_MIN).max(AGE_MIN);
    let Ok(begun_before) = now.checked_sub(age) else { return };
    let prefix = ObjectName::prefix_of(&pipeline.cluster);
    for (name, opened) in opened {
        let aborting = opened.store.abort_stale_uploads(&prefix, begun_before);
        match tokio::time::timeout(opened.timeout, aborting).await {
            Ok(Ok(keys)) if keys.is_empty() => {}
            Ok(Ok(keys)) => tracing::info!("{name}: {} dead uploads thrown away", keys.len()),
            Ok(Err(e)) => tracing::debug!("dead uploads were not looked for: {e}"),
            Err(_) => tracing::debug!("{name} did not answer when dead uploads were looked for"),
        }
    }
}
