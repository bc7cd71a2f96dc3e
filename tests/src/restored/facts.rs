//! What a running cluster answers about everything that it holds.
//!
//! Invariants: all answers are linearizable or asked of each member by itself; what is different
//! between two starts of the same data (raft terms, client URLs, what is left of a lease) is not
//! in them.
//! Does not: know where the data came from.

use crate::cluster::User;
use crate::load::{Connection, connect, failed, runtime};
use crate::{Cluster, Error};
use etcd_client::{AlarmAction, AlarmType, Client, GetOptions, KeyValue, LeaseTimeToLiveOptions};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// How much of two different answers a failure shows.
const SHOWN_CHARACTERS: usize = 600;

/// A member, as the member list has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberFacts {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Whether it does not vote.
    pub is_learner: bool,
}

/// A key with everything that a client sees of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that made it.
    pub create_revision: i64,
    /// The revision that wrote it last.
    pub mod_revision: i64,
    /// How often it was written since.
    pub version: i64,
    /// Its lease, 0 for none.
    pub lease: i64,
}

impl From<&KeyValue> for KeyFacts {
    fn from(kv: &KeyValue) -> Self {
        KeyFacts {
            key: kv.key().to_vec(),
            value: kv.value().to_vec(),
            create_revision: kv.create_revision(),
            mod_revision: kv.mod_revision(),
            version: kv.version(),
            lease: kv.lease(),
        }
    }
}

/// A lease: the seconds that were granted, and its keys in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseFacts {
    /// Granted, in seconds.
    pub granted_seconds: i64,
    /// The keys on it.
    pub keys: Vec<Vec<u8>>,
}

/// A member's HashKV, with what it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashFacts {
    /// The compact revision under which it holds.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The cluster's id.
    pub cluster_id: u64,
    /// Its members, by id.
    pub members: Vec<MemberFacts>,
    /// The newest revision.
    pub revision: i64,
    /// HashKV of each running voter at the revision that was asked for.
    pub hashes: Vec<HashFacts>,
    /// All keys from `\0` on.
    pub keys: Vec<KeyFacts>,
    /// Leases by id.
    pub leases: BTreeMap<i64, LeaseFacts>,
    /// Users with their roles.
    pub users: BTreeMap<String, Vec<String>>,
    /// Roles with their grants.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Whether one who does not log in is refused.
    pub auth_is_on: bool,
    /// Alarms: the kind and the member that raised it.
    pub alarms: Vec<(String, u64)>,
}

impl Facts {
    /// Asks a cluster everything; HashKV at `hash_at` of every member that runs and votes.
    ///
    /// # Errors
    /// [`Error::Load`] with etcd's answer.
    pub fn of(cluster: &Cluster, hash_at: Option<i64>) -> Result<Self, Error> {
        let connection = cluster.connection();
        let one = first_of(&connection);
        let auth_is_on = cluster.user().is_some() && is_refused_without_login(&one)?;
        runtime()?.block_on(async {
            let mut client = connect(&one).await?;
            let (cluster_id, members) = members(&mut client).await?;
            let (revision, keys) = keys_at(&mut client, 0).await?;
            let mut facts = Facts {
                cluster_id,
                members,
                revision,
                hashes: Vec::new(),
                keys,
                leases: leases(&mut client).await?,
                users: users(&mut client).await?,
                roles: roles(&mut client).await?,
                auth_is_on,
                alarms: alarms(&mut client).await?,
            };
            if let Some(at) = hash_at {
                facts.hashes = hashes_at(&connection, at).await?;
            }
            Ok(facts)
        })
    }

    /// What is different, one line for each kind; empty when all is the same.
    #[must_use]
    pub fn differences(&self, other: &Facts) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                found.push(format!("{what}: {}", first_difference(&ours, &theirs)));
            }
        };
        note("cluster id", shown(&self.cluster_id), shown(&other.cluster_id));
        note("members", shown(&self.members), shown(&other.members));
        note("revision", shown(&self.revision), shown(&other.revision));
        note("HashKV", shown(&self.hashes), shown(&other.hashes));
        note("number of keys", shown(&self.keys.len()), shown(&other.keys.len()));
        note("keys", shown(&self.keys), shown(&other.keys));
        note("leases", shown(&self.leases), shown(&other.leases));
        note("users", shown(&self.users), shown(&other.users));
        note("roles", shown(&self.roles), shown(&other.roles));
        note("auth", shown(&self.auth_is_on), shown(&other.auth_is_on));
        note("alarms", shown(&self.alarms), shown(&other.alarms));
        found
    }
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?}")
}

/// The two texts from a little before the place where they part.
fn first_difference(ours: &str, theirs: &str) -> String {
    let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(SHOWN_CHARACTERS / 4);
    let piece = |text: &str| text.chars().skip(from).take(SHOWN_CHARACTERS).collect::<String>();
    format!("…{}\n    is not\n    …{}", piece(ours), piece(theirs))
}

/// One member: a token that one has given, another may not know yet.
fn first_of(connection: &Connection) -> Connection {
    let endpoints = connection.endpoints.first().cloned().into_iter().collect();
    Connection { endpoints, ..connection.clone() }
}

