//! The verifier: bytes go in as they pass, a report or a refusal comes out at the end.
//!
//! The snapshot is read once. What is kept of it are summaries (about 32 bytes per row, more than
//! the budget in an unlinked scratch file), eight bytes per page, and the window of
//! [`bbolt::PageRuns`].

use std::path::PathBuf;

use bbolt::{Meta, PageRuns, Proof};
use serde::{Deserialize, Serialize};

use crate::crc::CrcCombiner;
use crate::digest::{Digested, TrailedDigest};
use crate::encryption::EncryptionNames;
use crate::error::VerifyError;
use crate::groups::ResourceGroups;
use crate::hashkv::{HashKv, MemberHashKv, NEVER_COMPACTED, Range, hash_rows};
use crate::keep::{Keep, Rows};
use crate::ledger::Ledger;
use crate::limits::MEMORY_BYTES_DEFAULT;
use crate::report::{HashKvReport, MemberComparison, PageCounts, Report, Status, Verdict};
use crate::revision::RowKey;
use crate::server_view::{Alteration, ServerView};
use crate::spill::SpillLog;
use crate::summary::Summaries;
use crate::survey::{Survey, survey};

/// Part of the memory budget for the set of keys that tells live rows from old ones.
const SEEN_KEYS_SHARE: usize = 2;

/// Revision of an empty store.
const EMPTY_STORE_REVISION: i64 = 1;

/// Whether the SHA-256 that etcd sends behind the database has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trailer {
    /// A snapshot from a server: the trailer must be there and match.
    #[default]
    Required,
    /// A database file from a data directory: there must be none.
    Absent,
    /// The same, and the report has no SHA-256: for whoever knows the bytes by another digest.
    Unhashed,
    /// If the length says that there is one, it must match.
    Either,
}

/// How to verify.
#[derive(Debug, Clone)]
pub struct Options {
    /// Budget for summaries, in bytes; what exceeds it goes to a scratch file.
    pub memory_bytes_max: usize,
    /// Directory of the scratch file; the system's directory for temporary files when `None`.
    pub scratch_dir: Option<PathBuf>,
    /// Whether the trailer has to be there.
    pub trailer: Trailer,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            scratch_dir: None,
            trailer: Trailer::Required,
        }
    }
}

/// What has to be true of the snapshot, besides that it is sound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectations {
    /// Revision that the cluster was at before the snapshot was asked for.
    pub revision_barrier: Option<i64>,
    /// What the members answered when they were asked for HashKV.
    pub members: Vec<MemberHashKv>,
    /// Which of them have to agree with the snapshot.
    #[serde(default)]
    pub agreement: Agreement,
}

/// Which members have to agree with the snapshot, of those whose answer can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// Every one.
    #[default]
    Everyone,
    /// The member that gave the snapshot, and more than half of all voting members with it. One
    /// member that has diverged must not keep a sound majority from being backed up.
    Majority {
        /// The giver, as its answer names it.
        giver: String,
        /// How many members vote, whether they answered or not.
        voters: usize,
    },
}

impl Agreement {
    /// The comparison because of which the snapshot is refused, if there is one.
    fn broken_by<'a>(&self, compared: &'a [MemberComparison]) -> Option<&'a MemberComparison> {
        let first = compared.iter().find(|c| c.verdict == Verdict::Disagrees)?;
        let Agreement::Majority { giver, voters } = self else { return Some(first) };
        let of_giver = compared.iter().find(|c| c.member == *giver);
        let agree = compared.iter().filter(|c| c.verdict == Verdict::Agrees).count();
        match of_giver {
            Some(own) if own.verdict == Verdict::Disagrees => Some(own),
            _ if agree * 2 > *voters => None,
            _ => Some(first),
        }
    }
}

/// Verifies one snapshot.
#[derive(Debug)]
pub struct Verifier {
    options: Options,
    digest: TrailedDigest,
    runs: PageRuns,
    summaries: Summaries,
    is_refused: bool,
}

// === impl Verifier ===

impl Verifier {
    /// A verifier before the first byte.
    pub fn new(options: Options) -> Self {
        let log = SpillLog::new(options.memory_bytes_max, options.scratch_dir.clone());
        Self {
            digest: TrailedDigest::new(options.trailer),
            options,
            runs: PageRuns::new(),
            summaries: Summaries::new(log),
            is_refused: false,
        }
    }

