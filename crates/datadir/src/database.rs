//! The database of a restored member, built anew from the rows of a snapshot.
//!
//! Every bucket is copied row by row in key order, so memory does not grow with the snapshot and the
//! result holds no stale page. Changed on the way are: `members` and `members_removed` (the new
//! cluster), `meta` (consistent index, term, confState, compaction, storage version), `cluster` (a
//! pending downgrade is dropped; the cluster version goes where the target has another), `alarm`
//! (dropped), `lease` (missing ones made), `auth` (turned off on request) and the end of `key` (cut or
//! raised on request). Buckets that are not known are carried over as they are.
//!
//! The differences to `etcdutl`: confState, downgrade and alarms are put right; missing leases are
//! made; a bump counts from the revision that a server would be at, also where a compaction has
//! removed the last rows.
//!
//! Does not: verify (the rows were proved before; a damaged page is refused all the same), sync, or
//! know where the file is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};

use bbolt::{BucketWriter, BulkWriter, Database, ReadAt};
use snapshot::{Alarm, KeyValue, RecordProblem, Report, Revision, RowKey};

use crate::adjust::{Adjustments, EMPTY_STORE_REVISION};
use crate::edits::Edits;
use crate::error::BuildError;
use crate::facts::{
    ALARM, AUTH, AUTH_ENABLED, BUCKETS, CLUSTER, CLUSTER_VERSION, CONF_STATE, CONSISTENT_INDEX,
    DOWNGRADE, KEY, LEASE, MEMBERS, MEMBERS_REMOVED, META, SCHEDULED_COMPACT, STORAGE_VERSION,
    SourceFacts, TERM,
};
use crate::fingerprint::Fingerprint;
use crate::leases::{MADE_TTL_SECONDS, Orphans, made_row};
use crate::membership::Membership;
use crate::version::Version;
use crate::wal;

const KUBERNETES_KEY: &[u8] = b"/registry/";
const KUBERNETES_VALUES: [&[u8]; 2] = [b"k8s\0", b"k8s:enc:"];

/// What was built, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Revision of a server that is started from it.
    pub revision: i64,
    /// Compact revision of such a server.
    pub compact_revision: Option<i64>,
    /// Revision of the snapshot.
    pub snapshot_revision: i64,
    /// Hash of all rows that were read, as `etcdutl snapshot status` computes it. Equal to that of
    /// the verified snapshot; see [`Built::must_be_from`].
    pub source_hash: u32,
    /// The same hash of all rows that were written.
    pub status_hash: u32,
    /// Rows of each bucket, as written. Names that are not text are shown escaped.
    pub rows: BTreeMap<String, u64>,
    /// Page size in bytes: that of the snapshot.
    pub page_bytes: u32,
    /// Pages of the database.
    pub pages: u64,
    /// Length of the database in bytes.
    pub bytes: u64,
    /// CRC-32C of the database file.
    pub crc32c: u32,
    /// How far the revision was raised.
    pub bump: Option<i64>,
    /// Rows above the cut that were dropped.
    pub rows_cut: u64,
    /// The snapshot's alarms.
    pub alarms: Vec<Alarm>,
    /// Whether they were kept.
    pub alarms_kept: bool,
    /// Whether a pending downgrade was dropped.
    pub downgrade_dropped: bool,
    /// Whether authentication was on and was turned off.
    pub auth_disabled: bool,
    /// Leases that were made because live keys name them.
    pub leases_made: u64,
    /// Storage version of the snapshot (etcd 3.6 and later).
    pub snapshot_storage_version: Option<Version>,
    /// Storage version as written.
    pub storage_version: Option<Version>,
    /// Whether the snapshot holds objects of Kubernetes.
    pub is_kubernetes: bool,
}

