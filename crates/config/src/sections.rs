//! The sections of `pipeline.toml`, with their defaults.
//!
//! The shipped file shows the same keys and the same defaults; a test holds the two together.
//! Every stage reads its own section and nobody else's.

use crate::destination::Destination;
use crate::values::{Duration, one_or_many};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::path::PathBuf;
use trust::Trust;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pipeline {
    /// The cluster's name, part of every object's name.
    pub cluster: String,
    /// The steps in the order of the data.
    #[serde(deserialize_with = "one_or_many")]
    pub stages: Vec<String>,
    /// How a run is carried out.
    pub run: Run,
    /// How the snapshot is taken.
    pub capture: Capture,
    /// What is proved about it.
    pub verify: Verify,
    /// How it is compressed.
    pub compress: Compress,
    /// Who can open it.
    pub encrypt: Encrypt,
    /// With what it is opened again.
    pub decrypt: Decrypt,
    /// Whose backups are believed.
    pub trust: Trust,
    /// When a backup counts as made.
    pub replicate: Replicate,
    /// Where it goes.
    pub destinations: BTreeMap<String, Destination>,
    /// What stays. Without it nothing is ever removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prune: Option<Prune>,
    /// How a restore is rehearsed.
    pub drill: Drill,
    /// Who is told how a run went.
    pub notify: Notify,
    /// The user's own programs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, Program>,
}

impl Default for Pipeline {
    fn default() -> Self {
        Pipeline {
            cluster: String::new(),
            stages: crate::STAGES.map(str::to_owned).to_vec(),
            run: Run::default(),
            capture: Capture::default(),
            verify: Verify::default(),
            compress: Compress::default(),
            encrypt: Encrypt::default(),
            decrypt: Decrypt::default(),
            trust: Trust::default(),
            replicate: Replicate::default(),
            destinations: BTreeMap::new(),
            prune: None,
            drill: Drill::default(),
            notify: Notify::default(),
            programs: BTreeMap::new(),
        }
    }
}

/// `[run]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// Where receipts of the last runs and the lock are.
    pub state_dir: PathBuf,
    /// How many run directories stay.
    pub keep_runs: usize,
    /// How often a broken stream is begun anew, the first time included.
    pub attempts: u32,
    /// For all attempts together.
    pub deadline: Duration,
    /// The age at which the newest verified backup is too old.
    pub stale_after: Duration,
}

impl Default for Run {
    fn default() -> Self {
        Run {
            state_dir: "state".into(),
            keep_runs: 20,
            attempts: 3,
            deadline: Duration::from_secs(2 * 3600),
            stale_after: Duration::from_secs(26 * 3600),
        }
    }
}

/// `[capture]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Where etcd is; empty means `ETCDCTL_ENDPOINTS`, then kubeadm's.
    #[serde(deserialize_with = "one_or_many")]
    pub endpoints: Vec<String>,
    /// The certificate authority of the servers.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate.
    pub cert_file: Option<PathBuf>,
    /// The client's key.
    pub key_file: Option<PathBuf>,
    /// The name to expect in the server's certificate, when it is not the endpoint's.
    pub server_name: Option<String>,
    /// The user, where etcd's own authentication is on.
    pub user: Option<String>,
    /// The file with that user's password.
    pub password_file: Option<PathBuf>,
    /// Which member gives the snapshot.
    pub member: MemberChoice,
    /// How many raft entries a member may be behind.
    pub max_lag: u64,
    /// Whether to capture without quorum.
    pub allow_degraded: bool,
    /// For one connection.
    pub connect_timeout: Duration,
    /// Without a byte from etcd.
    pub stall_timeout: Duration,
    /// For the whole stream.
    pub timeout: Duration,
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            endpoints: Vec::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            server_name: None,
            user: None,
            password_file: None,
            member: MemberChoice::Follower,
            max_lag: 1000,
            allow_degraded: true,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// Which member gives the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChoice {
    /// A follower if there is one fit for it, else the leader.
    Follower,
    /// The leader.
    Leader,
    /// Another one each time.
    Rotate,
    /// The one with this name, id or endpoint.
    Named(String),
}

impl std::str::FromStr for MemberChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("the member is empty; write follower, leader, rotate or a name".into()),
            "follower" => Ok(MemberChoice::Follower),
            "leader" => Ok(MemberChoice::Leader),
            "rotate" => Ok(MemberChoice::Rotate),
            name => Ok(MemberChoice::Named(name.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for MemberChoice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for MemberChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            MemberChoice::Follower => "follower",
            MemberChoice::Leader => "leader",
            MemberChoice::Rotate => "rotate",
            MemberChoice::Named(name) => name,
        })
    }
}

/// `[verify]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Verify {
    /// Which members must agree with the bytes.
    pub hashkv: HashKvRule,
    /// For the summaries of pages and records; what is more spills to an unlinked file.
    pub memory_bytes_max: u64,
}

impl Default for Verify {
    fn default() -> Self {
        Verify { hashkv: HashKvRule::WhenComparable, memory_bytes_max: 32 << 20 }
    }
}

/// Which members must agree with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashKvRule {
    /// Of those whose answer can be compared, the one that gave the snapshot, and with it a
    /// majority of all voters if any of them disagrees.
    WhenComparable,
    /// Every voting member: one whose answer is missing or not comparable fails the run.
    All,
}

/// `[compress]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compress {
    /// zstd's level, 1 to 19.
    pub level: i32,
    /// Worker threads; 0 compresses in the stage's own thread.
    pub threads: u32,
}

