//! NOSPACE: the database reached its quota, and etcd takes no writes until the alarm is disarmed.

use super::{Case, Confidence, Evidence, Restore, Step, Verdict};
use etcd::alarm_of;

/// A defragmentation rewrites the whole database.
const DEFRAG_LIMIT: &str = "--command-timeout=300s";

pub(super) fn exhausted(evidence: &Evidence<'_>) -> Option<Verdict> {
    let mut reasons: Vec<String> = Vec::new();
    for error in evidence.answers().flat_map(|(_, answer)| &answer.status.errors) {
        let Some(alarm) = alarm_of(error).filter(|alarm| alarm.alarm == "NOSPACE") else {
            continue;
        };
        let id = u64::from_str_radix(&alarm.member_id, 16).unwrap_or(0);
        let reason = format!("the alarm NOSPACE is raised for {}", evidence.name(id));
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if reasons.is_empty() {
        return None;
    }
    reasons.extend(evidence.answers().map(|(insider, answer)| {
        let status = &answer.status;
        let quota = match status.db_quota_bytes {
            0 => String::new(),
            quota => format!(" of a quota of {quota}"),
        };
        let (bytes, used) = (status.db_bytes, status.db_bytes_in_use);
        format!("{}: {bytes} bytes{quota}, {used} in use", insider.name())
    }));
    Some(Verdict {
        case: Case::NoSpace,
        headline: "NOSPACE: the database is full, and etcd takes no writes".into(),
        confidence: Confidence::High,
        reasons,
        restore: Restore::Never,
        restore_why: "nothing is lost; a restored database would be as full".into(),
        steps: steps(evidence),
        exit: Case::NoSpace.exit(),
    })
}

fn steps(evidence: &Evidence<'_>) -> Vec<Step> {
    let tools = &evidence.seen.tools;
    let addresses = evidence.addresses();
    let compact = format!("compact --physical {}", evidence.revision());
    let mut steps = vec![Step::typed("drop the history", tools.etcdctl(&addresses, &compact))];
    let count = addresses.len();
    for (number, address) in addresses.iter().enumerate() {
        let text = match number + 1 {
            1 if count > 1 => "give the room back, one member after the other, the leader last",
            _ => "give the room back",
        };
        steps.push(Step::typed(text, tools.etcdctl(&[address], &format!("defrag {DEFRAG_LIMIT}"))));
    }
    steps.push(Step::typed("allow writes again", tools.etcdctl(&addresses, "alarm disarm")));
    steps.push(Step::typed("look again", tools.doctor("")));
    steps.push(Step::said(
        "if it is raised again: find what fills it, or start every etcd with a larger \
         --quota-backend-bytes (8 GiB at most)",
    ));
    steps
}
