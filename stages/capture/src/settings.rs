//! What a capture must know: how etcd is reached, which member is wanted, and how long it may take.
//!
//! Does not: decide how etcd is reached; `etcd::Settings` does, in the same way for every program.

use crate::args::Args;
use crate::error::Error;
use config::{MemberChoice, Pipeline};
use etcd::{KUBEADM_DIR, Sources};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Everything that is needed to connect and to choose.
pub(crate) struct Settings {
    pub(crate) etcd: Arc<etcd::Settings>,
    pub(crate) member: MemberChoice,
    /// Members that are asked only when no other is fit.
    pub(crate) avoid: Vec<u64>,
    pub(crate) max_lag: u64,
    pub(crate) allow_degraded: bool,
    pub(crate) stall_timeout: Duration,
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Puts them together from all their sources.
    pub(crate) fn load(args: &Args) -> Result<Self, Error> {
        let config = Pipeline::load(args.stage.config.as_deref())?.capture;
        let sources = Sources {
            args: &args.connect,
            config: &config,
            variable: &|name| std::env::var(name).ok(),
            kubeadm_dir: Path::new(KUBEADM_DIR),
        };
        Ok(Settings {
            etcd: Arc::new(sources.settings()?),
            member: args.member.clone().unwrap_or(config.member),
            avoid: args.avoid_member.clone(),
            max_lag: config.max_lag,
            allow_degraded: config.allow_degraded,
            stall_timeout: config.stall_timeout.get(),
            timeout: config.timeout.get(),
        })
    }
}