impl Default for Compress {
    fn default() -> Self {
        Compress { level: 1, threads: 2 }
    }
}

/// `[encrypt]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Encrypt {
    /// Public recipients.
    #[serde(deserialize_with = "one_or_many")]
    pub recipients: Vec<String>,
    /// Files with a recipient on each line.
    pub recipients_files: Vec<PathBuf>,
    /// The file with the key that signs manifests, secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key_file: Option<PathBuf>,
}

/// `[decrypt]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decrypt {
    /// Files with identities, each of them secret.
    pub identities_files: Vec<PathBuf>,
}

/// `[replicate]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Replicate {
    /// How many destinations must hold a proved copy.
    pub require: Require,
    /// The classes of backups: the first of a day may be `daily`, the first of a month `monthly`.
    #[serde(deserialize_with = "one_or_many")]
    pub tiers: Vec<String>,
    /// How long the others may still take once so many are proved.
    pub patience: Duration,
    /// Whether a network destination takes an artifact that was not encrypted.
    pub allow_plaintext: bool,
    /// etcd's id of the cluster, in hex, when it was rebuilt or restored on purpose.
    pub accept_cluster_id: Option<String>,
    /// How long a run goes on to make good what lags behind.
    pub repair: Repair,
    /// For blocks on their way to all destinations.
    pub memory_bytes_max: u64,
    /// For ciphertext that waits on disk for a slow destination.
    pub spool_bytes_max: u64,
    /// Where it waits; the run's directory if absent.
    pub spool_dir: Option<PathBuf>,
}

impl Default for Replicate {
    fn default() -> Self {
        Replicate {
            require: Require::All,
            patience: Duration::from_secs(30 * 60),
            tiers: vec!["frequent".into()],
            allow_plaintext: false,
            accept_cluster_id: None,
            repair: Repair(Some(Duration::from_secs(600))),
            memory_bytes_max: 64 << 20,
            spool_bytes_max: 16 << 30,
            spool_dir: None,
        }
    }
}

/// How long a run goes on, when its backup is made, to make good what lags behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair(pub(crate) Option<Duration>);

impl Repair {
    /// So long; none for not at all.
    #[must_use]
    pub fn get(self) -> Option<Duration> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Repair {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match String::deserialize(d)?.as_str() {
            "off" => Ok(Repair(None)),
            text => text
                .parse()
                .map(|time| Repair(Some(time)))
                .map_err(|e: String| de::Error::custom(format!("{e}, or \"off\""))),
        }
    }
}

impl Serialize for Repair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(time) => serializer.collect_str(&time),
            None => serializer.serialize_str("off"),
        }
    }
}

/// How many destinations must hold a proved copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Every one.
    All,
    /// More than half.
    Majority,
    /// This many.
    Count(usize),
}

impl Require {
    /// The number for so many destinations.
    #[must_use]
    pub fn of(self, destinations: usize) -> usize {
        match self {
            Require::All => destinations,
            Require::Majority => destinations / 2 + 1,
            Require::Count(count) => count,
        }
    }
}

impl<'de> Deserialize<'de> for Require {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected \"all\", \"majority\" or a number")]
        enum Text {
            Word(String),
            Number(usize),
        }
        match Text::deserialize(d)? {
            Text::Word(word) if word == "all" => Ok(Require::All),
            Text::Word(word) if word == "majority" => Ok(Require::Majority),
            Text::Number(count) if count > 0 => Ok(Require::Count(count)),
            Text::Word(_) | Text::Number(_) => {
                Err(de::Error::custom("expected \"all\", \"majority\" or a number above 0"))
            }
        }
    }
}

impl Serialize for Require {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Require::All => serializer.serialize_str("all"),
            Require::Majority => serializer.serialize_str("majority"),
            Require::Count(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

/// `[prune]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prune {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of the last so many hours that have one.
    pub hourly: u32,
    /// The same by day.
    pub daily: u32,
    /// The same by week (Monday to Sunday).
    pub weekly: u32,
    /// The same by month.
    pub monthly: u32,
    /// The same by year.
    pub yearly: u32,
    /// Everything this much older than the newest, such as `2d` or `1mo`.
    pub within: Option<String>,
    /// The zone in which a day begins.
    pub time_zone: String,
    /// Never fewer verified backups than this.
    pub min_keep: u32,
    /// Never more than this share of them in one go.
    pub max_fraction: f64,
}

impl Default for Prune {
    fn default() -> Self {
        Prune {
            last: 0,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            within: None,
            time_zone: "UTC".into(),
            min_keep: 3,
            max_fraction: 0.5,
        }
    }
}

/// `[drill]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drill {
    /// The etcd that is started; the one on the PATH if absent.
    pub etcd: Option<PathBuf>,
    /// Where scratch directories are made; below the state directory if absent.
    pub scratch_dir: Option<PathBuf>,
}

/// `[notify]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// The file with the URL of a heartbeat, as healthchecks.io has it.
    pub heartbeat_file: Option<PathBuf>,
    /// The file with the URL that gets the report.
    pub webhook_file: Option<PathBuf>,
    /// How long one of them may take.
    pub timeout: Duration,
}

impl Notify {
    /// Whether anybody is to be told.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.heartbeat_file.is_some() || self.webhook_file.is_some()
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify { heartbeat_file: None, webhook_file: None, timeout: Duration::from_secs(10) }
    }
}

/// `[programs.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments. No shell is involved.
    pub command: Vec<String>,
    /// What it appends to the artifact's name when it changes the bytes.
    pub suffix: String,
}
