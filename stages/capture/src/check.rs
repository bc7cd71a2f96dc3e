//! `--check`: everything that a capture does up to the first bytes, as one JSON object.
//!
//! `lifeboat check` puts it on one screen with the answers of the other stages. A failed check
//! does not hide the later ones where they can still be made. Nothing is written to the output.
//!
//! What a capture gets over, such as one member of three that is down, is a warning.

use crate::args::Args;
use crate::choice::{Choice, Reason, choose};
use crate::error::Error;
use crate::order::Order;
use crate::settings::Settings;
use crate::stage::{nobody, runtime, wish};
use crate::stream::{LiveMessages, Messages};
use crate::survey::{Sighting, Survey};
use crate::{barrier, hashkv};
use config::{HashKvRule, Pipeline};
use contract::facts::{Alarm, HashKvAnswer, MemberHashKv};
use contract::{CheckReport, Clock, Exit, Finding};
use etcd::{Trouble, certificates, versions};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// A run has more patience; here a person waits.
const HASHKV_LIMIT: Duration = Duration::from_secs(30);
/// Of the database's quota, in percent.
const QUOTA_WARN_PERCENT: u64 = 80;

const SEE_HEALTH: &str = "run `etcdctl endpoint health --cluster`; start or replace that member";

fn of_trouble(name: &str, trouble: &Trouble) -> Finding {
    let finding = Finding::bad(name, trouble.to_string(), trouble.exit());
    match trouble.hint() {
        Some(hint) => finding.next(hint),
        None => finding.next(SEE_HEALTH),
    }
}

/// What a capture gets over.
fn softened(finding: Finding) -> Finding {
    let next = finding.next.unwrap_or_else(|| SEE_HEALTH.to_owned());
    Finding::warning(finding.name, finding.detail, next).about(finding.about)
}

/// Checks and prints. Of all failures the one that most needs a person gives the exit code.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let mut report = CheckReport::new("capture");
    match Settings::load(args) {
        Ok(settings) => {
            let pipeline = Pipeline::load(args.stage.config.as_deref())?;
            let check = Check { settings, rule: pipeline.verify.hashkv };
            let runtime = runtime()?;
            runtime.block_on(check.cluster(&mut report));
            runtime.shutdown_background();
        }
        Err(error) => report.failed("settings", &error),
    }
    report.print().map_err(Error::Answer)
}

struct Check {
    settings: Settings,
    rule: HashKvRule,
}

impl Check {
    async fn cluster(&self, report: &mut CheckReport) {
        let survey = Survey::take(&self.settings.etcd).await;
        let mut endpoints = self.settings.etcd.endpoints.clone();
        if let Ok(survey) = &survey {
            let seen = survey.sightings.iter().map(|s| s.connection.endpoint().clone());
            endpoints.extend(seen.filter(|e| !self.settings.etcd.endpoints.contains(e)));
        }
        match survey {
            Ok(survey) => self.seen(&survey, report).await,
            Err(Error::NoMember { unreachable }) => {
                for there in unreachable {
                    report.add(
                        of_trouble("endpoint", &there.trouble).about(there.endpoint.to_string()),
                    );
                }
            }
            Err(error) => report.failed("cluster", &error),
        }
        let now = Clock::system().now();
        for certificate in certificates::seen(&self.settings.etcd, endpoints).await {
            report.add(certificates::judge(&certificate, now));
        }
    }

    async fn seen(&self, survey: &Survey, report: &mut CheckReport) {
        self.members(survey, report);
        let versions: Vec<String> =
            survey.sightings.iter().map(|s| s.status.version.clone()).collect();
        versions::look(&versions).into_iter().for_each(|finding| report.add(finding));
        alarms(&survey.alarms).into_iter().for_each(|finding| report.add(finding));
        quota(survey).into_iter().for_each(|finding| report.add(finding));
        let choice = choose(&survey.seen(), &wish(&self.settings, 0, true));
        let Some(&best) = choice.order.first() else {
            let error = nobody(survey, &choice, &self.settings.member);
            return report.failed("member", &error);
        };
        let sighting = &survey.sightings[best];
        report.good("member", format!("{:?} would give the snapshot", sighting.name));
        not_fit(survey, &choice).into_iter().for_each(|finding| report.add(finding));
        match barrier::read(sighting).await {
            Ok(revision) => {
                report.good("quorum", format!("revision {revision}"));
                self.hashkv(survey, revision, report).await;
            }
            Err(trouble) => {
                let finding = of_trouble("quorum", &trouble);
                // Without a quorum a run captures what the best member has, if it is allowed to.
                let gets_over = trouble.is_no_quorum() && self.settings.allow_degraded;
                report.add(if gets_over { softened(finding) } else { finding });
            }
        }
        check_snapshot(sighting, &self.settings, report).await;
    }

