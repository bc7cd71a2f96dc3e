//! Makes the plan of a run: who, when, which steps, after which backup.

use crate::chain::COMMIT;
use crate::cli::Common;
use crate::copies;
use crate::tier;
use crate::views::read_catalogue_within;
use catalogue::Catalogue;
use config::Pipeline;
use contract::facts::ReplicateFacts;
use contract::{Clock, Plan, Previous, RunDir, RunId, Step};
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;

/// How long a destination may hold up the beginning of a run.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// What the destinations showed before a run; nothing when they could not be asked.
pub(crate) struct Seen(Option<Catalogue>);

impl Seen {
    /// Asks them. One that cannot be read must not stop a backup from being made.
    pub(crate) fn look(common: &Common) -> Self {
        match read_catalogue_within(common, LOOK_LIMIT) {
            Ok(catalogue) => Seen(Some(catalogue)),
            Err(e) => {
                tracing::warn!("the destinations could not be read before the run: {e}");
                Seen(None)
            }
        }
    }

    /// What they showed, if they could be asked at all.
    pub(crate) fn catalogue(&self) -> Option<&Catalogue> {
        self.0.as_ref()
    }

    /// Whether one of them lacks something that another one has.
    pub(crate) fn shows_lag(&self, pipeline: &Pipeline) -> bool {
        self.0.as_ref().is_some_and(|catalogue| copies::is_lagging(catalogue, pipeline))
    }

    /// Asks them only where the tier depends on it, for who wants to know no more.
    pub(crate) fn look_for_tier(common: &Common, pipeline: &Pipeline) -> Self {
        if tier::is_open(pipeline) { Seen::look(common) } else { Seen(None) }
    }
}

/// The plan of a new run.
pub(crate) fn plan(pipeline: &Pipeline, clock: Clock, seen: &Seen) -> Plan {
    let now = clock.now();
    let tier = tier::choose(pipeline, seen.0.as_ref(), now).to_owned();
    Plan::new(new_run_id(now), pipeline.cluster.clone(), tier, now, steps(pipeline))
        .believed_by(pipeline.trust.signer_names())
}

/// A new unique run id.
pub(crate) fn new_run_id(now: Timestamp) -> RunId {
    RunId::new(now, ulid::Ulid::generate().random())
}

fn steps(pipeline: &Pipeline) -> Vec<Step> {
    pipeline.stages.iter().map(|name| step(pipeline, name)).collect()
}

/// What is done with a snapshot after it was captured, until it is stored.
pub(crate) fn steps_after_capture(pipeline: &Pipeline) -> impl Iterator<Item = Step> {
    steps(pipeline).into_iter().filter(|step| !["capture", "prune"].contains(&step.name.as_str()))
}

/// A step that no configuration names.
pub(crate) fn own_step(name: &str) -> Step {
    Step { name: name.to_owned(), program: None, suffix: String::new() }
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

/// What the last backup was, in the run's own state directory.
pub(crate) const LAST_BACKUP: &str = "last-backup.json";

/// The newest backup that the destinations show now. A destination that cannot be read must not
/// stop a backup from being made; then the one that this machine made last counts, as far as it
/// knows, so that another etcd cannot slip in behind a destination's bad moment.
pub(crate) fn previous(seen: &Seen, home: &Path) -> Option<Previous> {
    let (seen, is_new) = match &seen.0 {
        Some(catalogue) => {
            let is_dark = catalogue.destinations.iter().any(|d| d.problem.is_some());
            (newest(catalogue), !is_dark && catalogue.copies().next().is_none())
        }
        None => (None, false),
    };
    // Only destinations that can all be read and are all empty are a new beginning. Backups of which
    // none can be trusted are not.
    seen.or_else(|| if is_new { None } else { remembered(home) })
}

/// What this machine made last, as far as it knows.
pub(crate) fn remembered(home: &Path) -> Option<Previous> {
    let text = std::fs::read(home.join(LAST_BACKUP)).ok()?;
    match serde_json::from_slice(&text) {
        Ok(previous) => Some(previous),
        Err(e) => {
            tracing::warn!("{} cannot be read: {e}", home.join(LAST_BACKUP).display());
            None
        }
    }
}

/// Keeps what the run has committed for [`previous`]. The backup is made: a failure is only told.
pub(crate) fn remember(home: &Path, plan: &Plan, run_dir: &RunDir) {
    let Some(last) = committed(plan, run_dir) else { return };
    let text = serde_json::to_vec_pretty(&last).unwrap_or_default();
    if let Err(e) = durable::replace(&home.join(LAST_BACKUP), &text) {
        tracing::warn!("{} cannot be written: {e}", home.join(LAST_BACKUP).display());
    }
}

/// Whether a destination has no copy of what the run has committed.
pub(crate) fn lacks_a_copy(plan: &Plan, run_dir: &RunDir) -> bool {
    let receipt = plan.position(COMMIT).and_then(|at| run_dir.receipt(at, COMMIT).ok().flatten());
    let facts = receipt.and_then(|r| serde_json::from_value::<ReplicateFacts>(r.facts).ok());
    facts.is_some_and(|facts| facts.copies.iter().any(|copy| !copy.stored))
}

fn committed(plan: &Plan, run_dir: &RunDir) -> Option<Previous> {
    let fact = |stage: &str, name: &str| {
        let receipt = run_dir.receipt(plan.position(stage)?, stage).ok()??;
        receipt.facts.get(name).cloned()
    };
    let text = |stage, name| Some(fact(stage, name)?.as_str()?.to_owned());
    Some(Previous {
        backup: text(COMMIT, "backup")?,
        manifest_sha256: text(COMMIT, "manifest_sha256")?,
        cluster_id: text("capture", "cluster_id")?,
        revision: fact("verify", "revision")?.as_i64()?,
    })
}

fn newest(catalogue: &Catalogue) -> Option<Previous> {
    // One that was adopted does not know its cluster, and is no link of the chain.
    let (backup, manifest) = catalogue.copies().find_map(|(_, backup)| {
        let manifest = backup.manifest.as_ref()?;
        manifest.cluster_id()?;
        Some((backup, manifest)).filter(|_| backup.state.is_trusted())
    })?;
    Some(Previous {
        backup: backup.name.to_string(),
        manifest_sha256: backup.manifest_sha256.clone(),
        cluster_id: manifest.etcd.cluster_id.clone(),
        revision: manifest.snapshot.revision,
    })
}
