//! Puts a [`LoadSpec`] into a live etcd.
//!
//! Invariants: operations are sent in order, one request at a time, so that the same spec on a
//! new cluster gives the same revisions everywhere; a transaction holds a key only once (etcd
//! refuses it otherwise) and stays below etcd's limits of size.
//! Plain functions around a runtime of their own: the tests themselves are not async.
//!
//! Does not: check what etcd has afterwards.

use crate::cluster::User;
use crate::objects::{Compaction, LoadSpec, Operation, Random};
use crate::{Error, tls};
use etcd_client::{
    Certificate, Client, CompactionOptions, ConnectOptions, Identity, LeaseGrantOptions,
    MemberAddOptions, PutOptions, TlsOptions, Txn, TxnOp,
};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below `--max-request-bytes` of etcd (1.5 MiB), with room for what is around the values.
const TRANSACTION_BYTES_MAX: usize = 1 << 20;
/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// How to reach a cluster.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// The client URLs.
    pub endpoints: Vec<String>,
    /// The authority's certificate and the client's own, for TLS.
    pub authority: Option<(PathBuf, tls::Identity)>,
    /// Who to log in as.
    pub user: Option<User>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The revision of the last operation.
    pub revision: i64,
    /// Where the history was cut, if it was.
    pub compact_revision: Option<i64>,
    /// Puts, first versions and later ones.
    pub puts: u64,
    /// Deletes.
    pub deletes: u64,
    /// Keys and values sent, in bytes.
    pub bytes: u64,
    /// The etcd leases made.
    pub leases: Vec<i64>,
}

/// Loads `spec`.
///
/// # Errors
/// [`Error::Load`] with etcd's answer; what was sent before it stays.
pub fn load(connection: &Connection, spec: &LoadSpec) -> Result<LoadReport, Error> {
    runtime()?.block_on(async {
        let mut loader = Loader {
            client: connect(connection).await?,
            batch: Batch::default(),
            report: LoadReport::default(),
        };
        loader.send_all(spec).await?;
        Ok(loader.report)
    })
}

/// Puts values of so many bytes in all that do not get smaller, from a fixed seed.
///
/// # Errors
/// [`Error::Load`] with etcd's answer; what was sent before it stays.
pub fn load_noise(connection: &Connection, bytes: usize) -> Result<(), Error> {
    const VALUE_BYTES: usize = 1 << 20;
    runtime()?.block_on(async {
        let mut client = connect(connection).await?;
        let mut random = Random::new(0xB0A7);
        for index in 0..bytes.div_ceil(VALUE_BYTES) {
            let key = format!("/noise/{index}");
            let put = client.put(key.clone(), random.bytes(VALUE_BYTES), None).await;
            put.map_err(failed(|| format!("put {key}")))?;
        }
        Ok(())
    })
}

/// Adds a member that does not vote; gives its id. It is not started.
pub(crate) fn add_learner(connection: &Connection, peer_urls: &str) -> Result<u64, Error> {
    runtime()?.block_on(async {
        let mut client = connect(connection).await?;
        let urls: Vec<&str> = peer_urls.split(',').collect();
        let options = MemberAddOptions::new().with_is_learner();
        let added = client.member_add(urls, Some(options)).await;
        let added = added.map_err(failed(|| format!("add a member at {peer_urls}")))?;
        Ok(added.member().map_or(0, etcd_client::Member::id))
    })
}

/// Lets a member vote; etcd refuses until it has caught up.
pub(crate) fn promote(connection: &Connection, id: u64) -> Result<(), Error> {
    runtime()?.block_on(async {
        let mut client = connect(connection).await?;
        let promoted = client.member_promote(id).await;
        promoted.map(drop).map_err(failed(|| format!("promote the member {id:x}")))
    })
}

/// A runtime of one thread, for one piece of work.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start", Path::new("a runtime")))
}

