//! Single facts that are not as they should be.
//!
//! A gap is an answer that `healthy` needs and that did not come, or an alarm that has no case of
//! its own. The other findings are worth seeing to, and do not make a cluster sick.

use super::hashes::Hashes;
use super::{Evidence, Insider};
use crate::observation::{Address, Answer, Observations};
use contract::{Exit, Finding, Level};
use etcd::certificates::judge;
use etcd::{Trouble, alarm_of, versions};
use std::collections::BTreeSet;

/// A status comes from memory.
const SLOW_MS: u64 = 500;
/// Of the database's quota, in percent.
const QUOTA_WARN_PERCENT: u64 = 80;
/// etcd's own default, for versions that do not say what theirs is (before 3.6).
const QUOTA_DEFAULT_BYTES: u64 = 2 << 30;
/// A database of which less than this share is in use should be defragmented.
const USED_WARN_PERCENT: u64 = 50;
/// A smaller one is not worth it.
const FRAGMENTED_BYTES_MIN: u64 = 64 << 20;
/// Minor versions that etcd lets members of one cluster run side by side.
const SKEW_MINORS_MAX: u64 = 1;

/// What was asked of a member that answers and did not come.
pub(super) fn gaps(evidence: &Evidence<'_>, hashes: &Hashes) -> Vec<Finding> {
    let mut gaps = Vec::new();
    for (insider, answer) in evidence.answers() {
        gaps.extend(unanswered(insider, answer).map(|gap| gap.about(insider.name())));
        gaps.extend(errors(evidence, answer));
    }
    gaps.dedup();
    for (id, why) in &hashes.not_compared {
        let detail = format!("its HashKV could not be compared: {why}");
        let next = "look at that member's load; compaction makes it pass within minutes";
        let gap = Finding::bad("hashkv", detail, Exit::Partial).next(next);
        gaps.push(gap.about(evidence.name(*id)));
    }
    for insider in evidence.insiders.iter().filter(|insider| insider.is_mute()) {
        let detail = "it is alive, but a learner logs nobody in, so that nothing more can be asked";
        let next = "name a client certificate, with which nobody has to log in";
        gaps.push(Finding::bad("status", detail, Exit::Partial).next(next).about(insider.name()));
    }
    if !evidence.is_listed {
        let detail = "no member gave a member list: there may be more than those that answer";
        gaps.push(Finding::bad("members", detail, Exit::Partial));
    }
    gaps
}

fn unanswered<'b>(
    insider: &'b Insider<'_>,
    answer: &'b Answer,
) -> impl Iterator<Item = Finding> + 'b {
    let reads = [
        ("member list", answer.members.as_ref().err()),
        ("linearizable read", answer.linearizable.as_ref().err()),
        ("serializable read", answer.serializable.as_ref().err()),
    ];
    // A learner answers little, and says so.
    let is_expected = |trouble: &Trouble| !insider.is_voter() && *trouble == Trouble::Learner;
    let missing = reads.into_iter().filter_map(|(what, trouble)| Some((what, trouble?)));
    missing.filter(move |(_, trouble)| !is_expected(trouble)).map(|(what, trouble)| {
        let finding = Finding::bad(what, format!("no {what}: {trouble}"), Exit::Partial);
        match trouble.hint() {
            Some(hint) => finding.next(hint),
            None => finding,
        }
    })
}

/// What a member complains of: alarms without a case of their own, and anything new.
fn errors(evidence: &Evidence<'_>, answer: &Answer) -> Vec<Finding> {
    let mut findings = Vec::new();
    for error in &answer.status.errors {
        match alarm_of(error) {
            Some(alarm) if matches!(alarm.alarm.as_str(), "NOSPACE" | "CORRUPT") => {}
            Some(alarm) => {
                let id = u64::from_str_radix(&alarm.member_id, 16).unwrap_or(0);
                let detail = format!("the alarm {} is raised", contract::brief(&alarm.alarm));
                let list = evidence.seen.tools.etcdctl(&[&answer.address], "alarm list");
                let finding = Finding::bad("alarms", detail, Exit::Partial).next(list);
                findings.push(finding.about(evidence.name(id)));
            }
            // That it has no leader is a case.
            None if error.contains("no leader") => {}
            None => {
                let detail = format!("it says {}", contract::brief(error));
                findings.push(Finding::bad("errors", detail, Exit::Partial));
            }
        }
    }
    findings
}

/// What is worth seeing to.
pub(super) fn facts(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (insider, answer) in evidence.answers() {
        let name = insider.name();
        let own = [
            slow(answer),
            restless(evidence, answer),
            quota(evidence, answer),
            fragmented(evidence, answer),
            downgrade(answer),
        ];
        findings.extend(own.into_iter().flatten().map(|finding| finding.about(&name)));
        findings.extend(late_learner(evidence, insider));
    }
    for insider in &evidence.insiders {
        findings.extend(part_of_addresses(insider));
    }
    findings.extend(version_findings(evidence));
    findings.extend(of_everything(evidence.seen));
    findings
}

/// What can be said even if no member answered.
pub(super) fn without_members(seen: &Observations) -> Vec<Finding> {
    // The addresses that do not answer are the reasons of the verdict already.
    let is_own = |finding: &Finding| finding.name != "endpoint";
    of_everything(seen).into_iter().filter(is_own).collect()
}

fn of_everything(seen: &Observations) -> Vec<Finding> {
    let strays = seen.strays.iter().filter_map(silent_address);
    let mut findings: Vec<Finding> = strays.collect();
    let certificates = seen.certificates.iter().map(|certificate| judge(certificate, seen.at));
    findings.extend(certificates.filter(|finding| finding.level != Level::Ok));
    findings.extend(backup(seen));
    findings
}