/// Builds the database of every member of a restored cluster into `out`, which is empty.
///
/// # Errors
/// Flags that cannot be followed, a snapshot that cannot be read, a database that cannot be written.
pub fn build_database<R: ReadAt, W: Write + Seek>(
    source: &Database<R>,
    membership: &Membership,
    adjust: &Adjustments,
    out: W,
) -> Result<Built, BuildError> {
    adjust.check_flags()?;
    let facts = SourceFacts::read(source)?;
    let page_bytes = source.meta().page_bytes;
    let start_bytes = usize::try_from(page_bytes).unwrap_or(usize::MAX).saturating_mul(2);
    let out = BulkWriter::new(Fingerprint::new(out, start_bytes), page_bytes)?;
    let mut copy = Copy { source, out, rows: BTreeMap::new(), read: 0, written: 0 };

    // The key space says how history ends and which leases are missing, so it must be written
    // before `lease` and `meta`: as it happens, it comes first among them by name.
    let mut names: BTreeSet<Vec<u8>> = source.bucket_names()?.into_iter().collect();
    names.extend(BUCKETS.iter().map(|name| name.to_vec()));
    let mut history = History::default();
    for name in &names {
        if name == KEY {
            history = copy.key_space(&facts, adjust)?;
        } else {
            let edits = edits(name, &facts, &history, membership, adjust);
            copy.bucket(name, &edits)?;
        }
    }
    let Copy { out, rows, read, written, .. } = copy;
    let (out, laid) = out.finish()?;
    let (bytes, crc32c) = out.finish();
    Ok(Built {
        revision: history.revision,
        compact_revision: history.compact(&facts),
        snapshot_revision: history.snapshot_revision,
        source_hash: read,
        status_hash: written,
        rows,
        page_bytes,
        pages: laid.pages,
        bytes,
        crc32c,
        bump: adjust.bump,
        rows_cut: history.rows_cut,
        alarms_kept: adjust.keep_alarms && !facts.alarms.is_empty(),
        alarms: facts.alarms,
        downgrade_dropped: facts.has_downgrade,
        auth_disabled: facts.auth_enabled && adjust.disable_auth,
        leases_made: history.leases_missing.len() as u64,
        snapshot_storage_version: facts.storage_version,
        storage_version: storage_version(facts.storage_version, adjust.target_version),
        is_kubernetes: history.is_kubernetes,
    })
}

// === impl Built ===

impl Built {
    /// Checks that what was read to build is what had been verified: the same rows in the same
    /// buckets. And that no row of it was lost: HashKV, which the proof recomputes, covers the key
    /// space alone, so the others are counted against the verification, which never saw the edits.
    ///
    /// # Errors
    /// [`BuildError::SourceChanged`], [`BuildError::RowsLost`].
    pub fn must_be_from(&self, verified: &Report) -> Result<(), BuildError> {
        let (hash, read) = (verified.status.hash, self.source_hash);
        if hash != read {
            return Err(BuildError::SourceChanged { verified: hash, read });
        }
        let names: BTreeSet<&String> = verified.buckets.keys().chain(self.rows.keys()).collect();
        for bucket in names {
            let count = |rows: &BTreeMap<String, u64>| rows.get(bucket).copied().unwrap_or(0);
            let (rows, found) = (count(&verified.buckets), count(&self.rows));
            let expected = match bucket.as_bytes() {
                // These are about the cluster, and made anew.
                ALARM | CLUSTER | MEMBERS | MEMBERS_REMOVED | META => continue,
                KEY => (rows + u64::from(self.bump.is_some())).saturating_sub(self.rows_cut),
                LEASE => rows + self.leases_made,
                _ => rows,
            };
            if found != expected {
                return Err(BuildError::RowsLost { bucket: bucket.clone(), expected, found });
            }
        }
        Ok(())
    }

