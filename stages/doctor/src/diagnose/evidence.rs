//! What the answers say when they are put side by side: which cluster it is, who belongs to it, who
//! answered, and whether a majority works together.
//!
//! Of several clusters and several lists the one counts that most of its own voters hold; of equals
//! the one with a leader, then the one that is further.

use crate::observation::{Address, Answer, Member, Observations, Silence};
use etcd::{Listed, Status, hex_id};
use std::collections::BTreeMap;

/// One member of the cluster, as it is listed, and what was seen of it.
#[derive(Debug, Clone)]
pub(crate) struct Insider<'a> {
    pub(crate) listed: Listed,
    pub(crate) member: Option<&'a Member>,
}

/// Whether a majority works together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// A read went through it.
    Proven,
    /// No read did, for another reason; but a majority answers and has one leader.
    Likely,
    /// Reads fail for want of it, or nobody sees a leader.
    Lost,
    /// It cannot be told from the members that answer.
    Unknown,
}

/// The answers, side by side.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) seen: &'a Observations,
    pub(crate) cluster_id: u64,
    /// Everybody who belongs to it, by name.
    pub(crate) insiders: Vec<Insider<'a>>,
    /// Whether any member gave a list. If not, those who answer are taken for all.
    pub(crate) is_listed: bool,
    /// Who answers and does not belong to it.
    pub(crate) strangers: Vec<&'a Member>,
    pub(crate) quorum: Quorum,
}

impl Insider<'_> {
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.member.and_then(|member| member.answer.as_ref())
    }

    pub(crate) fn is_voter(&self) -> bool {
        !self.listed.is_learner
    }

    /// A learner that is alive and cannot be asked: it cannot log anybody in.
    pub(crate) fn is_mute(&self) -> bool {
        let addresses = self.member.map(|member| member.addresses.as_slice()).unwrap_or_default();
        let says_so =
            |address: &Address| address.silence == Some(Silence::Trouble(etcd::Trouble::Learner));
        self.listed.is_learner && self.answer().is_none() && addresses.iter().any(says_so)
    }

    /// Its name; its id where it has none yet.
    pub(crate) fn name(&self) -> String {
        name_of(&self.listed.name, self.listed.id)
    }
}

/// How a member is called.
pub(crate) fn name_of(name: &str, id: u64) -> String {
    if name.is_empty() { hex_id(id) } else { name.to_owned() }
}

/// Id, peer URLs, and whether it is a learner, of each member.
pub(crate) type Canonical = Vec<(u64, Vec<String>, bool)>;

/// Who is in a list, in a form that can be compared: names and client URLs come later than the rest.
pub(crate) fn canonical(list: &[Listed]) -> Canonical {
    let mut members: Vec<_> = list
        .iter()
        .map(|member| {
            let mut urls = member.peer_urls.clone();
            urls.sort();
            (member.id, urls, member.is_learner)
        })
        .collect();
    members.sort();
    members
}

impl<'a> Evidence<'a> {
    /// `None` if nobody answered.
    pub(crate) fn of(seen: &'a Observations) -> Option<Self> {
        let answers: Vec<(&Member, &Answer)> =
            seen.members.iter().filter_map(|m| Some((m, m.answer.as_ref()?))).collect();
        if answers.is_empty() {
            return None;
        }
        let (cluster_id, list) = main_list(&answers)?;
        let is_listed = list.is_some();
        let list = list.unwrap_or_else(|| everybody(&answers, cluster_id));
        let of_cluster = |member: &Member| {
            member.answer.as_ref().is_none_or(|a| a.status.cluster_id == cluster_id)
        };
        let mut insiders: Vec<Insider<'a>> = list
            .iter()
            .map(|listed| {
                let own = seen.members.iter().filter(|m| m.id == listed.id && of_cluster(m));
                let member = own.max_by_key(|member| member.answer.is_some());
                Insider { listed: listed.clone(), member }
            })
            .collect();
        insiders.sort_by_key(|insider| (insider.name(), insider.listed.id));
        let is_stranger = |member: &&Member| {
            let listed = list.iter().any(|listed| listed.id == member.id);
            member.answer.is_some() && !(listed && of_cluster(member))
        };
        let strangers = seen.members.iter().filter(is_stranger).collect();
        let mut evidence =
            Evidence { seen, cluster_id, insiders, is_listed, strangers, quorum: Quorum::Unknown };
        evidence.quorum = evidence.quorum();
        Some(evidence)
    }

