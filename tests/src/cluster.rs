//! etcd clusters on loopback.
//!
//! Owns: the plan of a cluster (names, ports, folders, certificates), starting it and waiting
//! until every member answers, and handling single members as a fault would.
//! Invariants: everything listens on 127.0.0.1; nothing of the caller's environment reaches
//! etcd; a port that another process took in the meantime leads to a new plan, not to a failure.
//!
//! Does not: fill the cluster (`load`), nor run etcd without its client (`etcdctl` waits for it).

mod client;
mod plan;
#[cfg(test)]
mod tests;

pub use client::{MemberStatus, User};
pub use plan::{MemberAddress, Plan};

use crate::load::{LoadReport, add_learner, load, promote};
use crate::process::{Server, log_tail};
use crate::tls::Certificates;
use crate::{Error, EtcdVersion, LoadSpec, wait_until};
use plan::member_command;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// How long a member may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often other ports are tried.
const START_ATTEMPTS_MAX: u32 = 5;
/// What etcd says, in every version, when its port is taken.
const PORT_TAKEN: &str = "address already in use";
/// What etcdctl says of the health of a member that commits, but has an alarm.
const ALARM: &str = "Active Alarm(s)";

/// What cluster to start. By default: one member, no TLS, no passwords.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    version: EtcdVersion,
    members: usize,
    tls: bool,
    auth: Auth,
    learner: bool,
    peer_urls: usize,
    wal_apart: bool,
    verify_all: bool,
    arguments: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Auth {
    Off,
    /// Is turned on once the cluster runs.
    TurnOn(User),
    /// Is in the data directory already.
    Present(User),
}

impl ClusterSpec {
    /// One member of `version`.
    #[must_use]
    pub fn new(version: &EtcdVersion) -> Self {
        ClusterSpec {
            version: version.clone(),
            members: 1,
            tls: false,
            auth: Auth::Off,
            learner: false,
            peer_urls: 1,
            wal_apart: false,
            verify_all: false,
            arguments: Vec::new(),
        }
    }

    /// With so many voting members.
    #[must_use]
    pub fn members(mut self, count: usize) -> Self {
        self.members = count;
        self
    }

    /// With mutual TLS for clients and peers.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// With the user `root`, its password, and authentication on.
    #[must_use]
    pub fn auth(mut self, password: &str) -> Self {
        self.auth = Auth::TurnOn(User::root(password));
        self
    }

    /// As [`Self::auth`], for a restored data directory in which it is on already.
    #[must_use]
    pub fn auth_present(mut self, password: &str) -> Self {
        self.auth = Auth::Present(User::root(password));
        self
    }

    /// With one more member that does not vote. It is the last one.
    #[must_use]
    pub fn learner(mut self) -> Self {
        self.learner = true;
        self
    }

    /// With so many peer URLs for each member.
    #[must_use]
    pub fn peer_urls(mut self, count: usize) -> Self {
        self.peer_urls = count;
        self
    }

    /// With the write-ahead log of each member beside its data directory, in `<name>.wal`.
    #[must_use]
    pub fn wal_apart(mut self) -> Self {
        self.wal_apart = true;
        self
    }

    /// With the checks of its own files that etcd makes where it is asked to (`ETCD_VERIFY=all`;
    /// 3.4 knows none).
    #[must_use]
    pub fn verify_all(mut self) -> Self {
        self.verify_all = true;
        self
    }

    /// With further arguments for etcd, the same for every member.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    /// Chooses names, ports and folders and makes the certificates, but starts nothing.
    /// For tests that fill the data directories first.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::File`] or [`Error::Certificate`].
    pub fn plan(&self) -> Result<Plan, Error> {
        Plan::new(self.clone())
    }

