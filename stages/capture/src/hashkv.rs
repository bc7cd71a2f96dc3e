//! HashKV of every voting member at the barrier, asked while the snapshot streams.
//!
//! The hash covers every key up to a revision, so that `verify` can compute the same from the
//! snapshot's bytes. An answer is never required here: a member that has none gets the reason
//! written down, and `verify` decides what that is worth.

use crate::survey::{Sighting, Survey};
use contract::facts::{HashKvAnswer, MemberHashKv};
use etcd::{Connection, HashKv, Listed, Trouble, hex_id, seconds};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// A member reads its whole keyspace for the answer, a few hundred megabytes a second.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// A follower may not have applied the barrier's revision yet.
const ATTEMPTS_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Answers on their way.
pub(crate) struct Asked {
    tasks: JoinSet<(usize, HashKvAnswer)>,
    members: Vec<Listed>,
}

/// Asks every voting member of `listed`. Returns at once.
pub(crate) fn ask(survey: &Survey, listed: &[Listed], revision: i64) -> Asked {
    let members: Vec<Listed> = listed.iter().filter(|m| !m.is_learner).cloned().collect();
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut tasks = JoinSet::new();
    for (position, member) in members.iter().enumerate() {
        match connection_of(survey, member.id) {
            Ok(connection) => {
                tasks
                    .spawn(async move { (position, answer(connection, revision, deadline).await) });
            }
            Err(missing) => {
                tasks.spawn(async move { (position, HashKvAnswer::Missing { missing }) });
            }
        }
    }
    Asked { tasks, members }
}

impl Asked {
    /// The answers, in the order of the member list.
    pub(crate) async fn answers(self) -> Vec<MemberHashKv> {
        let mut answers = self.tasks.join_all().await;
        answers.sort_by_key(|(position, _)| *position);
        let named = self.members.into_iter().zip(answers);
        named
            .map(|(member, (_, answer))| MemberHashKv {
                member_id: hex_id(member.id),
                member_name: member.name,
                answer,
            })
            .collect()
    }
}

fn connection_of(survey: &Survey, id: u64) -> Result<Connection, String> {
    let is_it = |sighting: &&Sighting| sighting.status.member_id == id;
    if let Some(sighting) = survey.sightings.iter().find(is_it) {
        return Ok(sighting.connection.clone());
    }
    let silent = survey.silent.iter().find(|silent| silent.id == id);
    Err(silent.map_or_else(
        || "it joined while the capture was under way".to_owned(),
        |silent| silent.reason.clone(),
    ))
}

async fn answer(connection: Connection, revision: i64, deadline: Instant) -> HashKvAnswer {
    let ask = || {
        let connection = connection.clone();
        async move { connection.hash_kv(revision).await }
    };
    answer_of(ask, revision, deadline).await
}

async fn answer_of<F>(ask: impl FnMut() -> F, revision: i64, deadline: Instant) -> HashKvAnswer
where
    F: Future<Output = Result<HashKv, Trouble>>,
{
    match timeout_at(deadline, repeat(ask, revision)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(trouble)) => HashKvAnswer::Missing { missing: trouble.to_string() },
        Err(_) => {
            HashKvAnswer::Missing { missing: format!("no answer within {}", seconds(ANSWER_LIMIT)) }
        }
    }
}

async fn repeat<F>(mut ask: impl FnMut() -> F, revision: i64) -> Result<HashKvAnswer, Trouble>
where
    F: Future<Output = Result<HashKv, Trouble>>,
{
    let mut attempt = 1;
    loop {
        match ask().await {
            Ok(answer) => {
                return Ok(HashKvAnswer::Hash {
                    hash: answer.hash,
                    revision,
                    compact_revision: answer.compact_revision,
                });
            }
            Err(Trouble::FutureRevision) if attempt < ATTEMPTS_MAX => {
                attempt += 1;
                sleep(PAUSE).await;
            }
            Err(trouble) => return Err(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::{pending, ready};

    async fn answer_to<F>(ask: impl FnMut() -> F) -> HashKvAnswer
    where
        F: Future<Output = Result<HashKv, Trouble>>,
    {
        answer_of(ask, 7, Instant::now() + ANSWER_LIMIT).await
    }

    #[tokio::test(start_paused = true)]
    async fn i24_f25_a_member_that_never_answers_hashkv_is_not_waited_for_longer_than_the_limit() {
        let missing = "no answer within 120.0 s".to_owned();
        assert_eq!(answer_to(pending).await, HashKvAnswer::Missing { missing });
    }

    #[tokio::test(start_paused = true)]
    async fn i24_a_member_that_never_has_the_revision_is_asked_a_limited_number_of_times() {
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            ready(Err(Trouble::FutureRevision))
        };
        let missing = "the revision is not there yet".to_owned();
        assert_eq!(answer_to(ask).await, HashKvAnswer::Missing { missing });
        assert_eq!(asked.get(), ATTEMPTS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn f17_a_follower_that_lags_a_little_gets_the_time_to_catch_up() {
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            ready(match asked.get() {
                1 | 2 => Err(Trouble::FutureRevision),
                _ => Ok(HashKv { hash: 5, compact_revision: -1 }),
            })
        };
        let expected = HashKvAnswer::Hash { hash: 5, revision: 7, compact_revision: -1 };
        assert_eq!(answer_to(ask).await, expected);
    }
}
