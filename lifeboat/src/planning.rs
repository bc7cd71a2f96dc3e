//! Makes the plan of a run: who, when, which steps, after which backup.

use crate::cli::Common;
use crate::views::read_catalogue_within;
use catalogue::{Catalogue, State, TIER_DEFAULT};
use config::Pipeline;
use contract::{Clock, Plan, Previous, RunId, Step};
use jiff::Timestamp;

/// How long a destination may hold up the beginning of a run.
const LOOK_LIMIT: &str = "20s";

/// The plan of a new run.
pub(crate) fn plan(pipeline: &Pipeline, clock: Clock) -> Plan {
    let now = clock.now();
    Plan::new(new_run_id(now), pipeline.cluster.clone(), TIER_DEFAULT.into(), now, steps(pipeline))
}

/// A new unique run id.
pub(crate) fn new_run_id(now: Timestamp) -> RunId {
    RunId::new(now, ulid::Ulid::generate().random())
}

fn steps(pipeline: &Pipeline) -> Vec<Step> {
    pipeline.stages.iter().map(|name| step(pipeline, name)).collect()
}

fn step(pipeline: &Pipeline, name: &str) -> Step {
    let program = pipeline.programs.get(name);
    let suffix = match name {
        "compress" => ".zst".into(),
        "encrypt" => ".age".into(),
        _ => program.map(|p| p.suffix.clone()).unwrap_or_default(),
    };
    Step { name: name.to_owned(), program: program.map(|p| p.command.clone()), suffix }
}

/// The newest backup that the destinations show now. A destination that cannot be read must not
/// stop a backup from being made: then the link is missing, and a warning says so.
pub(crate) fn previous(common: &Common) -> Option<Previous> {
    match read_catalogue_within(common, LOOK_LIMIT) {
        Ok(catalogue) => newest(&catalogue),
        Err(e) => {
            tracing::warn!("the destinations could not be read before the run: {e}");
            None
        }
    }
}

fn newest(catalogue: &Catalogue) -> Option<Previous> {
    let (_, backup) = catalogue.copies().find(|(_, backup)| backup.state == State::Verified)?;
    let manifest = backup.manifest.as_ref()?;
    Some(Previous {
        backup: backup.name.to_string(),
        manifest_sha256: backup.manifest_sha256.clone(),
        cluster_id: manifest.etcd.cluster_id.clone(),
        revision: manifest.snapshot.revision,
    })
}
