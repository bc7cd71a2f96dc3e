//! What drills and scrubs found out about a backup: small records that lie beside its manifest.
//!
//! A record is written once, create-only, in the destination that the copy was read from, and
//! says of which bytes it speaks: the SHA-256 of the manifest and of the artifact. One that speaks of
//! other bytes is told and decides nothing. `docs/manifest.md` describes the JSON.
//!
//! Invariants: nothing but a drill that started etcd proves a backup; a drill without etcd neither
//! proves nor clears what a drill suspects; what a scrub suspects is cleared by whoever reads as deep
//! as it did, or deeper, and finds nothing wrong; a backup that is broken, or whose own cluster called
//! it corrupt, is made no better by any record; a record that is dated ahead decides nothing, for as
//! long as its date lies ahead.
//!
//! Does not: read or write any store, or decide what is kept.

use crate::backup::State;
use crate::manifest::Manifest;
use crate::name::{BackupName, ObjectName};
use contract::{JsonError, RunId, brief, read_json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format that this program writes, and the newest that it reads.
const VERSION: u32 = 1;
/// A record has some hundred bytes; more than this is not one.
pub const RECORD_BYTES_MAX: u64 = 64 << 10;
/// How many records of drills that ended well are read of one backup, the newest first, and as many
/// of suspicions, whoever has them. A drill every day for half a month; what is older decides nothing
/// as long as a newer one does.
pub const RECORDS_READ_MAX: usize = 16;
/// How many records of good checks are read besides. Each kind has a limit of its own: checks come
/// every few days, and neither they nor what scrubs suspect may crowd out what a drill found.
pub const CHECKS_READ_MAX: usize = 8;
/// A record dated further after now than this comes from a wrong clock, here or there.
const CLOCK_SKEW_MAX_SECONDS: i64 = 180;
/// How many words of its own a record carries, in bytes.
const SUMMARY_BYTES_MAX: usize = 2_000;

/// How a drill or a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It was restored, a real etcd started from it, and everything compared was the same.
    Proven,
    /// It was restored and read again, but no etcd was started: the backup is no better known.
    Restored,
    /// Every byte of it was read back, and is what the manifest says.
    Checked,
    /// Something about it is wrong.
    Suspect,
}

impl Finding {
    /// Every one.
    pub const ALL: [Finding; 4] =
        [Finding::Proven, Finding::Restored, Finding::Checked, Finding::Suspect];

    /// The word for it, in names and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Finding::Proven => "proven",
            Finding::Restored => "restored",
            Finding::Checked => "checked",
            Finding::Suspect => "suspect",
        }
    }
}

/// How deep somebody looked, the shallowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Length and SHA-256 of the artifact were compared: no key is needed.
    Digest,
    /// It was decrypted and decompressed, and the snapshot in it was proved.
    Content,
    /// The restored directory was read again, by Lifeboat alone.
    Native,
    /// One etcd started from it.
    Etcd,
    /// Three members started from it and formed a cluster.
    ThreeMembers,
}

impl Depth {
    /// The words for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Depth::Digest => "digest",
            Depth::Content => "content",
            Depth::Native => "native",
            Depth::Etcd => "etcd",
            Depth::ThreeMembers => "three members",
        }
    }

    /// Whether a scrub looks so deep; a drill looks deeper.
    #[must_use]
    pub fn is_of_scrub(self) -> bool {
        matches!(self, Depth::Digest | Depth::Content)
    }
}

/// What one drill or scrub found out about one copy of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub version: u32,
    /// The cluster's name.
    pub cluster: String,
    /// The backup.
    pub backup: BackupName,
    /// The id of the drill or the check.
    pub run: String,
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub finding: Finding,
    /// How deep it went, or was to go.
    pub depth: Depth,
    /// SHA-256 of the manifest's bytes, in hex.
    pub manifest_sha256: String,
    /// SHA-256 of the artifact, as its manifest says, in hex.
    pub artifact_sha256: String,
    /// Program and version that wrote the record.
    pub tool: String,
    /// The version of the etcd that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_version: Option<String>,
    /// What was compared, or what was wrong, for people.
    pub summary: String,
    /// How long it took from the first byte fetched until the restored data could be served, in
    /// milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_ms: Option<u64>,
    /// How old the backup was when the drill began, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<i64>,
}

