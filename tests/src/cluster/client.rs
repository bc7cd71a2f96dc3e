//! Talking to a cluster through its own etcdctl.
//!
//! Invariant: addresses, certificates and passwords go through `ETCDCTL_*` variables, the same
//! ones that the capture stage honours, so that both are exercised alike.
//! Does not: interpret more of etcd's JSON than the tests need.

use super::Cluster;
use crate::load::Connection;
use crate::{Error, run};
use serde::Deserialize;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// How long a member may take to tell its metrics.
const METRICS_LIMIT: Duration = Duration::from_secs(10);

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password; these are throw-away ones.
    pub password: String,
}

impl User {
    pub(super) fn root(password: &str) -> Self {
        User { name: "root".into(), password: password.into() }
    }
}

/// What a member says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// The cluster's id.
    pub cluster_id: u64,
    /// Its own id.
    pub member_id: u64,
    /// The newest revision that it knows.
    pub revision: i64,
    /// The leader's id, 0 when it knows none.
    pub leader: u64,
    /// Its version, three numbers.
    pub version: String,
    /// The size of its database file in bytes.
    pub db_size: u64,
    /// Whether it does not vote.
    pub is_learner: bool,
    /// The raft index that it has applied.
    pub applied_index: u64,
    /// The raft term.
    pub term: u64,
}

#[derive(Deserialize)]
struct EndpointStatus {
    #[serde(rename = "Status")]
    status: StatusBody,
}

/// etcd omits what is zero, false or empty.
#[derive(Deserialize)]
struct StatusBody {
    header: Header,
    version: String,
    #[serde(default, rename = "dbSize")]
    db_size: u64,
    #[serde(default)]
    leader: u64,
    #[serde(default, rename = "raftAppliedIndex")]
    applied_index: u64,
    #[serde(default, rename = "raftTerm")]
    term: u64,
    #[serde(default, rename = "isLearner")]
    is_learner: bool,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    cluster_id: u64,
    #[serde(default)]
    member_id: u64,
    #[serde(default)]
    revision: i64,
}

#[derive(Deserialize)]
struct EndpointHash {
    #[serde(rename = "HashKV")]
    hash_kv: HashBody,
}

#[derive(Deserialize)]
struct HashBody {
    #[serde(default)]
    hash: u32,
}

impl From<StatusBody> for MemberStatus {
    fn from(body: StatusBody) -> Self {
        MemberStatus {
            cluster_id: body.header.cluster_id,
            member_id: body.header.member_id,
            revision: body.header.revision,
            leader: body.leader,
            version: body.version,
            db_size: body.db_size,
            is_learner: body.is_learner,
            applied_index: body.applied_index,
            term: body.term,
        }
    }
}

impl Cluster {
    /// How to reach all its members, a learner included, as `ETCDCTL_*` variables.
    #[must_use]
    pub fn client_env(&self) -> Vec<(&'static str, String)> {
        self.env_for(&self.endpoints().join(","))
    }

    /// The members that serve reads and writes: those that run and vote.
    fn serving_endpoints(&self) -> Vec<String> {
        let serves = |index: &usize| self.pid(*index).is_some() && self.is_voter(*index);
        let indices = (0..self.members().len()).filter(serves);
        indices.map(|index| self.endpoint(index).to_owned()).collect()
    }

    fn env_for(&self, endpoints: &str) -> Vec<(&'static str, String)> {
        let mut env = vec![("ETCDCTL_ENDPOINTS", endpoints.to_owned())];
        if let Some(certificates) = self.certificates() {
            let client = certificates.client();
            env.push(("ETCDCTL_CACERT", certificates.ca().display().to_string()));
            env.push(("ETCDCTL_CERT", client.certificate.display().to_string()));
            env.push(("ETCDCTL_KEY", client.key.display().to_string()));
        }
        if let Some(user) = self.user() {
            env.push(("ETCDCTL_USER", format!("{}:{}", user.name, user.password)));
        }
        env
    }