    /// Starts a new cluster and waits until every member answers.
    ///
    /// # Errors
    /// [`Error::NotReady`] with the log of the member that does not start.
    pub fn start(&self) -> Result<Cluster, Error> {
        let mut attempt = 1;
        loop {
            match self.plan()?.start() {
                Err(Error::NotReady { log, .. })
                    if log.contains(PORT_TAKEN) && attempt < START_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn user(&self) -> Option<&User> {
        match &self.auth {
            Auth::Off => None,
            Auth::TurnOn(user) | Auth::Present(user) => Some(user),
        }
    }
}

/// A running cluster. Its members end and its files vanish when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    // Before the folder, so that no member writes into it while it is removed.
    servers: Vec<Option<Server>>,
    plan: Plan,
    auth_on: bool,
}

impl Plan {
    /// Starts every member: on its data directory if that exists, else as part of a new cluster.
    ///
    /// # Errors
    /// [`Error::NotReady`] with the log of the member that does not start.
    pub fn start(self) -> Result<Cluster, Error> {
        let auth_on = matches!(self.spec.auth, Auth::Present(_));
        let servers = self.members().iter().map(|_| None).collect();
        let mut cluster = Cluster { servers, plan: self, auth_on };
        let voters: Vec<usize> = (0..cluster.plan.spec.members).collect();
        for &index in &voters {
            cluster.spawn(index)?;
        }
        cluster.wait_healthy(&voters)?;
        if cluster.plan.spec.learner {
            cluster.add_learner(voters.len())?;
        }
        if let Auth::TurnOn(user) = cluster.plan.spec.auth.clone() {
            cluster.turn_auth_on(&user)?;
        }
        Ok(cluster)
    }
}

impl Cluster {
    /// The version that its members run.
    #[must_use]
    pub fn version(&self) -> &EtcdVersion {
        &self.plan.spec.version
    }

    /// Names and addresses, those of members that are down included. A learner is the last.
    #[must_use]
    pub fn members(&self) -> &[MemberAddress] {
        self.plan.members()
    }

    /// The client URLs of all members.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.members().iter().map(|m| m.client_url.clone()).collect()
    }

    /// The client URL of one member.
    #[must_use]
    pub fn endpoint(&self, index: usize) -> &str {
        &self.members()[index].client_url
    }

    /// The authority and the certificates, if it runs with TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.plan.certificates.as_ref()
    }

