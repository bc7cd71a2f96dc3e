//! A random history in a live etcd, from a seed.
//!
//! Everything that leaves a trace in the database is in it: puts, later versions, deletes of one
//! key and of ranges, transactions of many operations, leases with and without keys, revoked
//! ones, compactions up to the very revision of a delete, users, roles, and authentication that
//! goes on and off.
//! Invariants: the same seed sends the same requests; no lease is short enough to end while one
//! looks; the last revision and compact revision are those that etcd answered.
//!
//! Does not: judge anything.

use crate::cluster::User;
use crate::load::{connect, failed, runtime};
use crate::objects::{Compaction, Random};
use crate::{Cluster, Error, LoadSpec};
use etcd_client::{
    Client, CompactionOptions, DeleteOptions, LeaseGrantOptions, Permission, PutOptions,
    ResponseHeader, Txn, TxnOp,
};
use std::collections::BTreeSet;

/// How many random requests a history has after its first objects.
const STEPS: usize = 240;
/// How many keys they are about.
const KEYS: usize = 60;
/// Much longer than any test.
const LEASE_SECONDS_MIN: i64 = 5_000;
/// Hashing a password takes etcd a tenth of a second.
const USERS_MAX: usize = 3;
const ROLES_MAX: usize = 5;
/// The password of all users; these are throw-away ones.
const PASSWORD: &str = "throw-away";

/// What a history has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What it was made from.
    pub seed: u64,
    /// The last revision.
    pub revision: i64,
    /// Where it was compacted last, 0 if it was not.
    pub compact_revision: i64,
    /// The user to log in as, when authentication is on at the end.
    pub root: Option<User>,
    /// A user who is not root, if there is one.
    pub user: Option<User>,
    /// A lease that was revoked, with a revision at which a key was on it that no compaction has
    /// reached.
    pub revoked: Option<(i64, i64)>,
}

/// Writes the history of `seed`. Authentication is on at its end when `auth` says so.
///
/// # Errors
/// [`Error::Load`] with etcd's answer.
pub fn write(cluster: &mut Cluster, seed: u64, auth: bool) -> Result<Past, Error> {
    let mut random = Random::derived(seed, &[0x41]);
    let spec = LoadSpec {
        seed,
        objects: random.in_range(20, 120),
        updates: random.in_range(0, 60),
        deletes: random.in_range(0, 20),
        event_leases: random.in_range(0, 3),
        events_per_lease: random.in_range(1, 6),
        transaction_operations: random.in_range(1, 40),
        compaction: Compaction::None,
        secrets_encrypted: seed % 2 == 1,
    };
    let loaded = cluster.load(&spec)?;
    let runtime = runtime()?;
    let client = runtime.block_on(connect(&cluster.connection()))?;
    let past = Past {
        seed,
        revision: loaded.revision,
        compact_revision: 0,
        root: None,
        user: None,
        revoked: None,
    };
    let mut writer = Writer {
        cluster,
        client,
        random,
        leases: Vec::new(),
        users: Vec::new(),
        roles: Vec::new(),
        has_root: false,
        past,
    };
    runtime.block_on(writer.write(auth))?;
    Ok(writer.past)
}

struct Writer<'a> {
    cluster: &'a mut Cluster,
    client: Client,
    random: Random,
    leases: Vec<i64>,
    users: Vec<String>,
    roles: Vec<String>,
    has_root: bool,
    past: Past,
}

