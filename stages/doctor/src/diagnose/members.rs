//! A minority is not as it should be: it does not answer, or it answers and does not keep up.
//!
//! Both only while a majority is proved to work; without one it is another case. How far behind a
//! member is, is measured against the furthest of those that answered.

use super::{Case, Confidence, Evidence, Insider, Quorum, Restore, Step, Verdict};
use crate::commands::quoted;
use crate::observation::{Address, Answer, Silence};
use contract::Exit;
use etcd::Trouble;

/// To be typed on a member's machine; etcd is a unit of systemd or a static pod there.
pub(super) const LOOK_THERE: &str = "systemctl status etcd --no-pager || crictl ps -a --name etcd";
pub(super) const START: &str = "systemctl start etcd || systemctl restart kubelet";
pub(super) const STOP: &str =
    "systemctl stop etcd || mv /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/";
pub(super) const MOVE_ASIDE: &str =
    "mv /var/lib/etcd \"/var/lib/etcd.before-$(date -u +%Y%m%dT%H%M%SZ)\"";
const START_AGAIN: &str =
    "systemctl start etcd || mv /etc/kubernetes/etcd.yaml /etc/kubernetes/manifests/";
/// How a member is stopped, its data moved aside, and it is started with other flags.
pub(crate) const STOP_AND_MOVE: (&str, &str, &str) = (STOP, MOVE_ASIDE, START_AGAIN);

/// How `lifeboat doctor` is told to replace it.
pub(super) fn replace_words(insider: &Insider<'_>) -> String {
    format!("--replace-member {}", quoted(&insider.name()))
}

pub(super) fn down(evidence: &Evidence<'_>) -> Option<Verdict> {
    let works = matches!(evidence.quorum, Quorum::Proven | Quorum::Likely);
    // With fewer than a majority in sight, those that are not cannot all be down.
    if !works || evidence.voting().count() < evidence.majority() {
        return None;
    }
    let is_down = |insider: &&Insider<'_>| insider.answer().is_none() && !insider.is_mute();
    let silent: Vec<&Insider<'_>> = evidence.insiders.iter().filter(is_down).collect();
    if silent.is_empty() {
        return None;
    }
    let voters = evidence.voters().count();
    let answering = evidence.voting().count();
    let spare = answering - evidence.majority();
    let mut reasons: Vec<String> = silent.iter().map(|insider| why_silent(insider)).collect();
    reasons.push(match evidence.quorum {
        Quorum::Proven => "the others work: a read went through a majority".into(),
        _ => "the others have one leader".to_owned(),
    });
    reasons.push(match spare {
        0 => "if one more voting member fails, the cluster stands still".to_owned(),
        more => format!("{more} more may fail before the cluster stands still"),
    });
    let confidence = silent.iter().map(|i| confidence_in(i)).max_by_key(rank)?;
    let names = evidence.names(silent.iter().copied());
    let what = match silent.iter().all(|insider| insider.listed.name.is_empty()) {
        true => format!("{names} was added and has never started"),
        false => are(&names, silent.len()),
    };
    Some(Verdict {
        case: Case::MemberDown,
        headline: format!("{what}: {answering} of {voters} voting members work"),
        confidence,
        reasons,
        restore: Restore::Never,
        restore_why: "the cluster has its data: the member copies them when it is back".into(),
        steps: silent
            .iter()
            .flat_map(|insider| bring_back(evidence, insider))
            .chain(again(evidence))
            .collect(),
        exit: Case::MemberDown.exit(),
    })
}

fn are(names: &str, count: usize) -> String {
    if count == 1 { format!("{names} is down") } else { format!("{names} are down") }
}

fn again(evidence: &Evidence<'_>) -> [Step; 1] {
    [Step::typed("look again", evidence.seen.tools.doctor(""))]
}

/// Why a member that is listed did not answer.
pub(super) fn why_silent(insider: &Insider<'_>) -> String {
    let name = insider.name();
    let addresses = insider.member.map(|member| member.addresses.as_slice()).unwrap_or_default();
    if insider.listed.name.is_empty() {
        let peers = insider.listed.peer_urls.join(", ");
        return format!("{name} was added with the peer URL {peers} and has never started");
    }
    if addresses.is_empty() {
        return format!("{name} advertises no address that could be asked");
    }
    let told = |address: &Address| match &address.silence {
        Some(silence) => format!("{}: {silence}", address.url),
        None => address.url.clone(),
    };
    format!("{name} does not answer: {}", addresses.iter().map(told).collect::<Vec<_>>().join("; "))
}

