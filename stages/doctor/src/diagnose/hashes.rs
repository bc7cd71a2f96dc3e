//! Whether the members hold the same data: HashKV of the voters at one revision, and the alarm
//! CORRUPT.
//!
//! Hashes can be compared only under the same compaction. A side that a majority of all voters is on,
//! those that do not answer counted, is right; without such a side nobody can say who is.

use super::{Case, Confidence, Evidence, Insider, Restore, Step, Verdict, members};
use etcd::{HashKv, alarm_of};
use std::collections::{BTreeMap, BTreeSet};

/// What the hashes say. Ids of members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hashes {
    /// The revision that was compared.
    pub(crate) revision: i64,
    /// The sides, the largest first.
    pub(crate) sides: Vec<Vec<u64>>,
    /// Whether the first side is a majority of all voters.
    pub(crate) has_majority: bool,
    /// Whose answer cannot be compared with the others', and why.
    pub(crate) not_compared: Vec<(u64, String)>,
}

impl Hashes {
    /// Who holds other data than the majority.
    pub(crate) fn differing(&self) -> Vec<u64> {
        match self.has_majority {
            true => self.sides.iter().skip(1).flatten().copied().collect(),
            false => Vec::new(),
        }
    }
}

/// Puts the answers of the voters side by side.
pub(crate) fn compare(evidence: &Evidence<'_>) -> Hashes {
    let mut groups: BTreeMap<(i64, i64), BTreeMap<u32, Vec<u64>>> = BTreeMap::new();
    let mut hashes = Hashes::default();
    for (insider, answer) in evidence.voting() {
        let id = insider.listed.id;
        match &answer.hashkv {
            Ok(HashKv { hash, compact_revision }) => {
                let group = groups.entry((answer.hashkv_revision, *compact_revision)).or_default();
                group.entry(*hash).or_default().push(id);
            }
            Err(trouble) => hashes.not_compared.push((id, trouble.to_string())),
        }
    }
    let count = |sides: &BTreeMap<u32, Vec<u64>>| sides.values().map(Vec::len).sum::<usize>();
    let largest = groups.iter().max_by_key(|(_, sides)| count(sides)).map(|(key, _)| *key);
    for (key, sides) in groups {
        if Some(key) == largest {
            hashes.revision = key.0;
            hashes.sides = sides.into_values().collect();
            hashes.sides.sort_by_key(|side| (std::cmp::Reverse(side.len()), side.clone()));
        } else {
            let why = format!("it has compacted up to revision {}, the others have not", key.1);
            let ids = sides.into_values().flatten();
            hashes.not_compared.extend(ids.map(|id| (id, why.clone())));
        }
    }
    let first = hashes.sides.first().map_or(0, Vec::len);
    hashes.has_majority = first >= evidence.majority();
    hashes
}

/// For whom the alarm CORRUPT is raised; 0 for a member that is not said.
fn alarmed(evidence: &Evidence<'_>) -> BTreeSet<u64> {
    let errors = evidence.answers().flat_map(|(_, answer)| &answer.status.errors);
    let alarms = errors.filter_map(|error| alarm_of(error));
    let corrupt = alarms.filter(|alarm| alarm.alarm == "CORRUPT");
    corrupt.map(|alarm| u64::from_str_radix(&alarm.member_id, 16).unwrap_or(0)).collect()
}

/// Members whose data are not those of the majority, or that etcd itself has an alarm for.
pub(crate) fn suspects(evidence: &Evidence<'_>, hashes: &Hashes) -> BTreeSet<u64> {
    let mut ids: BTreeSet<u64> = hashes.differing().into_iter().collect();
    ids.extend(alarmed(evidence));
    ids
}

/// A minority holds other data, or etcd itself says that some member does.
pub(super) fn member_corrupt(evidence: &Evidence<'_>, hashes: &Hashes) -> Option<Verdict> {
    if is_undecided(evidence, hashes) {
        return None;
    }
    let ids = suspects(evidence, hashes);
    let differing = hashes.differing();
    let bad: Vec<&Insider<'_>> =
        evidence.insiders.iter().filter(|insider| ids.contains(&insider.listed.id)).collect();
    if bad.is_empty() {
        return None;
    }
    let mut reasons = sides_in_words(evidence, hashes);
    let only_alarmed = alarmed(evidence).iter().any(|id| !differing.contains(id));
    for id in alarmed(evidence) {
        reasons.push(format!("etcd raised the alarm CORRUPT for {}", evidence.name(id)));
    }
    let confidence = if only_alarmed { Confidence::Medium } else { Confidence::High };
    if only_alarmed {
        reasons.push("HashKV does not show it now: it may have been mended since".into());
    }
    let names = evidence.names(bad.iter().copied());
    Some(Verdict {
        case: Case::MemberCorrupt,
        headline: format!("{names} holds other data than the majority"),
        confidence,
        reasons,
        restore: Restore::Never,
        restore_why: "a majority holds the right data: replace the member, and it copies them"
            .into(),
        steps: replace_each(evidence, &bad, !alarmed(evidence).is_empty()),
        exit: Case::MemberCorrupt.exit(),
    })
}