    /// Takes the next bytes of the snapshot, in pieces of any length.
    ///
    /// # Errors
    /// Only what is certain before the end: the meta pages are unsound, a limit is exceeded, or the
    /// scratch file fails. Other problems are found by [`Verifier::finish`].
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        if self.is_refused {
            return Err(VerifyError::Refused);
        }
        self.digest.update(bytes);
        let taken = self.runs.push(bytes, &mut self.summaries);
        self.is_refused = taken.is_err();
        taken
    }

    /// Length and SHA-256 of all bytes so far, the trailer included: whoever passes the stream on
    /// need not hash it again.
    #[must_use]
    pub fn stream_digest(&self) -> (u64, [u8; 32]) {
        self.digest.of_all()
    }

    /// Ends the snapshot and judges it.
    ///
    /// # Errors
    /// The first check that fails: length, digest, structure, records, barrier, members.
    pub fn finish(self, expectations: &Expectations) -> Result<Report, VerifyError> {
        self.judge(expectations, None).map(|(report, _)| report)
    }

    /// Ends the snapshot, judges it, and predicts what a server answers that is started from it once
    /// a restore has altered it so. There is no prediction where the history cannot be altered so: a
    /// cut outside of it, or a bump beyond what a revision can be.
    ///
    /// # Errors
    /// As [`Verifier::finish`].
    pub fn finish_altered(
        self,
        expectations: &Expectations,
        alteration: &Alteration,
    ) -> Result<(Report, Option<ServerView>), VerifyError> {
        self.judge(expectations, Some(*alteration))
    }

    fn judge(
        mut self,
        expectations: &Expectations,
        alteration: Option<Alteration>,
    ) -> Result<(Report, Option<ServerView>), VerifyError> {
        if self.is_refused {
            return Err(VerifyError::Refused);
        }
        let meta = self.runs.finish(&mut self.summaries)?;
        let digested = self.digest.finish(self.options.trailer, meta.file_bytes())?;

        let Summaries { log, table, rows, .. } = self.summaries;
        let log = log.seal().map_err(|source| VerifyError::Scratch { source })?;
        let ledger = Ledger::new(log, table);
        let proof = bbolt::prove(&meta, &ledger)?;
        let combiner = CrcCombiner::shared();
        let survey = survey(&proof, &ledger, combiner)?;

        let (groups, encryption) = rows.into_names();
        let judgement = Judgement {
            groups,
            encryption,
            rows: Rows { ledger: &ledger, leaves: &survey.key_leaves, count: survey.key_rows },
            combiner,
            seen_bytes_max: self.options.memory_bytes_max / SEEN_KEYS_SHARE,
        };
        let (report, keep) = judgement.report(&meta, digested, &proof, &survey, expectations)?;
        let view = match alteration {
            Some(alteration) => judgement.view(&report, keep, alteration)?,
            None => None,
        };
        Ok((report, view))
    }
}

/// The last steps: what the rows mean, and whether the expectations hold.
struct Judgement<'a> {
    groups: ResourceGroups,
    encryption: EncryptionNames,
    rows: Rows<'a>,
    combiner: &'a CrcCombiner,
    seen_bytes_max: usize,
}