impl Writer<'_> {
    async fn write(&mut self, auth: bool) -> Result<(), Error> {
        for _ in 0..STEPS {
            match self.random.in_range(0, 100) {
                0..40 => self.put().await?,
                40..55 => self.delete_one().await?,
                55..60 => self.delete_family().await?,
                60..76 => self.transaction().await?,
                76..83 => self.grant().await?,
                83..85 => self.revoke().await?,
                85..88 => self.compact_behind().await?,
                88..90 => self.compact_at_a_delete().await?,
                _ => self.change_auth().await?,
            }
        }
        self.end(auth).await
    }

    /// The ways in which the last rows of a history can be special.
    async fn end(&mut self, auth: bool) -> Result<(), Error> {
        self.lease_with_a_past().await?;
        match self.past.seed % 3 {
            0 => self.put().await?,
            1 => self.delete_one().await?,
            _ => self.transaction().await?,
        }
        if self.users.is_empty() {
            self.add_user().await?;
        }
        self.past.user =
            self.users.last().map(|name| User { name: name.clone(), password: PASSWORD.into() });
        self.turn_auth(auth).await
    }

    fn saw(&mut self, header: Option<&ResponseHeader>) {
        self.past.revision = header.map_or(self.past.revision, ResponseHeader::revision);
    }

    async fn put(&mut self) -> Result<(), Error> {
        let key = some_key(&mut self.random);
        let value = some_value(&mut self.random);
        let options = PutOptions::new().with_lease(self.some_lease());
        let put = self.client.put(key, value, Some(options)).await;
        self.saw(put.map_err(failed(|| "put".into()))?.header());
        Ok(())
    }

    /// No lease in half of the cases: a key that was on one leaves it then.
    fn some_lease(&mut self) -> i64 {
        match self.random.below(2 * self.leases.len()) {
            Some(index) if index < self.leases.len() => self.leases[index],
            _ => 0,
        }
    }

    /// Of a key that need not be there: then there is no revision either.
    async fn delete_one(&mut self) -> Result<(), Error> {
        let key = some_key(&mut self.random);
        let gone = self.client.delete(key, None).await.map_err(failed(|| "delete".into()))?;
        self.saw(gone.header());
        Ok(())
    }

    /// Many tombstones in one revision.
    async fn delete_family(&mut self) -> Result<(), Error> {
        let family = format!("/registry/kind-{}/ns-1/", self.random.in_range(0, 5));
        let options = DeleteOptions::new().with_prefix();
        let gone = self.client.delete(family, Some(options)).await;
        self.saw(gone.map_err(failed(|| "delete a range".into()))?.header());
        Ok(())
    }

    /// Up to a hundred changes in one revision, each of another key.
    async fn transaction(&mut self) -> Result<(), Error> {
        let count = self.random.in_range(1, 100);
        let keys: BTreeSet<Vec<u8>> = (0..count).map(|_| some_key(&mut self.random)).collect();
        let mut operations = Vec::new();
        for key in keys {
            operations.push(match self.random.in_range(0, 4) {
                0 => TxnOp::delete(key, None),
                _ => {
                    let options = PutOptions::new().with_lease(self.some_lease());
                    TxnOp::put(key, some_value(&mut self.random), Some(options))
                }
            });
        }
        let done = self.client.txn(Txn::new().and_then(operations)).await;
        self.saw(done.map_err(failed(|| "write a transaction".into()))?.header());
        Ok(())
    }

    async fn grant(&mut self) -> Result<(), Error> {
        let ttl = LEASE_SECONDS_MIN + i64::try_from(self.random.in_range(0, 9_000)).unwrap_or(0);
        let id = self.random.next() >> 1;
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        let options = LeaseGrantOptions::new().with_id(id);
        let granted = self.client.lease_grant(ttl, Some(options)).await;
        granted.map_err(failed(|| format!("grant the lease {id:x}")))?;
        self.leases.push(id);
        Ok(())
    }

    /// Its keys go with it, all in one revision.
    async fn revoke(&mut self) -> Result<(), Error> {
        let Some(index) = self.random.below(self.leases.len()) else { return Ok(()) };
        let id = self.leases.swap_remove(index);
        let gone = self.client.lease_revoke(id).await.map_err(failed(|| "revoke".into()))?;
        self.saw(gone.header());
        Ok(())
    }

    /// A key on a lease that has gone since: who goes back to that revision finds no lease.
    async fn lease_with_a_past(&mut self) -> Result<(), Error> {
        self.grant().await?;
        let Some(id) = self.leases.pop() else { return Ok(()) };
        let options = PutOptions::new().with_lease(id);
        let put = self.client.put("/registry/events/late", "event", Some(options)).await;
        self.saw(put.map_err(failed(|| "put on a lease".into()))?.header());
        self.past.revoked = Some((id, self.past.revision));
        self.leases.push(id);
        self.put().await?;
        self.leases.pop();
        let gone = self.client.lease_revoke(id).await.map_err(failed(|| "revoke".into()))?;
        self.saw(gone.header());
        Ok(())
    }

    async fn compact_behind(&mut self) -> Result<(), Error> {
        let behind = self.random.in_range(0, 40);
        self.compact(self.past.revision - i64::try_from(behind).unwrap_or(0)).await
    }

    /// Servers differ in whether such a tombstone stays.
    async fn compact_at_a_delete(&mut self) -> Result<(), Error> {
        let key = some_key(&mut self.random);
        let put = self.client.put(key.clone(), "", None).await;
        put.map_err(failed(|| "put".into()))?;
        let gone = self.client.delete(key, None).await.map_err(failed(|| "delete".into()))?;
        self.saw(gone.header());
        self.compact(self.past.revision).await
    }

    async fn compact(&mut self, revision: i64) -> Result<(), Error> {
        if revision <= self.past.compact_revision {
            return Ok(());
        }
        let options = CompactionOptions::new().with_physical();
        let done = self.client.compact(revision, Some(options)).await;
        done.map_err(failed(|| format!("compact at {revision}")))?;
        self.past.compact_revision = revision;
        Ok(())
    }

    async fn change_auth(&mut self) -> Result<(), Error> {
        match self.random.in_range(0, 6) {
            0 | 1 => self.add_role().await,
            2 => self.grant_permission().await,
            3 => self.add_user().await,
            4 => self.drop_user().await,
            _ => {
                let on = self.past.root.is_none();
                self.turn_auth(on).await
            }
        }?;
        self.reconnect().await
    }

    /// A change of users takes their tokens away.
    async fn reconnect(&mut self) -> Result<(), Error> {
        if self.past.root.is_some() {
            self.client = connect(&self.cluster.connection()).await?;
        }
        Ok(())
    }

    async fn add_role(&mut self) -> Result<(), Error> {
        if self.roles.len() >= ROLES_MAX {
            return Ok(());
        }
        let name = format!("role-{}", self.roles.len());
        let added = self.client.role_add(name.clone()).await;
        added.map_err(failed(|| format!("add the role {name}")))?;
        self.roles.push(name);
        self.grant_permission().await
    }

    async fn grant_permission(&mut self) -> Result<(), Error> {
        let Some(index) = self.random.below(self.roles.len()) else { return Ok(()) };
        let role = self.roles[index].clone();
        let key = some_key(&mut self.random);
        let permission = match self.random.in_range(0, 4) {
            0 => Permission::read(key),
            1 => Permission::write(key),
            2 => Permission::read_write(key).with_prefix(),
            _ => Permission::read(key).with_from_key(),
        };
        let granted = self.client.role_grant_permission(role, permission).await;
        granted.map_err(failed(|| "grant a permission".into()))?;
        Ok(())
    }

    async fn add_user(&mut self) -> Result<(), Error> {
        if self.users.len() >= USERS_MAX {
            return Ok(());
        }
        if self.roles.is_empty() {
            Box::pin(self.add_role()).await?;
            self.reconnect().await?;
        }
        let name = format!("user-{}", self.random.in_range(0, 1_000_000));
        let added = self.client.user_add(name.clone(), PASSWORD, None).await;
        added.map_err(failed(|| format!("add the user {name}")))?;
        self.reconnect().await?;
        let role = self.roles[self.random.below(self.roles.len()).unwrap_or_default()].clone();
        let granted = self.client.user_grant_role(name.clone(), role).await;
        granted.map_err(failed(|| format!("grant a role to {name}")))?;
        self.users.push(name);
        Ok(())
    }

    async fn drop_user(&mut self) -> Result<(), Error> {
        let Some(name) = self.users.pop() else { return Ok(()) };
        let gone = self.client.user_delete(name.clone()).await;
        gone.map_err(failed(|| format!("delete the user {name}")))?;
        Ok(())
    }

    async fn turn_auth(&mut self, on: bool) -> Result<(), Error> {
        if on == self.past.root.is_some() {
            return Ok(());
        }
        if on {
            self.make_root().await?;
            self.client.auth_enable().await.map_err(failed(|| "turn auth on".into()))?;
            self.past.root = Some(User { name: "root".into(), password: PASSWORD.into() });
        } else {
            self.client.auth_disable().await.map_err(failed(|| "turn auth off".into()))?;
            self.past.root = None;
        }
        self.cluster.log_in_as(self.past.root.clone());
        self.client = connect(&self.cluster.connection()).await?;
        Ok(())
    }

    async fn make_root(&mut self) -> Result<(), Error> {
        if self.has_root {
            return Ok(());
        }
        let added = self.client.user_add("root", PASSWORD, None).await;
        added.map_err(failed(|| "add root".into()))?;
        let added = self.client.role_add("root").await;
        added.map_err(failed(|| "add the role root".into()))?;
        let granted = self.client.user_grant_role("root", "root").await;
        granted.map_err(failed(|| "grant root to root".into()))?;
        self.has_root = true;
        Ok(())
    }
}

/// Keys that sort before and after all others, that hold any byte, and long ones are among them.
fn some_key(random: &mut Random) -> Vec<u8> {
    let number = random.in_range(0, KEYS);
    match number % 10 {
        0 => vec![0, u8::try_from(number).unwrap_or_default(), 0xff],
        1 => vec![0xff; 1 + number / 10],
        2 => format!("long/{}/{number}", "x".repeat(700)).into_bytes(),
        kind => format!("/registry/kind-{}/ns-{}/{number}", kind % 5, number % 3).into_bytes(),
    }
}

/// None at all, short ones, and some that take pages of their own.
fn some_value(random: &mut Random) -> Vec<u8> {
    let length = match random.in_range(0, 20) {
        0 | 1 => 0,
        2 => random.in_range(3_000, 30_000),
        3..8 => random.in_range(300, 1_500),
        _ => random.in_range(1, 120),
    };
    random.bytes(length)
}
