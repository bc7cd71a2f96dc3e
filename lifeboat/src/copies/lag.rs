//! Which destinations lag behind, as a catalogue shows it.

use crate::error::Error;
use catalogue::Catalogue;
use config::Pipeline;
use level::{Aim, Past};
use std::collections::BTreeMap;

/// How many copies each destination lacks that another one could give. Without `[prune]`, what is
/// older than all that a destination holds is not counted: a rule of its bucket may have removed it.
pub(crate) fn lagging(
    catalogue: &Catalogue,
    pipeline: &Pipeline,
) -> Result<BTreeMap<String, usize>, Error> {
    count(catalogue, pipeline, Past::OfNewcomers)
}

/// Whether any lacks what the repair of a run brings. A policy that cannot be read is told by whoever
/// applies it.
pub(crate) fn is_lagging(catalogue: &Catalogue, pipeline: &Pipeline) -> bool {
    count(catalogue, pipeline, Past::None).is_ok_and(|lagging| !lagging.is_empty())
}

fn count(
    catalogue: &Catalogue,
    pipeline: &Pipeline,
    past: Past,
) -> Result<BTreeMap<String, usize>, Error> {
    let aim = Aim::new(pipeline, level::policy(pipeline, true)?).with_past(past);
    Ok(level::compare(catalogue, &aim, catalogue.read_at).lagging())
}

/// `copies are lacking in region_b (2)`, for people.
pub(crate) fn told(lagging: &BTreeMap<String, usize>) -> Option<String> {
    let one = |(name, count): (&String, &usize)| format!("{name} ({count})");
    let all: Vec<String> = lagging.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("copies are lacking in {}", all.join(", ")))
}
