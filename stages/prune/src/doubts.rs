//! Whether what the destinations show can be believed, before anything is removed on its word.
//!
//! Owns: the comparison of this machine's clock with the stores' own, and of the listings with
//! what the run has just stored. Ages are computed with the clock, and a listing that lacks the
//! backup of a minute ago lacks others too. A directory has no clock of its own; there the newest
//! backup's date is compared, by the `retention` crate.
//!
//! Does not: look at backups one by one, or ask any store for anything.

use crate::error::Error;
use crate::plans::Plans;
use catalogue::DestinationCatalogue;
use contract::Receipt;
use contract::facts::ReplicateFacts;
use destinations::Opened;
use jiff::Timestamp;
use retention::CLOCK_SKEW_MAX;

/// What `replicate` says that it stored in this run, if there is a run.
pub(crate) fn replicated(receipts: &[Receipt]) -> Option<ReplicateFacts> {
    let receipt = receipts.iter().find(|r| r.stage == "replicate")?;
    serde_json::from_value(receipt.facts.clone()).ok()
}

/// The store's clock and ours agree, if it has one.
pub(crate) fn must_have_our_time(name: &str, opened: &Opened, now: Timestamp) -> Result<(), Error> {
    let Some(theirs) = opened.store.store_time() else { return Ok(()) };
    match now.duration_since(theirs).abs() > CLOCK_SKEW_MAX {
        false => Ok(()),
        true => Err(Error::Clocks { destination: name.to_owned(), ours: now, theirs }),
    }
}

/// The listing has the backup of this run, if this run stored it there.
pub(crate) fn must_list_what_was_stored(
    catalogue: &DestinationCatalogue,
    stored: Option<&ReplicateFacts>,
) -> Result<(), Error> {
    let Some(facts) = stored else { return Ok(()) };
    let destination = &catalogue.destination;
    let is_stored = facts.copies.iter().any(|c| c.stored && c.destination == *destination);
    let is_listed = catalogue.backups.iter().any(|b| b.name.as_str() == facts.backup);
    match is_stored && !is_listed {
        false => Ok(()),
        true => {
            Err(Error::NotListed { destination: destination.clone(), backup: facts.backup.clone() })
        }
    }
}

/// The backup of this run is the newest there is, whatever its date. If a policy would remove it,
/// then its date, or today's, is wrong: a machine that begins at 1970 and then learns the time.
pub(crate) fn must_not_remove_what_was_stored(
    plans: &Plans,
    stored: Option<&ReplicateFacts>,
) -> Result<(), Error> {
    let Some(facts) = stored else { return Ok(()) };
    let is_own = |plan: &retention::Plan| plan.removals().iter().any(|d| d.id == facts.backup);
    match plans.iter().find(|(_, plan)| is_own(plan)) {
        None => Ok(()),
        Some((destination, _)) => {
            let (destination, backup) = (destination.clone(), facts.backup.clone());
            Err(Error::OwnBackup { destination, backup })
        }
    }
}
