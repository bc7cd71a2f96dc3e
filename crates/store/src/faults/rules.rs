//! What goes wrong, and when: rules by operation, prefix of the key, and number.
//!
//! Invariant: the first rule that fits decides; a rule counts the calls that fit it.
//! Does not: touch a destination.

use super::random;
use crate::{Answer, Blocks, CredentialsProblem, ErrorKind, Operation, StoreError};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether the store does what it is asked for before the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The request never reaches it.
    Before,
    /// It has acted; only its answer is lost.
    After,
}

/// What a store may answer instead of the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 503.
    Unavailable,
    /// 429.
    Throttled,
    /// The connection was reset.
    Reset,
    /// 409: another writer is at work.
    Conflict,
    /// 412: the key is taken.
    Taken,
    /// 403.
    Denied,
    /// The token has expired.
    Expired,
    /// 404.
    Absent,
    /// A listing that contradicts itself.
    Untrusted,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Another answer than the store's.
    Refuse(Refusal, Effect),
    /// No answer, ever: a black hole.
    Silence(Effect),
    /// The true answer, after a pause.
    Late(Duration),
    /// A write or a removal is acknowledged and not done.
    Lost,
    /// Of an object that is written so many bytes stay; one that is read breaks off after them.
    Short(u64),
    /// The same, but a reading ends as if it were whole.
    Less(u64),
    /// One bit of the byte at this place is another one: at rest, of what is written; on the way,
    /// of what is read.
    Altered(u64),
    /// A look does not see the object yet; a listing lacks the last one.
    Stale,
    /// A listing is cut in half, and does not say so.
    Cut,
}

/// One line of a script.
#[derive(Debug, Clone)]
pub struct Rule {
    operation: Operation,
    prefix: String,
    skip: u32,
    times: u32,
    seen: u32,
    fault: Fault,
}

/// One call, and what went wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What was asked for.
    pub operation: Operation,
    /// Of which object, or under which prefix.
    pub key: String,
    /// What went wrong.
    pub fault: Option<Fault>,
}

impl Rule {
    /// Whenever `operation` is asked for.
    #[must_use]
    pub fn on(operation: Operation, fault: Fault) -> Self {
        let prefix = String::new();
        Rule { operation, prefix, skip: 0, times: u32::MAX, seen: 0, fault }
    }

    /// Only for keys that begin so.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    /// Not for the first `count` that fit.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// At most so many times.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = count;
        self
    }

    /// Once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    fn strike(&mut self, operation: Operation, key: &str) -> Option<Fault> {
        if self.operation != operation || !key.starts_with(&self.prefix) {
            return None;
        }
        self.seen = self.seen.saturating_add(1);
        let is_due = self.seen > self.skip && self.times > 0;
        is_due.then(|| {
            self.times -= 1;
            self.fault
        })
    }
}

/// Everything that has been asked for, and what will go wrong.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Vec<Rule>,
    random: Option<(u64, f64)>,
    counts: BTreeMap<(u8, String), u64>,
    pub(super) seen: Vec<Seen>,
}

impl Script {
    pub(super) fn set(&mut self, rules: Vec<Rule>, random: Option<(u64, f64)>) {
        *self = Script { rules, random, ..Script::default() };
    }

    /// Takes note of a call and says what goes wrong with it.
    pub(super) fn next(&mut self, operation: Operation, key: &str) -> Option<Fault> {
        let number = self.counts.entry((operation as u8, key.to_owned())).or_default();
        *number += 1;
        let number = *number;
        let scripted = self.rules.iter_mut().find_map(|rule| rule.strike(operation, key));
        let fault = scripted.or_else(|| {
            let (seed, probability) = self.random?;
            random::draw(seed, probability, operation, key, number)
        });
        self.seen.push(Seen { operation, key: key.to_owned(), fault });
        fault
    }
}

impl Refusal {
    pub(super) fn kind(self) -> ErrorKind {
        let answer = |status: u16, code: &str| Answer {
            status: Some(status),
            code: Some(code.to_owned()),
            ..Answer::default()
        };
        let transient = |said: &str| ErrorKind::Transient { said: said.to_owned() };
        match self {
            Refusal::Unavailable => transient("503 ServiceUnavailable (scripted)"),
            Refusal::Throttled => transient("429 TooManyRequests (scripted)"),
            Refusal::Reset => transient("the connection was reset (scripted)"),
            Refusal::Conflict => ErrorKind::Conflict { answer: answer(409, "Conflict") },
            Refusal::Taken => ErrorKind::AlreadyExists,
            Refusal::Denied => {
                ErrorKind::Denied { verb: "scripted", answer: answer(403, "AccessDenied") }
            }
            Refusal::Expired => ErrorKind::Credentials {
                problem: CredentialsProblem::Expired,
                said: "ExpiredToken (scripted)".to_owned(),
            },
            Refusal::Absent => ErrorKind::NotFound,
            Refusal::Untrusted => {
                ErrorKind::Listing { problem: "it contradicts itself (scripted)".to_owned() }
            }
        }
    }
}

