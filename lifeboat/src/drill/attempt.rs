//! One copy, drilled: from the fetch to the record.

use super::DrillArgs;
use super::choice::Copy;
use super::record;
use super::report::{Drilled, Result as Found};
use super::scratch::Scratch;
use crate::chain::{self, Drawing, Outcome};
use crate::cli::Common;
use crate::error::Error;
use crate::planning::new_run_id;
use crate::way_back;
use catalogue::{Depth, Manifest};
use contract::drill::{DRILL_VERSION, DrillExpectation, DrillFacts, EtcdProgram};
use contract::facts::RestoreFacts;
use contract::{Clock, Plan, RunDir};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How many members the three-member form has.
const MEMBERS: usize = 3;
/// The last steps of the chain.
const RESTORE: &str = "restore";
const DRILL: &str = "drill";

/// What all copies of one invocation have in common.
pub(crate) struct Attempt<'a> {
    pub(crate) common: &'a Common,
    pub(crate) args: &'a DrillArgs,
    pub(crate) etcd: Option<&'a EtcdProgram>,
    /// Where scratch directories are made.
    pub(crate) scratch: PathBuf,
    pub(crate) drawing: Drawing,
    pub(crate) deadline: Instant,
}

/// What the stages left.
struct Left {
    outcome: Outcome,
    restored: Option<RestoreFacts>,
    proved: Option<DrillFacts>,
}

impl Attempt<'_> {
    /// Drills one copy, and marks it. An error is one of this machine, and ends everything.
    pub(crate) fn of(&self, copy: &Copy<'_>, clock: Clock) -> Result<Drilled, Error> {
        let at = clock.now();
        let run = new_run_id(at);
        let scratch = Scratch::make(&self.scratch, &run)?;
        let (name, from) = (&copy.backup.name, copy.destination);
        tracing::info!("drilling {name} from {from}");
        let mut steps = way_back::steps(copy.manifest, RESTORE)?;
        steps.push(way_back::step(DRILL));
        let (cluster, tier) = (copy.manifest.cluster.clone(), copy.manifest.tier.clone());
        let plan = Plan::new(run.clone(), cluster, tier, at, steps);
        let left = self.run(&plan, copy, &scratch)?;
        let mut drilled = Drilled::new(copy, at, self.depth(), self.etcd);
        drilled.take(&left.outcome, left.restored, left.proved);
        if !self.args.no_record && drilled.result != Found::NotTried {
            record::store(self.common, copy, &run, &mut drilled, &scratch);
        }
        failpoint::pass("drill.recorded");
        drop(scratch);
        Ok(drilled)
    }

    fn depth(&self) -> Depth {
        match (self.etcd, self.args.three_members) {
            (None, _) => Depth::Native,
            (Some(_), false) => Depth::Etcd,
            (Some(_), true) => Depth::ThreeMembers,
        }
    }

    fn members(&self) -> usize {
        if self.args.three_members { MEMBERS } else { 1 }
    }

    fn run(&self, plan: &Plan, copy: &Copy<'_>, scratch: &Scratch) -> Result<Left, Error> {
        let run_dir = RunDir::create(&scratch.path().join("run"), plan)?;
        let (expect, report) =
            (scratch.path().join("expect.json"), scratch.path().join("report.json"));
        let expectation = DrillExpectation {
            version: DRILL_VERSION,
            backup: copy.backup.name.to_string(),
            snapshot: copy.manifest.snapshot.clone(),
            hashkv: copy.manifest.etcd.hashkv.clone(),
            restored: None,
        };
        let text = serde_json::to_vec(&expectation).map_err(|e| Error::Output(e.into()))?;
        durable::write_new(&expect, &text)?;
        let data = scratch.path().join("data");
        let mut links = Vec::with_capacity(plan.steps.len());
        for (position, step) in plan.steps.iter().enumerate() {
            let arguments = match step.name.as_str() {
                "fetch" => fetch(copy, &plan.cluster),
                "decrypt" => flags("--identity", &self.args.identity),
                RESTORE => self.restore(copy.manifest, &data)?,
                DRILL => self.drill(&data, &expect, &report),
                _ => Vec::new(),
            };
            links.push(chain::link(self.common, plan, &run_dir, position, &arguments)?);
        }
        let outcome = chain::run(&links, self.deadline, &self.drawing)?;
        failpoint::pass("drill.chain_ended");
        let restored = plan.position(RESTORE).map(|at| run_dir.receipt(at, RESTORE)).transpose()?;
        let restored = restored.flatten().and_then(|r| serde_json::from_value(r.facts).ok());
        Ok(Left { outcome, restored, proved: read(&report) })
    }

    /// The scratch copy is of members that are on loopback and know nobody else.
    fn restore(&self, manifest: &Manifest, data: &Path) -> Result<Vec<OsString>, Error> {
        let urls: Vec<String> = free_ports(self.members())?
            .iter()
            .map(|p| format!("http://{}:{p}", Ipv4Addr::LOCALHOST))
            .collect();
        let named = urls.iter().enumerate().map(|(at, url)| format!("{}={url}", name_of(at)));
        let initial_cluster = named.collect::<Vec<_>>().join(",");
        let mut all: Vec<OsString> = vec!["--initial-cluster".into(), initial_cluster.into()];
        let mut add = |flag: &str, value: OsString| all.extend([flag.into(), value]);
        match self.args.three_members {
            true => add("--all-members", data.into()),
            false => {
                add("--data-dir", data.into());
                add("--name", name_of(0).into());
                add("--initial-advertise-peer-urls", urls[0].clone().into());
            }
        }
        if let Some(proved) = way_back::proved(manifest) {
            add("--expect-sha256", proved.sha256.clone().into());
        }
        if let Some(version) = self.older_etcd(manifest) {
            add("--target-version", version.into());
        }
        // Whoever drills owns the copy, and nobody else is meant to start from it.
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        all.extend(flags("--owner", [format!("{}:{}", user.as_raw(), group.as_raw())]));
        // The comparison asks without a password, and a drill knows none.
        all.push("--disable-auth".into());
        Ok(all)
    }

    /// The version to restore for, where the etcd that is going to start is an older one than the
    /// cluster had. A newer one takes what it finds.
    fn older_etcd(&self, manifest: &Manifest) -> Option<String> {
        let here = minor(&self.etcd?.version)?;
        let there = minor(&manifest.etcd.etcd_version)
            .or_else(|| minor(manifest.snapshot.storage_version.as_deref()?))?;
        (here < there).then(|| format!("{}.{}", here.0, here.1))
    }

    fn drill(&self, data: &Path, expect: &Path, report: &Path) -> Vec<OsString> {
        let mut all = flags("--data-dir", [data]);
        all.extend(flags("--expect", [expect]));
        all.extend(flags("--report", [report]));
        all.extend(flags("--members", [self.members().to_string()]));
        match self.etcd {
            Some(etcd) => all.extend(flags("--etcd", [&etcd.path])),
            None => all.push("--native-only".into()),
        }
        all
    }
}

