//! From catalogues to one plan for each destination.
//!
//! A destination that cannot be read, or one refusal anywhere, means no plan at all: a guard
//! that holds in one place says that something is wrong with the picture as a whole.

use crate::error::Error;
use catalogue::DestinationCatalogue;
use config::Pipeline;
use jiff::Timestamp;
use retention::Plan;
use std::collections::BTreeMap;

/// The plan of each destination, by its name.
pub(crate) type Plans = BTreeMap<String, Plan>;

/// Plans for all destinations.
pub(crate) fn make(
    pipeline: &Pipeline,
    catalogues: &[DestinationCatalogue],
    now: Timestamp,
    allow_large_removal: bool,
) -> Result<Plans, Error> {
    let policy = level::policy(pipeline, allow_large_removal)?.ok_or(Error::NoPolicy)?;
    if let Some(dark) = catalogues.iter().find(|c| c.problem.is_some()) {
        return Err(Error::Unreadable {
            destination: dark.destination.clone(),
            problem: dark.problem.clone().unwrap_or_default(),
        });
    }
    let ours = level::newest_cluster_id(catalogues).unwrap_or_default();
    let plan = |c: &DestinationCatalogue| {
        let backups: Vec<retention::Backup> =
            level::candidates(&c.backups).into_iter().map(level::candidate).collect();
        match retention::plan(&policy, &backups, now, ours) {
            Ok(plan) => Ok((c.destination.clone(), plan)),
            Err(refusal) => Err(Error::Refused {
                destination: c.destination.clone(),
                refusal: Box::new(refusal),
            }),
        }
    };
    catalogues.iter().map(plan).collect()
}

#[cfg(test)]
mod tests;
