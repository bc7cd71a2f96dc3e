//! Quorum lost: somebody answers, and no majority works together.
//!
//! Told apart: too few voters answer (start them, else restore), or enough of them answer and elect
//! nobody (their data are whole; a restore would throw them away for nothing).

use super::{Case, Confidence, Evidence, Insider, Quorum, Restore, Step, Verdict, members};
use crate::observation::Answer;

/// Where the survivor's snapshot is put.
const RESCUED: &str = "/var/tmp/lifeboat-rescued.db";

pub(super) fn lost(evidence: &Evidence<'_>) -> Option<Verdict> {
    if evidence.quorum != Quorum::Lost {
        return None;
    }
    let answering = evidence.voting().count();
    if answering >= evidence.majority() {
        return Some(elect_nobody(evidence, answering));
    }
    let voters = evidence.voters().count();
    let silent: Vec<&Insider<'_>> = evidence.voters().filter(|i| i.answer().is_none()).collect();
    let (confidence, mut reasons) = how_sure(evidence);
    reasons.extend(silent.iter().map(|insider| members::why_silent(insider)));
    let headline = format!(
        "quorum lost: {answering} of {voters} voting members answer, {} are needed",
        evidence.majority()
    );
    let backup = &evidence.seen.backup;
    let survivor = best_survivor(evidence)?;
    reasons.push(compared_with_backup(survivor.1, backup.revision));
    let (restore, why) = if backup.is_fresh() {
        (Restore::Yes, "if a majority cannot be started again; every restart first is better")
    } else {
        (
            Restore::LastResort,
            "no fresh backup is known: rescue what the member that answers holds, before anything \
             else is done",
        )
    };
    Some(Verdict {
        case: Case::QuorumLost,
        headline,
        confidence,
        reasons,
        restore,
        restore_why: why.into(),
        steps: steps(evidence, &silent, survivor),
        exit: Case::QuorumLost.exit(),
    })
}

/// Reads that fail for want of a leader are proof where nobody names a leader either.
fn how_sure(evidence: &Evidence<'_>) -> (Confidence, Vec<String>) {
    let named: Vec<String> = evidence
        .voting()
        .filter(|(_, answer)| answer.status.leader != 0)
        .map(|(insider, answer)| {
            let leader = evidence.name(answer.status.leader);
            format!(
                "{} still names {leader} as the leader, but reads through it fail",
                insider.name()
            )
        })
        .collect();
    let mut reasons: Vec<String> = evidence.voting().filter_map(why_no_read).collect();
    if named.is_empty() {
        reasons.insert(0, "no member that answers sees a leader".into());
        return (Confidence::High, reasons);
    }
    reasons.extend(named);
    (Confidence::Medium, reasons)
}

fn why_no_read((insider, answer): (&Insider<'_>, &Answer)) -> Option<String> {
    let trouble = answer.linearizable.as_ref().err()?;
    Some(format!("{} gives no linearizable read: {trouble}", insider.name()))
}

/// The voter that has seen most.
fn best_survivor<'b>(evidence: &'b Evidence<'_>) -> Option<(&'b Insider<'b>, &'b Answer)> {
    let key = |(_, answer): &(&Insider<'_>, &Answer)| {
        (answer.status.revision, answer.status.raft_applied_index)
    };
    evidence.voting().max_by_key(key)
}

fn compared_with_backup(survivor: &Answer, backup: Option<i64>) -> String {
    let own = survivor.status.revision;
    match backup {
        Some(backup) if backup < own => format!(
            "{} holds revision {own}: {} revisions more than the newest backup",
            survivor.address,
            own - backup
        ),
        Some(_) => {
            format!("{} holds revision {own}, no more than the newest backup", survivor.address)
        }
        None => format!("{} holds revision {own}", survivor.address),
    }
}

fn steps(
    evidence: &Evidence<'_>,
    silent: &[&Insider<'_>],
    survivor: (&Insider<'_>, &Answer),
) -> Vec<Step> {
    let tools = &evidence.seen.tools;
    let machines = evidence.names(silent.iter().copied());
    let missing = evidence.majority() - evidence.voting().count();
    vec![
        Step::typed("is etcd running there, and what did it say last?", members::LOOK_THERE)
            .on(&machines),
        Step::typed(
            format!(
                "start it on its own data: with {missing} more nothing is lost, and you are done"
            ),
            members::START,
        )
        .on(&machines),
        Step::typed("look again", tools.doctor("")),
        Step::typed(
            format!("only if they cannot be started: rescue what {} holds", survivor.0.name()),
            tools.etcdctl(&[&survivor.1.address], &format!("snapshot save {RESCUED}")),
        ),
        Step::typed(
            "how the cluster comes back, from the newest backup",
            tools.lifeboat("restore --plan"),
        ),
        Step::said(format!(
            "the rescued snapshot restores in the same way: lifeboat-restore --input {RESCUED} \
             --all-members DIR"
        )),
    ]
}

/// They are all there, and do not find together.
fn elect_nobody(evidence: &Evidence<'_>, answering: usize) -> Verdict {
    let voters = evidence.voters().count();
    let (confidence, mut reasons) = how_sure(evidence);
    reasons.push(format!("{answering} of {voters} voting members answer, which are enough"));
    let tools = &evidence.seen.tools;
    let peers = evidence.voters().flat_map(|insider| insider.listed.peer_urls.clone());
    let peers: Vec<String> = peers.collect();
    Verdict {
        case: Case::QuorumLost,
        headline: format!(
            "no leader: {answering} of {voters} voting members answer and elect nobody"
        ),
        confidence,
        reasons,
        restore: Restore::Never,
        restore_why: "enough members are alive, with their data".into(),
        steps: vec![
            Step::said(format!("can they reach each other? peers: {}", peers.join(" "))),
            Step::typed(
                "do their logs name a peer certificate, a clock or a slow disk?",
                members::LOOK_THERE,
            )
            .on(evidence.names(evidence.voters())),
            Step::typed("look again", tools.doctor("")),
        ],
        exit: Case::QuorumLost.exit(),
    }
}