pub(crate) async fn connect(connection: &Connection) -> Result<Client, Error> {
    let mut options = ConnectOptions::new().with_timeout(REQUEST_LIMIT);
    if let Some((ca, client)) = &connection.authority {
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(read(ca)?))
            .identity(Identity::from_pem(read(&client.certificate)?, read(&client.key)?));
        options = options.with_tls(tls);
    }
    if let Some(user) = &connection.user {
        options = options.with_user(&user.name, &user.password);
    }
    let what = || format!("connect to {}", connection.endpoints.join(", "));
    Client::connect(&connection.endpoints, Some(options)).await.map_err(failed(what))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::io("read", path))
}

pub(crate) fn failed(what: impl FnOnce() -> String) -> impl FnOnce(etcd_client::Error) -> Error {
    |source| Error::Load { what: what(), source: Box::new(source) }
}

/// Operations that go out together.
#[derive(Default)]
struct Batch {
    operations: Vec<TxnOp>,
    keys: HashSet<Vec<u8>>,
    bytes: usize,
}

struct Loader {
    client: Client,
    batch: Batch,
    report: LoadReport,
}

impl Loader {
    async fn send_all(&mut self, spec: &LoadSpec) -> Result<(), Error> {
        for operation in spec.operations() {
            match operation {
                Operation::Grant { lease, ttl_seconds } => {
                    self.flush().await?;
                    self.grant(lease, ttl_seconds).await?;
                }
                Operation::Put { key, value, lease } => {
                    self.make_room(&key, value.len(), spec).await?;
                    self.put(key, value, lease);
                }
                Operation::Delete { key } => {
                    self.make_room(&key, 0, spec).await?;
                    self.delete(key);
                }
            }
        }
        self.flush().await?;
        self.compact(spec.compaction).await
    }

    async fn make_room(
        &mut self,
        key: &[u8],
        value_bytes: usize,
        spec: &LoadSpec,
    ) -> Result<(), Error> {
        let batch = &self.batch;
        let is_full = batch.operations.len() >= spec.transaction_operations.max(1)
            || batch.bytes + key.len() + value_bytes > TRANSACTION_BYTES_MAX
            || batch.keys.contains(key);
        if is_full { self.flush().await } else { Ok(()) }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, lease: i64) {
        let bytes = key.len() + value.len();
        self.report.puts += 1;
        self.report.bytes += bytes as u64;
        self.batch.bytes += bytes;
        self.batch.keys.insert(key.clone());
        let options = PutOptions::new().with_lease(lease);
        self.batch.operations.push(TxnOp::put(key, value, Some(options)));
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.report.deletes += 1;
        self.report.bytes += key.len() as u64;
        self.batch.bytes += key.len();
        self.batch.keys.insert(key.clone());
        self.batch.operations.push(TxnOp::delete(key, None));
    }

    async fn grant(&mut self, lease: i64, ttl_seconds: i64) -> Result<(), Error> {
        let options = LeaseGrantOptions::new().with_id(lease);
        self.client
            .lease_grant(ttl_seconds, Some(options))
            .await
            .map_err(failed(|| format!("grant the lease {lease:x}")))?;
        self.report.leases.push(lease);
        Ok(())
    }

    /// A single operation goes as a transaction too: it makes the same revision as a plain put.
    async fn flush(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        if batch.operations.is_empty() {
            return Ok(());
        }
        let count = batch.operations.len();
        let response = self
            .client
            .txn(Txn::new().and_then(batch.operations))
            .await
            .map_err(failed(|| format!("write a transaction of {count}")))?;
        self.report.revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(())
    }

    async fn compact(&mut self, compaction: Compaction) -> Result<(), Error> {
        let revision = match compaction {
            Compaction::None => return Ok(()),
            Compaction::At(revision) => revision,
            Compaction::BehindHead(count) => self.report.revision - count,
        };
        // Physical: the answer comes once the rows are gone, not when they are marked.
        let options = CompactionOptions::new().with_physical();
        self.client
            .compact(revision, Some(options))
            .await
            .map_err(failed(|| format!("compact at revision {revision}")))?;
        self.report.compact_revision = Some(revision);
        Ok(())
    }
}
