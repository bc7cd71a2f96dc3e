//! Whether a member may be replaced, and how: a pure function of what was seen.
//!
//! The rule: while the new member is empty it counts as down. So those that work without it must be
//! a majority of all voters, the new one counted.

use crate::diagnose::{Evidence, Insider, Quorum, compare, is_undecided, suspects, why_behind};
use etcd::hex_id;
use std::collections::BTreeSet;
use std::fmt;

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The member's name, or its id in hex.
    pub(crate) name: &'a str,
    /// Where the new one is; nothing for where the old one was.
    pub(crate) peer_urls: &'a [String],
    /// Although it is healthy.
    pub(crate) force: bool,
}

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// What is wrong with the member.
    pub(crate) why: String,
    /// The member to take out; nothing if it is out already.
    pub(crate) remove: Option<u64>,
    /// Whether one is added; not if that was done and only the start is missing.
    pub(crate) add: bool,
    pub(crate) peer_urls: Vec<String>,
    pub(crate) is_learner: bool,
    /// The address of the sound member that is asked to do it.
    pub(crate) through: String,
    /// Voters that work without it.
    pub(crate) working: usize,
    /// Voters once the new one is in.
    pub(crate) voters: usize,
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No majority works, so that nothing can be changed, and nothing must be.
    NoQuorum,
    /// It is not known who belongs to the cluster.
    Split,
    /// It is not known whose data are right.
    Undecided,
    /// Nobody is called so.
    Unknown { known: Vec<String>, waiting: Vec<String> },
    /// It works.
    Healthy,
    /// The cluster would stand still.
    WouldStandStill { working: usize, needed: usize, voters: usize },
    /// Another member has that peer URL.
    UrlTaken { url: String, by: String },
    /// The peer URL of the new member is not said and cannot be known.
    NoUrl,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoQuorum => f.write_str("the cluster has no leader that a majority follows"),
            Refusal::Split => f.write_str("the members disagree on who belongs to the cluster"),
            Refusal::Undecided => f.write_str("it is not known whose data are right"),
            Refusal::Unknown { known, .. } => {
                write!(f, "no member is called so; there are {}", known.join(", "))
            }
            Refusal::Healthy => f.write_str("it is healthy"),
            Refusal::WouldStandStill { working, needed, voters } => write!(
                f,
                "the cluster would stand still: without it {working} of {voters} voting members \
                 work, and {needed} are needed"
            ),
            Refusal::UrlTaken { url, by } => write!(f, "{url} is the peer URL of {by}"),
            Refusal::NoUrl => f.write_str("it has no peer URL"),
        }
    }
}

impl Refusal {
    /// The next step.
    pub(crate) fn hint(&self) -> String {
        match self {
            Refusal::NoQuorum | Refusal::Split | Refusal::Undecided => {
                "run `lifeboat doctor`, and mend what it says first".into()
            }
            Refusal::Unknown { waiting, .. } => match waiting.as_slice() {
                [] => "if it was removed already, say where it is to be with --peer-url".into(),
                urls => format!(
                    "a member was added and never started; if that is it, say --peer-url {}",
                    urls.join(" or ")
                ),
            },
            Refusal::Healthy => "say --force if it must be replaced all the same".into(),
            Refusal::WouldStandStill { .. } => {
                "bring another member back first; a cluster of one or two members needs one more \
                 before one is taken out (etcdctl member add)"
                    .into()
            }
            Refusal::UrlTaken { .. } => "name that member, or give another --peer-url".into(),
            Refusal::NoUrl => "say where its peers are to reach it with --peer-url".into(),
        }
    }
}

impl Plan {
    /// Whether the cluster's membership will be another one.
    pub(crate) fn changes_anything(&self) -> bool {
        self.remove.is_some() || self.add
    }

    /// How much may still go wrong while the new member is empty.
    pub(crate) fn margin(&self) -> String {
        let spare = self.working - (self.voters / 2 + 1);
        let (working, voters) = (self.working, self.voters);
        let until = "until it has caught up";
        match spare {
            0 => format!(
                "{working} of {voters} voting members work {until}: if one of them fails, the \
                 cluster stands still."
            ),
            _ => {
                format!("{working} of {voters} voting members work {until}; {spare} more may fail.")
            }
        }
    }
}

/// Makes the plan.
pub(crate) fn plan(evidence: &Evidence<'_>, wish: &Wish<'_>) -> Result<Plan, Refusal> {
    if evidence.quorum != Quorum::Proven {
        return Err(Refusal::NoQuorum);
    }
    let hashes = compare(evidence);
    if is_undecided(evidence, &hashes) {
        return Err(Refusal::Undecided);
    }
    let target = find(evidence, wish.name);
    // A broken member may well have lost track of who belongs to the cluster.
    if evidence.is_split_without(target.map(|insider| insider.listed.id)) {
        return Err(Refusal::Split);
    }
    let suspects = suspects(evidence, &hashes);
    match target {
        Some(target) => replace(evidence, wish, target, &suspects),
        None => go_on(evidence, wish, &suspects),
    }
}

fn find<'b, 'a>(evidence: &'b Evidence<'a>, name: &str) -> Option<&'b Insider<'a>> {
    let is_it = |insider: &&Insider<'_>| {
        insider.listed.name == name || hex_id(insider.listed.id) == name.to_ascii_lowercase()
    };
    evidence.insiders.iter().find(is_it)
}