/// Why a record decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not a record.
    #[error("it is not a record: {0}")]
    Malformed(String),
    /// It was written by a newer version.
    #[error("it has format version {found}; this program knows up to {VERSION}")]
    Newer {
        /// The version in it.
        found: u64,
    },
    /// It describes another look at the copy than its name says.
    #[error("it says {found}, but its name says {expected}")]
    Misnamed {
        /// What its name says.
        expected: String,
        /// What it says.
        found: String,
    },
    /// It was made by a clock that is ahead of ours.
    #[error("it is dated {at}, which is ahead of now, {now}")]
    Ahead {
        /// Its date.
        at: Timestamp,
        /// When the catalogue was read.
        now: Timestamp,
    },
    /// It is about other bytes.
    #[error("it is about another {what}, with SHA-256 {found}; this one has {expected}")]
    OtherBytes {
        /// Which of the two objects.
        what: &'static str,
        /// What is there.
        expected: String,
        /// What it is about.
        found: String,
    },
}

impl Record {
    /// A record about the copy that `manifest`, whose bytes have this SHA-256, describes.
    #[must_use]
    pub fn new(
        manifest: &Manifest,
        manifest_sha256: &str,
        run: &RunId,
        at: Timestamp,
        (finding, depth): (Finding, Depth),
        tool: String,
    ) -> Self {
        Record {
            version: VERSION,
            cluster: manifest.cluster.clone(),
            backup: manifest.backup.clone(),
            run: run.to_string(),
            at,
            finding,
            depth,
            manifest_sha256: manifest_sha256.to_owned(),
            artifact_sha256: manifest.artifact.sha256.clone(),
            tool,
            etcd_version: None,
            summary: String::new(),
            rto_ms: None,
            rpo_seconds: None,
        }
    }

    /// With what was compared or wrong, cut to what a record may hold.
    #[must_use]
    pub fn saying(mut self, summary: &str) -> Self {
        self.summary = summary.to_owned();
        while self.summary.len() > SUMMARY_BYTES_MAX {
            self.summary.pop();
        }
        self
    }

    /// The name that it is stored under, beside a manifest of this tier.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] when its run is no id of a run.
    pub fn object_name(&self, tier: &str) -> Result<ObjectName, RecordError> {
        let run: RunId = self.run.parse().map_err(|_| {
            RecordError::Malformed(format!("{:?} is no id of a run", brief(&self.run)))
        })?;
        Ok(ObjectName::Record {
            tier: tier.to_owned(),
            backup: self.backup.clone(),
            finding: self.finding,
            drill: BackupName::new(self.at, &run),
        })
    }

