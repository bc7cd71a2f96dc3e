//! What each member is asked once it is connected to, all members at once.
//!
//! The statuses are taken last: they are going to be compared with each other, and a read that
//! waits for a leader may have taken seconds.

use super::Opened;
use crate::observation::Answer;
use etcd::{Connection, HashKv, Status, Trouble};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A member reads its whole keyspace for HashKV, a few hundred megabytes a second.
const HASHKV_LIMIT: Duration = Duration::from_secs(20);

/// A member that is further behind the newest revision has no say in which one is compared.
const NEAR_REVISIONS: i64 = 1000;

/// Cluster and member.
type Key = (u64, u64);
/// At which revision, and what it is.
type Hashes = BTreeMap<Key, (i64, Result<HashKv, Trouble>)>;

/// What a member said before it was asked for HashKV.
struct Said {
    before: (u64, u64),
    status: Status,
    latency_ms: u64,
    linearizable: Result<i64, Trouble>,
    serializable: Result<i64, Trouble>,
}

/// Asks them all.
pub(super) async fn ask(members: Vec<&Opened>) -> Vec<(Key, Result<Answer, Trouble>)> {
    let mut tasks = JoinSet::new();
    for opened in &members {
        let (key, connection) = (opened.key(), opened.connection.clone());
        let before = (opened.status.leader, opened.status.raft_term);
        tasks.spawn(async move { (key, questions(&connection, before).await) });
    }
    let mut said: BTreeMap<Key, Result<Said, Trouble>> =
        tasks.join_all().await.into_iter().collect();
    let heard = said.iter().filter_map(|(key, said)| Some((*key, said.as_ref().ok()?)));
    let revisions: BTreeMap<Key, i64> = heard.map(|(key, s)| (key, s.status.revision)).collect();
    let mut hashes = hashes(&members, &revisions).await;
    let answers = members.iter().filter_map(|opened| {
        let key = opened.key();
        let answer = said.remove(&key)?.map(|said| {
            let (hashkv_revision, hashkv) =
                hashes.remove(&key).unwrap_or_else(|| (said.status.revision, Err(too_slow())));
            Answer {
                address: opened.endpoint.url().to_owned(),
                latency_ms: said.latency_ms,
                before: said.before,
                status: said.status,
                members: opened.members.clone(),
                linearizable: said.linearizable,
                serializable: said.serializable,
                hashkv_revision,
                hashkv,
            }
        });
        Some((key, answer))
    });
    answers.collect()
}

async fn questions(connection: &Connection, before: (u64, u64)) -> Result<Said, Trouble> {
    let (linearizable, serializable) =
        tokio::join!(connection.linearizable_revision(), connection.serializable_revision());
    let asked = Instant::now();
    let status = connection.status().await?;
    let latency_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    let linearizable = match linearizable {
        Ok((_, found)) if found != status.member_id => {
            Err(Trouble::OtherMember { expected: status.member_id, found })
        }
        result => result.map(|(revision, _)| revision),
    };
    Ok(Said { before, status, latency_ms, linearizable, serializable })
}

/// HashKV of every member, at one revision for each cluster. Where some have compacted it away, at
/// one that those have: who is so far behind that it has none of it is then not compared.
async fn hashes(members: &[&Opened], revisions: &BTreeMap<Key, i64>) -> Hashes {
    let mut all = Hashes::new();
    let clusters: BTreeSet<u64> = revisions.keys().map(|(cluster, _)| *cluster).collect();
    for cluster in clusters {
        let of_it = |key: &Key| key.0 == cluster;
        let own = revisions.iter().filter(|(key, _)| of_it(key)).map(|(key, r)| (*key, *r));
        let own: BTreeMap<Key, i64> = own.collect();
        let Some(lowest) = common(own.values().copied()) else { continue };
        let hashes = hash_at(members, &own, lowest).await;
        let compacted = hashes.iter().filter(|(_, (_, h))| matches!(h, Err(Trouble::Compacted)));
        match compacted.filter_map(|(key, _)| own.get(key)).min() {
            Some(&revision) => all.extend(hash_at(members, &own, revision).await),
            None => all.extend(hashes),
        }
    }
    all
}

/// The newest revision that all have who are not far behind. At an old one a member that has just
/// begun would make all of them look alike.
fn common(revisions: impl Iterator<Item = i64> + Clone) -> Option<i64> {
    let newest = revisions.clone().max()?;
    revisions.filter(|revision| *revision >= newest.saturating_sub(NEAR_REVISIONS)).min()
}

async fn hash_at(members: &[&Opened], asked: &BTreeMap<Key, i64>, revision: i64) -> Hashes {
    let mut tasks = JoinSet::new();
    for opened in members.iter().filter(|opened| asked.contains_key(&opened.key())) {
        let (key, connection) = (opened.key(), opened.connection.clone());
        tasks.spawn(async move {
            let answer = tokio::time::timeout(HASHKV_LIMIT, connection.hash_kv(revision)).await;
            (key, (revision, answer.unwrap_or_else(|_| Err(too_slow()))))
        });
    }
    tasks.join_all().await.into_iter().collect()
}

fn too_slow() -> Trouble {
    Trouble::TimedOut { request: "HashKV", limit: HASHKV_LIMIT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_far_behind_has_no_say_in_what_is_compared() {
        let of = |revisions: &[i64]| common(revisions.iter().copied());
        assert_eq!(of(&[5000, 4990, 5001]), Some(4990));
        assert_eq!(of(&[5000, 1, 5001]), Some(5000));
        assert_eq!(of(&[1, 3]), Some(1));
        assert_eq!(of(&[]), None);
    }
}