fn silent_address(address: &Address) -> Option<Finding> {
    let silence = address.silence.as_ref()?;
    let next = match address.is_configured {
        true => "it is no listed member's: correct endpoints, or bring it back",
        false => "correct that member's --advertise-client-urls",
    };
    Some(Finding::warning("endpoint", silence.to_string(), next).about(&address.url))
}

/// A member that answers at one address and not at another.
fn part_of_addresses(insider: &Insider<'_>) -> Vec<Finding> {
    let Some(member) = insider.member.filter(|member| member.answer.is_some()) else {
        return Vec::new();
    };
    let silent = member.addresses.iter().filter_map(silent_address);
    let next = "its clients may know only this one: see to it, or correct what it advertises";
    silent.map(|finding| finding.next(next)).collect()
}

fn slow(answer: &Answer) -> Option<Finding> {
    let ms = answer.latency_ms;
    (ms > SLOW_MS).then(|| {
        let detail = format!("its status took {ms} ms");
        Finding::warning("latency", detail, "look at its load, its disk and the network to it")
    })
}

/// Leaders that come and go while somebody looks are a sign of slow disks or a bad network.
fn restless(evidence: &Evidence<'_>, answer: &Answer) -> Option<Finding> {
    let now = (answer.status.leader, answer.status.raft_term);
    (answer.before != now && answer.before.0 != 0).then(|| {
        let (old, new) = (evidence.name(answer.before.0), evidence.name(now.0));
        let (from, to) = (answer.before.1, now.1);
        let detail = format!("the leader changed: {old} in term {from}, {new} in term {to}");
        Finding::warning("leader", detail, "look at the disks and the network between the members")
    })
}

fn quota(evidence: &Evidence<'_>, answer: &Answer) -> Option<Finding> {
    let status = &answer.status;
    let (quota, known) = match status.db_quota_bytes {
        0 => (QUOTA_DEFAULT_BYTES, "etcd's default quota of 2 GiB, if that was not raised"),
        quota => (quota, "its quota"),
    };
    let percent = status.db_bytes.saturating_mul(100) / quota;
    (percent >= QUOTA_WARN_PERCENT).then(|| {
        let detail = format!("the database takes {percent} % of {known}");
        let compact = format!("compact {}", evidence.revision());
        let compact = evidence.seen.tools.etcdctl(&evidence.addresses(), &compact);
        let next = format!("{compact}; then defragment, or raise --quota-backend-bytes");
        Finding::warning("quota", detail, next)
    })
}

fn fragmented(evidence: &Evidence<'_>, answer: &Answer) -> Option<Finding> {
    let (bytes, used) = (answer.status.db_bytes, answer.status.db_bytes_in_use);
    let percent = used.saturating_mul(100).checked_div(bytes).unwrap_or(100);
    (bytes >= FRAGMENTED_BYTES_MIN && percent < USED_WARN_PERCENT).then(|| {
        let detail = format!("only {percent} % of its database are in use");
        let next = evidence.seen.tools.etcdctl(&[&answer.address], "defrag");
        Finding::warning("fragmentation", detail, next)
    })
}

fn downgrade(answer: &Answer) -> Option<Finding> {
    let version = answer.status.downgrade_to.as_ref()?;
    let detail = format!("a downgrade to {} is under way", contract::brief(version));
    Some(Finding::warning("downgrade", detail, "finish it, or cancel it: etcdctl downgrade cancel"))
}

/// A learner that has everything but was never promoted counts for nothing when a voter fails.
fn late_learner(evidence: &Evidence<'_>, insider: &Insider<'_>) -> Option<Finding> {
    (!insider.is_voter()).then(|| {
        let promote = format!("member promote {:x}", insider.listed.id);
        let next = evidence.seen.tools.etcdctl(&evidence.addresses(), &promote);
        let detail = "it is a learner: it copies the data and does not vote";
        Finding::warning("learner", detail, format!("once it has caught up: {next}"))
            .about(insider.name())
    })
}

fn version_findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let told: Vec<String> =
        evidence.answers().map(|(_, answer)| contract::brief(&answer.status.version)).collect();
    let mut findings = versions::look(&told);
    findings.retain(|finding| finding.level != Level::Ok);
    let minors: BTreeSet<(u64, u64)> =
        told.iter().filter_map(|text| versions::parse(text)).map(|v| (v.0, v.1)).collect();
    if let (Some(oldest), Some(newest)) = (minors.first(), minors.last())
        && (oldest.0 != newest.0 || newest.1 - oldest.1 > SKEW_MINORS_MAX)
    {
        let detail = format!(
            "{}.{} and {}.{} in one cluster: etcd allows one minor version between members",
            oldest.0, oldest.1, newest.0, newest.1
        );
        let next = "upgrade the oldest members, one minor version after the other";
        findings.push(Finding::bad("version", detail, Exit::Partial).next(next));
    }
    findings
}

/// A cluster without a fresh backup is one step from the worst case.
fn backup(seen: &Observations) -> Option<Finding> {
    let safety = seen.backup.safety.as_deref();
    let is_well =
        matches!(safety, Some("safe")) || safety.is_none() && seen.backup.problem.is_none();
    (!is_well).then(|| {
        let next = match safety {
            Some("stale" | "none") => seen.tools.lifeboat("run"),
            _ => seen.tools.lifeboat("status"),
        };
        Finding::warning("backup", seen.backup.line(), next)
    })
}
