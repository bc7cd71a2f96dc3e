//! Who the members of a cluster are, and the command line of each.
//!
//! Invariant: only flags that etcd 3.4 to 3.7 all know, except where the version says otherwise.
//! Does not: start anything.

use super::{ClusterSpec, new_dir};
use crate::Error;
use crate::ports::free_port;
use crate::tls::Certificates;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAddress {
    /// `m1`, `m2`, ….
    pub name: String,
    /// Where its peers reach it.
    pub peer_url: String,
    /// Where its peers reach it too.
    pub more_peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_url: String,
    /// Its data; does not exist until it has started, or a test has put something there.
    pub data_dir: PathBuf,
    /// Its write-ahead log, where that lies apart.
    pub wal_dir: Option<PathBuf>,
}

impl MemberAddress {
    /// All its peer URLs, in the form of `--initial-advertise-peer-urls`.
    #[must_use]
    pub fn peer_urls(&self) -> String {
        let all = std::iter::once(&self.peer_url).chain(&self.more_peer_urls);
        all.map(String::as_str).collect::<Vec<_>>().join(",")
    }
}

/// A cluster that is not started yet.
#[derive(Debug)]
pub struct Plan {
    pub(super) spec: ClusterSpec,
    pub(super) dir: TempDir,
    pub(super) certificates: Option<Certificates>,
    members: Vec<MemberAddress>,
    token: String,
}

impl Plan {
    pub(super) fn new(spec: ClusterSpec) -> Result<Self, Error> {
        let dir = new_dir()?;
        let certificates = match spec.tls {
            true => Some(Certificates::create(&dir.path().join("tls"))?),
            false => None,
        };
        let count = spec.members + usize::from(spec.learner);
        let members = (1..=count)
            .map(|number| address(number, &spec, dir.path()))
            .collect::<Result<Vec<_>, Error>>()?;
        // The folder's name is random, so that no two clusters of a machine have the same id.
        let token = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Plan { spec, dir, certificates, members, token })
    }

    /// Every member, a learner last.
    #[must_use]
    pub fn members(&self) -> &[MemberAddress] {
        &self.members
    }

    /// How many of them vote.
    #[must_use]
    pub fn voters(&self) -> usize {
        self.spec.members
    }

    /// The token that a new cluster is made with.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// One more member, which does not vote until it is promoted.
    pub(super) fn push_member(&mut self) -> Result<&MemberAddress, Error> {
        let next = address(self.members.len() + 1, &self.spec, self.dir.path())?;
        self.members.push(next);
        Ok(&self.members[self.members.len() - 1])
    }

    /// Forgets the last member and removes its files.
    pub(super) fn pop_member(&mut self) -> Result<(), Error> {
        let Some(member) = self.members.pop() else { return Ok(()) };
        for dir in [Some(member.data_dir), member.wal_dir].into_iter().flatten() {
            if dir.exists() {
                std::fs::remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
            }
        }
        Ok(())
    }

    /// The voting members, as `--initial-cluster` of etcd and of its restore wants them.
    #[must_use]
    pub fn initial_cluster(&self) -> String {
        initial_cluster(&self.members[..self.spec.members])
    }
}

fn initial_cluster(members: &[MemberAddress]) -> String {
    let mut text = String::new();
    for member in members {
        for url in std::iter::once(&member.peer_url).chain(&member.more_peer_urls) {
            let separator = if text.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}{}={url}", member.name);
        }
    }
    text
}

fn address(number: usize, spec: &ClusterSpec, dir: &Path) -> Result<MemberAddress, Error> {
    let scheme = if spec.tls { "https" } else { "http" };
    let url = || Ok::<_, Error>(format!("{scheme}://127.0.0.1:{}", free_port()?));
    let name = format!("m{number}");
    Ok(MemberAddress {
        peer_url: url()?,
        more_peer_urls: (1..spec.peer_urls).map(|_| url()).collect::<Result<_, Error>>()?,
        client_url: url()?,
        data_dir: dir.join(&name),
        wal_dir: spec.wal_apart.then(|| dir.join(format!("{name}.wal"))),
        name,
    })
}

/// The command that starts a member, with nothing of the caller's environment.
pub(super) fn member_command(plan: &Plan, index: usize) -> Command {
    let member = &plan.members[index];
    let (state, cluster) = if index < plan.spec.members {
        ("new", plan.initial_cluster())
    } else {
        ("existing", initial_cluster(&plan.members))
    };
    let mut command = Command::new(&plan.spec.version.etcd);
    command.env_clear().current_dir(plan.dir.path());
    if cfg!(target_arch = "aarch64") {
        // 3.4 refuses to start on it otherwise.
        command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
    }
    if plan.spec.verify_all {
        command.env("ETCD_VERIFY", "all");
    }
    command.args(["--name", &member.name]).arg("--data-dir").arg(&member.data_dir);
    for flag in ["--listen-client-urls", "--advertise-client-urls"] {
        command.args([flag, &member.client_url]);
    }
    for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
        command.args([flag, &member.peer_urls()]);
    }
    if let Some(wal_dir) = &member.wal_dir {
        command.arg("--wal-dir").arg(wal_dir);
    }
    command.args(["--initial-cluster", &cluster, "--initial-cluster-state", state]);
    command.args(["--initial-cluster-token", &plan.token]);
    command.args(["--logger", "zap", "--log-level", "error"]);
    if plan.spec.version.can_skip_fsync() {
        command.arg("--unsafe-no-fsync");
    }
    if plan.spec.learner {
        // Else etcd refuses to add a member until all have been connected for five seconds.
        command.arg("--strict-reconfig-check=false");
    }
    if let Some(certificates) = &plan.certificates {
        tls_arguments(&mut command, certificates);
    }
    command.args(&plan.spec.arguments);
    command
}

fn tls_arguments(command: &mut Command, certificates: &Certificates) {
    let server = certificates.server();
    for side in ["", "peer-"] {
        command.arg(format!("--{side}client-cert-auth"));
        command.arg(format!("--{side}trusted-ca-file")).arg(certificates.ca());
        command.arg(format!("--{side}cert-file")).arg(&server.certificate);
        command.arg(format!("--{side}key-file")).arg(&server.key);
    }
}