impl Fault {
    /// Whether it changes bytes.
    pub(super) fn spoils(self) -> bool {
        matches!(self, Fault::Short(_) | Fault::Less(_) | Fault::Altered(_))
    }

    /// What stays of `whole`, if it is something else.
    pub(super) fn spoilt(self, whole: &Bytes) -> Option<Bytes> {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        match self {
            Fault::Short(bytes) | Fault::Less(bytes) if place(bytes) < whole.len() => {
                Some(whole.slice(..place(bytes)))
            }
            Fault::Altered(at) => {
                let mut other = whole.to_vec();
                *other.get_mut(place(at).min(whole.len().saturating_sub(1)))? ^= 1;
                Some(other.into())
            }
            _ => None,
        }
    }
}

/// A reading that is spoilt on its way.
pub(super) fn spoilt_blocks(blocks: Blocks, fault: Fault, name: &str, key: &str) -> Blocks {
    let error = StoreError::new(name, Operation::Read, key, Refusal::Reset.kind());
    let (breaks_at, broken) = match fault {
        Fault::Short(bytes) => (Some(bytes), Some(error)),
        Fault::Less(bytes) => (Some(bytes), None),
        _ => (None, None),
    };
    let start = (blocks, 0_u64, broken, false);
    Box::pin(stream::unfold(start, move |(mut blocks, position, mut broken, over)| async move {
        if over {
            return None;
        }
        let mut block = match blocks.next().await? {
            Ok(block) => block,
            e => return Some((e, (blocks, position, broken, true))),
        };
        let length = block.len() as u64;
        if let Some(limit) = breaks_at.filter(|limit| *limit < position + length) {
            let kept = block.split_to(usize::try_from(limit.saturating_sub(position)).ok()?);
            return match (broken.take(), kept.is_empty()) {
                (Some(e), _) => Some((Err(e), (blocks, position, None, true))),
                (None, true) => None,
                (None, false) => Some((Ok(kept), (blocks, position, None, true))),
            };
        }
        if let Fault::Altered(at) = fault
            && let Some(inside) = at.checked_sub(position).filter(|inside| *inside < length)
        {
            block = Fault::Altered(inside).spoilt(&block).unwrap_or(block);
        }
        Some((Ok(block), (blocks, position + length, broken, false)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_by_operation_prefix_and_number() {
        let mut script = Script::default();
        let fault = Fault::Refuse(Refusal::Reset, Effect::After);
        script.set(vec![Rule::on(Operation::Put, fault).under("a/").after(1).once()], None);
        assert_eq!(script.next(Operation::Put, "a/1"), None);
        assert_eq!(script.next(Operation::Put, "b/1"), None);
        assert_eq!(script.next(Operation::Head, "a/1"), None);
        assert_eq!(script.next(Operation::Put, "a/2"), Some(fault));
        assert_eq!(script.next(Operation::Put, "a/3"), None);
        assert_eq!(script.seen.len(), 5);
    }

    #[test]
    fn a_seed_decides_whatever_the_order() {
        let calls: Vec<(Operation, String)> = (0..200)
            .map(|n| {
                (if n % 2 == 0 { Operation::Put } else { Operation::Head }, format!("k{}", n % 9))
            })
            .collect();
        let fates = |order: &[(Operation, String)]| {
            let mut script = Script::default();
            script.set(Vec::new(), Some((7, 0.5)));
            let fate = |(o, k): &(Operation, String)| (*o as u8, k.clone(), script.next(*o, k));
            let mut all: Vec<_> = order.iter().map(fate).map(|f| format!("{f:?}")).collect();
            all.sort();
            all
        };
        let mut turned = calls.clone();
        turned.sort_by_key(|(operation, key)| (key.clone(), *operation as u8));
        assert_eq!(fates(&calls), fates(&turned));
        assert!(fates(&calls).iter().any(|fate| fate.contains("None")));
        assert!(fates(&calls).iter().any(|fate| fate.contains("Some")));
    }

    #[test]
    fn what_stays_of_an_object() {
        let whole = Bytes::from_static(b"abcdef");
        assert_eq!(Fault::Short(2).spoilt(&whole), Some(Bytes::from_static(b"ab")));
        assert_eq!(Fault::Short(6).spoilt(&whole), None);
        assert_eq!(Fault::Altered(99).spoilt(&whole), Some(Bytes::from_static(b"abcdeg")));
        assert_eq!(Fault::Altered(0).spoilt(&Bytes::new()), None);
        assert_eq!(Fault::Lost.spoilt(&whole), None);
    }
}
