//! Names of backups and of their objects.
//!
//! ```text
//! <prefix>/<cluster>/<tier>/<time>-<run>.db.zst.age             the artifact
//! <prefix>/<cluster>/<tier>/<time>-<run>-<revision>.json        the manifest
//! <prefix>/<cluster>/<tier>/<time>-<run>-proven-<drill>.json    what a drill found (also -suspect-,
//!                                                               -restored-), or a scrub (-checked-)
//! <prefix>/<cluster>/quarantine/<tier>/<file>/<digits>          bytes that were found damaged there
//! ```
//!
//! All begin with the backup's name, so that one prefix finds both and a listing sorts by time.
//! The artifact's name is needed before the first byte is uploaded, the revision is known after
//! the last: that is why only the manifest's name has it (20 digits, zero-padded). The tier is a
//! folder so that a lifecycle rule of the bucket can own expiry. See `docs/decisions/0002`.
//!
//! `<drill>` is `<time>-<run>` of the drill. Programs that know no drills take such a name for
//! somebody else's, because its stem is neither that of an artifact nor ends with a revision.

use crate::record::Finding;
use contract::RunId;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The tier of a backup that no rule gave another one.
pub const TIER_DEFAULT: &str = "frequent";

/// The folder of a cluster in which bytes are kept that were found damaged and replaced: no tier of
/// any backup.
const QUARANTINE: &str = "quarantine";
/// So much of the SHA-256 of damaged bytes is their name.
const QUARANTINE_DIGITS: usize = 16;

const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";
const TIME_LENGTH: usize = "20261120T021400Z".len();
const REVISION_DIGITS: usize = 20;

/// The name of one backup: when its run was planned, and the run's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupName {
    text: String,
}

impl BackupName {
    /// Made of the time that the run was planned at (second precision, UTC) and its id.
    #[must_use]
    pub fn new(planned_at: Timestamp, run: &RunId) -> Self {
        let time = planned_at.to_zoned(TimeZone::UTC).strftime(TIME_FORMAT);
        BackupName { text: format!("{time}-{run}") }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for BackupName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not the name of a backup");
        let (time, run) = text.split_once('-').ok_or_else(wrong)?;
        let civil = jiff::civil::DateTime::strptime(TIME_FORMAT, time).map_err(|_| wrong())?;
        run.parse::<RunId>().map_err(|_| wrong())?;
        let canonical = civil.strftime(TIME_FORMAT).to_string() == time;
        if time.len() == TIME_LENGTH && canonical {
            Ok(BackupName { text: text.to_owned() })
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for BackupName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<BackupName> for String {
    fn from(name: BackupName) -> String {
        name.text
    }
}

/// What one object of a cluster is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectName {
    /// The bytes of a backup.
    Artifact {
        /// The tier that it lies in.
        tier: String,
        /// Whose bytes.
        backup: BackupName,
        /// What the stages made of it, such as `.db.zst.age`.
        suffix: String,
    },
    /// The commit record of a backup.
    Manifest {
        /// The tier that it lies in.
        tier: String,
        /// Of which backup.
        backup: BackupName,
        /// The backup's revision.
        revision: i64,
    },
    /// What one drill or scrub found out about a backup.
    Record {
        /// The tier that it lies in.
        tier: String,
        /// About which backup.
        backup: BackupName,
        /// How that ended.
        finding: Finding,
        /// When it began, and its run.
        drill: BackupName,
    },
}

impl ObjectName {
    /// The key of the object in a destination whose prefix is not part of it.
    #[must_use]
    pub fn key(&self, cluster: &str) -> String {
        match self {
            ObjectName::Artifact { tier, backup, suffix } => {
                format!("{cluster}/{tier}/{backup}{suffix}")
            }
            ObjectName::Manifest { tier, backup, revision } => {
                format!("{cluster}/{tier}/{backup}-{revision:0REVISION_DIGITS$}.json")
            }
            ObjectName::Record { tier, backup, finding, drill } => {
                format!("{cluster}/{tier}/{backup}-{}-{drill}.json", finding.name())
            }
        }
    }

    /// The prefix under which all objects of a cluster lie. The slash at its end keeps
    /// `prod` from seeing the objects of `prod-2`.
    #[must_use]
    pub fn prefix_of(cluster: &str) -> String {
        format!("{cluster}/")
    }

    /// Where bytes are kept that were found damaged under `key` and have this SHA-256: the same
    /// bytes always in the same place. `None` when `key` is none of a tier of this cluster.
    #[must_use]
    pub fn quarantine_of(cluster: &str, key: &str, sha256: &str) -> Option<String> {
        ObjectName::parse(cluster, key)?;
        let rest = key.strip_prefix(cluster)?.strip_prefix('/')?;
        let digits = sha256.get(..QUARANTINE_DIGITS)?;
        Some(format!("{cluster}/{QUARANTINE}/{rest}/{digits}"))
    }

    /// What `key` is, if it is an object of `cluster` that this version could have written.
    #[must_use]
    pub fn parse(cluster: &str, key: &str) -> Option<ObjectName> {
        let rest = key.strip_prefix(cluster)?.strip_prefix('/')?;
        let (tier, file) = rest.split_once('/')?;
        let (stem, suffix) = file.split_once('.')?;
        // Keys of other kinds belong to somebody else. What is printed and made into paths is
        // plain, and stays in its folder.
        let is_plain =
            |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if tier.is_empty()
            || tier == QUARANTINE
            || tier.starts_with('.')
            || !is_plain(tier)
            || !is_plain(suffix)
        {
            return None;
        }
        let tier = tier.to_owned();
        if let Ok(backup) = stem.parse::<BackupName>() {
            return Some(ObjectName::Artifact { tier, backup, suffix: format!(".{suffix}") });
        }
        if suffix == "json"
            && let Some((backup, finding, drill)) = record(stem)
        {
            return Some(ObjectName::Record { tier, backup, finding, drill });
        }
        let (backup, digits) = stem.rsplit_once('-')?;
        let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
        if suffix != "json" || digits.len() != REVISION_DIGITS || !all_digits {
            return None;
        }
        let (backup, revision) = (backup.parse().ok()?, digits.parse().ok()?);
        Some(ObjectName::Manifest { tier, backup, revision })
    }
}

/// The three parts of a record's name.
fn record(stem: &str) -> Option<(BackupName, Finding, BackupName)> {
    Finding::ALL.into_iter().find_map(|finding| {
        let (backup, drill) = stem.split_once(&format!("-{}-", finding.name()))?;
        Some((backup.parse().ok()?, finding, drill.parse().ok()?))
    })
}
