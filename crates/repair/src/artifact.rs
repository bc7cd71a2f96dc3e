//! The artifact of a copy: looked at, cleared away where it is damaged, copied.

use crate::crew::{Crew, in_time};
use crate::error::{Error, has_changed, is_of_bytes};
use crate::manifest::Place;
use crate::mend::{Sources, Spot, Spots};
use crate::pour::{Ended, Source, pour};
use crate::quarantine::{Cleared, Wanted};
use bytes::Bytes;
use catalogue::Manifest;
use destinations::Opened;
use level::Work;
use store::{ErrorKind, Operation, Outcome, ReadBackMode, ReadBackOptions, StoreError, Target};

impl Crew {
    /// Looks what lies where manifest and artifact belong.
    pub(crate) async fn look(
        &self,
        spot: &mut Spot,
        work: &Work,
        manifest: &Bytes,
    ) -> Result<(), Error> {
        self.look_at_manifest(&spot.opened, work, manifest).await?;
        spot.artifact = match self.found_at(&spot.opened, &work.manifest).await? {
            None => Place::Free,
            Some(Ok(())) => Place::Right,
            Some(Err(problem)) => {
                spot.lack.problem.get_or_insert(problem);
                Place::Damaged
            }
        };
        Ok(())
    }

    /// Reads the artifact of a copy to its end. None when there is none; in words what is wrong with
    /// one that is not what its manifest says.
    ///
    /// # Errors
    /// When it cannot be read, which says nothing of its bytes.
    pub async fn read_whole(
        &self,
        destination: &str,
        manifest: &Manifest,
    ) -> Result<Option<Result<(), String>>, Error> {
        self.found_at(self.destination(destination)?, manifest).await
    }

    /// The same; one that is replaced while it is read is read again.
    async fn found_at(
        &self,
        opened: &Opened,
        manifest: &Manifest,
    ) -> Result<Option<Result<(), String>>, Error> {
        match self.try_to_read(opened, manifest).await {
            Err(e) if e.store_error().is_some_and(has_changed) => {
                self.try_to_read(opened, manifest).await
            }
            found => found,
        }
    }