    /// The bytes that are stored: indented JSON with a line end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers only: they always serialise.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a record that speaks for itself, whatever its name.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Record = read_json(bytes, VERSION).map_err(|e| match e {
            JsonError::Newer { found } => RecordError::Newer { found },
            JsonError::Malformed(problem) => RecordError::Malformed(problem),
        })?;
        let fits = match record.finding {
            Finding::Proven => record.depth > Depth::Native,
            Finding::Restored => record.depth == Depth::Native,
            Finding::Checked => record.depth.is_of_scrub(),
            Finding::Suspect => true,
        };
        match fits {
            true => Ok(record),
            false => Err(RecordError::Malformed(format!(
                "a look of depth {} cannot call a backup {}",
                record.depth.name(),
                record.finding.name()
            ))),
        }
    }

    /// Reads a record that is stored under `name` in the folder of `cluster`.
    ///
    /// # Errors
    /// [`RecordError`]; also when it is about another look than its name says.
    pub fn from_bytes(cluster: &str, name: &ObjectName, bytes: &[u8]) -> Result<Self, RecordError> {
        let record = Record::read(bytes)?;
        let ObjectName::Record { tier, .. } = name else {
            return Err(RecordError::Malformed("its name is not that of a record".into()));
        };
        let found = record.object_name(tier)?.key(&record.cluster);
        let expected = name.key(cluster);
        match found == expected {
            true => Ok(record),
            false => Err(RecordError::Misnamed { expected, found: brief(&found) }),
        }
    }

    /// Whether it was made before now, give or take what clocks differ by.
    fn must_be_of_the_past(&self, now: Timestamp) -> Result<(), RecordError> {
        let latest = now.as_second().saturating_add(CLOCK_SKEW_MAX_SECONDS);
        match self.at.as_second() <= latest {
            true => Ok(()),
            false => Err(RecordError::Ahead { at: self.at, now }),
        }
    }

    /// Whether it is about this manifest and the artifact that it names.
    ///
    /// # Errors
    /// [`RecordError::OtherBytes`].
    pub fn must_be_about(
        &self,
        manifest: &Manifest,
        manifest_sha256: &str,
    ) -> Result<(), RecordError> {
        let same = |what, expected: &str, found: &str| match expected == found {
            true => Ok(()),
            false => Err(RecordError::OtherBytes {
                what,
                expected: expected.to_owned(),
                found: brief(found),
            }),
        };
        same("manifest", manifest_sha256, &self.manifest_sha256)?;
        same("artifact", &manifest.artifact.sha256, &self.artifact_sha256)
    }
}

/// The newest drill of a copy, as a catalogue tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drilled {
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub finding: Finding,
    /// How deep it went.
    pub depth: Depth,
    /// The version of the etcd that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_version: Option<String>,
}

/// When somebody last looked at a copy in one way, and how deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// When that began.
    pub at: Timestamp,
    /// How deep.
    pub depth: Depth,
}

/// What the records of one backup come to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The newest drill of these bytes.
    pub(crate) last: Option<Drilled>,
    /// The newest look that read all of these bytes and found nothing wrong.
    pub(crate) verified: Option<Looked>,
    /// The newest one that decides.
    decides: Option<Record>,
    /// How deep somebody looked, since, and found nothing wrong; records are taken newest first.
    cleared: Option<Depth>,
    /// The keys of what scrubs have found and a newer record, as deep or deeper, makes superfluous.
    pub(crate) superfluous: Vec<String>,
    /// What is odd about the records.
    pub(crate) notes: Vec<String>,
}

impl Told {
    /// Reads the records of one backup, the newest first. Bytes that are missing were not read.
    pub(crate) fn of(
        cluster: &str,
        manifest: &Manifest,
        manifest_sha256: &str,
        names: &[(String, ObjectName)],
        read: &BTreeMap<String, Vec<u8>>,
        now: Timestamp,
    ) -> Self {
        let mut told = Told::default();
        let mut counts: BTreeMap<Shelf, usize> = BTreeMap::new();
        for (key, name) in names {
            let ObjectName::Record { finding, .. } = name else { continue };
            let shelf = Shelf::of(*finding);
            let count = counts.entry(shelf).or_default();
            *count += 1;
            // One that was removed since it was listed says nothing.
            let Some(bytes) = read.get(key).filter(|_| *count <= shelf.limit()) else { continue };
            let record = Record::from_bytes(cluster, name, bytes).and_then(|record| {
                record.must_be_about(manifest, manifest_sha256)?;
                record.must_be_of_the_past(now)?;
                Ok(record)
            });
            match record {
                Ok(record) => told.take(key, record),
                Err(e) => told.notes.push(format!("the record {key} decides nothing: {e}")),
            }
        }
        let unread =
            |shelf: Shelf| counts.get(&shelf).map_or(0, |n| n.saturating_sub(shelf.limit()));
        match unread(Shelf::Drills) + unread(Shelf::Doubts) {
            0 => {}
            n => told.notes.push(format!("{n} older records of drills were not read")),
        }
        told
    }