    pub(crate) fn voters(&self) -> impl Iterator<Item = &Insider<'a>> {
        self.insiders.iter().filter(|insider| insider.is_voter())
    }

    /// Members that answered, with their answers.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&Insider<'a>, &Answer)> {
        self.insiders.iter().filter_map(|insider| Some((insider, insider.answer()?)))
    }

    /// The same, of voters.
    pub(crate) fn voting(&self) -> impl Iterator<Item = (&Insider<'a>, &Answer)> {
        self.answers().filter(|(insider, _)| insider.is_voter())
    }

    /// How many voters make a majority.
    pub(crate) fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// Leader and term of the highest term that has a leader; `(0, 0)` if nobody sees one.
    pub(crate) fn leader(&self) -> (u64, u64) {
        leader_of(self.answers().map(|(_, answer)| &answer.status))
    }

    /// The name of a member, its id if it is not listed.
    pub(crate) fn name(&self, id: u64) -> String {
        let known = self.insiders.iter().find(|insider| insider.listed.id == id);
        known.map_or_else(|| hex_id(id), Insider::name)
    }

    /// Addresses at which voters answer, the leader last: what costs the cluster is done to it last.
    pub(crate) fn addresses(&self) -> Vec<&str> {
        let (leader, _) = self.leader();
        let mut voting: Vec<_> = self.voting().collect();
        voting.sort_by_key(|(insider, _)| insider.listed.id == leader);
        voting.into_iter().map(|(_, answer)| answer.address.as_str()).collect()
    }

    /// The newest revision that any voter told.
    pub(crate) fn revision(&self) -> i64 {
        let told = self.voting().map(|(_, answer)| {
            let read = answer.linearizable.as_ref().copied().unwrap_or(0);
            answer.status.revision.max(read)
        });
        told.max().unwrap_or(0)
    }

    /// Names in the order of the members, with commas.
    pub(crate) fn names<'b>(&self, insiders: impl IntoIterator<Item = &'b Insider<'a>>) -> String
    where
        'a: 'b,
    {
        insiders.into_iter().map(Insider::name).collect::<Vec<_>>().join(", ")
    }

    /// Whether anybody but this member disagrees on who belongs to the cluster.
    pub(crate) fn is_split_without(&self, id: Option<u64>) -> bool {
        let others = super::cluster::dissenters(self);
        let counts = |other: u64| Some(other) != id;
        self.strangers.iter().any(|stranger| counts(stranger.id))
            || others.iter().any(|(insider, _)| counts(insider.listed.id))
    }

    fn quorum(&self) -> Quorum {
        if self.voting().any(|(_, answer)| answer.linearizable.is_ok()) {
            return Quorum::Proven;
        }
        let (leader, term) = self.leader();
        let follows = |status: &Status| (status.leader, status.raft_term) == (leader, term);
        let united = self.voting().filter(|(_, a)| leader != 0 && follows(&a.status)).count();
        let leads = self.voting().any(|(insider, _)| insider.listed.id == leader);
        let has_no_leader =
            |a: &Answer| a.linearizable.as_ref().is_err_and(etcd::Trouble::is_no_quorum);
        if self.voting().any(|(_, answer)| has_no_leader(answer)) {
            return Quorum::Lost;
        }
        match self.voting().count() {
            0 => Quorum::Unknown,
            _ if leader == 0 => Quorum::Lost,
            _ if leads && united >= self.majority() => Quorum::Likely,
            _ => Quorum::Unknown,
        }
    }
}

fn leader_of<'a>(statuses: impl Iterator<Item = &'a Status>) -> (u64, u64) {
    let with = statuses.filter(|status| status.leader != 0);
    with.max_by_key(|status| status.raft_term).map_or((0, 0), |s| (s.leader, s.raft_term))
}

/// The cluster and the list that most of its voters hold; no list if nobody gave one.
fn main_list(answers: &[(&Member, &Answer)]) -> Option<(u64, Option<Vec<Listed>>)> {
    let mut lists: BTreeMap<(u64, Canonical), Held<'_>> = BTreeMap::new();
    for (member, answer) in answers {
        let Ok(list) = &answer.members else { continue };
        let key = (answer.status.cluster_id, canonical(list));
        let held = lists.entry(key).or_insert(Held { list, rank: (0, 0, 0, 0) });
        let votes = list.iter().any(|m| m.id == member.id && !m.is_learner);
        held.rank.0 += usize::from(votes);
        held.rank.1 = held.rank.1.max(usize::from(answer.linearizable.is_ok()));
        held.rank.2 = held.rank.2.max(answer.status.raft_applied_index);
        // A list with more members is the more careful guess.
        held.rank.3 = list.len();
    }
    let main = lists.into_iter().max_by_key(|(_, held)| held.rank);
    match main {
        Some(((cluster_id, _), held)) => Some((cluster_id, Some(held.list.clone()))),
        None => answers.first().map(|(_, answer)| (answer.status.cluster_id, None)),
    }
}

struct Held<'a> {
    list: &'a Vec<Listed>,
    rank: (usize, usize, u64, usize),
}

/// Those who answer, where nobody says who else there is.
fn everybody(answers: &[(&Member, &Answer)], cluster_id: u64) -> Vec<Listed> {
    let own = answers.iter().filter(|(_, answer)| answer.status.cluster_id == cluster_id);
    let listed = own.map(|(member, answer)| Listed {
        id: member.id,
        name: member.name.clone(),
        peer_urls: Vec::new(),
        client_urls: vec![answer.address.clone()],
        is_learner: answer.status.is_learner,
    });
    listed.collect()
}