fn fetch(copy: &Copy<'_>, cluster: &str) -> Vec<OsString> {
    let mut all = flags("--destination", [copy.destination]);
    all.extend(flags("--manifest", [copy.manifest.object_name().key(cluster)]));
    all
}

fn flags<T: Into<OsString> + Clone>(
    flag: &str,
    values: impl IntoIterator<Item = T>,
) -> Vec<OsString> {
    values.into_iter().flat_map(|value| [flag.into(), value.into()]).collect()
}

fn name_of(at: usize) -> String {
    format!("drill-{}", at + 1)
}

/// `3.5` of `3.5.16`.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The lowest port that is tried.
const PORT_MIN: u16 = 10_000;
/// How many are tried before the system chooses.
const PORTS_TRIED_MAX: u16 = 200;

/// Ports of loopback that are free, all different. They are used a while later, when the copy is
/// restored, so none of those that the system gives to connections, if it can be helped.
fn free_ports(count: usize) -> Result<Vec<u16>, Error> {
    let ours = PORT_MIN..first_of_connections().max(PORT_MIN + PORTS_TRIED_MAX);
    let width = ours.end - ours.start;
    let offset = u16::try_from(ulid::Ulid::generate().random() % u128::from(width)).unwrap_or(0);
    let tried = (0..PORTS_TRIED_MAX).map(|n| (offset % width + n) % width + ours.start);
    let quiet = tried.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let mut bound: Vec<TcpListener> = quiet.take(count).collect();
    while bound.len() < count {
        bound.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::NoPort)?);
    }
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    bound.iter().map(port).collect::<std::io::Result<_>>().map_err(Error::NoPort)
}

/// Where the ports begin that the system gives to connections.
fn first_of_connections() -> u16 {
    const USUAL: u16 = 32_768;
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = range.ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
    first.unwrap_or(USUAL)
}

/// What `lifeboat-drill` found, if it came so far.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(minor("3.10.1"), Some((3, 10)));
        assert_eq!(minor("3.8.0-alpha.0"), Some((3, 8)));
        assert!(minor("3.10.0") > minor("3.9.9"));
        assert_eq!(minor(""), None);
    }
}
