//! The facts outside the key space: `meta`, `auth`, `cluster`, `members`, `alarm`.

use crate::error::VerifyError;
use crate::ledger::Fact;
use crate::report::Alarm;
use crate::revision::RowKey;

/// Buckets that etcd 3.4 to 3.7 make.
pub(crate) const KNOWN_BUCKETS: [&[u8]; 10] = [
    b"alarm",
    b"auth",
    b"authRoles",
    b"authUsers",
    b"cluster",
    b"key",
    b"lease",
    b"members",
    b"members_removed",
    b"meta",
];

const ALARM_NOSPACE: u64 = 1;
const ALARM_CORRUPT: u64 = 2;

/// What the small buckets say.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) finished_compact: Option<i64>,
    pub(crate) scheduled_compact: Option<i64>,
    pub(crate) consistent_index: Option<u64>,
    pub(crate) term: Option<u64>,
    pub(crate) storage_version: Option<String>,
    pub(crate) cluster_version: Option<String>,
    pub(crate) auth_enabled: bool,
    pub(crate) members: Vec<String>,
    pub(crate) alarms: Vec<Alarm>,
}

// === impl Facts ===

impl Facts {
    /// Revision up to which history is compacted, or will be as soon as a server starts.
    pub(crate) fn compact_revision(&self) -> Option<i64> {
        self.finished_compact.max(self.scheduled_compact)
    }

    /// Takes one small key and value of a bucket.
    pub(crate) fn take(&mut self, bucket: &[u8], fact: Fact<'_>) -> Result<(), VerifyError> {
        match bucket {
            b"meta" => self.take_meta(fact),
            b"auth" if fact.key == b"authEnabled" => {
                self.auth_enabled = match fact.value {
                    [flag @ (0 | 1)] => *flag == 1,
                    _ => return Err(malformed("auth", "authEnabled", fact)),
                };
                Ok(())
            }
            b"cluster" if fact.key == b"clusterVersion" => {
                self.cluster_version = Some(version("cluster", "clusterVersion", fact)?);
                Ok(())
            }
            b"members" => {
                self.members.push(fact.key.escape_ascii().to_string());
                Ok(())
            }
            b"alarm" => {
                let alarm = read_alarm(fact.key);
                self.alarms.push(alarm.ok_or(malformed("alarm", "alarm", fact))?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_meta(&mut self, fact: Fact<'_>) -> Result<(), VerifyError> {
        match fact.key {
            b"consistent_index" => {
                self.consistent_index = Some(number("consistent_index", fact)?);
            }
            b"term" => self.term = Some(number("term", fact)?),
            b"finishedCompactRev" => {
                self.finished_compact = Some(revision("finishedCompactRev", fact)?);
            }
            b"scheduledCompactRev" => {
                self.scheduled_compact = Some(revision("scheduledCompactRev", fact)?);
            }
            b"storageVersion" => {
                self.storage_version = Some(version("meta", "storageVersion", fact)?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn malformed(bucket: &'static str, key: &'static str, fact: Fact<'_>) -> VerifyError {
    VerifyError::Fact { bucket, key, bytes: fact.value.len() }
}

/// A u64, big-endian.
fn number(key: &'static str, fact: Fact<'_>) -> Result<u64, VerifyError> {
    let bytes = <[u8; 8]>::try_from(fact.value).map_err(|_| malformed("meta", key, fact))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The main revision of a revision, which has the form of a row's key.
fn revision(key: &'static str, fact: Fact<'_>) -> Result<i64, VerifyError> {
    match RowKey::parse(fact.value) {
        Some(row_key) if !row_key.is_tombstone => Ok(row_key.revision.main),
        _ => Err(malformed("meta", key, fact)),
    }
}

/// A version such as `3.6.0`: ASCII without control characters.
fn version(bucket: &'static str, key: &'static str, fact: Fact<'_>) -> Result<String, VerifyError> {
    let is_text = !fact.value.is_empty() && fact.value.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(fact.value).ok().filter(|_| is_text);
    text.map(str::to_owned).ok_or(malformed(bucket, key, fact))
}

/// An `AlarmMember`: 1 member id, 2 kind of alarm, both varints below 2^64.
fn read_alarm(key: &[u8]) -> Option<Alarm> {
    let (mut member, mut kind) = (0, 0);
    let mut rest = key;
    while !rest.is_empty() {
        match crate::key_value::varint(&mut rest)? {
            0x08 => member = crate::key_value::varint(&mut rest)?,
            0x10 => kind = crate::key_value::varint(&mut rest)?,
            _ => return None,
        }
    }
    let alarm = match kind {
        ALARM_NOSPACE => "NOSPACE".to_owned(),
        ALARM_CORRUPT => "CORRUPT".to_owned(),
        other => other.to_string(),
    };
    Some(Alarm { member: format!("{member:x}"), alarm })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact<'a>(key: &'a [u8], value: &'a [u8]) -> Fact<'a> {
        Fact { key, value }
    }

    #[test]
    fn alarms_are_read() {
        let mut facts = Facts::default();
        facts.take(b"alarm", fact(b"\x08\xd2\x09\x10\x01", b"")).unwrap();
        facts.take(b"alarm", fact(b"\x10\x02", b"")).unwrap();
        facts.take(b"alarm", fact(b"\x08\x01\x10\x07", b"")).unwrap();
        let read: Vec<_> =
            facts.alarms.iter().map(|one| (one.member.as_str(), one.alarm.as_str())).collect();
        assert_eq!(read, [("4d2", "NOSPACE"), ("0", "CORRUPT"), ("1", "7")]);
        assert!(facts.take(b"alarm", fact(b"\x0b", b"")).is_err());
    }

    #[test]
    fn the_greater_compact_revision_counts() {
        let rev = |main: u64| [&main.to_be_bytes()[..], b"_", &[0; 8]].concat();
        let mut facts = Facts::default();
        assert_eq!(facts.compact_revision(), None);
        facts.take(b"meta", fact(b"finishedCompactRev", &rev(5))).unwrap();
        assert_eq!(facts.compact_revision(), Some(5));
        facts.take(b"meta", fact(b"scheduledCompactRev", &rev(9))).unwrap();
        assert_eq!(facts.compact_revision(), Some(9));
    }

    #[test]
    fn malformed_facts_are_refused() {
        for (bucket, key, value) in [
            ("meta", "consistent_index", &b"1234567"[..]),
            ("meta", "term", b"123456789"),
            ("meta", "finishedCompactRev", b"12345678"),
            ("meta", "storageVersion", b""),
            ("meta", "storageVersion", b"3.6\n"),
            ("cluster", "clusterVersion", b"\xff"),
            ("auth", "authEnabled", b"\x02"),
        ] {
            let taken = Facts::default().take(bucket.as_bytes(), fact(key.as_bytes(), value));
            assert!(matches!(taken, Err(VerifyError::Fact { .. })), "{bucket} {key}");
        }
    }
}