    fn members(&self, survey: &Survey, report: &mut CheckReport) {
        for there in survey.strays() {
            let finding = of_trouble("endpoint", &there.trouble).about(there.endpoint.to_string());
            report.add(softened(finding));
        }
        for sighting in &survey.sightings {
            let status = &sighting.status;
            let role = match status.leader {
                _ if status.is_learner => "learner",
                0 => "without a leader",
                leader if leader == status.member_id => "leader",
                _ => "follower",
            };
            let mut detail = format!("member {:?}, {role}", sighting.name);
            if !sighting.is_configured {
                detail.push_str(", found by the member list");
            }
            let endpoint = sighting.connection.endpoint().to_string();
            report.add(Finding::good("endpoint", detail).about(endpoint));
        }
        for silent in &survey.silent {
            let detail = format!("member {:?} does not answer: {}", silent.name, silent.reason);
            let finding = Finding::bad("endpoint", detail, Exit::Transient).next(SEE_HEALTH);
            let finding = finding.about(silent.client_urls.join(","));
            report.add(if self.wants_all() { finding } else { softened(finding) });
        }
    }

    fn wants_all(&self) -> bool {
        self.rule == HashKvRule::All
    }

    /// Asks every voter for HashKV, as a run does while the snapshot streams.
    async fn hashkv(&self, survey: &Survey, revision: i64, report: &mut CheckReport) {
        let asked = hashkv::ask(survey, &survey.listed, revision);
        let Ok(answers) = timeout(HASHKV_LIMIT, asked.answers()).await else {
            let detail = format!("not every member answered within {} s", HASHKV_LIMIT.as_secs());
            let next = "a run waits longer; look at the load of the members";
            return report.add(Finding::warning("hashkv", detail, next));
        };
        for finding in judge_hashes(&answers, self.wants_all()) {
            report.add(finding);
        }
    }
}

fn alarms(alarms: &[Alarm]) -> Vec<Finding> {
    if alarms.is_empty() {
        return vec![Finding::good("alarms", "no alarm")];
    }
    let each = alarms.iter().map(|alarm| {
        let detail = format!("{} is raised for member {}", alarm.alarm, alarm.member_id);
        match alarm.alarm.as_str() {
            // Every backup is marked suspect while it is raised.
            "CORRUPT" => Finding::bad("alarms", detail, Exit::Corrupt).next(
                "compare `etcdctl endpoint hashkv --cluster`, and replace the member that differs",
            ),
            "NOSPACE" => {
                let next = "compact and defragment, or raise --quota-backend-bytes; then `etcdctl \
                            alarm disarm`";
                Finding::warning("alarms", format!("{detail}: etcd takes no writes"), next)
            }
            _ => Finding::warning("alarms", detail, "run `etcdctl alarm list`"),
        }
    });
    each.collect()
}

/// Only etcd 3.6 and later say what their quota is.
fn quota(survey: &Survey) -> Option<Finding> {
    let fullest = survey.sightings.iter().map(|s| &s.status).filter(|s| s.db_quota_bytes > 0);
    let fullest = fullest.max_by_key(|s| s.db_bytes.saturating_mul(100) / s.db_quota_bytes)?;
    let percent = fullest.db_bytes.saturating_mul(100) / fullest.db_quota_bytes;
    (percent >= QUOTA_WARN_PERCENT).then(|| {
        let detail = format!("the database takes {percent} % of its quota");
        let next = "compact and defragment, or raise --quota-backend-bytes";
        Finding::warning("quota", detail, next)
    })
}

/// Voters that a run would pass over, though another one is fit.
fn not_fit(survey: &Survey, choice: &Choice) -> Vec<Finding> {
    let refused = choice.refused.iter();
    let refused = refused.filter(|(_, why)| !matches!(why, Reason::NotNamed | Reason::Learner));
    let told = refused.map(|(index, why)| {
        let sighting = &survey.sightings[*index];
        let detail = format!("member {:?} would not be asked: {why}", sighting.name);
        let about = sighting.connection.endpoint().to_string();
        Finding::warning("lag", detail, "look at that member's load and disk").about(about)
    });
    told.collect()
}

