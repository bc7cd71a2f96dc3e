//! What `healthy` rests on, and what is said when it cannot be said.

use super::{Case, Confidence, Evidence, Quorum, Restore, Step, Verdict, members};
use contract::Finding;

/// Nothing is wrong that has a name, but something was not answered as it should be.
pub(super) fn unproven(evidence: &Evidence<'_>, gaps: &[Finding]) -> Option<Verdict> {
    let in_sight = evidence.voting().count();
    let unseen: Vec<_> = evidence.insiders.iter().filter(|i| i.answer().is_none()).collect();
    let hidden = in_sight < evidence.majority() && evidence.quorum == Quorum::Proven;
    let unknown = evidence.quorum == Quorum::Unknown;
    if gaps.is_empty() && !hidden && !unknown {
        return None;
    }
    let mut reasons: Vec<String> = gaps.iter().map(said).collect();
    let headline = if hidden {
        reasons.extend(unseen.iter().map(|insider| members::why_silent(insider)));
        reasons.push(
            "a read went through a majority, so that they are not all down: they cannot be \
             reached from here"
                .into(),
        );
        format!("the cluster works, but {} cannot be seen from here", evidence.names(unseen))
    } else if unknown {
        reasons.extend(unseen.iter().map(|insider| members::why_silent(insider)));
        "whether a majority works cannot be told from here".to_owned()
    } else {
        "the cluster works, but that it is healthy could not be proved".to_owned()
    };
    let mut steps: Vec<Step> =
        gaps.iter().filter_map(|gap| gap.next.clone()).map(Step::said).collect();
    steps.dedup();
    let text =
        if hidden || unknown { "look again, from a machine of the cluster" } else { "look again" };
    steps.push(Step::typed(text, evidence.seen.tools.doctor("")));
    Some(Verdict {
        case: Case::Unproven,
        headline,
        confidence: if unknown { Confidence::Low } else { Confidence::Medium },
        reasons,
        restore: if unknown { Restore::Never } else { Restore::NotNeeded },
        restore_why: match unknown {
            true => "not on what is known so far".into(),
            false => "nothing speaks for lost data".to_owned(),
        },
        steps,
        exit: Case::Unproven.exit(),
    })
}

fn said(gap: &Finding) -> String {
    match gap.about.as_str() {
        "" => gap.detail.clone(),
        about => format!("{about}: {}", gap.detail),
    }
}

/// Every other case was looked for and not found.
pub(super) fn healthy(evidence: &Evidence<'_>) -> Verdict {
    let voters = evidence.voters().count();
    let learners = evidence.insiders.len() - voters;
    let (leader, term) = evidence.leader();
    let compared = evidence.voting().next().map_or(0, |(_, answer)| answer.hashkv_revision);
    let mut reasons = vec![
        format!("{voters} of {voters} voting members answered, and gave a linearizable read"),
        "they hold one member list".to_owned(),
        format!("all follow {} in term {term}", evidence.name(leader)),
        format!("HashKV at revision {compared} is the same everywhere"),
        "no alarm is raised".to_owned(),
    ];
    if learners > 0 {
        reasons.push(format!("{learners} of {learners} learners keep up"));
    }
    Verdict {
        case: Case::Healthy,
        headline: match voters {
            1 => "healthy: the one member works".into(),
            _ => format!("healthy: all {voters} voting members work"),
        },
        confidence: Confidence::High,
        reasons,
        restore: Restore::NotNeeded,
        restore_why: "nothing is lost".into(),
        steps: vec![next(evidence)],
        exit: Case::Healthy.exit(),
    }
}

/// A healthy cluster is the time to see to the way back.
fn next(evidence: &Evidence<'_>) -> Step {
    let tools = &evidence.seen.tools;
    let backup = &evidence.seen.backup;
    match backup.safety.as_deref() {
        Some("stale" | "none") => Step::typed("make a backup", tools.lifeboat("run")),
        _ if backup.is_fresh() && backup.newest_proven != backup.newest => {
            Step::typed("nothing to mend; a drill proves the backup", tools.lifeboat("drill"))
        }
        _ => Step::typed("nothing to mend; the backups", tools.lifeboat("status")),
    }
}
