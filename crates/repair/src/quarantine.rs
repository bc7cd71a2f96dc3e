//! Damaged bytes: kept first, in a folder of the same destination that no listing takes for a tier,
//! and only then removed from their place.
//!
//! What is kept has a name made of its own bytes, so that an attempt that was broken off and is made
//! again keeps it once. Between the first look and the removal somebody else may have put the right
//! bytes there, or the first look was wrong: so what was read for the quarantine is compared with
//! what has to lie there, and the store is asked once more right before the removal whether it still
//! has what was read. No store that is used here removes on condition in the same request.
//!
//! Invariant: nothing is removed whose bytes were not read a moment ago, and found to be other ones
//! than those that have to be there.

use crate::crew::{Crew, in_time};
use crate::error::{Error, has_changed, is_of_bytes};
use crate::pour::{Ended, Source, pour, weigh};
use catalogue::ObjectName;
use destinations::Opened;
use store::{ErrorKind, ObjectInfo, Operation, StoreError, Summary, Target};

/// How often one that changes under our eyes is looked at again.
const LOOKS_MAX: u32 = 3;

/// What is longer than twice what belongs there by more than this is not read and kept, but told: it could
/// keep everything else waiting for days.
const KEPT_EXTRA_BYTES_MAX: u64 = 1 << 20;

/// What has to lie under a key.
pub(crate) struct Wanted<'a> {
    pub(crate) key: &'a str,
    pub(crate) bytes: u64,
    pub(crate) sha256: &'a str,
}

/// What became of what lay under a key.
pub(crate) enum Cleared {
    /// It is what has to be there, and stays.
    Right,
    /// Somebody else has removed it.
    Gone,
    /// It is kept under this key, and gone from its place.
    Kept(String),
}

/// What a look before the removal came to.
enum Looked {
    /// This is to be said of it.
    Is(Cleared),
    /// It is another object than a moment ago.
    Other,
}

impl Crew {
    /// Keeps what lies under a key and removes it, unless it turns out to be right.
    pub(crate) async fn clear_away(
        &self,
        opened: &Opened,
        wanted: &Wanted<'_>,
    ) -> Result<Cleared, Error> {
        for _ in 0..LOOKS_MAX {
            if let Looked::Is(cleared) = self.try_to_clear(opened, wanted).await? {
                return Ok(cleared);
            }
        }
        let (destination, key) = (opened.store.name().to_owned(), wanted.key.to_owned());
        Err(Error::Unsteady { destination, key })
    }

    async fn try_to_clear(&self, opened: &Opened, wanted: &Wanted<'_>) -> Result<Looked, Error> {
        let key = wanted.key;
        let Some(seen) = self.must_be_removable(opened, key).await? else {
            return Ok(Looked::Is(Cleared::Gone));
        };
        let not_kept = |source: Error| Error::NotKept {
            destination: opened.store.name().to_owned(),
            key: key.to_owned(),
            source: Box::new(source),
        };
        if seen.bytes > wanted.bytes.saturating_mul(2).saturating_add(KEPT_EXTRA_BYTES_MAX) {
            let (destination, key) = (opened.store.name().to_owned(), key.to_owned());
            return Err(Error::TooLarge { destination, key, bytes: seen.bytes });
        }
        let found = match self.weigh_raw(opened, key, seen.bytes).await {
            Err(e) if e.store_error().is_some_and(has_changed) => return Ok(Looked::Other),
            found => found.map_err(not_kept)?,
        };
        if (found.bytes, found.sha256_hex().as_str()) == (wanted.bytes, wanted.sha256) {
            return self.must_be_given(opened, key).await.map(|()| Looked::Is(Cleared::Right));
        }
        let place = self.keep(opened, key, &found).await.map_err(not_kept)?;
        // Asked again at the last moment: what was read must be what goes.
        match self.must_be_removable(opened, key).await? {
            None => return Ok(Looked::Is(Cleared::Gone)),
            Some(now) if !is_same(&seen, &now) => return Ok(Looked::Other),
            Some(_) => {}
        }
        let removing = opened.store.delete(key);
        let removed = in_time(opened, Operation::Delete, key, removing).await;
        removed.map_err(|source| held(opened, key, source))?;
        failpoint::pass("repair.removed");
        Ok(Looked::Is(Cleared::Kept(place)))
    }

