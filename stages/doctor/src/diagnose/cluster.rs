//! Members disagree on who belongs to the cluster: somebody answers who is not listed, or the lists
//! that the members hold are not the same.

use super::evidence::{canonical, name_of};
use super::{Case, Confidence, Evidence, Insider, Restore, Step, Verdict, members};
use crate::observation::{Answer, Member};
use etcd::hex_id;

pub(super) fn membership_split(evidence: &Evidence<'_>) -> Option<Verdict> {
    let others = dissenters(evidence);
    if evidence.strangers.is_empty() && others.is_empty() {
        return None;
    }
    let mut reasons: Vec<String> =
        evidence.strangers.iter().map(|stranger| about_stranger(evidence, stranger)).collect();
    reasons.extend(others.iter().map(|(insider, list)| {
        format!(
            "{} lists {list}, the others list {}",
            insider.name(),
            evidence.names(&evidence.insiders)
        )
    }));
    let headline = match evidence.strangers.as_slice() {
        [] => "members disagree on who belongs to the cluster".to_owned(),
        strangers => {
            let names: Vec<String> = strangers.iter().map(|s| name_of(&s.name, s.id)).collect();
            format!("{} answers and does not belong to the cluster", names.join(", "))
        }
    };
    let confidence = match evidence.strangers.is_empty() && is_late(evidence, &others) {
        true => Confidence::Medium,
        false => Confidence::High,
    };
    let mut steps: Vec<Step> =
        evidence.strangers.iter().flat_map(|stranger| against(evidence, stranger)).collect();
    for (insider, _) in &others {
        let text = "it may only be late; what does its log say?";
        steps.push(Step::typed(text, members::LOOK_THERE).on(insider.name()));
        let replace = evidence.seen.tools.doctor(&members::replace_words(insider));
        steps.push(Step::typed("if it stays so, replace it", replace));
    }
    steps.push(Step::typed("look again", evidence.seen.tools.doctor("")));
    Some(Verdict {
        case: Case::MembershipSplit,
        headline,
        confidence,
        reasons,
        restore: Restore::Never,
        restore_why: "the data of the members that agree are whole".into(),
        steps,
        exit: Case::MembershipSplit.exit(),
    })
}

/// Members whose own list is another one, with the names in it.
pub(super) fn dissenters<'b>(evidence: &'b Evidence<'_>) -> Vec<(&'b Insider<'b>, String)> {
    if !evidence.is_listed {
        return Vec::new();
    }
    let main: Vec<_> = evidence.insiders.iter().map(|insider| insider.listed.clone()).collect();
    let main = canonical(&main);
    let other = |(insider, answer): (&'b Insider<'b>, &'b Answer)| {
        let list = answer.members.as_ref().ok()?;
        let names = list.iter().map(|m| name_of(&m.name, m.id)).collect::<Vec<_>>().join(", ");
        (canonical(list) != main).then_some((insider, names))
    };
    evidence.answers().filter_map(other).collect()
}

/// Whether all of them have simply not got so far yet.
fn is_late(evidence: &Evidence<'_>, others: &[(&Insider<'_>, String)]) -> bool {
    let front = evidence.answers().map(|(_, a)| a.status.raft_index).max().unwrap_or(0);
    let is_behind =
        |answer: &Answer| answer.status.raft_applied_index < front || answer.status.leader == 0;
    others.iter().all(|(insider, _)| insider.answer().is_some_and(is_behind))
}

fn about_stranger(evidence: &Evidence<'_>, stranger: &Member) -> String {
    let name = name_of(&stranger.name, stranger.id);
    let Some(answer) = &stranger.answer else { return name };
    let mut text = format!("{name} ({}) answers at {}", hex_id(stranger.id), answer.address);
    if answer.status.cluster_id == evidence.cluster_id {
        text += " and is on no list of the others: it was removed, and still runs";
    } else {
        let (own, other) = (hex_id(answer.status.cluster_id), hex_id(evidence.cluster_id));
        text += &format!(" and is of cluster {own}, while the others are of cluster {other}");
    }
    if answer.linearizable.is_ok() {
        text += "; it takes writes of its own, which the cluster does not have";
    }
    text
}

fn against(evidence: &Evidence<'_>, stranger: &Member) -> Vec<Step> {
    let name = name_of(&stranger.name, stranger.id);
    let tools = &evidence.seen.tools;
    let address = stranger.answer.as_ref().map_or("", |answer| answer.address.as_str());
    let again = match stranger.name.as_str() {
        "" => "--replace-member NAME --peer-url URL".to_owned(),
        name => format!("--replace-member {} --peer-url URL", crate::commands::quoted(name)),
    };
    vec![
        Step::said(format!(
            "take {address} out of every client's list (kube-apiserver --etcd-servers)"
        )),
        Step::typed("stop it", members::STOP).on(&name),
        Step::typed("and move its data aside", members::MOVE_ASIDE).on(&name),
        Step::said(format!("if it is wanted in the cluster: {}", tools.doctor(&again))),
    ]
}
