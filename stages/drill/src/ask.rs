//! Questions to one etcd on loopback.
//!
//! Owns: the client, and a limit for every answer. An answer that does not come is an error of this
//! machine; what an answer says is for `compare`.

use crate::error::Error;
use crate::sample::{Holds, Value};
use crate::server::{Death, Server};
use etcd_client::{AlarmAction, AlarmType, Client, ConnectOptions, GetOptions, KvClient};
use std::time::{Duration, Instant};

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long HashKV may take: it reads every record.
const HASH_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How often a server that is not ready is asked again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long one attempt to find it ready may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// A value is as large as the cluster that it came from let it be.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// The smallest key there is but the empty one, which no client can name.
const FIRST_KEY: [u8; 1] = [0];

/// One etcd, asked.
pub(crate) struct Asked {
    client: Client,
    kv: KvClient,
}

/// A member, as the cluster lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) peer_urls: Vec<String>,
    pub(crate) learner: bool,
}

/// An answer to HashKV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashed {
    pub(crate) hash: u32,
    pub(crate) compact_revision: i64,
    /// The revision that it was at.
    pub(crate) at: i64,
}

/// Whether all servers came to serve.
pub(crate) enum Ready {
    /// All of them, in their order.
    Serve(Vec<Asked>),
    /// This one ended by itself.
    Died { name: String, why: String },
}

/// Waits until every server commits what it is asked, or one has ended.
///
/// # Errors
/// What this machine did to one, and [`Error::NotInTime`].
pub(crate) async fn until_ready(servers: &mut [Server], limit: Duration) -> Result<Ready, Error> {
    let begun = Instant::now();
    let mut asked = Vec::with_capacity(servers.len());
    while let Some(next) = servers.get(asked.len()) {
        let attempt = tokio::time::timeout(ATTEMPT_LIMIT, connect(&next.client_url)).await;
        let last = match attempt {
            Ok(Ok(serves)) => {
                asked.push(serves);
                continue;
            }
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        // One that serves may still wait for another one, which may be the one that has ended.
        let said = next.last_words();
        if let Some((name, why)) = died(servers).await? {
            return Ok(Ready::Died { name, why });
        }
        if begun.elapsed() >= limit {
            let last = format!("{}; it said {said}", contract::brief(&last));
            return Err(Error::NotInTime { seconds: limit.as_secs(), last });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(Ready::Serve(asked))
}

/// The first server that has ended by itself, and why.
///
/// # Errors
/// What this machine did to one.
pub(crate) async fn died(servers: &mut [Server]) -> Result<Option<(String, String)>, Error> {
    for server in servers {
        match server.death().await {
            Some(Death::Own(why)) => return Ok(Some((server.name.clone(), why))),
            Some(Death::Machine(error)) => return Err(error),
            None => {}
        }
    }
    Ok(None)
}

/// A linearizable read: it has a leader and a quorum.
async fn connect(url: &str) -> Result<Asked, etcd_client::Error> {
    let options = ConnectOptions::new().with_connect_timeout(ATTEMPT_LIMIT);
    let client = Client::connect([url], Some(options)).await?;
    let mut kv = client.kv_client().max_decoding_message_size(MESSAGE_BYTES_MAX);
    kv.get(FIRST_KEY, Some(GetOptions::new().with_count_only())).await?;
    Ok(Asked { client, kv })
}

async fn in_time<T>(
    request: &'static str,
    limit: Duration,
    answer: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, Error> {
    let no_answer = |problem: String| Error::NoAnswer { request, problem };
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(no_answer(contract::brief(&e.to_string()))),
        Err(_) => Err(no_answer(format!("nothing came within {} s", limit.as_secs()))),
    }
}

impl Asked {
    /// The revision that it is at, by a linearizable read.
    pub(crate) async fn revision(&mut self) -> Result<i64, Error> {
        let get = self.kv.get(FIRST_KEY, Some(GetOptions::new().with_count_only()));
        let answer = in_time("Range", ANSWER_LIMIT, get).await?;
        Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    /// The version that it says it is.
    pub(crate) async fn version(&mut self) -> Result<String, Error> {
        let answer = in_time("Status", ANSWER_LIMIT, self.client.status()).await?;
        Ok(answer.version().to_owned())
    }

    /// Every member of its cluster, by id.
    pub(crate) async fn members(&mut self) -> Result<Vec<Listed>, Error> {
        let answer = in_time("MemberList", ANSWER_LIMIT, self.client.member_list()).await?;
        let listed = |member: &etcd_client::Member| Listed {
            id: format!("{:x}", member.id()),
            name: member.name().to_owned(),
            peer_urls: member.peer_urls().to_vec(),
            learner: member.is_learner(),
        };
        let mut all: Vec<Listed> = answer.members().iter().map(listed).collect();
        all.sort();
        Ok(all)
    }

    /// How many alarms are raised.
    pub(crate) async fn alarms(&mut self) -> Result<usize, Error> {
        let alarms = self.client.alarm(AlarmAction::Get, AlarmType::None, None);
        Ok(in_time("Alarm", ANSWER_LIMIT, alarms).await?.alarms().len())
    }

    /// HashKV at a revision; 0 is the present one, of which no stored hash is handed out.
    pub(crate) async fn hash_kv(&mut self, revision: i64) -> Result<Hashed, Error> {
        let answer = in_time("HashKV", HASH_LIMIT, self.client.hash_kv(revision)).await?;
        Ok(Hashed {
            hash: answer.hash(),
            compact_revision: answer.compact_version(),
            at: answer.header().map_or(0, etcd_client::ResponseHeader::revision),
        })
    }

    /// How many keys are live at a revision. The empty key is not among them.
    pub(crate) async fn keys(&mut self, revision: i64) -> Result<u64, Error> {
        let all = GetOptions::new().with_from_key().with_count_only().with_revision(revision);
        let answer = in_time("Range", ANSWER_LIMIT, self.kv.get(FIRST_KEY, Some(all))).await?;
        Ok(u64::try_from(answer.count()).unwrap_or_default())
    }

    /// What it holds of a key at a revision.
    pub(crate) async fn holds(&mut self, key: &[u8], revision: i64) -> Result<Holds, Error> {
        let options = GetOptions::new().with_revision(revision);
        let answer = in_time("Range", ANSWER_LIMIT, self.kv.get(key, Some(options))).await?;
        Ok(match answer.kvs() {
            [] => Holds::Nothing,
            [kv, ..] => {
                let numbers = [kv.create_revision(), kv.mod_revision(), kv.version(), kv.lease()];
                Holds::Value(Value::of(numbers, kv.value()))
            }
        })
    }

    /// Writes a key, and gives the revision of that.
    pub(crate) async fn put(&mut self, key: &str, value: &str) -> Result<i64, Error> {
        let answer = in_time("Put", ANSWER_LIMIT, self.kv.put(key, value, None)).await?;
        Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    /// The value of a key now, by a linearizable read.
    pub(crate) async fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let answer = in_time("Range", ANSWER_LIMIT, self.kv.get(key, None)).await?;
        Ok(answer.kvs().first().map(|kv| kv.value().to_vec()))
    }
}
