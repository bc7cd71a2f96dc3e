//! One connection to one member, and the few requests that are made over it.
//!
//! Invariants: a channel never balances over several members, so that status, barrier, snapshot
//! and HashKV of one [`Connection`] come from one and the same member; each request but the
//! stream itself has a limit in time; errors leave here as [`Trouble`].

use crate::endpoint::Endpoint;
use crate::probe;
use crate::settings::{Login, Settings, Tls};
use crate::trouble::Trouble;
use etcd_client::{
    Certificate, Channel, Client, ConnectOptions, GetOptions, Identity, MemberAddOptions,
    SnapshotStreaming, TlsOptions,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The name of a linearizable read in messages.
pub const LINEARIZABLE_READ: &str = "linearizable read";

/// For one small request. etcd itself gives up after about seven seconds without a leader.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// A stream comes at `window / round trip`: 8 MiB fill a 1 Gbit/s line over 65 ms.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Larger than the stream's, so that a snapshot that nobody takes cannot hold up HashKV.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Any key does: only the answer's revision counts.
const BARRIER_KEY: &str = "\0";

/// What one member says about itself.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The id of the cluster that it belongs to.
    pub cluster_id: u64,
    /// Its own.
    pub member_id: u64,
    /// Of etcd, such as `3.6.4`.
    pub version: String,
    /// 0 if it sees none.
    pub leader: u64,
    /// Raft's term.
    pub raft_term: u64,
    /// The last entry that is committed, as far as it knows.
    pub raft_index: u64,
    /// The last entry that it has applied.
    pub raft_applied_index: u64,
    /// The newest revision that it has.
    pub revision: i64,
    /// The size of its database file.
    pub db_bytes: u64,
    /// How much of that is not free.
    pub db_bytes_in_use: u64,
    /// At which size etcd stops taking writes; 0 if it does not say (before 3.6).
    pub db_quota_bytes: u64,
    /// Whether it does not vote.
    pub is_learner: bool,
    /// Such as `etcdserver: no leader`, and one for each alarm.
    pub errors: Vec<String>,
    /// The version that a downgrade under way leads to.
    pub downgrade_to: Option<String>,
}

/// One member as the cluster lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: u64,
    /// Its name; empty until it has started for the first time.
    pub name: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it, as it says; none until it has started.
    pub client_urls: Vec<String>,
    /// Whether it does not vote.
    pub is_learner: bool,
}

impl Listed {
    fn of(member: &etcd_client::Member) -> Self {
        Listed {
            id: member.id(),
            name: member.name().to_owned(),
            peer_urls: member.peer_urls().to_vec(),
            client_urls: member.client_urls().to_vec(),
            is_learner: member.is_learner(),
        }
    }
}

/// An answer to HashKV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// Of every key up to the revision.
    pub hash: u32,
    /// Only hashes under the same one can be compared; -1 for none.
    pub compact_revision: i64,
}

/// A connection to one member.
#[derive(Clone)]
pub struct Connection {
    endpoint: Endpoint,
    client: Client,
    limit: Duration,
}

impl Connection {
    /// Connects, logs in, and asks for the status, which proves that etcd is there.
    ///
    /// # Errors
    /// What is wrong with the endpoint.
    pub async fn open(
        endpoint: &Endpoint,
        settings: &Arc<Settings>,
    ) -> Result<(Self, Status), Trouble> {
        match Self::try_open(endpoint, settings).await {
            Ok(opened) => Ok(opened),
            Err(trouble) => Err(probe::explain(endpoint, settings, trouble).await),
        }
    }

    async fn try_open(endpoint: &Endpoint, settings: &Settings) -> Result<(Self, Status), Trouble> {
        let channel =
            within("connect", settings.connect_timeout, connect(endpoint, settings)).await?;
        let login = settings.login.as_ref();
        let client = match log_in(channel.clone(), login, settings.request_timeout).await {
            // Where nobody has to log in a backup must not fail for it. etcdctl does the same.
            Err(Trouble::AuthenticationOff) => {
                tracing::warn!(%endpoint, "a user is configured, but authentication is off");
                log_in(channel, None, settings.request_timeout).await?
            }
            result => result?,
        };
        let limit = settings.request_timeout;
        let connection = Connection { endpoint: endpoint.clone(), client, limit };
        // A port that takes connections and says nothing is found out here. The member answers
        // this by itself, from memory.
        let status = within("status", settings.connect_timeout, connection.status()).await?;
        Ok((connection, status))
    }

