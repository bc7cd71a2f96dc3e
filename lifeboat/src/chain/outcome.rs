//! How a chain ended: the root cause first.
//!
//! When one stage fails, its neighbours fail too: the one after it finds no receipt, the one
//! before it finds its reader gone. The root cause is the first stage, in the order of the data,
//! that failed by itself.

use super::events::Failure;
use contract::{Blame, Exit};
use serde::Serialize;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How one step ended.
#[derive(Debug)]
pub(crate) struct StepEnd {
    pub(crate) name: String,
    pub(crate) status: Option<ExitStatus>,
    pub(crate) failure: Option<Failure>,
    /// Ended because this process said so; never the root cause.
    pub(crate) ended_by_us: bool,
    /// Whether it signed for what it did. Without that a success is none.
    pub(crate) has_receipt: bool,
}

impl StepEnd {
    fn is_commit(&self) -> bool {
        self.has_receipt && self.says_so()
    }

    /// Whether its exit code alone speaks of success.
    fn says_so(&self) -> bool {
        self.status.is_some_and(|status| super::is_commit(&self.name, status))
    }
}

/// How the chain ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code of the whole, from the table or 128 + n.
    pub(crate) code: u8,
    /// Why it failed, if it did.
    pub(crate) cause: Option<Cause>,
    steps: Vec<StepEnd>,
}

/// The root cause of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
    /// The stage, or `lifeboat` itself.
    pub(crate) stage: String,
    /// What it said, or how it died.
    pub(crate) message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) causes: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) hint: String,
    /// The etcd member that it is about, if it is about one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) member: String,
}

impl Outcome {
    pub(super) fn new(steps: Vec<StepEnd>, stopped_by: Option<i32>, timed_out: bool) -> Self {
        let (code, cause) = judge(&steps, stopped_by, timed_out);
        Outcome { code, cause, steps }
    }

    #[cfg(test)]
    pub(crate) fn failed(code: u8, cause: Cause) -> Self {
        Outcome { code, cause: Some(cause), steps: Vec::new() }
    }

    /// Whether the step did its work, be it with fewer copies than wanted: it signed for it, which
    /// is the last thing that can go wrong with it. Whatever ended it after that takes nothing back.
    pub(crate) fn succeeded(&self, stage: &str) -> bool {
        let step = self.steps.iter().find(|step| step.name == stage);
        step.is_some_and(|step| step.has_receipt)
    }

    /// The etcd member that a failed stage named.
    pub(crate) fn member(&self) -> Option<&str> {
        let failures = self.steps.iter().filter_map(|step| step.failure.as_ref());
        failures.map(|failure| failure.member.as_str()).find(|member| !member.is_empty())
    }
}

fn judge(steps: &[StepEnd], stopped_by: Option<i32>, timed_out: bool) -> (u8, Option<Cause>) {
    let own = |message: String| Cause {
        stage: "lifeboat".into(),
        message,
        causes: String::new(),
        hint: String::new(),
        member: String::new(),
    };
    let steps = deciding(steps);
    let failed = |step: &&StepEnd| !step.is_commit();
    let unfinished = steps.iter().any(|step| failed(&step));
    if let (Some(signal), true) = (stopped_by, unfinished) {
        let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
        return (code, Some(own(format!("stopped by signal {signal}"))));
    }
    if timed_out && unfinished {
        return (Exit::Transient.code(), Some(own("the deadline of the run has passed".into())));
    }
    let by_itself = |step: &&StepEnd| {
        let neighbours = [Blame::Upstream, Blame::Downstream].map(Blame::name);
        let blame = step.failure.as_ref().map_or("", |failure| failure.blame.as_str());
        failed(step) && !step.ended_by_us && !neighbours.contains(&blame)
    };
    let root = steps.iter().find(by_itself).or_else(|| steps.iter().find(failed));
    match root {
        Some(step) if step.says_so() => (Exit::Bug.code(), Some(unsigned(step))),
        Some(step) => (code_of(step.status), Some(cause_of(step))),
        None => {
            let partial = steps.iter().find(|s| s.status.is_some_and(|status| !status.success()));
            (partial.map_or(0, |step| code_of(step.status)), None)
        }
    }
}

/// The steps that decide. Once the commit stands, or the last step of a chain that commits nothing
/// has succeeded, those before it have signed for their work: one that was killed on its way out
/// has cost nothing.
fn deciding(steps: &[StepEnd]) -> &[StepEnd] {
    let commit = steps.iter().position(|step| step.name == super::COMMIT);
    let commit = commit.unwrap_or(steps.len().saturating_sub(1));
    match steps.get(commit) {
        Some(step) if step.is_commit() => &steps[commit..],
        _ => steps,
    }
}

/// The code that a shell would show.
fn code_of(status: Option<ExitStatus>) -> u8 {
    let code = status.map_or(1, |s| s.code().or(s.signal().map(|n| 128 + n)).unwrap_or(1));
    u8::try_from(code).unwrap_or(Exit::Bug.code())
}

/// A program that claims success and left no receipt is no stage of this run.
fn unsigned(step: &StepEnd) -> Cause {
    Cause {
        stage: step.name.clone(),
        message: "ended as if it had succeeded, and left no receipt".into(),
        causes: String::new(),
        hint: format!("look at the program lifeboat-{}; all are of one version", step.name),
        member: String::new(),
    }
}