    /// How the store describes it, unless it is locked. That is asked because a bucket that keeps
    /// versions hides a locked object behind a marker instead of refusing. None when there is none.
    pub(crate) async fn must_be_removable(
        &self,
        opened: &Opened,
        key: &str,
    ) -> Result<Option<ObjectInfo>, Error> {
        let looking = opened.store.head(key);
        // Whoever is not told does not know, and removes nothing.
        let info = in_time(opened, Operation::Head, key, looking).await?;
        let now = opened.store.store_time().unwrap_or_else(|| self.clock.now());
        let until = info.as_ref().and_then(|info| info.locked_until).filter(|until| *until > now);
        match until {
            None => Ok(info),
            Some(_) => {
                let (name, kind) = (opened.store.name(), ErrorKind::Locked { until });
                let source = StoreError::new(name, Operation::Delete, key, kind);
                Err(held(opened, key, source))
            }
        }
    }

    /// The right bytes, which whoever asks for the whole object may not get: a store, or its client,
    /// compares them with a checksum of its own.
    async fn must_be_given(&self, opened: &Opened, key: &str) -> Result<(), Error> {
        let weighing = store::weigh(&*opened.store, key, opened.timeout);
        match self.halt.unless(weighing).await? {
            Ok(_) => Ok(()),
            Err(source) if is_of_bytes(&source) => {
                let (destination, key) = (opened.store.name().to_owned(), key.to_owned());
                Err(Error::NotGiven { destination, key, source })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Keeps bytes that lie under `key` and amount to this. Gives the key that they are kept under.
    async fn keep(&self, opened: &Opened, key: &str, found: &Summary) -> Result<String, Error> {
        let sha256 = found.sha256_hex();
        let Some(place) = ObjectName::quarantine_of(&self.cluster, key, &sha256) else {
            let kind = ErrorKind::BadKey(store::KeyProblem::EmptySegment);
            return Err(StoreError::new(opened.store.name(), Operation::Create, key, kind).into());
        };
        // An attempt that was broken off may have kept them.
        let looking = opened.store.head(&place);
        if let Some(kept) = in_time(opened, Operation::Head, &place, looking).await?
            && self.weigh_raw(opened, &place, kept.bytes).await? == *found
        {
            return Ok(place);
        }
        let (opened, key, bytes) = (opened.clone(), key.to_owned(), found.bytes);
        let mut target = Target::new(opened.store.clone(), place.clone());
        target.stall_timeout = opened.timeout;
        let source = Source { opened, key, raw: true, bytes, sha256 };
        let (outcomes, ended) = pour(source, vec![target], self.fanout.clone(), &self.halt).await;
        match (ended, outcomes.into_iter().next().map(|outcome| outcome.result)) {
            (_, Some(Ok(_))) => {
                failpoint::pass("repair.quarantined");
                Ok(place)
            }
            (Ended::Failed(e), _) | (_, Some(Err(e))) => Err(e.into()),
            _ => Err(Error::Stopped),
        }
    }

    /// What really lies under a key.
    async fn weigh_raw(&self, opened: &Opened, key: &str, bytes: u64) -> Result<Summary, Error> {
        let (opened, key) = (opened.clone(), key.to_owned());
        let source = Source { opened, key, raw: true, bytes, sha256: String::new() };
        Ok(self.halt.unless(weigh(&source)).await??)
    }
}

fn held(opened: &Opened, key: &str, source: StoreError) -> Error {
    let (destination, key) = (opened.store.name().to_owned(), key.to_owned());
    Error::Held { destination, key, source }
}

/// Whether a store speaks of one and the same object, as far as it tells them apart.
fn is_same(a: &ObjectInfo, b: &ObjectInfo) -> bool {
    (a.bytes, a.modified, &a.etag, &a.version_id) == (b.bytes, b.modified, &b.etag, &b.version_id)
}