    /// Where it leads.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it says about itself; it answers by itself, from memory.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn status(&self) -> Result<Status, Trouble> {
        let mut client = self.client.maintenance_client();
        let answer = request("status", self.limit, client.status()).await?;
        let header = answer.header();
        let downgrade = answer.downgrade_info().filter(|info| info.enabled());
        Ok(Status {
            cluster_id: header.map_or(0, etcd_client::ResponseHeader::cluster_id),
            member_id: header.map_or(0, etcd_client::ResponseHeader::member_id),
            version: answer.version().to_owned(),
            leader: answer.leader(),
            raft_term: answer.raft_term(),
            raft_index: answer.raft_index(),
            raft_applied_index: answer.raft_applied_index(),
            revision: header.map_or(0, etcd_client::ResponseHeader::revision),
            db_bytes: u64::try_from(answer.db_size()).unwrap_or(0),
            db_bytes_in_use: u64::try_from(answer.raft_used_db_size()).unwrap_or(0),
            db_quota_bytes: u64::try_from(answer.db_size_quota()).unwrap_or(0),
            is_learner: answer.is_learner(),
            errors: answer.errors().to_vec(),
            downgrade_to: downgrade.map(|info| info.target_version().to_owned()),
        })
    }

    /// The members as this one knows them. After a linearizable read over the same connection
    /// the list is at least as new as that read.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn members(&self) -> Result<Vec<Listed>, Trouble> {
        let mut client = self.client.cluster_client();
        let answer = request("member list", self.limit, client.member_list()).await?;
        Ok(answer.members().iter().map(Listed::of).collect())
    }

    /// Takes a member out of the cluster. A time-out leaves open whether it is still in.
    ///
    /// # Errors
    /// [`Trouble::Answer`] with etcd's reason, or any other.
    pub async fn remove_member(&self, id: u64) -> Result<Vec<Listed>, Trouble> {
        let mut client = self.client.cluster_client();
        let answer = request("member remove", REQUEST_LIMIT, client.member_remove(id)).await?;
        Ok(answer.members().iter().map(Listed::of).collect())
    }

    /// Adds a member that is not started yet, and gives its id. A time-out leaves open whether it
    /// is in.
    ///
    /// # Errors
    /// [`Trouble::Answer`] with etcd's reason, or any other.
    pub async fn add_member(
        &self,
        peer_urls: Vec<String>,
        is_learner: bool,
    ) -> Result<u64, Trouble> {
        let mut client = self.client.cluster_client();
        let options = is_learner.then(|| MemberAddOptions::new().with_is_learner());
        let added = client.member_add(peer_urls, options);
        let answer = request("member add", REQUEST_LIMIT, added).await?;
        Ok(answer.member().map_or(0, etcd_client::Member::id))
    }

    /// The cluster's revision and the member that answered. Once the answer is here, that member
    /// has applied every write that anybody knew to be done when the question was asked.
    ///
    /// # Errors
    /// [`Trouble::NoQuorum`] or a time-out without a leader.
    pub async fn linearizable_revision(&self) -> Result<(i64, u64), Trouble> {
        let mut client = self.client.kv_client();
        let options = GetOptions::new().with_count_only().with_limit(1);
        let asked = client.get(BARRIER_KEY, Some(options));
        let answer = request(LINEARIZABLE_READ, self.limit, asked).await?;
        let header = answer.header();
        Ok((
            header.map_or(0, etcd_client::ResponseHeader::revision),
            header.map_or(0, etcd_client::ResponseHeader::member_id),
        ))
    }

    /// The revision that this member has by itself, without asking the others.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn serializable_revision(&self) -> Result<i64, Trouble> {
        let mut client = self.client.kv_client();
        let options = GetOptions::new().with_serializable().with_count_only().with_limit(1);
        let asked = client.get(BARRIER_KEY, Some(options));
        let answer = request("serializable read", self.limit, asked).await?;
        Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    /// HashKV at `revision`. It reads every key, so that its limit is the caller's.
    ///
    /// # Errors
    /// [`Trouble::Compacted`], [`Trouble::FutureRevision`], or any other.
    pub async fn hash_kv(&self, revision: i64) -> Result<HashKv, Trouble> {
        let mut client = self.client.maintenance_client();
        let answer = client.hash_kv(revision).await.map_err(|e| Trouble::of(&e))?;
        Ok(HashKv { hash: answer.hash(), compact_revision: answer.compact_version() })
    }

    /// Begins the snapshot.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn snapshot(&self) -> Result<SnapshotStreaming, Trouble> {
        let mut client = self.client.maintenance_client();
        request("snapshot", self.limit, client.snapshot()).await
    }
}

/// A 64-bit id of etcd, as `etcdctl` prints it.
#[must_use]
pub fn hex_id(id: u64) -> String {
    format!("{id:x}")
}

async fn connect(
    endpoint: &Endpoint,
    settings: &Settings,
) -> Result<tonic::transport::Channel, Trouble> {
    let wrong = |e: tonic::transport::Error| Trouble::of_chain(&e);
    let mut transport = tonic::transport::Endpoint::from_shared(endpoint.url().to_owned())
        .map_err(wrong)?
        .connect_timeout(settings.connect_timeout)
        .tcp_keepalive(Some(TCP_KEEPALIVE))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    if endpoint.is_tls() {
        transport = transport.tls_config(tls_of(&settings.tls)).map_err(wrong)?;
    }
    transport.connect().await.map_err(wrong)
}

fn tls_of(tls: &Tls) -> TlsOptions {
    let mut options = match &tls.authority {
        Some(pem) => TlsOptions::new().ca_certificate(Certificate::from_pem(pem)),
        None => TlsOptions::new().with_native_roots(),
    };
    if let Some((certificate, key)) = &tls.identity {
        options = options.identity(Identity::from_pem(certificate, key));
    }
    if let Some(name) = &tls.server_name {
        options = options.domain_name(name);
    }
    options
}

async fn log_in(
    channel: tonic::transport::Channel,
    login: Option<&Login>,
    limit: Duration,
) -> Result<Client, Trouble> {
    let options = login.map(|login| {
        ConnectOptions::new()
            .with_user(&login.user, login.password.expose())
            .with_auto_token_refresh(true)
    });
    request("log in", limit, Client::from_channel(Channel::Tonic(channel), options)).await
}

async fn request<T>(
    name: &'static str,
    limit: Duration,
    asked: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, Trouble> {
    let answered = async { asked.await.map_err(|e| Trouble::of(&e)) };
    within(name, limit, answered).await
}

async fn within<T>(
    request: &'static str,
    limit: Duration,
    answered: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, answered).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::TimedOut { request, limit }),
    }
}
