//! Which case it is: a pure function of what was seen.
//!
//! Every case that holds is found; the worst gives the verdict, the others stand among the findings.
//! Invariant: `healthy` needs positive evidence from every member that is listed. What was asked
//! and not answered is a gap, and with a gap the best verdict is `unproven`.

mod cluster;
mod evidence;
mod findings;
mod hashes;
mod members;
mod proof;
mod quorum;
#[cfg(test)]
pub(crate) mod scene;
mod space;
#[cfg(test)]
mod tests;
mod unreachable;

pub(crate) use evidence::{Evidence, Insider, Quorum};
pub(crate) use hashes::{compare, is_undecided, suspects};
pub(crate) use members::{STOP_AND_MOVE, why_behind};

use crate::observation::Observations;
use contract::{Exit, Finding};
use serde::Serialize;

/// What is the matter, the worst first. One of these is the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// Nobody answers, so that nothing is known.
    Unreachable,
    /// The members hold different data, and no majority says which is right.
    DataCorruption,
    /// No majority of the voters works together.
    QuorumLost,
    /// Who answers and who is listed are not the same.
    MembershipSplit,
    /// etcd takes no writes, because its database is full.
    NoSpace,
    /// A minority holds other data than the rest.
    MemberCorrupt,
    /// A minority does not answer.
    MemberDown,
    /// A minority answers and does not keep up.
    MemberLagging,
    /// Nothing of all that, but not everything was answered as it should be.
    Unproven,
    /// Every member proved that it works with all the others.
    Healthy,
}

impl Case {
    /// The exit code that says the same.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Case::Healthy => Exit::Ok,
            Case::Unreachable | Case::QuorumLost => Exit::Transient,
            Case::DataCorruption | Case::MemberCorrupt => Exit::Corrupt,
            Case::MembershipSplit
            | Case::NoSpace
            | Case::MemberDown
            | Case::MemberLagging
            | Case::Unproven => Exit::Partial,
        }
    }

    /// The word for it, as in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Case::Unreachable => "unreachable",
            Case::DataCorruption => "data-corruption",
            Case::QuorumLost => "quorum-lost",
            Case::MembershipSplit => "membership-split",
            Case::NoSpace => "no-space",
            Case::MemberCorrupt => "member-corrupt",
            Case::MemberDown => "member-down",
            Case::MemberLagging => "member-lagging",
            Case::Unproven => "unproven",
            Case::Healthy => "healthy",
        }
    }
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Confidence {
    /// What was seen fits nothing else.
    High,
    /// Something else would look the same, and is less likely.
    Medium,
    /// It cannot be told from here.
    Low,
}

impl Confidence {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        }
    }
}

/// Whether to restore a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Restore {
    /// It would make things worse.
    Never,
    /// There is nothing that it could mend.
    NotNeeded,
    /// Unless the first steps help.
    Yes,
    /// Only when everything else has failed.
    LastResort,
}

impl Restore {
    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Restore::Never => "never",
            Restore::NotNeeded => "not needed",
            Restore::Yes => "yes",
            Restore::LastResort => "last resort",
        }
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// What, for people.
    pub(crate) text: String,
    /// On which machine, if it is not this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on: Option<String>,
    /// What to type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

impl Step {
    /// Something to type here.
    pub(crate) fn typed(text: impl Into<String>, command: impl Into<String>) -> Self {
        Step { text: text.into(), on: None, command: Some(command.into()) }
    }

    /// Something to see to.
    pub(crate) fn said(text: impl Into<String>) -> Self {
        Step { text: text.into(), on: None, command: None }
    }

    /// The same, on another machine.
    pub(crate) fn on(self, machine: impl Into<String>) -> Self {
        Step { on: Some(machine.into()), ..self }
    }
}

/// One case that holds.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) case: Case,
    /// One line for people.
    pub(crate) headline: String,
    pub(crate) confidence: Confidence,
    /// What it rests on, and what speaks against being surer.
    pub(crate) reasons: Vec<String>,
    pub(crate) restore: Restore,
    /// Why, or why not.
    pub(crate) restore_why: String,
    /// What to do, in order.
    pub(crate) steps: Vec<Step>,
    /// The exit code, where it is not that of the case.
    pub(crate) exit: Exit,
}

/// The worst case, and everything else that is worth knowing.
#[derive(Debug, Clone)]
pub(crate) struct Diagnosis {
    pub(crate) verdict: Verdict,
    /// The other cases that hold, then single facts; nothing that is as it should be.
    pub(crate) findings: Vec<Finding>,
}

/// Says which case it is.
pub(crate) fn diagnose(seen: &Observations) -> Diagnosis {
    let Some(evidence) = Evidence::of(seen) else {
        let findings = findings::without_members(seen);
        return Diagnosis { verdict: unreachable::verdict(seen), findings };
    };
    let hashes = hashes::compare(&evidence);
    let gaps = findings::gaps(&evidence, &hashes);
    let found = [
        hashes::data_corruption(&evidence, &hashes),
        quorum::lost(&evidence),
        cluster::membership_split(&evidence),
        space::exhausted(&evidence),
        hashes::member_corrupt(&evidence, &hashes),
        members::down(&evidence),
        members::lagging(&evidence),
        proof::unproven(&evidence, &gaps),
    ];
    let mut verdicts: Vec<Verdict> = found.into_iter().flatten().collect();
    verdicts.sort_by_key(|verdict| verdict.case);
    let mut verdicts = verdicts.into_iter();
    let verdict = verdicts.next().unwrap_or_else(|| proof::healthy(&evidence));
    let mut findings: Vec<Finding> = verdicts.map(|other| as_finding(&other)).collect();
    findings.extend(gaps);
    findings.extend(findings::facts(&evidence));
    Diagnosis { verdict, findings }
}

/// A case that holds beside a worse one.
fn as_finding(verdict: &Verdict) -> Finding {
    let name = verdict.case.name();
    let finding = Finding::bad(name, verdict.headline.clone(), verdict.exit);
    match verdict.steps.iter().find_map(|step| step.command.as_ref()) {
        Some(command) => finding.next(command.clone()),
        None => finding,
    }
}

impl Diagnosis {
    /// Whether a second look may see something else: an election takes a second or two. A refused
    /// certificate will be refused again.
    pub(crate) fn may_pass(&self) -> bool {
        match self.verdict.case {
            Case::Healthy => false,
            Case::Unreachable => self.verdict.exit == Exit::Transient,
            _ => true,
        }
    }
}
