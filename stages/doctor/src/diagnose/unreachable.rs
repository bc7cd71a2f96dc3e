//! Nobody answers. Whether the cluster is down or only cannot be reached from here cannot be told,
//! and this says so. Only where something is there and refuses to talk is more known.

use super::{Case, Confidence, Restore, Step, Verdict};
use crate::observation::{Address, Observations, Silence};
use contract::Exit;
use etcd::Trouble;

pub(super) fn verdict(seen: &Observations) -> Verdict {
    if let Some(verdict) = nobody_can_log_in(seen) {
        return verdict;
    }
    let asked: Vec<&Address> =
        seen.members.iter().flat_map(|member| &member.addresses).chain(&seen.strays).collect();
    let troubles: Vec<&Trouble> = asked.iter().filter_map(|address| trouble(address)).collect();
    let exit = common_exit(&troubles);
    let mut reasons: Vec<String> = asked.iter().map(|address| told(address)).collect();
    let reached = !troubles.is_empty() && troubles.iter().all(|trouble| is_an_answer(trouble));
    let mut steps = hints(&troubles);
    let (headline, confidence, restore, why) = if reached {
        reasons.push("something listens there, so that the cluster may well be healthy".into());
        (
            "etcd cannot be talked to from here: it is reached and refuses",
            Confidence::Medium,
            Restore::Never,
            "nothing speaks for lost data; mend how it is reached",
        )
    } else {
        reasons.push(
            "whether etcd is down everywhere, or only not to be reached from here, cannot be told"
                .into(),
        );
        (
            "no member answers: unreachable from here",
            Confidence::Low,
            Restore::LastResort,
            "only when the machines themselves show that the data of a majority are gone",
        )
    };
    if !reached {
        steps.extend(on_the_machines(seen));
    }
    steps
        .push(Step::typed("look again, best from a machine of the cluster", seen.tools.doctor("")));
    Verdict {
        case: Case::Unreachable,
        headline: headline.into(),
        confidence,
        reasons,
        restore,
        restore_why: why.into(),
        steps,
        exit,
    }
}

/// Members are alive, and what needs a majority fails: all that is known where a password is needed
/// even for the status.
fn nobody_can_log_in(seen: &Observations) -> Option<Verdict> {
    let asked = seen.members.iter().flat_map(|member| &member.addresses).chain(&seen.strays);
    let (alive, silent): (Vec<&Address>, Vec<&Address>) =
        asked.partition(|address| matches!(trouble(address), Some(Trouble::NoQuorum(_))));
    if alive.is_empty() {
        return None;
    }
    let mut reasons: Vec<String> =
        alive.iter().chain(&silent).map(|address| told(address)).collect();
    reasons.push(
        "logging in with a password needs a majority; that it fails where etcd is alive is all that \
         can be seen from here"
            .into(),
    );
    let mut steps = on_the_machines(seen);
    steps.insert(2, Step::typed("look again", seen.tools.doctor("")));
    Some(Verdict {
        case: Case::QuorumLost,
        headline: format!(
            "quorum lost: {} of {} addresses answer, and nobody can log in",
            alive.len(),
            alive.len() + silent.len()
        ),
        confidence: Confidence::Medium,
        reasons,
        restore: if seen.backup.is_fresh() { Restore::Yes } else { Restore::LastResort },
        restore_why: "if a majority cannot be started again; every restart first is better".into(),
        steps,
        exit: Case::QuorumLost.exit(),
    })
}

fn trouble(address: &Address) -> Option<&Trouble> {
    match &address.silence {
        Some(Silence::Trouble(trouble)) => Some(trouble),
        _ => None,
    }
}

fn told(address: &Address) -> String {
    match &address.silence {
        Some(silence) => format!("{}: {silence}", address.url),
        None => format!("{}: it answered nothing that counts", address.url),
    }
}

/// Whether something at the other end said no, instead of nothing.
fn is_an_answer(trouble: &Trouble) -> bool {
    matches!(trouble.exit(), Exit::Credentials | Exit::Config | Exit::Unsupported)
}

/// What a person can mend stands above what passes by itself, but only if every address agrees.
fn common_exit(troubles: &[&Trouble]) -> Exit {
    let mut exits = troubles.iter().map(|trouble| trouble.exit());
    match exits.next() {
        Some(first) if exits.all(|exit| exit == first) => first,
        _ => Exit::Transient,
    }
}

/// What the troubles themselves suggest, each once.
fn hints(troubles: &[&Trouble]) -> Vec<Step> {
    let mut hints: Vec<&str> = troubles.iter().filter_map(|trouble| trouble.hint()).collect();
    hints.sort_unstable();
    hints.dedup();
    hints.into_iter().map(Step::said).collect()
}

fn on_the_machines(seen: &Observations) -> Vec<Step> {
    let every = "every machine of the cluster";
    vec![
        Step::typed("is etcd running, and what did it say last?", super::members::LOOK_THERE)
            .on(every),
        Step::typed("start it where its data are whole", super::members::START).on(every),
        Step::typed(
            "only if the data of a majority are gone: how the cluster comes back from a backup",
            seen.tools.lifeboat("restore --plan"),
        ),
    ]
}