    /// The user to log in as, if authentication is on.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.plan.spec.user().filter(|_| self.auth_on)
    }

    /// From now on as whom the harness logs in: for a test that turns authentication on or off
    /// by itself.
    pub fn log_in_as(&mut self, user: Option<User>) {
        self.auth_on = user.is_some();
        self.plan.spec.auth = user.map_or(Auth::Off, Auth::Present);
    }

    /// A folder that lives as long as the cluster, for files of the test.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.plan.dir.path()
    }

    /// Fills it, see [`LoadSpec`].
    ///
    /// # Errors
    /// [`Error::Load`].
    pub fn load(&self, spec: &LoadSpec) -> Result<LoadReport, Error> {
        load(&self.connection(), spec)
    }

    /// The process id of a member, `None` while it is down.
    #[must_use]
    pub fn pid(&self, index: usize) -> Option<u32> {
        self.servers[index].as_ref().map(Server::pid)
    }

    /// The last lines of a member's log.
    #[must_use]
    pub fn log(&self, index: usize) -> String {
        log_tail(&self.log_path(index))
    }

    /// Ends a member with SIGKILL, as a lost node would. Does nothing when it is down.
    /// If it led, the others need [`Self::wait_healthy`] before they take writes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&mut self, index: usize) -> Result<(), Error> {
        self.servers[index].take().map_or(Ok(()), Server::kill)
    }

    /// Ends a member with SIGTERM and waits for it. Does nothing when it is down.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::TimedOut`].
    pub fn stop(&mut self, index: usize) -> Result<(), Error> {
        self.servers[index].take().map_or(Ok(()), |server| server.stop().map(drop))
    }

    /// Freezes a member with SIGSTOP: it stays connected and answers nothing.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotReady`] when it is down.
    pub fn pause(&self, index: usize) -> Result<(), Error> {
        self.running(index)?.signal(Signal::STOP)
    }

    /// Lets a paused member go on with SIGCONT.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotReady`] when it is down.
    pub fn resume(&self, index: usize) -> Result<(), Error> {
        self.running(index)?.signal(Signal::CONT)
    }

    /// Ends a member if it runs, starts it on its old data and waits until it answers.
    ///
    /// # Errors
    /// [`Error::NotReady`] with its log.
    pub fn restart(&mut self, index: usize) -> Result<(), Error> {
        self.stop(index)?;
        self.spawn(index)?;
        self.wait_healthy(&[index])
    }

    /// Starts a member without waiting, for clusters that have no quorum yet.
    ///
    /// # Errors
    /// [`Error::Io`] when the program cannot be started.
    pub fn spawn(&mut self, index: usize) -> Result<(), Error> {
        let mut command = member_command(&self.plan, index);
        let what = format!("etcd {} {}", self.version().label, self.members()[index].name);
        self.servers[index] = Some(Server::spawn(&what, &mut command, &self.log_path(index))?);
        Ok(())
    }

    /// Waits until each of these members commits proposals (a learner: until it has a leader).
    ///
    /// # Errors
    /// [`Error::NotReady`] with the log of the first that does not.
    pub fn wait_healthy(&mut self, indices: &[usize]) -> Result<(), Error> {
        for &index in indices {
            if self.certificates().is_none() {
                self.wait_leader_known(index)?;
            }
            let mut server = self.servers[index].take().ok_or_else(|| self.down(index))?;
            let ready = server.wait_ready(START_LIMIT, || self.answers(index));
            self.servers[index] = Some(server);
            ready?;
        }
        Ok(())
    }

    /// Adds one more voting member to the running cluster and waits until it commits: as a learner
    /// first, so that the quorum is never lost, promoted once it has caught up. Gives its index.
    /// The members need `--strict-reconfig-check=false`.
    ///
    /// # Errors
    /// [`Error::Load`] when etcd refuses, [`Error::NotReady`] with the log of the new member.
    pub fn add_member(&mut self) -> Result<usize, Error> {
        let index = self.members().len();
        let peer_urls = self.plan.push_member()?.peer_urls();
        self.servers.push(None);
        let id = add_learner(&self.connection(), &peer_urls)?;
        self.spawn(index)?;
        self.wait_leader_known(index)?;
        let connection = self.connection();
        wait_until(&format!("the member {id:x} to be promoted"), START_LIMIT, || {
            promote(&connection, id).map_err(|e| format!("{e:?}"))
        })?;
        self.plan.spec.members += 1;
        if self.version().label == "3.5" && self.user().is_some() {
            // 3.5.1 accepts no token on a member that has its users from a snapshot, until that
            // member starts again (etcd issue 13134).
            self.kill(index)?;
            self.spawn(index)?;
        }
        self.wait_healthy(&[index])?;
        Ok(index)
    }

    /// A request to a member that knows no leader yet waits for seconds, even after it knows one;
    /// its metrics answer at once, and to everybody.
    fn wait_leader_known(&mut self, index: usize) -> Result<(), Error> {
        let url = self.endpoint(index).to_owned();
        let mut server = self.servers[index].take().ok_or_else(|| self.down(index))?;
        let known = server.wait_ready(START_LIMIT, || {
            let metrics = client::metrics(&url).map_err(|e| e.to_string())?;
            let has_leader = metrics.lines().any(|line| line == "etcd_server_has_leader 1");
            if has_leader { Ok(()) } else { Err("it knows no leader".to_owned()) }
        });
        self.servers[index] = Some(server);
        known
    }

    /// Ends all members and gives back their plan with the first `members` voters, so that other
    /// data can be put in their place. The files of the others are removed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn into_plan(mut self, members: usize) -> Result<Plan, Error> {
        for index in 0..self.servers.len() {
            self.kill(index)?;
        }
        while self.plan.members().len() > members {
            self.plan.pop_member()?;
        }
        self.plan.spec.members = members;
        Ok(self.plan)
    }

    fn is_voter(&self, index: usize) -> bool {
        index < self.plan.spec.members
    }

    fn answers(&self, index: usize) -> Result<(), String> {
        if self.is_voter(index) {
            let health = self.etcdctl_at(index, &["endpoint", "health"]);
            return health.map(drop).map_err(|e| e.to_string()).or_else(|said| {
                // It has answered, then, and only says that there is an alarm.
                if said.contains(ALARM) { Ok(()) } else { Err(said) }
            });
        }
        // A learner refuses the linearizable read of `health`.
        let status = self.status_of(index).map_err(|e| e.to_string())?;
        if status.is_learner && status.leader != 0 {
            return Ok(());
        }
        Err(format!("it is no learner with a leader yet: {status:?}"))
    }

    fn add_learner(&mut self, index: usize) -> Result<(), Error> {
        let member = &self.members()[index];
        if !member.data_dir.exists() {
            let peer_url = format!("--peer-urls={}", member.peer_urls());
            self.etcdctl_at(0, &["member", "add", &member.name, "--learner", &peer_url])?;
        }
        self.spawn(index)?;
        self.wait_healthy(&[index])
    }

    fn turn_auth_on(&mut self, user: &User) -> Result<(), Error> {
        let login = format!("{}:{}", user.name, user.password);
        self.etcdctl_at(0, &["user", "add", &login])?;
        self.etcdctl_at(0, &["auth", "enable"])?;
        self.auth_on = true;
        Ok(())
    }

    fn running(&self, index: usize) -> Result<&Server, Error> {
        self.servers[index].as_ref().ok_or_else(|| self.down(index))
    }

    fn down(&self, index: usize) -> Error {
        let what = self.members()[index].name.clone();
        Error::NotReady { what, why: "it is down".into(), log: self.log(index) }
    }

    fn log_path(&self, index: usize) -> PathBuf {
        self.dir().join(format!("{}.log", self.members()[index].name))
    }
}

fn new_dir() -> Result<TempDir, Error> {
    let builder_dir = std::env::temp_dir();
    tempfile::Builder::new()
        .prefix("lifeboat-etcd-")
        .tempdir()
        .map_err(Error::io("make a folder in", &builder_dir))
}