    async fn try_to_read(
        &self,
        opened: &Opened,
        manifest: &Manifest,
    ) -> Result<Option<Result<(), String>>, Error> {
        let (key, wanted) = (manifest.artifact_key(), &manifest.artifact);
        let head = in_time(opened, Operation::Head, &key, opened.store.head(&key)).await?;
        let Some(info) = head else { return Ok(None) };
        if info.bytes != wanted.bytes {
            let problem = format!("it has {} bytes instead of {}", info.bytes, wanted.bytes);
            return Ok(Some(Err(problem)));
        }
        let weighing = store::weigh(&*opened.store, &key, opened.timeout);
        match self.halt.unless(weighing).await? {
            Ok(found) if found.sha256_hex() == wanted.sha256 => Ok(Some(Ok(()))),
            Ok(found) => {
                let problem =
                    format!("its SHA-256 is {} instead of {}", found.sha256_hex(), wanted.sha256);
                Ok(Some(Err(problem)))
            }
            Err(e) if is_of_bytes(&e) => Ok(Some(Err(e.to_string()))),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether the artifact of any source is whole: read to its end, just now.
    pub(crate) async fn whole_source(&self, work: &Work, sources: &mut Sources) -> bool {
        for source in &work.sources {
            match self.read_whole(source, &work.manifest).await {
                Ok(Some(Ok(()))) => return true,
                Ok(Some(Err(problem))) => sources.damaged.push((source.clone(), problem)),
                Ok(None) => {
                    let e = Error::NoSource("its artifact is gone".into());
                    sources.failing.push((source.clone(), e));
                }
                Err(e) => sources.failing.push((source.clone(), e)),
            }
        }
        false
    }

    /// Keeps a damaged artifact in quarantine and takes it away, if a whole one is known.
    pub(crate) async fn clear(
        &self,
        spot: &mut Spot,
        work: &Work,
        is_elsewhere: bool,
    ) -> Result<(), Error> {
        if spot.artifact != Place::Damaged {
            return Ok(());
        }
        if !is_elsewhere {
            return Err(Error::NoSource("none could be read whole".into()));
        }
        let (key, artifact) = (work.manifest.artifact_key(), &work.manifest.artifact);
        let wanted = Wanted { key: &key, bytes: artifact.bytes, sha256: &artifact.sha256 };
        spot.artifact = match self.clear_away(&spot.opened, &wanted).await? {
            Cleared::Right => Place::Right,
            Cleared::Gone => Place::Free,
            Cleared::Kept(kept) => {
                spot.done.quarantined.push(kept);
                Place::Free
            }
        };
        Ok(())
    }

    /// Asks, before anything is read elsewhere for it, whether a damaged artifact may go at all.
    pub(crate) async fn must_not_be_locked(&self, spot: &Spot, work: &Work) -> Result<(), Error> {
        match spot.artifact {
            Place::Damaged => {
                let key = work.manifest.artifact_key();
                self.must_be_removable(&spot.opened, &key).await.map(drop)
            }
            Place::Free | Place::Right => Ok(()),
        }
    }

    /// Has the store copy it from another one, where the two can do that.
    pub(crate) async fn copy_among_stores(
        &self,
        spot: &mut Spot,
        work: &Work,
        sources: &[String],
    ) -> Result<(), Error> {
        if spot.artifact != Place::Free || self.halt.is_stopped() {
            return Ok(());
        }
        let (key, bytes) = (work.manifest.artifact_key(), work.manifest.artifact.bytes);
        let keeping = spot.opened.keeping(&work.manifest.tier, work.manifest.taken_at);
        // Among stores the digest is seen only afterwards, when a lock would keep wrong bytes for its time.
        if keeping.lock.is_some() {
            return Ok(());
        }
        for source in sources {
            let Ok(from) = self.destination(source) else { continue };
            let store = &spot.opened.store;
            let stored = match store.copy_from(&*from.store, &key, bytes, &keeping).await {
                Ok(None) => continue,
                Ok(Some(stored)) => stored,
                Err(e) => {
                    // What the stores do not do for each other goes through here.
                    tracing::debug!("not copied from {source} by the stores themselves: {e}");
                    continue;
                }
            };
            failpoint::pass("repair.copied_among_stores");
            let options = ReadBackOptions {
                mode: ReadBackMode::Full,
                stall_timeout: spot.opened.timeout,
                keeping: keeping.clone(),
            };
            let wanted = (bytes, work.manifest.artifact.sha256.as_str());
            match store::read_back_digest(&**store, &key, wanted, &options).await {
                Ok(_) => {
                    spot.artifact = Place::Right;
                    spot.done.from = Some(source.clone());
                    spot.done.server_side = true;
                    return Ok(());
                }
                Err(e) => {
                    tracing::warn!("{e}; {key} goes through this machine instead");
                    if !stored.existed {
                        self.take_back(&spot.opened, &key).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads one source after the other until all have it that can have it: one read for all.
    pub(crate) async fn copy_through_here(
        &self,
        work: &Work,
        sound: &[String],
        spots: &mut Spots,
        sources: &mut Sources,
    ) {
        for source in sound {
            if !spots.are(Place::Free) || self.halt.is_stopped() {
                break;
            }
            match self.copy_from(source, work, spots).await {
                Ok(Ended::Whole | Ended::Unread) => {}
                Ok(Ended::Wrong(problem)) => sources.damaged.push((source.clone(), problem)),
                Ok(Ended::Failed(e)) if is_of_bytes(&e) => {
                    sources.damaged.push((source.clone(), e.to_string()));
                }
                Ok(Ended::Failed(e)) => sources.failing.push((source.clone(), e.into())),
                Err(e) => sources.failing.push((source.clone(), e)),
            }
        }
        let why = match self.halt.is_stopped() {
            true => Error::Stopped,
            false => Error::NoSource(sources.problems()),
        };
        spots.fail(|spot| spot.artifact == Place::Free, &why);
    }

    async fn copy_from(
        &self,
        source: &str,
        work: &Work,
        spots: &mut Spots,
    ) -> Result<Ended, Error> {
        let key = work.manifest.artifact_key();
        let from = Source {
            opened: self.destination(source)?.clone(),
            key: key.clone(),
            raw: false,
            bytes: work.manifest.artifact.bytes,
            sha256: work.manifest.artifact.sha256.clone(),
        };
        let target = |spot: &Spot| Target {
            destination: spot.opened.store.clone(),
            key: key.clone(),
            keeping: spot.opened.keeping(&work.manifest.tier, work.manifest.taken_at),
            stall_timeout: spot.opened.timeout,
            read_back: spot.opened.read_back,
        };
        let wanting = spots.alive.extract_if(.., |spot| spot.artifact == Place::Free);
        let wanting: Vec<Spot> = wanting.collect();
        let targets = wanting.iter().map(target).collect();
        let (outcomes, ended) = pour(from, targets, self.fanout.clone(), &self.halt).await;
        failpoint::pass("repair.copied");
        for (mut spot, outcome) in wanting.into_iter().zip(outcomes) {
            match &outcome.result {
                Ok(_) => {
                    spot.artifact = Place::Right;
                    spot.done.from = Some(source.to_owned());
                    spots.alive.push(spot);
                }
                // Another source may come to its end.
                Err(e) if matches!(e.kind(), ErrorKind::SourceBroke) => spots.alive.push(spot),
                Err(_) => {
                    self.take_back_spoilt(&spot.opened, &outcome).await;
                    if let Err(e) = outcome.result {
                        spots.failed.push((spot.lack, e.into()));
                    }
                }
            }
        }
        Ok(ended)
    }

    /// What this very attempt made, and what turned out to be something else when it was read back.
    async fn take_back_spoilt(&self, opened: &Opened, outcome: &Outcome) {
        let of_bytes = |e: &StoreError| {
            e.operation() == Operation::ReadBack
                && matches!(e.kind(), ErrorKind::Corrupt { .. } | ErrorKind::SilentDowngrade { .. })
        };
        if outcome.made && outcome.result.as_ref().is_err_and(of_bytes) {
            self.take_back(opened, &outcome.key).await;
        }
    }

    async fn take_back(&self, opened: &Opened, key: &str) {
        let removing = opened.store.delete(key);
        if let Err(e) = in_time(opened, Operation::Delete, key, removing).await {
            tracing::warn!("{e}; without its manifest it is listed as an orphan");
        }
    }
}
