//! The diagnosis as JSON (`docs/json.md`). Ids are lower-case hex, as everywhere.

use crate::backup::Backup;
use crate::diagnose::{Case, Confidence, Diagnosis, Evidence, Restore, Step};
use crate::observation::{Answer, Member, Observations};
use contract::Finding;
use etcd::{Trouble, hex_id};
use jiff::Timestamp;
use serde::Serialize;

/// The version of this JSON.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    version: u32,
    looked_at: Timestamp,
    looks: u32,
    case: Case,
    headline: &'a str,
    confidence: Confidence,
    reasons: &'a [String],
    restore: Restore,
    restore_why: &'a str,
    steps: &'a [Step],
    exit: u8,
    findings: &'a [Finding],
    cluster_id: Option<String>,
    members: Vec<MemberReport<'a>>,
    backup: &'a Backup,
}

#[derive(Debug, Serialize)]
struct MemberReport<'a> {
    id: String,
    name: &'a str,
    /// Whether it belongs to the cluster.
    listed: bool,
    learner: bool,
    addresses: Vec<AddressReport<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerReport<'a>>,
}

#[derive(Debug, Serialize)]
struct AddressReport<'a> {
    url: &'a str,
    configured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct AnswerReport<'a> {
    address: &'a str,
    latency_ms: u64,
    etcd_version: &'a str,
    leader_id: String,
    raft_term: u64,
    raft_index: u64,
    raft_applied_index: u64,
    revision: i64,
    db_bytes: u64,
    db_bytes_in_use: u64,
    db_quota_bytes: u64,
    errors: &'a [String],
    /// Ids of the members that it lists; nothing when it gave no list.
    lists: Vec<String>,
    hashkv_revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashkv: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compact_revision: Option<i64>,
    /// What it did not answer, and why.
    problems: Vec<String>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(seen: &'a Observations, diagnosis: &'a Diagnosis) -> Self {
        let verdict = &diagnosis.verdict;
        let evidence = Evidence::of(seen);
        Report {
            version: VERSION,
            looked_at: seen.at,
            looks: seen.looks,
            case: verdict.case,
            headline: &verdict.headline,
            confidence: verdict.confidence,
            reasons: &verdict.reasons,
            restore: verdict.restore,
            restore_why: &verdict.restore_why,
            steps: &verdict.steps,
            exit: verdict.exit.code(),
            findings: &diagnosis.findings,
            cluster_id: evidence.as_ref().map(|evidence| hex_id(evidence.cluster_id)),
            members: seen.members.iter().map(|m| member(m, evidence.as_ref())).collect(),
            backup: &seen.backup,
        }
    }
}

fn member<'a>(member: &'a Member, evidence: Option<&Evidence<'_>>) -> MemberReport<'a> {
    let insider = evidence.and_then(|evidence| {
        evidence.insiders.iter().find(|i| i.member.is_some_and(|m| std::ptr::eq(m, member)))
    });
    let addresses = member.addresses.iter().map(|address| AddressReport {
        url: &address.url,
        configured: address.is_configured,
        problem: address.silence.as_ref().map(ToString::to_string),
    });
    MemberReport {
        id: hex_id(member.id),
        name: &member.name,
        listed: insider.is_some(),
        learner: insider.is_some_and(|insider| insider.listed.is_learner),
        addresses: addresses.collect(),
        answer: member.answer.as_ref().map(answer),
    }
}

fn answer(answer: &Answer) -> AnswerReport<'_> {
    let status = &answer.status;
    let lists = answer.members.iter().flatten().map(|listed| hex_id(listed.id));
    let hash = answer.hashkv.as_ref().ok();
    AnswerReport {
        address: &answer.address,
        latency_ms: answer.latency_ms,
        etcd_version: &status.version,
        leader_id: hex_id(status.leader),
        raft_term: status.raft_term,
        raft_index: status.raft_index,
        raft_applied_index: status.raft_applied_index,
        revision: status.revision,
        db_bytes: status.db_bytes,
        db_bytes_in_use: status.db_bytes_in_use,
        db_quota_bytes: status.db_quota_bytes,
        errors: &status.errors,
        lists: lists.collect(),
        hashkv_revision: answer.hashkv_revision,
        hashkv: hash.map(|hash| hash.hash),
        compact_revision: hash.map(|hash| hash.compact_revision),
        problems: problems(answer),
    }
}

fn problems(answer: &Answer) -> Vec<String> {
    let asked: [(&str, Option<&Trouble>); 4] = [
        ("member list", answer.members.as_ref().err()),
        ("linearizable read", answer.linearizable.as_ref().err()),
        ("serializable read", answer.serializable.as_ref().err()),
        ("HashKV", answer.hashkv.as_ref().err()),
    ];
    let missing = asked.into_iter().filter_map(|(what, trouble)| Some((what, trouble?)));
    missing.map(|(what, trouble)| format!("no {what}: {trouble}")).collect()
}