    /// What was put right, dropped or made, one sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.rows_cut > 0 {
            notes.push(format!(
                "history ends at revision {}: {} later rows were dropped",
                self.revision - self.bump.unwrap_or(0),
                self.rows_cut
            ));
        }
        if let Some(bump) = self.bump {
            notes.push(format!(
                "the revision was raised by {bump} to {}; everything before is marked as compacted, \
                 so a watch from before gets an error and never silence",
                self.revision
            ));
        }
        notes.extend(self.alarms.iter().map(|alarm| self.alarm_note(alarm)));
        if self.downgrade_dropped {
            notes.push("a pending downgrade was dropped".to_owned());
        }
        if self.leases_made > 0 {
            notes.push(format!(
                "leases that live keys name were missing and were made, with {MADE_TTL_SECONDS} \
                 seconds to live: {}",
                self.leases_made
            ));
        }
        if self.auth_disabled {
            notes.push("authentication was turned off; users and roles are still there".to_owned());
        }
        if self.storage_version != self.snapshot_storage_version {
            let show = |v: Option<Version>| v.map_or("none".to_owned(), |v| v.to_string());
            notes.push(format!(
                "the storage version was changed from {} to {}",
                show(self.snapshot_storage_version),
                show(self.storage_version)
            ));
        }
        notes
    }

    fn alarm_note(&self, Alarm { member, alarm }: &Alarm) -> String {
        let what = if self.alarms_kept { "was kept" } else { "was dropped" };
        let more = match (alarm.as_str(), self.alarms_kept) {
            ("CORRUPT", _) => {
                "; the cluster had found that its members differ, so DO NOT TRUST this data before \
                 it was compared with another member's backup"
            }
            ("NOSPACE", true) => "; the cluster refuses writes until `etcdctl alarm disarm`",
            _ => "",
        };
        format!("the alarm {alarm} of member {member} {what}{more}")
    }
}

/// What the rows of the key space say.
#[derive(Debug, Default)]
struct History {
    snapshot_revision: i64,
    revision: i64,
    /// Whether the revision was raised, and everything before is to be compacted.
    is_raised: bool,
    rows_cut: u64,
    leases_missing: BTreeSet<u64>,
    is_kubernetes: bool,
}

impl History {
    fn compact(&self, facts: &SourceFacts) -> Option<i64> {
        if self.is_raised { Some(self.revision) } else { facts.compact }
    }
}

/// The copying of one snapshot.
struct Copy<'a, R: ReadAt, W: Write + Seek> {
    source: &'a Database<R>,
    out: BulkWriter<Fingerprint<W>>,
    rows: BTreeMap<String, u64>,
    /// Status hash of what was read.
    read: u32,
    /// Status hash of what was written.
    written: u32,
}

/// The bucket that is being written, and the status hash as it grows.
struct Sink<'a, W: Write + Seek> {
    bucket: BucketWriter<'a, Fingerprint<W>>,
    hash: &'a mut u32,
}

impl<W: Write + Seek> Sink<'_, W> {
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), BuildError> {
        *self.hash = hash_row(*self.hash, key, value);
        Ok(self.bucket.push(key, value)?)
    }
}

fn hash_row(hash: u32, key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value)
}

// === impl Copy ===

impl<R: ReadAt, W: Write + Seek> Copy<'_, R, W> {
    /// Copies a bucket with changes.
    fn bucket(&mut self, name: &[u8], edits: &Edits) -> Result<(), BuildError> {
        self.written = crc32c::crc32c_append(self.written, name);
        let source = self.source.rows(name)?;
        let mut sink = Sink { bucket: self.out.bucket(name)?, hash: &mut self.written };
        let mut set = edits.rows.iter().peekable();
        if let Some(mut rows) = source {
            self.read = crc32c::crc32c_append(self.read, name);
            while let Some((key, value)) = rows.next_row()? {
                self.read = hash_row(self.read, key, value);
                while let Some((new, value)) = set.next_if(|(new, _)| new.as_slice() < key) {
                    value.iter().try_for_each(|value| sink.push(new, value))?;
                }
                match set.next_if(|(new, _)| new.as_slice() == key) {
                    Some((_, Some(value))) => sink.push(key, value)?,
                    None if !edits.clears => sink.push(key, value)?,
                    _ => {}
                }
            }
        }
        for (new, value) in set {
            value.iter().try_for_each(|value| sink.push(new, value))?;
        }
        let count = sink.bucket.end()?;
        self.rows.insert(name.escape_ascii().to_string(), count);
        Ok(())
    }

    /// Copies the key space, and ends it as the flags say.
    fn key_space(
        &mut self,
        facts: &SourceFacts,
        adjust: &Adjustments,
    ) -> Result<History, BuildError> {
        let mut history = History::default();
        let mut orphans = Orphans::default();
        let mut last_main = 0;
        self.written = crc32c::crc32c_append(self.written, KEY);
        let source = self.source.rows(KEY)?;
        let mut sink = Sink { bucket: self.out.bucket(KEY)?, hash: &mut self.written };
        if let Some(mut rows) = source {
            self.read = crc32c::crc32c_append(self.read, KEY);
            while let Some((key, value)) = rows.next_row()? {
                self.read = hash_row(self.read, key, value);
                let (row_key, kv) = read_row(key, value)?;
                last_main = row_key.revision.main;
                if adjust.cut_at.is_some_and(|cut| last_main > cut) {
                    history.rows_cut += 1;
                    continue;
                }
                orphans.take(&facts.leases, kv.key, kv.lease)?;
                history.is_kubernetes = history.is_kubernetes || is_kubernetes(&kv);
                sink.push(key, value)?;
            }
        }
        let snapshot_revision = last_main.max(facts.compact.unwrap_or(0)).max(EMPTY_STORE_REVISION);
        history.snapshot_revision = snapshot_revision;
        history.revision = adjust.apply(snapshot_revision, facts.compact)?;
        history.is_raised = adjust.bump.is_some();
        if history.is_raised {
            sink.push(&RowKey::first_of(history.revision), &[])?;
        }
        history.leases_missing = orphans.missing();
        let count = sink.bucket.end()?;
        self.rows.insert(KEY.escape_ascii().to_string(), count);
        Ok(history)
    }
}