/// All keys with their values at `revision`, 0 for now, and the revision that now is.
///
/// # Errors
/// [`Error::Load`] with etcd's answer.
pub fn all_keys(cluster: &Cluster, revision: i64) -> Result<(i64, Vec<KeyFacts>), Error> {
    runtime()?.block_on(async {
        let mut client = connect(&first_of(&cluster.connection())).await?;
        keys_at(&mut client, revision).await
    })
}

/// HashKV of each voter that runs, at `revision`.
///
/// # Errors
/// [`Error::Load`] with etcd's answer.
pub fn hashes(cluster: &Cluster, revision: i64) -> Result<Vec<HashFacts>, Error> {
    runtime()?.block_on(hashes_at(&cluster.connection(), revision))
}

async fn keys_at(client: &mut Client, revision: i64) -> Result<(i64, Vec<KeyFacts>), Error> {
    let options = GetOptions::new().with_all_keys().with_revision(revision);
    let answer = client.get("", Some(options)).await;
    let answer = answer.map_err(failed(|| format!("read everything at revision {revision}")))?;
    let head = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
    Ok((head, answer.kvs().iter().map(KeyFacts::from).collect()))
}

async fn hashes_at(connection: &Connection, revision: i64) -> Result<Vec<HashFacts>, Error> {
    let mut found = Vec::new();
    for endpoint in &connection.endpoints {
        let one = Connection { endpoints: vec![endpoint.clone()], ..connection.clone() };
        let mut client = connect(&one).await?;
        let answer = client.hash_kv(revision).await;
        let answer = answer.map_err(failed(|| format!("ask {endpoint} for HashKV {revision}")))?;
        let compact_revision = answer.compact_version();
        found.push(HashFacts { compact_revision, hash: answer.hash() });
    }
    Ok(found)
}

async fn members(client: &mut Client) -> Result<(u64, Vec<MemberFacts>), Error> {
    let answer = client.member_list().await.map_err(failed(|| "list the members".into()))?;
    let fact = |member: &etcd_client::Member| MemberFacts {
        id: member.id(),
        name: member.name().to_owned(),
        peer_urls: member.peer_urls().to_vec(),
        is_learner: member.is_learner(),
    };
    let mut all: Vec<MemberFacts> = answer.members().iter().map(fact).collect();
    all.sort();
    Ok((answer.header().map_or(0, etcd_client::ResponseHeader::cluster_id), all))
}

async fn leases(client: &mut Client) -> Result<BTreeMap<i64, LeaseFacts>, Error> {
    let answer = client.leases().await.map_err(failed(|| "list the leases".into()))?;
    let mut all = BTreeMap::new();
    for id in answer.leases().iter().map(etcd_client::LeaseStatus::id) {
        let options = LeaseTimeToLiveOptions::new().with_keys();
        let lease = client.lease_time_to_live(id, Some(options)).await;
        let lease = lease.map_err(failed(|| format!("ask for the lease {id:x}")))?;
        let mut keys = lease.keys().to_vec();
        keys.sort();
        all.insert(id, LeaseFacts { granted_seconds: lease.granted_ttl(), keys });
    }
    Ok(all)
}

async fn users(client: &mut Client) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let answer = client.user_list().await.map_err(failed(|| "list the users".into()))?;
    let mut all = BTreeMap::new();
    for name in answer.users() {
        let user = client.user_get(name.clone()).await;
        let user = user.map_err(failed(|| format!("ask for the user {name}")))?;
        all.insert(name.clone(), user.roles().to_vec());
    }
    Ok(all)
}

async fn roles(client: &mut Client) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let answer = client.role_list().await.map_err(failed(|| "list the roles".into()))?;
    let mut all = BTreeMap::new();
    for name in answer.roles() {
        let role = client.role_get(name.clone()).await;
        let role = role.map_err(failed(|| format!("ask for the role {name}")))?;
        all.insert(name.clone(), role.permissions().iter().map(shown).collect());
    }
    Ok(all)
}

async fn alarms(client: &mut Client) -> Result<Vec<(String, u64)>, Error> {
    let answer = client.alarm(AlarmAction::Get, AlarmType::None, None).await;
    let answer = answer.map_err(failed(|| "ask for alarms".into()))?;
    let one = |alarm: &etcd_client::AlarmMember| (shown(&alarm.alarm()), alarm.member_id());
    let mut all: Vec<_> = answer.alarms().iter().map(one).collect();
    all.sort();
    Ok(all)
}

/// Whether `user` gets in with this password.
///
/// # Errors
/// [`Error::Io`] when there is no runtime to ask with.
pub fn may_log_in(cluster: &Cluster, user: &User) -> Result<bool, Error> {
    let connection = Connection { user: Some(user.clone()), ..first_of(&cluster.connection()) };
    runtime()?.block_on(async {
        // Logging in is part of connecting.
        Ok(connect(&connection).await.is_ok())
    })
}

fn is_refused_without_login(connection: &Connection) -> Result<bool, Error> {
    let nobody = Connection { user: None, ..connection.clone() };
    runtime()?.block_on(async {
        let mut client = connect(&nobody).await?;
        Ok(client.get("a", None).await.is_err())
    })
}
