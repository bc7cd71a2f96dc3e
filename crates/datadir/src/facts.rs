//! What the small buckets of a snapshot say, read before its rows are copied.
//!
//! Owns: the compact revisions, versions, alarms, and the ids of all leases. The rows themselves are
//! copied by `database`, which reads the buckets once more.

use bbolt::{Database, ReadAt};
use snapshot::{Alarm, RowKey};

use crate::adjust::known_version;
use crate::error::BuildError;
use crate::leases::KnownLeases;
use crate::limits::{ALARMS_MAX, FACT_BYTES_MAX};
use crate::protobuf::Reader;
use crate::version::Version;

pub(crate) const ALARM: &[u8] = b"alarm";
pub(crate) const AUTH: &[u8] = b"auth";
pub(crate) const CLUSTER: &[u8] = b"cluster";
pub(crate) const KEY: &[u8] = b"key";
pub(crate) const LEASE: &[u8] = b"lease";
pub(crate) const MEMBERS: &[u8] = b"members";
pub(crate) const MEMBERS_REMOVED: &[u8] = b"members_removed";
pub(crate) const META: &[u8] = b"meta";

/// The buckets that every etcd from 3.4 to 3.7 has.
pub(crate) const BUCKETS: [&[u8]; 10] =
    [ALARM, AUTH, b"authRoles", b"authUsers", CLUSTER, KEY, LEASE, MEMBERS, MEMBERS_REMOVED, META];

pub(crate) const AUTH_ENABLED: &[u8] = b"authEnabled";
pub(crate) const CLUSTER_VERSION: &[u8] = b"clusterVersion";
pub(crate) const CONF_STATE: &[u8] = b"confState";
pub(crate) const CONSISTENT_INDEX: &[u8] = b"consistent_index";
pub(crate) const DOWNGRADE: &[u8] = b"downgrade";
pub(crate) const FINISHED_COMPACT: &[u8] = b"finishedCompactRev";
pub(crate) const SCHEDULED_COMPACT: &[u8] = b"scheduledCompactRev";
pub(crate) const STORAGE_VERSION: &[u8] = b"storageVersion";
pub(crate) const TERM: &[u8] = b"term";

/// What the small buckets say.
#[derive(Debug, Default)]
pub(crate) struct SourceFacts {
    /// Effective compact revision: the greater of the finished and the scheduled one.
    pub(crate) compact: Option<i64>,
    pub(crate) storage_version: Option<Version>,
    pub(crate) cluster_version: Option<Version>,
    pub(crate) has_downgrade: bool,
    pub(crate) auth_enabled: bool,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) leases: KnownLeases,
}

// === impl SourceFacts ===

impl SourceFacts {
    pub(crate) fn read<R: ReadAt>(source: &Database<R>) -> Result<Self, BuildError> {
        let mut facts = Self::default();
        each_row(source, META, |key, value| facts.take_meta(key, value))?;
        each_row(source, CLUSTER, |key, value| facts.take_cluster(key, value))?;
        each_row(source, AUTH, |key, value| {
            if key == AUTH_ENABLED {
                facts.auth_enabled = value == [1];
            }
            Ok(())
        })?;
        each_row(source, ALARM, |key, _| facts.take_alarm(key))?;
        each_row(source, LEASE, |key, value| match <[u8; 8]>::try_from(key) {
            Ok(id) => facts.leases.push(u64::from_be_bytes(id)),
            Err(_) => Err(malformed("lease", key, value)),
        })?;
        Ok(facts)
    }

    fn take_meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), BuildError> {
        match key {
            FINISHED_COMPACT | SCHEDULED_COMPACT => match RowKey::parse(value) {
                Some(row_key) if !row_key.is_tombstone => {
                    self.compact = self.compact.max(Some(row_key.revision.main));
                }
                _ => return Err(malformed("meta", key, value)),
            },
            STORAGE_VERSION => {
                let text = text("meta", key, value)?;
                self.storage_version = known_version("storageVersion", Some(text))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_cluster(&mut self, key: &[u8], value: &[u8]) -> Result<(), BuildError> {
        match key {
            CLUSTER_VERSION => {
                let text = text("cluster", key, value)?;
                self.cluster_version = known_version("clusterVersion", Some(text))?;
            }
            DOWNGRADE => self.has_downgrade = true,
            _ => {}
        }
        Ok(())
    }

    fn take_alarm(&mut self, key: &[u8]) -> Result<(), BuildError> {
        if self.alarms.len() >= ALARMS_MAX {
            let detail = format!("the snapshot has more than {ALARMS_MAX} alarms");
            return Err(BuildError::Limit { limit: "ALARMS_MAX", detail });
        }
        let alarm = read_alarm(key).ok_or_else(|| malformed("alarm", key, &[]))?;
        self.alarms.push(alarm);
        Ok(())
    }
}

/// Shows every row of a bucket; a bucket that is not there has none.
fn each_row<R: ReadAt>(
    source: &Database<R>,
    bucket: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let Some(mut rows) = source.rows(bucket)? else { return Ok(()) };
    while let Some((key, value)) = rows.next_row()? {
        take(key, value)?;
    }
    Ok(())
}

fn malformed(bucket: &'static str, key: &[u8], value: &[u8]) -> BuildError {
    let shown = key.get(..key.len().min(64)).unwrap_or(key);
    BuildError::Fact { bucket, key: shown.escape_ascii().to_string(), bytes: value.len() }
}

fn text<'a>(bucket: &'static str, key: &[u8], value: &'a [u8]) -> Result<&'a str, BuildError> {
    let is_text = value.len() <= FACT_BYTES_MAX && value.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(value).ok().filter(|_| is_text);
    text.ok_or_else(|| malformed(bucket, key, value))
}

/// `AlarmMember` {1 member id, 2 kind}; what is 0 is left out.
fn read_alarm(key: &[u8]) -> Option<Alarm> {
    let mut reader = Reader::new(key);
    let member = if reader.is_next(1) { reader.number(1)? } else { 0 };
    let kind = if reader.is_next(2) { reader.number(2)? } else { 0 };
    let alarm = match kind {
        1 => "NOSPACE".to_owned(),
        2 => "CORRUPT".to_owned(),
        other => other.to_string(),
    };
    reader.is_at_end().then(|| Alarm { member: format!("{member:x}"), alarm })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_read() {
        let alarm = |key: &[u8]| read_alarm(key).map(|one| (one.member, one.alarm));
        let is = |member: &str, alarm: &str| Some((member.to_owned(), alarm.to_owned()));
        assert_eq!(alarm(b"\x08\xd2\x09\x10\x01"), is("4d2", "NOSPACE"));
        assert_eq!(alarm(b"\x10\x02"), is("0", "CORRUPT"));
        assert_eq!(alarm(b"\x08\x01\x10\x07"), is("1", "7"));
        assert_eq!(alarm(b"\x0b"), None);
    }
}
