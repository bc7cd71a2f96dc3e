//! What the configuration would do: the chain, where a backup goes, when it counts, what is kept.

use crate::views::bytes;
use catalogue::Manifest;
use config::{Pipeline, Prune};
use contract::Plan;
use serde::Serialize;

/// What a run would do.
#[derive(Debug, Serialize)]
pub(super) struct Would {
    pub(super) cluster: String,
    pub(super) stages: Vec<String>,
    pub(super) tier: String,
    /// The artifact's key, the same in every destination.
    pub(super) key: String,
    /// How many bytes etcd would send now.
    pub(super) snapshot_bytes: Option<u64>,
    pub(super) destinations: Vec<Target>,
    /// How many of them must have read it back.
    pub(super) required: usize,
    /// The retention policy in words; none when everything is kept.
    pub(super) keep: Option<String>,
}

/// One destination.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) url: String,
}

impl Would {
    pub(super) fn of(pipeline: &Pipeline, plan: &Plan, snapshot_bytes: Option<u64>) -> Self {
        let target = |(name, destination): (&String, &config::Destination)| Target {
            name: name.clone(),
            url: destination.url.trim_end_matches('/').to_owned(),
        };
        Would {
            cluster: plan.cluster.clone(),
            stages: pipeline.stages.clone(),
            tier: plan.tier.clone(),
            key: Manifest::artifact_name(plan).key(&plan.cluster),
            snapshot_bytes,
            destinations: pipeline.destinations.iter().map(target).collect(),
            required: pipeline.replicate.require.of(pipeline.destinations.len()),
            keep: pipeline.prune.as_ref().map(keep),
        }
    }

    /// The same for people, a line for each thought.
    pub(super) fn lines(&self) -> Vec<String> {
        let size = self.snapshot_bytes.map(|size| format!(" ({} to prove)", bytes(size)));
        let to = self.destinations.iter().map(|target| format!("{} {}", target.name, target.url));
        let folder = self.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let keep = match &self.keep {
            Some(keep) => format!("keep {keep}"),
            None => "keep everything".to_owned(),
        };
        vec![
            format!(
                "back up {:?}{}: {}",
                self.cluster,
                size.unwrap_or_default(),
                self.stages.join(" → ")
            ),
            format!("to {} in {folder}/", to.collect::<Vec<_>>().join(", ")),
            format!(
                "counts when {} of {} have read it back; {keep}",
                self.required,
                self.destinations.len()
            ),
        ]
    }
}

fn keep(prune: &Prune) -> String {
    let rules = [
        ("last", prune.last),
        ("hourly", prune.hourly),
        ("daily", prune.daily),
        ("weekly", prune.weekly),
        ("monthly", prune.monthly),
        ("yearly", prune.yearly),
    ];
    let wanted = rules.into_iter().filter(|(_, count)| *count > 0);
    let mut words: Vec<String> = wanted.map(|(name, count)| format!("{count} {name}")).collect();
    words.extend(prune.within.iter().map(|span| format!("all within {span}")));
    format!("{}, never fewer than {}", words.join(", "), prune.min_keep)
}