/// The member is there.
fn replace(
    evidence: &Evidence<'_>,
    wish: &Wish<'_>,
    target: &Insider<'_>,
    suspects: &BTreeSet<u64>,
) -> Result<Plan, Refusal> {
    let id = target.listed.id;
    let why = match what_is_wrong(evidence, target, suspects) {
        Some(why) => why,
        None if wish.force => "it works, as far as can be seen".into(),
        None => return Err(Refusal::Healthy),
    };
    let peer_urls = match wish.peer_urls {
        [] => target.listed.peer_urls.clone(),
        said => said.to_vec(),
    };
    let others: Vec<&Insider<'_>> =
        evidence.insiders.iter().filter(|insider| insider.listed.id != id).collect();
    let sound = sound(evidence, &others, suspects);
    let voters = evidence.voters().count();
    finish(
        Draft {
            why,
            remove: Some(id),
            add: true,
            peer_urls,
            is_learner: target.listed.is_learner,
            name: if target.listed.name.is_empty() { wish.name } else { &target.listed.name },
            voters,
        },
        &others,
        &sound,
    )
}

/// The member is not there: it was removed, and perhaps added, when somebody died.
fn go_on(
    evidence: &Evidence<'_>,
    wish: &Wish<'_>,
    suspects: &BTreeSet<u64>,
) -> Result<Plan, Refusal> {
    let waiting: Vec<&Insider<'_>> =
        evidence.insiders.iter().filter(|insider| insider.listed.name.is_empty()).collect();
    if wish.peer_urls.is_empty() {
        let known = evidence.insiders.iter().map(Insider::name).collect();
        let waiting = waiting.iter().flat_map(|insider| insider.listed.peer_urls.clone()).collect();
        return Err(Refusal::Unknown { known, waiting });
    }
    let same_urls = |insider: &&&Insider<'_>| {
        let has = |url: &String| insider.listed.peer_urls.contains(url);
        insider.listed.peer_urls.len() == wish.peer_urls.len() && wish.peer_urls.iter().all(has)
    };
    let added = waiting.iter().find(same_urls);
    let added_id = added.map(|insider| insider.listed.id);
    let others: Vec<&Insider<'_>> =
        evidence.insiders.iter().filter(|insider| Some(insider.listed.id) != added_id).collect();
    let sound = sound(evidence, &others, suspects);
    let voters = others.iter().filter(|insider| insider.is_voter()).count() + 1;
    let why = match added {
        Some(_) => "it was added and has never started",
        None => "it is not in the cluster any more",
    };
    finish(
        Draft {
            why: why.into(),
            remove: None,
            add: added.is_none(),
            peer_urls: wish.peer_urls.to_vec(),
            is_learner: added.is_some_and(|insider| insider.listed.is_learner),
            name: wish.name,
            voters,
        },
        &others,
        &sound,
    )
}

/// A plan before it is known whether it can be carried out.
struct Draft<'a> {
    why: String,
    remove: Option<u64>,
    add: bool,
    peer_urls: Vec<String>,
    is_learner: bool,
    name: &'a str,
    voters: usize,
}

fn finish(
    draft: Draft<'_>,
    others: &[&Insider<'_>],
    sound: &[&Insider<'_>],
) -> Result<Plan, Refusal> {
    if draft.peer_urls.is_empty() {
        return Err(Refusal::NoUrl);
    }
    let taken = others.iter().find_map(|insider| {
        let url = insider.listed.peer_urls.iter().find(|url| draft.peer_urls.contains(url))?;
        Some(Refusal::UrlTaken { url: url.clone(), by: insider.name() })
    });
    if let Some(refusal) = taken {
        return Err(refusal);
    }
    let (working, needed) = (sound.len(), draft.voters / 2 + 1);
    let through = sound.iter().find_map(|insider| insider.answer());
    let Some(through) = through.filter(|_| working >= needed || !draft.add) else {
        return Err(Refusal::WouldStandStill { working, needed, voters: draft.voters });
    };
    Ok(Plan {
        name: draft.name.to_owned(),
        why: draft.why,
        remove: draft.remove,
        add: draft.add,
        peer_urls: draft.peer_urls,
        is_learner: draft.is_learner,
        through: through.address.clone(),
        working,
        voters: draft.voters,
    })
}

/// Voters among these that can be relied on, the leader first.
fn sound<'b, 'a>(
    evidence: &Evidence<'a>,
    among: &[&'b Insider<'a>],
    suspects: &BTreeSet<u64>,
) -> Vec<&'b Insider<'a>> {
    let (leader, _) = evidence.leader();
    let works = |insider: &&&Insider<'a>| {
        insider.is_voter() && what_is_wrong(evidence, insider, suspects).is_none()
    };
    let mut sound: Vec<&Insider<'a>> = among.iter().filter(works).copied().collect();
    sound.sort_by_key(|insider| insider.listed.id != leader);
    sound
}

/// `None` for a member that works with the others and holds their data.
fn what_is_wrong(
    evidence: &Evidence<'_>,
    insider: &Insider<'_>,
    suspects: &BTreeSet<u64>,
) -> Option<String> {
    let Some(answer) = insider.answer() else {
        return Some(match insider.listed.name.as_str() {
            "" => "it was added and has never started".into(),
            _ => "it does not answer".to_owned(),
        });
    };
    if suspects.contains(&insider.listed.id) {
        return Some("its data are not those of the majority".into());
    }
    if let Some(why) = why_behind(evidence, insider, answer) {
        return Some(format!("it {why}"));
    }
    match &answer.linearizable {
        Err(trouble) if insider.is_voter() => Some(format!("no linearizable read: {trouble}")),
        _ => None,
    }
}