/// Hashes are comparable where the members have compacted alike; the largest such group counts.
fn judge_hashes(answers: &[MemberHashKv], wants_all: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut groups: BTreeMap<i64, BTreeMap<u32, Vec<&str>>> = BTreeMap::new();
    for member in answers {
        let name = member.member_name.as_str();
        match &member.answer {
            HashKvAnswer::Hash { hash, compact_revision, .. } => {
                let group = groups.entry(*compact_revision).or_default();
                group.entry(*hash).or_default().push(name);
            }
            HashKvAnswer::Missing { missing } => {
                let detail = format!("member {name:?} gives no HashKV: {missing}");
                let finding = Finding::bad("hashkv", detail, Exit::Transient).next(SEE_HEALTH);
                findings.push(if wants_all { finding } else { softened(finding) });
            }
        }
    }
    let largest = groups.values().max_by_key(|hashes| hashes.values().map(Vec::len).sum::<usize>());
    let Some(hashes) = largest else { return findings };
    let agreeing = hashes.values().map(Vec::len).max().unwrap_or(0);
    if hashes.len() == 1 {
        let of = answers.len();
        findings.insert(0, Finding::good("hashkv", format!("{agreeing} of {of} members agree")));
        return findings;
    }
    let sides = hashes.values().map(|names| names.join(" and "));
    let detail =
        format!("the members hold different data: {}", sides.collect::<Vec<_>>().join(" ≠ "));
    let next = "replace the member that differs from the majority; a restore is not needed";
    let finding = Finding::bad("hashkv", detail, Exit::Corrupt).next(next);
    let majority = agreeing * 2 > answers.len();
    findings.push(if majority && !wants_all { softened(finding) } else { finding });
    findings
}

/// Begins a snapshot, reads its first message and lets it go.
async fn check_snapshot(sighting: &Sighting, settings: &Settings, report: &mut CheckReport) {
    let begun = async {
        let mut messages = LiveMessages::begin(&sighting.connection).await?;
        messages.next().await
    };
    let mut order = Order::default();
    let ask_again = "look at that member's log, and check again";
    match timeout(settings.stall_timeout, begun).await {
        Ok(Ok(Some(message))) => match order.accept(&message) {
            Ok(_) => {
                let bytes = order.total().unwrap_or(0);
                report.numbers.insert("snapshot_bytes".to_owned(), bytes);
                report.good("snapshot", format!("snapshot permitted ({bytes} bytes)"));
            }
            Err(flaw) => {
                let finding = Finding::bad("snapshot", flaw.to_string(), flaw.exit());
                report.add(finding.next(ask_again));
            }
        },
        Ok(Ok(None)) => {
            let finding = Finding::bad("snapshot", "the stream is empty", Exit::Corrupt);
            report.add(finding.next(ask_again));
        }
        Ok(Err(trouble)) => report.add(of_trouble("snapshot", &trouble)),
        Err(_) => {
            let finding = Finding::bad("snapshot", "etcd sends nothing", Exit::Transient);
            report.add(finding.next(ask_again));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Level;

    fn answer(name: &str, hash: u32, compact_revision: i64) -> MemberHashKv {
        let answer = HashKvAnswer::Hash { hash, revision: 9, compact_revision };
        MemberHashKv { member_id: "1".into(), member_name: name.into(), answer }
    }

    #[test]
    fn a_diverged_minority_is_a_warning_and_no_majority_a_failure() {
        let worst = |answers: &[MemberHashKv], wants_all| {
            let findings = judge_hashes(answers, wants_all);
            findings.iter().map(|f| f.level).max().unwrap()
        };
        let (a, b, c) = (answer("a", 1, 5), answer("b", 1, 5), answer("c", 2, 5));
        assert_eq!(worst(&[a.clone(), b.clone()], false), Level::Ok);
        assert_eq!(worst(&[a.clone(), b.clone(), c.clone()], false), Level::Warning);
        assert_eq!(worst(&[a.clone(), b, c.clone()], true), Level::Failed);
        assert_eq!(worst(&[a.clone(), c], false), Level::Failed);
        // Compacted differently, they cannot be compared.
        assert_eq!(worst(&[a, answer("c", 2, 7)], false), Level::Ok);
    }
}
