//! Damaged bytes: kept first, in a folder of the same destination that no listing takes for a tier,
//! and only then removed from their place.
//!
//! What is kept has a name made of its own bytes, so that an attempt that was broken off and is made
//! again keeps it once.

use crate::crew::{Crew, in_time};
use crate::error::Error;
use crate::pour::{Ended, Source, pour, weigh};
use catalogue::ObjectName;
use destinations::Opened;
use store::{ErrorKind, Operation, StoreError, Summary, Target};

impl Crew {
    /// Keeps what lies under `key`. Gives the key that it is kept under.
    pub(crate) async fn keep(&self, opened: &Opened, key: &str) -> Result<String, Error> {
        let kept = self.try_to_keep(opened, key).await;
        kept.map_err(|source| Error::NotKept {
            destination: opened.store.name().to_owned(),
            key: key.to_owned(),
            source: Box::new(source),
        })
    }

    async fn try_to_keep(&self, opened: &Opened, key: &str) -> Result<String, Error> {
        let found = self.weigh_raw(opened, key).await?;
        let sha256 = found.sha256_hex();
        let Some(place) = ObjectName::quarantine_of(&self.cluster, key, &sha256) else {
            let kind = ErrorKind::BadKey(store::KeyProblem::EmptySegment);
            return Err(StoreError::new(opened.store.name(), Operation::Create, key, kind).into());
        };
        // An attempt that was broken off may have kept them.
        if in_time(opened, Operation::Head, &place, opened.store.head(&place)).await?.is_some()
            && self.weigh_raw(opened, &place).await? == found
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
    async fn weigh_raw(&self, opened: &Opened, key: &str) -> Result<Summary, Error> {
        let head = in_time(opened, Operation::Head, key, opened.store.head(key)).await?;
        let Some(info) = head else {
            let name = opened.store.name();
            return Err(StoreError::new(name, Operation::Head, key, ErrorKind::NotFound).into());
        };
        let (opened, key, bytes) = (opened.clone(), key.to_owned(), info.bytes);
        let source = Source { opened, key, raw: true, bytes, sha256: String::new() };
        Ok(self.halt.unless(weigh(&source)).await??)
    }

    /// Removes what was kept, unless it is locked. That is asked before: a bucket that keeps versions
    /// hides a locked object behind a marker instead of refusing.
    pub(crate) async fn remove(&self, opened: &Opened, key: &str) -> Result<(), Error> {
        let removing = async {
            let now = opened.store.store_time().unwrap_or_else(|| self.clock.now());
            let looked = opened.store.head(key).await.ok().flatten();
            let until = looked.and_then(|info| info.locked_until).filter(|until| *until > now);
            match until {
                None => opened.store.delete(key).await,
                Some(_) => {
                    let (name, kind) = (opened.store.name(), ErrorKind::Locked { until });
                    Err(StoreError::new(name, Operation::Delete, key, kind))
                }
            }
        };
        match in_time(opened, Operation::Delete, key, removing).await {
            Ok(()) => {
                failpoint::pass("repair.removed");
                Ok(())
            }
            Err(source) => {
                let (destination, key) = (opened.store.name().to_owned(), key.to_owned());
                Err(Error::Held { destination, key, source })
            }
        }
    }
}