    /// How the loader reaches it: through the members that run and vote.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection {
            endpoints: self.serving_endpoints(),
            authority: self.certificates().map(|c| (c.ca(), c.client())),
            user: self.user().cloned(),
        }
    }

    /// Runs etcdctl against the members that run and vote; gives what it printed.
    ///
    /// # Errors
    /// [`Error::Command`] with its stderr.
    pub fn etcdctl(&self, arguments: &[&str]) -> Result<String, Error> {
        self.run_etcdctl(self.env_for(&self.serving_endpoints().join(",")), arguments)
    }

    /// Runs etcdctl against one member. To a learner it goes without a password: a learner
    /// cannot log anybody in, and says little more than its status.
    ///
    /// # Errors
    /// [`Error::Command`] with its stderr.
    pub fn etcdctl_at(&self, index: usize, arguments: &[&str]) -> Result<String, Error> {
        let mut env = self.env_for(self.endpoint(index));
        env.retain(|(name, _)| *name != "ETCDCTL_USER" || self.is_voter(index));
        self.run_etcdctl(env, arguments)
    }

    /// As [`Self::etcdctl_at`], with the answer as JSON.
    ///
    /// # Errors
    /// [`Error::Command`], or [`Error::Answer`] when it is no JSON.
    pub fn etcdctl_json(&self, index: usize, arguments: &[&str]) -> Result<Value, Error> {
        let answer = self.etcdctl_at(index, &[arguments, &["--write-out", "json"]].concat())?;
        parse(arguments, &answer)
    }

    fn run_etcdctl(
        &self,
        env: Vec<(&'static str, String)>,
        arguments: &[&str],
    ) -> Result<String, Error> {
        let mut command = Command::new(&self.version().etcdctl);
        // First, so that a test can ask for less patience.
        command.env_clear().envs(env).args(["--dial-timeout=3s", "--command-timeout=10s"]);
        command.args(arguments);
        let output = run(&mut command)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What one member says about itself.
    ///
    /// # Errors
    /// [`Error::Command`] when it does not answer.
    pub fn status_of(&self, index: usize) -> Result<MemberStatus, Error> {
        let arguments = ["endpoint", "status", "--write-out", "json"];
        let answer = self.etcdctl_at(index, &arguments)?;
        let mut all: Vec<EndpointStatus> = parse(&arguments, &answer)?;
        match all.pop() {
            Some(one) => Ok(one.status.into()),
            None => Err(unreadable(&arguments, "no status in it".into(), &answer)),
        }
    }

    /// The newest revision, as a linearizable read through `index` sees it.
    ///
    /// # Errors
    /// [`Error::Command`] when it does not answer.
    pub fn revision(&self, index: usize) -> Result<i64, Error> {
        let arguments = ["get", "no-such-key", "--write-out", "json"];
        let answer = self.etcdctl_at(index, &arguments)?;
        #[derive(Deserialize)]
        struct Answer {
            header: Header,
        }
        parse::<Answer>(&arguments, &answer).map(|a| a.header.revision)
    }

    /// The HashKV of one member at `revision`.
    ///
    /// # Errors
    /// [`Error::Command`] when it does not answer, or has compacted the revision.
    pub fn hash_kv(&self, index: usize, revision: i64) -> Result<u32, Error> {
        let revision = revision.to_string();
        let arguments = ["endpoint", "hashkv", "--rev", &revision, "--write-out", "json"];
        let answer = self.etcdctl_at(index, &arguments)?;
        let mut all: Vec<EndpointHash> = parse(&arguments, &answer)?;
        match all.pop() {
            Some(one) => Ok(one.hash_kv.hash),
            None => Err(unreadable(&arguments, "no hash in it".into(), &answer)),
        }
    }

    /// Which member leads, as a running member sees it.
    ///
    /// # Errors
    /// [`Error::Command`] when none answers; [`Error::Answer`] when there is no leader.
    pub fn leader(&self) -> Result<usize, Error> {
        let mut statuses = Vec::new();
        for index in (0..self.members().len()).filter(|i| self.pid(*i).is_some()) {
            statuses.push((index, self.status_of(index)?));
        }
        let leads = |status: &MemberStatus| status.leader == status.member_id;
        statuses.iter().find(|(_, s)| leads(s)).map(|(index, _)| *index).ok_or_else(|| {
            let answer = format!("{statuses:?}");
            unreadable(&["endpoint", "status"], "no member leads".into(), &answer)
        })
    }
}

/// What a member without TLS serves at `/metrics`.
pub(super) fn metrics(client_url: &str) -> std::io::Result<String> {
    let address = client_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(METRICS_LIMIT))?;
    // HTTP/1.0, so that the answer ends with the connection and is not in chunks.
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn parse<T: serde::de::DeserializeOwned>(arguments: &[&str], answer: &str) -> Result<T, Error> {
    serde_json::from_str(answer).map_err(|e| unreadable(arguments, e.to_string(), answer))
}

fn unreadable(arguments: &[&str], why: String, answer: &str) -> Error {
    let what = format!("etcdctl {}", arguments.join(" "));
    Error::Answer { what, why, answer: answer.to_owned() }
}