impl Judgement<'_> {
    /// The report, and the rows that are current at its revision if they are still at hand.
    fn report(
        &self,
        meta: &Meta,
        digested: Digested,
        proof: &Proof,
        survey: &Survey,
        expectations: &Expectations,
    ) -> Result<(Report, Option<Keep>), VerifyError> {
        let facts = &survey.facts;
        let last_main = survey.history.last_main();
        let compact_revision = facts.compact_revision();
        let revision = last_main.max(compact_revision.unwrap_or(0)).max(EMPTY_STORE_REVISION);
        check_barrier(expectations.revision_barrier, revision)?;

        let keep = Keep::at(self.rows, revision, self.groups.len(), self.seen_bytes_max)?;
        let live = keep.live;
        let kubernetes = self.groups.name_counts(&keep.by_group);
        let encryption_at_rest = self.encryption.name_counts(&keep.by_encryption);
        let own = (revision, compact_revision.unwrap_or(NEVER_COMPACTED));
        let (hashkv, keep) = self.compare(keep, own, expectations)?;
        let report = Report {
            snapshot_bytes: digested.bytes,
            database_bytes: meta.file_bytes(),
            sha256: digested.sha256,
            has_trailer: digested.has_trailer,
            page_bytes: meta.page_bytes,
            pages: PageCounts {
                total: proof.pages_total,
                reachable: proof.pages_reachable,
                free: proof.pages_free,
            },
            status: Status {
                hash: survey.status_hash,
                hash_hex: format!("{:x}", survey.status_hash),
                revision: last_main,
                total_key_rows: survey.rows.values().sum(),
                total_key_live: live,
                total_size: meta.file_bytes(),
            },
            revision,
            compact_revision,
            storage_version: facts.storage_version.clone(),
            cluster_version: facts.cluster_version.clone(),
            consistent_index: facts.consistent_index,
            term: facts.term,
            buckets: survey.rows.clone(),
            unknown_buckets: survey.unknown_buckets.clone(),
            missing_buckets: survey.missing_buckets.clone(),
            leases: survey.leases,
            auth_enabled: facts.auth_enabled,
            alarms: facts.alarms.clone(),
            members: facts.members.clone(),
            rows_with_unknown_fields: survey.history.rows_with_unknown_fields(),
            kubernetes,
            encryption_at_rest,
            hashkv,
        };
        Ok((report, keep))
    }

    fn compare(
        &self,
        keep: Keep,
        own: (i64, i64),
        expectations: &Expectations,
    ) -> Result<(HashKvReport, Option<Keep>), VerifyError> {
        let (revision, compact_revision) = own;
        let mut hashkv = HashKv::new(self.rows, self.combiner, self.seen_bytes_max);
        hashkv.insert_keep(revision, keep);
        let members = expectations.members.iter();
        let compared: Result<Vec<_>, _> =
            members.map(|answer| hashkv.compare(answer, own)).collect();
        let compared = compared?;
        if let Some(other) = expectations.agreement.broken_by(&compared) {
            return Err(VerifyError::mismatch(other));
        }
        let hash = hashkv.at(revision, compact_revision)?;
        let report = HashKvReport { revision, compact_revision, hash, compared };
        Ok((report, hashkv.take_keep(revision)))
    }

    fn view(
        &self,
        report: &Report,
        keep: Option<Keep>,
        alteration: Alteration,
    ) -> Result<Option<ServerView>, VerifyError> {
        let altered = alteration.apply(report.revision, report.compact_revision);
        let Some(altered) = altered else { return Ok(None) };
        let mut keep = match keep.filter(|_| altered.end == report.revision) {
            Some(keep) => keep,
            None => Keep::at(self.rows, altered.end, self.groups.len(), self.seen_bytes_max)?,
        };
        let keys_live = keep.live_for_clients();
        if altered.raised.is_some() {
            keep.remove_mark();
        }
        // The mark of a bump is live, so there is always something for a server to skip by.
        let skips = keep.live > 0 || altered.raised.is_some();
        let compact = altered.compact.unwrap_or(NEVER_COMPACTED);
        let hashkv = if skips || compact == NEVER_COMPACTED {
            let range = Range { revision: altered.end, compact, skips };
            let hash = hash_rows(self.rows, self.combiner, range, &keep)?;
            let mark = altered.raised.map(RowKey::first_of);
            Some(mark.map_or(hash, |mark| crc32c::crc32c_append(hash, &mark)))
        } else {
            None
        };
        Ok(Some(ServerView {
            revision: altered.revision(),
            compact_revision: altered.compact,
            keys_live,
            hashkv,
            kubernetes: self.groups.name_counts(&keep.by_group),
            encryption_at_rest: self.encryption.name_counts(&keep.by_encryption),
        }))
    }
}

fn check_barrier(barrier: Option<i64>, found: i64) -> Result<(), VerifyError> {
    match barrier {
        Some(barrier) if found < barrier => {
            Err(VerifyError::RevisionBelowBarrier { barrier, found })
        }
        _ => Ok(()),
    }
}
