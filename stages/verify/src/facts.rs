//! Between the receipts and the `snapshot` crate: what capture expects, what verify learned.

use crate::error::Error;
use config::HashKvRule;
use contract::Receipt;
use contract::facts::{CaptureFacts, HashKvAnswer, HashKvVerdict, MemberHashKv, VerifyFacts};
use serde::Deserialize;
use snapshot::{Agreement, Expectations, Report, Verdict};

/// What capture saw, if there was a capture in this run.
pub(crate) fn captured(receipts: &[Receipt]) -> Result<Option<CaptureFacts>, Error> {
    let Some(receipt) = receipts.iter().find(|receipt| receipt.stage == "capture") else {
        return Ok(None);
    };
    let facts = CaptureFacts::deserialize(&receipt.facts).map_err(|e| contract::Error::Facts {
        stage: receipt.stage.clone(),
        problem: e.to_string(),
    })?;
    Ok(Some(facts))
}

/// What must be true of the snapshot after what capture saw.
pub(crate) fn expectations(captured: Option<&CaptureFacts>, rule: HashKvRule) -> Expectations {
    let Some(facts) = captured else {
        return Expectations::default();
    };
    Expectations {
        revision_barrier: Some(facts.revision_barrier),
        members: facts.hashkv.iter().filter_map(expected).collect(),
        agreement: match rule {
            HashKvRule::All => Agreement::Everyone,
            HashKvRule::WhenComparable => Agreement::Majority {
                giver: facts.member_id.clone(),
                voters: facts.members.iter().filter(|member| !member.learner).count(),
            },
        },
    }
}

fn expected(member: &MemberHashKv) -> Option<snapshot::MemberHashKv> {
    match member.answer {
        HashKvAnswer::Hash { hash, revision, compact_revision } => Some(snapshot::MemberHashKv {
            member: member.member_id.clone(),
            revision,
            compact_revision,
            hash,
        }),
        HashKvAnswer::Missing { .. } => None,
    }
}

/// The receipt's facts.
pub(crate) fn learned(report: &Report, captured: Option<&CaptureFacts>) -> VerifyFacts {
    let asked = captured.map(|facts| facts.hashkv.as_slice()).unwrap_or_default();
    VerifyFacts {
        snapshot_bytes: report.snapshot_bytes,
        db_sha256: report.sha256.clone(),
        status_hash: report.status.hash,
        // Not that of the last record: deletion and compaction can remove it, and then the next
        // backup would seem older than the one before.
        revision: report.revision,
        total_key_records: report.status.total_key_rows,
        total_key_live: report.status.total_key_live,
        total_bytes: report.status.total_size,
        free_bytes: report.pages.free * u64::from(report.page_bytes),
        page_bytes: report.page_bytes,
        compact_revision: report.compact_revision,
        consistent_index: report.consistent_index,
        storage_version: report.storage_version.clone(),
        buckets: report.buckets.clone(),
        kubernetes: report.kubernetes.clone(),
        encryption_at_rest: report.encryption_at_rest.clone(),
        auth_enabled: Some(report.auth_enabled),
        member_ids: report.members.clone(),
        hashkv: asked.iter().map(|member| verdict(member, report)).collect(),
    }
}

fn verdict(asked: &MemberHashKv, report: &Report) -> HashKvVerdict {
    let compared = report.hashkv.compared.iter().find(|c| c.member == asked.member_id);
    let mut verdict = HashKvVerdict {
        member_id: asked.member_id.clone(),
        member_name: asked.member_name.clone(),
        agrees: false,
        hash: None,
        computed: None,
        revision: None,
        compact_revision: None,
        not_compared: None,
    };
    match (compared, &asked.answer) {
        (Some(c), _) if c.verdict != Verdict::NotComparable => {
            verdict.agrees = c.verdict == Verdict::Agrees;
            verdict.hash = Some(c.hash);
            verdict.computed = c.computed;
            verdict.revision = Some(c.revision);
            verdict.compact_revision = Some(c.compact_revision);
        }
        (Some(c), _) => {
            let why = c.reason.map_or_else(|| "no reason given".into(), |r| r.to_string());
            verdict.not_compared = Some(why);
        }
        (None, HashKvAnswer::Missing { missing }) => {
            verdict.not_compared = Some(format!("it did not answer: {missing}"));
        }
        (None, HashKvAnswer::Hash { .. }) => {
            verdict.not_compared = Some("its answer was not looked at".into());
        }
    }
    verdict
}
