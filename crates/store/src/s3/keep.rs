//! Lock and tags: how they are asked for, and whether they came to be.
//!
//! A server that ignores a lock in the request that makes the object, as many do for an upload in
//! parts, is asked for it once more by a request of its own.
//!
//! Does not: lift or shorten a lock.

use super::Bucket;
use super::object::timestamp;
use crate::{ErrorKind, Keeping, Lock, LockMode, ObjectInfo, Operation, Result};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, Tag};
use jiff::Timestamp;
use std::collections::BTreeMap;
use url::form_urlencoded::Serializer;

/// The header that asks for a lock.
pub(super) fn lock_mode(keeping: &Keeping) -> Option<ObjectLockMode> {
    Some(match keeping.lock?.mode {
        LockMode::Governance => ObjectLockMode::Governance,
        LockMode::Compliance => ObjectLockMode::Compliance,
    })
}

/// The header that says when it ends.
pub(super) fn locked_until(keeping: &Keeping) -> Option<DateTime> {
    Some(date(keeping.lock?.until))
}

/// The header that asks for tags.
pub(super) fn tagging(keeping: &Keeping) -> Option<String> {
    if keeping.tags.is_empty() {
        return None;
    }
    Some(Serializer::new(String::new()).extend_pairs(&keeping.tags).finish())
}

/// What a write needs that asks for them. The store does not say which of them it misses.
pub(super) fn put_verb(keeping: &Keeping) -> &'static str {
    match (keeping.lock.is_some(), !keeping.tags.is_empty()) {
        (false, false) => "s3:PutObject",
        (true, false) => "s3:PutObject (or s3:PutObjectRetention, for the lock)",
        (false, true) => "s3:PutObject (or s3:PutObjectTagging, for the tags)",
        (true, true) => "s3:PutObject (or s3:PutObjectRetention or s3:PutObjectTagging)",
    }
}

fn date(time: Timestamp) -> DateTime {
    DateTime::from_secs_and_nanos(
        time.as_second(),
        u32::try_from(time.subsec_nanosecond()).unwrap_or(0),
    )
}

/// The mode of a lock as HEAD tells it.
pub(super) fn read_mode(mode: &ObjectLockMode) -> Option<LockMode> {
    match mode {
        ObjectLockMode::Governance => Some(LockMode::Governance),
        ObjectLockMode::Compliance => Some(LockMode::Compliance),
        _ => None,
    }
}

/// The lock must be there, last long enough, and be liftable by nobody who is not meant to lift it.
pub(super) fn check_lock(
    keeping: &Keeping,
    info: &ObjectInfo,
) -> std::result::Result<(), ErrorKind> {
    let Some(asked) = keeping.lock else {
        return Ok(());
    };
    let is_long = info.locked_until.is_some_and(|until| until >= asked.until);
    let is_strict = match asked.mode {
        LockMode::Governance => info.lock_mode.is_some(),
        LockMode::Compliance => info.lock_mode == Some(LockMode::Compliance),
    };
    if is_long && is_strict {
        return Ok(());
    }
    let found = match (info.lock_mode, info.locked_until) {
        (Some(mode), Some(until)) => told(Lock { mode, until }),
        (None, Some(until)) => format!("until {until}"),
        (_, None) => "none".to_owned(),
    };
    Err(ErrorKind::SilentDowngrade { setting: "lock", asked: told(asked), found })
}

fn told(lock: Lock) -> String {
    format!("{} until {}", lock.mode.name(), lock.until)
}

impl Bucket {
    /// The object with the lock that it was to have, after asking for it once more if need be.
    pub(super) async fn insist_on_lock(
        &self,
        info: ObjectInfo,
        keeping: &Keeping,
    ) -> Result<ObjectInfo> {
        let Some(lock) = keeping.lock.filter(|_| check_lock(keeping, &info).is_err()) else {
            return Ok(info);
        };
        // HEAD is silent about locks to those who may not see them.
        let info = self.ask_lock(Operation::ReadBack, info).await?;
        if check_lock(keeping, &info).is_ok() {
            return Ok(info);
        }
        if let Err(kind @ ErrorKind::Denied { .. }) = self.set_lock(&info, lock).await {
            return Err(self.error(Operation::ReadBack, &info.key, kind));
        }
        let info = self.look(Operation::ReadBack, &info.key).await?.unwrap_or(info);
        match check_lock(keeping, &info) {
            Ok(()) => Ok(info),
            Err(_) => self.ask_lock(Operation::ReadBack, info).await,
        }
    }