fn cause_of(step: &StepEnd) -> Cause {
    let died = match step.status.map(|s| (s.code(), s.signal())) {
        Some((_, Some(signal))) => format!("killed by signal {signal}"),
        Some((Some(code), None)) => format!("ended with exit code {code} and said nothing"),
        _ => "ended without a status".into(),
    };
    let failure = step.failure.clone();
    let said = |field: fn(&Failure) -> &String| failure.as_ref().map(field).cloned();
    Cause {
        stage: step.name.clone(),
        message: said(|f| &f.message).unwrap_or(died),
        causes: said(|f| &f.causes).unwrap_or_default(),
        hint: said(|f| &f.hint).unwrap_or_default(),
        member: said(|f| &f.member).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `raw` is a wait status: an exit code in the second byte, or a signal in the first.
    fn step(name: &str, raw: i32, blame: &str) -> StepEnd {
        let failure = (!blame.is_empty()).then(|| Failure {
            message: format!("{name} failed"),
            causes: String::new(),
            hint: String::new(),
            blame: blame.into(),
            member: String::new(),
        });
        let status = Some(ExitStatus::from_raw(raw));
        StepEnd { name: name.into(), status, failure, ended_by_us: false, has_receipt: true }
    }

    fn judged(steps: Vec<StepEnd>) -> (u8, Option<String>) {
        let outcome = Outcome::new(steps, None, false);
        (outcome.code, outcome.cause.map(|cause| cause.stage))
    }

    #[test]
    fn the_root_cause_is_the_first_that_failed_by_itself() {
        let chain = |a, b, c| judged(vec![a, b, c]);
        let ok = || step("a", 0, "");
        assert_eq!(chain(ok(), step("b", 0, ""), step("c", 0, "")), (0, None));
        assert_eq!(
            chain(
                step("a", 10 << 8, "downstream"),
                step("b", 20 << 8, "own"),
                step("c", 10 << 8, "upstream")
            ),
            (20, Some("b".into()))
        );
        // Killed without a word: nobody else failed by itself.
        assert_eq!(
            chain(
                step("a", 10 << 8, "downstream"),
                step("b", 9, ""),
                step("c", 10 << 8, "upstream")
            ),
            (137, Some("b".into()))
        );
    }

    #[test]
    fn f52_a_success_without_a_receipt_is_a_failure_of_its_own() {
        let mut silent = step("compress", 0, "");
        silent.has_receipt = false;
        let chain = vec![
            step("verify", 10 << 8, "downstream"),
            silent,
            step("encrypt", 10 << 8, "upstream"),
        ];
        assert_eq!(judged(chain), (1, Some("compress".into())));
        let mut replicate = step("replicate", 0, "");
        replicate.has_receipt = false;
        let outcome = Outcome::new(vec![replicate], None, false);
        assert!(!outcome.succeeded("replicate"));
    }

    #[test]
    fn f01_a_step_that_is_killed_after_it_signed_costs_nothing() {
        let killed = |name| step(name, 9, "");
        let chain = |a, b, c| Outcome::new(vec![a, b, c], None, false);
        let run = chain(killed("capture"), step("replicate", 40 << 8, ""), step("prune", 0, ""));
        assert_eq!((run.code, run.cause.is_none()), (40, true));
        let fetch = chain(step("fetch", 0, ""), killed("decrypt"), step("verify", 0, ""));
        assert_eq!((fetch.code, fetch.cause.is_none()), (0, true));
        // It is on record, and says nothing of what was to come after it.
        let tidying = chain(step("encrypt", 0, ""), killed("replicate"), step("prune", 0, ""));
        assert!(tidying.code == 137 && tidying.succeeded("replicate"));
        let mut early = killed("replicate");
        early.has_receipt = false;
        assert!(!Outcome::new(vec![early], None, false).succeeded("replicate"));
    }

    #[test]
    fn partial_is_success_with_a_code() {
        assert_eq!(judged(vec![step("replicate", 40 << 8, ""), step("prune", 0, "")]), (40, None));
        assert_eq!(
            judged(vec![step("replicate", 40 << 8, ""), step("prune", 50 << 8, "own")]),
            (50, Some("prune".into()))
        );
    }

    #[test]
    fn a_signal_that_came_too_late_changes_nothing() {
        let outcome = Outcome::new(vec![step("a", 0, "")], Some(15), false);
        assert_eq!((outcome.code, outcome.cause), (0, None));
        let outcome = Outcome::new(vec![step("a", 15, "")], Some(15), false);
        assert_eq!(outcome.code, 143);
    }

    #[test]
    fn a_deadline_that_came_too_late_changes_nothing() {
        let done = || vec![step("capture", 0, ""), step("replicate", 40 << 8, "")];
        let outcome = Outcome::new(done(), None, true);
        assert_eq!((outcome.code, outcome.cause), (40, None));
        let mut late = done();
        late.push(step("prune", 15, ""));
        assert_eq!(Outcome::new(late, None, true).code, 10);
    }

    #[test]
    fn who_does_not_say_whose_fault_it_is_failed_by_itself() {
        let mut scan = step("scan", 20 << 8, "own");
        scan.failure.as_mut().unwrap().blame = String::new();
        let chain =
            vec![step("verify", 10 << 8, "downstream"), scan, step("c", 10 << 8, "upstream")];
        assert_eq!(judged(chain), (20, Some("scan".into())));
    }
}