/// A row of the key space. The mark of an earlier bump has no value, and so no key.
fn read_row<'a>(key: &[u8], value: &'a [u8]) -> Result<(RowKey, KeyValue<'a>), BuildError> {
    let refused = |revision, problem| BuildError::Record { revision, problem };
    let Some(row_key) = RowKey::parse(key) else {
        return Err(refused(Revision::default(), RecordProblem::NotARevision));
    };
    match KeyValue::decode(value) {
        Some(kv) => Ok((row_key, kv)),
        None => Err(refused(row_key.revision, RecordProblem::Undecodable)),
    }
}

fn is_kubernetes(kv: &KeyValue<'_>) -> bool {
    kv.key.starts_with(KUBERNETES_KEY)
        || KUBERNETES_VALUES.iter().any(|start| kv.value.starts_with(start))
}

/// What changes in a bucket that is not the key space.
fn edits(
    bucket: &[u8],
    facts: &SourceFacts,
    history: &History,
    membership: &Membership,
    adjust: &Adjustments,
) -> Edits {
    let mut edits = Edits::default();
    match bucket {
        ALARM if !adjust.keep_alarms => edits.clears = true,
        AUTH if adjust.disable_auth && facts.auth_enabled => edits.set(AUTH_ENABLED, [0]),
        CLUSTER => {
            edits.drop_row(DOWNGRADE);
            // The leader decides anew within seconds, and never on more than its members can.
            if adjust.target_version.is_some() {
                edits.drop_row(CLUSTER_VERSION);
            }
        }
        LEASE => {
            let made = history.leases_missing.iter().map(|id| made_row(*id));
            edits.rows.extend(made.map(|(key, value)| (key, Some(value))));
        }
        MEMBERS => {
            edits = Edits::clear();
            for member in membership.members() {
                edits.set(member.id_hex().as_bytes(), member.json());
            }
        }
        MEMBERS_REMOVED => edits.clears = true,
        META => {
            edits.set(CONSISTENT_INDEX, membership.last_index().to_be_bytes());
            edits.set(TERM, wal::TERM.to_be_bytes());
            edits.set(CONF_STATE, membership.conf_state());
            if history.is_raised {
                edits.set(SCHEDULED_COMPACT, RowKey::first_of(history.revision));
            }
            match (adjust.target_version, storage_version(None, adjust.target_version)) {
                (Some(_), Some(version)) => edits.set(STORAGE_VERSION, format!("{version}.0")),
                (Some(_), None) => edits.drop_row(STORAGE_VERSION),
                (None, _) => {}
            }
        }
        _ => {}
    }
    edits
}

/// The storage version as written: that of the target from 3.6 on, none before.
fn storage_version(source: Option<Version>, target: Option<Version>) -> Option<Version> {
    match target {
        Some(target) => (target >= Version::FIRST_WITH_STORAGE_VERSION).then_some(target),
        None => source,
    }
}