fn replace_each(evidence: &Evidence<'_>, bad: &[&Insider<'_>], is_alarmed: bool) -> Vec<Step> {
    let tools = &evidence.seen.tools;
    let mut steps = Vec::new();
    for insider in bad {
        let text = format!("take {} out and add it anew, empty", insider.name());
        let words = members::replace_words(insider);
        steps.push(Step::typed(text, tools.doctor(&words)));
    }
    if is_alarmed {
        let addresses = evidence.addresses();
        let text = "once HashKV is the same everywhere";
        steps.push(Step::typed(text, tools.etcdctl(&addresses, "alarm disarm")));
    }
    steps.push(Step::typed("look again", tools.doctor("")));
    steps
}

/// Nobody can say which side is right.
pub(super) fn data_corruption(evidence: &Evidence<'_>, hashes: &Hashes) -> Option<Verdict> {
    if !is_undecided(evidence, hashes) {
        return None;
    }
    let mut reasons = sides_in_words(evidence, hashes);
    for id in alarmed(evidence) {
        let name = if id == 0 { "no member in particular".into() } else { evidence.name(id) };
        reasons.push(format!("etcd raised the alarm CORRUPT for {name}"));
    }
    let silent: Vec<&Insider<'_>> = evidence.voters().filter(|i| i.answer().is_none()).collect();
    let differs = hashes.sides.len() > 1;
    let (restore, why) = match (silent.is_empty(), evidence.seen.backup.is_fresh()) {
        (false, _) => (Restore::LastResort, "a member that is down may decide which side is right"),
        (true, true) => (Restore::Yes, "nothing in the cluster says which data are right"),
        (true, false) => (Restore::LastResort, "no fresh backup is known"),
    };
    Some(Verdict {
        case: Case::DataCorruption,
        headline: match differs {
            true => "the members hold different data, and no majority says which are right".into(),
            false => "etcd says that data are corrupt, and no majority vouches for any".to_owned(),
        },
        confidence: if differs { Confidence::High } else { Confidence::Medium },
        reasons,
        restore,
        restore_why: why.into(),
        steps: steps(evidence, &silent),
        exit: Case::DataCorruption.exit(),
    })
}

fn steps(evidence: &Evidence<'_>, silent: &[&Insider<'_>]) -> Vec<Step> {
    let tools = &evidence.seen.tools;
    let mut steps = vec![Step::said("stop what writes (kube-apiserver), so that it gets no worse")];
    if !silent.is_empty() {
        let text = "start it: its data decide which side is right";
        steps.push(Step::typed(text, members::START).on(evidence.names(silent.iter().copied())));
        steps.push(Step::typed("look again", tools.doctor("")));
    }
    for (insider, answer) in evidence.voting() {
        let file = format!("/var/tmp/lifeboat-evidence-{:x}.db", insider.listed.id);
        let save = tools.etcdctl(&[&answer.address], &format!("snapshot save {file}"));
        steps.push(Step::typed(format!("keep what {} holds", insider.name()), save));
    }
    steps.push(Step::typed(
        "how the cluster comes back, from a backup of before",
        tools.lifeboat("restore --plan"),
    ));
    steps
}

/// Whether nobody can say which data are right.
pub(crate) fn is_undecided(evidence: &Evidence<'_>, hashes: &Hashes) -> bool {
    let is_split = hashes.sides.len() > 1 && !hashes.has_majority;
    let of_nobody = |id: &u64| !evidence.insiders.iter().any(|i| i.listed.id == *id);
    let alarmed = alarmed(evidence);
    // One member alone has nobody to copy from, and so has an alarm without a name.
    let is_alone = evidence.voters().count() == 1 && !alarmed.is_empty();
    is_split || is_alone || alarmed.iter().any(of_nobody)
}

fn sides_in_words(evidence: &Evidence<'_>, hashes: &Hashes) -> Vec<String> {
    let side =
        |ids: &Vec<u64>| ids.iter().map(|id| evidence.name(*id)).collect::<Vec<_>>().join(" and ");
    let sides: Vec<String> = hashes.sides.iter().map(side).collect();
    match sides.len() {
        0 => vec!["no HashKV could be compared".into()],
        1 => vec![format!("HashKV at revision {} is the same for {}", hashes.revision, sides[0])],
        _ => vec![format!("HashKV at revision {}: {}", hashes.revision, sides.join(" ≠ "))],
    }
}