    /// Whatever else goes wrong here shows in what the object says of itself afterwards.
    async fn set_lock(&self, info: &ObjectInfo, lock: Lock) -> std::result::Result<(), ErrorKind> {
        let mode = match lock.mode {
            LockMode::Governance => ObjectLockRetentionMode::Governance,
            LockMode::Compliance => ObjectLockRetentionMode::Compliance,
        };
        let retention =
            ObjectLockRetention::builder().mode(mode).retain_until_date(date(lock.until)).build();
        let request = self
            .client
            .put_object_retention()
            .bucket(&self.settings.bucket)
            .key(format!("{}{}", self.prefix, info.key))
            .set_version_id(info.version_id.clone())
            .retention(retention)
            .customize()
            .config_override(self.limits(0));
        request.send().await.map(drop).map_err(|e| self.kind(&e, "s3:PutObjectRetention"))
    }

    /// What the store says of the lock when it is asked for nothing else.
    async fn ask_lock(&self, operation: Operation, info: ObjectInfo) -> Result<ObjectInfo> {
        let request = self
            .client
            .get_object_retention()
            .bucket(&self.settings.bucket)
            .key(format!("{}{}", self.prefix, info.key))
            .set_version_id(info.version_id.clone())
            .customize()
            .config_override(self.limits(0));
        let retention = match request.send().await {
            Ok(answer) => answer.retention,
            Err(e) => match self.kind(&e, "s3:GetObjectRetention") {
                kind @ ErrorKind::Denied { .. } => {
                    return Err(self.error(operation, &info.key, kind));
                }
                // Before a removal, no answer is not the answer that there is no lock.
                kind @ (ErrorKind::Credentials { .. } | ErrorKind::Transient { .. })
                    if operation == Operation::Delete =>
                {
                    return Err(self.error(operation, &info.key, kind));
                }
                // An object without a lock, a bucket without locks, a server that does not know them:
                // what HEAD said stands.
                _ => None,
            },
        };
        let Some(retention) = retention else { return Ok(info) };
        let lock_mode = retention.mode().and_then(|mode| match mode {
            ObjectLockRetentionMode::Governance => Some(LockMode::Governance),
            ObjectLockRetentionMode::Compliance => Some(LockMode::Compliance),
            _ => None,
        });
        let locked_until = retention.retain_until_date().and_then(timestamp);
        Ok(ObjectInfo { lock_mode, locked_until, ..info })
    }

    /// As [`crate::Destination::must_not_be_locked`].
    pub(super) async fn must_not_be_locked(
        &self,
        key: &str,
        now: Timestamp,
        expected: bool,
    ) -> Result<()> {
        let Some(info) = self.look(Operation::Delete, key).await? else { return Ok(()) };
        let info = match expected && info.lock_at(now).is_none() {
            true => self.ask_lock(Operation::Delete, info).await?,
            false => info,
        };
        info.lock_at(now).map_or(Ok(()), |kind| Err(self.error(Operation::Delete, key, kind)))
    }

    /// A refusal to delete may mean the object and not the permission.
    pub(super) async fn why_not_deleted(&self, key: &str, refused: ErrorKind) -> ErrorKind {
        let looked = match &refused {
            ErrorKind::Denied { .. } | ErrorKind::Rejected { .. } => {
                self.look(Operation::Delete, key).await
            }
            _ => return refused,
        };
        let now = self.clock.now().unwrap_or(Timestamp::MIN);
        looked.ok().flatten().and_then(|info| info.lock_at(now)).unwrap_or(refused)
    }

    /// The tags must be there; that there are others besides is nobody's loss.
    pub(super) async fn must_have_tags(&self, info: &ObjectInfo, keeping: &Keeping) -> Result<()> {
        if keeping.tags.is_empty() {
            return Ok(());
        }
        let request = self
            .client
            .get_object_tagging()
            .bucket(&self.settings.bucket)
            .key(format!("{}{}", self.prefix, info.key))
            .set_version_id(info.version_id.clone())
            .customize()
            .config_override(self.limits(0));
        let fail = |kind| self.error(Operation::ReadBack, &info.key, kind);
        let found: BTreeMap<String, String> = match request.send().await {
            Ok(answer) => {
                answer.tag_set.into_iter().map(|Tag { key, value, .. }| (key, value)).collect()
            }
            Err(e) if e.code() == Some("NoSuchTagSet") => BTreeMap::new(),
            Err(e) => {
                let is_version = info.version_id.is_some();
                let verb =
                    if is_version { "s3:GetObjectVersionTagging" } else { "s3:GetObjectTagging" };
                return Err(fail(self.kind(&e, verb)));
            }
        };
        let missing = keeping.tags.iter().find(|(key, value)| found.get(*key) != Some(value));
        let Some((key, value)) = missing else {
            return Ok(());
        };
        let found =
            found.get(key).map_or_else(|| "none".to_owned(), |found| format!("{key} = {found}"));
        let asked = format!("{key} = {value}");
        Err(fail(ErrorKind::SilentDowngrade { setting: "tags", asked, found }))
    }
}
