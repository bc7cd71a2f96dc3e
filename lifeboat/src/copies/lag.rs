//! Which destinations lag behind, as a catalogue shows it.

use crate::error::Error;
use catalogue::Catalogue;
use config::Pipeline;
use std::collections::BTreeMap;

/// How many copies each destination lacks that another one could give.
pub(crate) fn lagging(
    catalogue: &Catalogue,
    pipeline: &Pipeline,
) -> Result<BTreeMap<String, usize>, Error> {
    let policy = level::policy(pipeline, true)?;
    let order = level::nearest_first(pipeline);
    Ok(level::compare(catalogue, policy.as_ref(), &order, catalogue.read_at).lagging())
}

/// Whether any does. A policy that cannot be read is told by whoever applies it.
pub(crate) fn is_lagging(catalogue: &Catalogue, pipeline: &Pipeline) -> bool {
    lagging(catalogue, pipeline).is_ok_and(|lagging| !lagging.is_empty())
}

/// `copies are lacking in region_b (2)`, for people.
pub(crate) fn told(lagging: &BTreeMap<String, usize>) -> Option<String> {
    let one = |(name, count): (&String, &usize)| format!("{name} ({count})");
    let all: Vec<String> = lagging.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("copies are lacking in {}", all.join(", ")))
}