/// A connection that is refused comes from a machine that is alive and has nobody listening. What
/// only does not answer may be cut off from here alone, and what refuses us may be well.
fn confidence_in(insider: &Insider<'_>) -> Confidence {
    let addresses = insider.member.map(|member| member.addresses.as_slice()).unwrap_or_default();
    let troubles = addresses.iter().filter_map(|address| match &address.silence {
        Some(Silence::Trouble(trouble)) => Some(trouble),
        _ => None,
    });
    let troubles: Vec<&Trouble> = troubles.collect();
    let refuses_us =
        |trouble: &&Trouble| matches!(trouble.exit(), Exit::Credentials | Exit::Config);
    match troubles.as_slice() {
        _ if insider.listed.name.is_empty() => Confidence::High,
        troubles if troubles.iter().any(refuses_us) => Confidence::Low,
        [] => Confidence::Low,
        troubles if troubles.iter().all(|trouble| **trouble == Trouble::Refused) => {
            Confidence::High
        }
        _ => Confidence::Medium,
    }
}

fn rank(confidence: &Confidence) -> u8 {
    match confidence {
        Confidence::High => 0,
        Confidence::Medium => 1,
        Confidence::Low => 2,
    }
}

fn bring_back(evidence: &Evidence<'_>, insider: &Insider<'_>) -> Vec<Step> {
    let name = insider.name();
    let tools = &evidence.seen.tools;
    if insider.listed.name.is_empty() {
        let peers = insider.listed.peer_urls.join(",");
        let replace = format!("--replace-member NAME --peer-url {}", quoted(&peers));
        return vec![Step::typed(
            "it waits to be started: this prints how (NAME is the --name of that etcd)",
            tools.doctor(&replace),
        )];
    }
    if confidence_in(insider) == Confidence::Low {
        let hints = insider.member.iter().flat_map(|member| &member.addresses);
        let hint = hints.filter_map(|address| match &address.silence {
            Some(Silence::Trouble(trouble)) => trouble.hint(),
            _ => None,
        });
        return hint.map(Step::said).chain([look(&name)]).collect();
    }
    vec![
        look(&name),
        Step::typed("if its data are whole, start it: it catches up by itself", START).on(&name),
        Step::typed("only if its data are lost", tools.doctor(&replace_words(insider))),
    ]
}

fn look(name: &str) -> Step {
    Step::typed("is etcd running, and what did it say last?", LOOK_THERE).on(name)
}

pub(super) fn lagging(evidence: &Evidence<'_>) -> Option<Verdict> {
    if !matches!(evidence.quorum, Quorum::Proven | Quorum::Likely) {
        return None;
    }
    let behind: Vec<(&Insider<'_>, String)> = evidence
        .answers()
        .filter_map(|(insider, answer)| Some((insider, why_behind(evidence, insider, answer)?)))
        .collect();
    if behind.is_empty() {
        return None;
    }
    let names = evidence.names(behind.iter().map(|(insider, _)| *insider));
    let mut steps: Vec<Step> = Vec::new();
    for (insider, _) in &behind {
        steps.push(look(&insider.name()));
        let text =
            "its disk, its network to the peers, its clock: mend what is slow, and it catches up";
        steps.push(Step::said(text));
        let replace = evidence.seen.tools.doctor(&replace_words(insider));
        steps.push(Step::typed("only if it does not", replace));
    }
    steps.extend(again(evidence));
    Some(Verdict {
        case: Case::MemberLagging,
        headline: match behind.len() {
            1 => format!("{names} answers and does not keep up with the others"),
            _ => format!("{names} answer and do not keep up with the others"),
        },
        confidence: if evidence.seen.looks > 1 { Confidence::High } else { Confidence::Medium },
        reasons: behind
            .into_iter()
            .map(|(insider, why)| format!("{} {why}", insider.name()))
            .collect(),
        restore: Restore::Never,
        restore_why: "a majority has all data".into(),
        steps,
        exit: Case::MemberLagging.exit(),
    })
}

/// What keeps a member that answers from being one of the others.
pub(crate) fn why_behind(
    evidence: &Evidence<'_>,
    insider: &Insider<'_>,
    answer: &Answer,
) -> Option<String> {
    let status = &answer.status;
    let (leader, term) = evidence.leader();
    if status.leader == 0 {
        return Some("sees no leader".into());
    }
    if (status.leader, status.raft_term) != (leader, term) {
        let (own, others) = (evidence.name(status.leader), evidence.name(leader));
        let own_term = status.raft_term;
        return Some(format!(
            "takes {own} for the leader in term {own_term}, the others {others} in term {term}"
        ));
    }
    let statuses: Vec<_> = evidence.answers().map(|(_, answer)| &answer.status).collect();
    let front = statuses.iter().map(|s| s.raft_index).max().unwrap_or(0);
    let max = evidence.seen.max_lag;
    let entries = front.saturating_sub(status.raft_applied_index);
    if entries > max {
        return Some(format!("is {entries} raft entries behind, at most {max} are allowed"));
    }
    let newest = statuses.iter().map(|s| s.revision).max().unwrap_or(0);
    let revisions = newest.saturating_sub(status.revision).unsigned_abs();
    if revisions > max {
        return Some(format!("is {revisions} revisions behind, at most {max} are allowed"));
    }
    match &answer.linearizable {
        Err(trouble) if insider.is_voter() && trouble.is_no_quorum() => {
            Some(format!("gives no linearizable read: {trouble}"))
        }
        _ => None,
    }
}
