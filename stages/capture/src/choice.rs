//! Which member gives the snapshot: a pure function of what was seen.
//!
//! A learner, a member without a leader or with another leader than the rest, and one that is too
//! far behind are refused, each with its reason. The others are put in order; capture goes down
//! that order until one of them streams.

use config::MemberChoice;
use std::cmp::Reverse;
use std::fmt;

/// What was seen of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) endpoint: String,
    /// Whether its endpoint was configured. The others are known from the member list only.
    pub(crate) is_configured: bool,
    pub(crate) is_learner: bool,
    pub(crate) is_corrupt: bool,
    /// 0 if it sees none.
    pub(crate) leader: u64,
    pub(crate) raft_term: u64,
    pub(crate) raft_index: u64,
    pub(crate) raft_applied_index: u64,
    pub(crate) revision: i64,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wish<'a> {
    pub(crate) member: &'a MemberChoice,
    /// Members that come last.
    pub(crate) avoid: &'a [u64],
    /// How many raft entries, or revisions, a member may be behind.
    pub(crate) max_lag: u64,
    /// A number that differs from run to run, for `rotate`.
    pub(crate) turn: u64,
    /// Whether there is a quorum. Without one nobody has a leader, and the most advanced member
    /// is the best.
    pub(crate) has_quorum: bool,
}

/// Who may give it, as positions in what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The best first.
    pub(crate) order: Vec<usize>,
    /// The others.
    pub(crate) refused: Vec<(usize, Reason)>,
}

impl Choice {
    /// Whether nobody was refused but for want of a leader.
    pub(crate) fn lacks_only_a_leader(&self) -> bool {
        let leaderless = |reason: &Reason| matches!(reason, Reason::NoLeader);
        self.order.is_empty() && self.refused.iter().any(|(_, reason)| leaderless(reason))
    }
}

/// Why a member is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    Learner,
    NoLeader,
    OtherLeader { own: u64, others: u64 },
    EntriesBehind { by: u64, max: u64 },
    RevisionsBehind { by: u64, max: u64 },
    NotNamed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Learner => f.write_str("it is a learner"),
            Reason::NoLeader => f.write_str("it sees no leader"),
            Reason::OtherLeader { own, others } => {
                write!(f, "it takes {own:x} for the leader, the others take {others:x}")
            }
            Reason::EntriesBehind { by, max } => {
                write!(f, "it is {by} raft entries behind, at most {max} are allowed")
            }
            Reason::RevisionsBehind { by, max } => {
                write!(f, "it is {by} revisions behind, at most {max} are allowed")
            }
            Reason::NotNamed => f.write_str("another member is configured"),
        }
    }
}

/// Puts the members that may give the snapshot in order.
pub(crate) fn choose(seen: &[Seen], wish: &Wish<'_>) -> Choice {
    let front = Front::of(seen);
    let mut order = Vec::new();
    let mut refused = Vec::new();
    for (index, member) in seen.iter().enumerate() {
        match reason_against(member, &front, wish) {
            Some(reason) => refused.push((index, reason)),
            None => order.push(index),
        }
    }
    if wish.has_quorum {
        order.sort_by_key(|&index| rank(&seen[index], front.leader, wish));
        rotate(&mut order, seen, wish);
    } else {
        order.sort_by_key(|&index| Reverse(advance(&seen[index], wish)));
    }
    Choice { order, refused }
}

/// Whether the name, the id or the endpoint that was configured is this member's.
pub(crate) fn is_named(name: &str, member: &Seen) -> bool {
    let same_url = |url: &str| url.trim_end_matches('/') == name.trim_end_matches('/');
    member.name == name
        || format!("{:x}", member.id) == name.to_ascii_lowercase()
        || same_url(&member.endpoint)
        || member.endpoint.split_once("://").is_some_and(|(_, host)| same_url(host))
}

/// How far the most advanced members are.
struct Front {
    /// The leader of the highest term: an older term's is not one any more.
    leader: u64,
    raft_index: u64,
    revision: i64,
}

impl Front {
    fn of(seen: &[Seen]) -> Self {
        let with_leader = seen.iter().filter(|member| member.leader != 0);
        Front {
            leader: with_leader.max_by_key(|m| m.raft_term).map_or(0, |m| m.leader),
            raft_index: seen.iter().map(|m| m.raft_index).max().unwrap_or(0),
            revision: seen.iter().map(|m| m.revision).max().unwrap_or(0),
        }
    }
}

fn reason_against(member: &Seen, front: &Front, wish: &Wish<'_>) -> Option<Reason> {
    if let MemberChoice::Named(name) = wish.member
        && !is_named(name, member)
    {
        return Some(Reason::NotNamed);
    }
    if member.is_learner {
        return Some(Reason::Learner);
    }
    if !wish.has_quorum {
        return None;
    }
    if member.leader == 0 {
        return Some(Reason::NoLeader);
    }
    if member.leader != front.leader {
        let (own, others) = (member.leader, front.leader);
        return Some(Reason::OtherLeader { own, others });
    }
    let max = wish.max_lag;
    let entries = front.raft_index.saturating_sub(member.raft_applied_index);
    if entries > max {
        return Some(Reason::EntriesBehind { by: entries, max });
    }
    let revisions = front.revision.saturating_sub(member.revision).unsigned_abs();
    (revisions > max).then_some(Reason::RevisionsBehind { by: revisions, max })
}

/// What makes a member worse; what comes first weighs most.
type Rank = (bool, bool, bool, bool, bool, Reverse<u64>, u64);

fn rank(member: &Seen, leader: u64, wish: &Wish<'_>) -> Rank {
    let is_leader = member.id == leader;
    // A leader that was asked for is taken wherever it is. Otherwise a configured endpoint comes
    // before one that is known from the member list only.
    let (not_the_leader, is_unwanted_leader) = match wish.member {
        MemberChoice::Leader => (!is_leader, false),
        MemberChoice::Follower => (false, is_leader),
        MemberChoice::Rotate | MemberChoice::Named(_) => (false, false),
    };
    (
        wish.avoid.contains(&member.id),
        member.is_corrupt,
        not_the_leader,
        !member.is_configured,
        is_unwanted_leader,
        Reverse(member.raft_applied_index),
        member.id,
    )
}

/// Without a quorum: the one that has seen most.
fn advance(member: &Seen, wish: &Wish<'_>) -> (bool, bool, i64, u64, bool, u64) {
    (
        !wish.avoid.contains(&member.id),
        !member.is_corrupt,
        member.revision,
        member.raft_applied_index,
        member.is_configured,
        member.id,
    )
}

/// Lets those of the first rank take turns, in the order of their ids.
fn rotate(order: &mut [usize], seen: &[Seen], wish: &Wish<'_>) {
    if *wish.member != MemberChoice::Rotate {
        return;
    }
    let class = |index: usize| {
        let member = &seen[index];
        let avoided = wish.avoid.contains(&member.id);
        (avoided, member.is_corrupt, member.is_configured)
    };
    let Some(first) = order.first().map(|&index| class(index)) else {
        return;
    };
    let count = order.iter().take_while(|&&index| class(index) == first).count();
    let group = &mut order[..count];
    group.sort_by_key(|&index| seen[index].id);
    let turn = usize::try_from(wish.turn % count as u64).unwrap_or(0);
    group.rotate_left(turn);
}

#[cfg(test)]
mod tests;