    fn take(&mut self, key: &str, record: Record) {
        if !record.depth.is_of_scrub() {
            self.last.get_or_insert_with(|| Drilled {
                at: record.at,
                finding: record.finding,
                depth: record.depth,
                etcd_version: record.etcd_version.clone(),
            });
        }
        if record.finding != Finding::Suspect {
            self.verified.get_or_insert(Looked { at: record.at, depth: record.depth });
        }
        let is_cleared = self.cleared >= Some(record.depth);
        match record.finding {
            Finding::Checked | Finding::Restored => {
                if record.finding == Finding::Checked && is_cleared {
                    self.superfluous.push(key.to_owned());
                }
                self.cleared = self.cleared.max(Some(record.depth));
            }
            // Cleared, or said again: whatever clears the newer suspicion clears this one too.
            Finding::Suspect
                if record.depth.is_of_scrub() && (is_cleared || self.covers(&record)) =>
            {
                self.superfluous.push(key.to_owned());
            }
            Finding::Proven | Finding::Suspect => drop(self.decides.get_or_insert(record)),
        }
    }

    /// Whether a newer suspicion of a scrub stands that is as deep.
    fn covers(&self, record: &Record) -> bool {
        self.decides.as_ref().is_some_and(|newer| {
            newer.finding == Finding::Suspect
                && newer.depth.is_of_scrub()
                && newer.depth >= record.depth
        })
    }

    /// The suspicion that stands, if one does.
    pub(crate) fn doubt(&self) -> Option<Looked> {
        let suspect = self.decides.as_ref().filter(|r| r.finding == Finding::Suspect)?;
        Some(Looked { at: suspect.at, depth: suspect.depth })
    }

    /// The state of a copy that would be `state` without drills, with the problem if there is one
    /// and the time at which it was proven.
    pub(crate) fn decide(
        &self,
        state: State,
        problem: Option<String>,
    ) -> (State, Option<String>, Option<Timestamp>) {
        match (&self.decides, state) {
            (Some(record), State::Verified) if record.finding == Finding::Proven => {
                (State::Proven, problem, Some(record.at))
            }
            (Some(record), State::Verified) => {
                let who = match record.depth.is_of_scrub() {
                    true => "it was found damaged",
                    false => "a drill failed",
                };
                let text = format!("{who} at {}: {}", record.at, brief(&record.summary));
                (State::Suspect, Some(text), None)
            }
            _ => (state, problem, None),
        }
    }
}

/// Kinds of records that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shelf {
    /// Of drills that ended well.
    Drills,
    /// Of suspicions, whoever has them: no name tells that.
    Doubts,
    /// Of good checks.
    Checks,
}

impl Shelf {
    fn of(finding: Finding) -> Self {
        match finding {
            Finding::Proven | Finding::Restored => Shelf::Drills,
            Finding::Suspect => Shelf::Doubts,
            Finding::Checked => Shelf::Checks,
        }
    }

    fn limit(self) -> usize {
        match self {
            Shelf::Drills | Shelf::Doubts => RECORDS_READ_MAX,
            Shelf::Checks => CHECKS_READ_MAX,
        }
    }
}

/// The keys of the records that decide, among all keys of a listing: of each backup the newest
/// [`RECORDS_READ_MAX`] of drills that ended well, as many of suspicions, and the newest
/// [`CHECKS_READ_MAX`] of good checks.
#[must_use]
pub fn newest_records<'a>(cluster: &str, keys: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut of_each: BTreeMap<(BackupName, Shelf), Vec<(BackupName, &str)>> = BTreeMap::new();
    for key in keys {
        if let Some(ObjectName::Record { backup, finding, drill, .. }) =
            ObjectName::parse(cluster, key)
        {
            of_each.entry((backup, Shelf::of(finding))).or_default().push((drill, key));
        }
    }
    let newest = of_each.into_iter().flat_map(|((_, shelf), mut all)| {
        all.sort_by(|a, b| b.cmp(a));
        all.truncate(shelf.limit());
        all
    });
    newest.map(|(_, key)| key).collect()
}
