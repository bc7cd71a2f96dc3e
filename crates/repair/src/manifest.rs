//! The manifest of a copy: written last, and only the source's own bytes.

use crate::crew::{Crew, in_time, put};
use crate::error::{Error, has_changed, is_of_bytes};
use crate::mend::Done;
use crate::quarantine::{Cleared, Wanted};
use bytes::Bytes;
use catalogue::{MANIFEST_BYTES_MAX, Manifest, ManifestError};
use contract::Digest;
use destinations::Opened;
use level::Work;
use store::{Destination, ErrorKind, Operation, StoreError};

impl Crew {
    /// The manifest's bytes, from the first source that has the right ones.
    pub(crate) async fn manifest_of(&self, work: &Work) -> Result<Bytes, Error> {
        let mut problems = Vec::new();
        for source in &work.sources {
            let read = async {
                let opened = self.destination(source)?;
                let reading = read(&*opened.store, &work.manifest_key);
                Ok::<_, Error>(in_time(opened, Operation::Read, &work.manifest_key, reading).await?)
            };
            match read.await {
                Ok(bytes) if Digest::of(&bytes).sha256 == work.manifest_sha256 => return Ok(bytes),
                Ok(_) => problems.push(format!("the manifest in {source} has changed")),
                Err(e) => problems.push(e.told()),
            }
        }
        Err(Error::NoSource(problems.join("; ")))
    }

    /// What lies where the manifest belongs.
    ///
    /// # Errors
    /// [`Error::OtherManifest`] when it is one that can be read, or one of a newer version: nobody
    /// here knows which of the two is right.
    pub(crate) async fn look_at_manifest(
        &self,
        opened: &Opened,
        work: &Work,
        wanted: &Bytes,
    ) -> Result<Place, Error> {
        let key = &work.manifest_key;
        let there = || in_time(opened, Operation::Read, key, read(&*opened.store, key));
        let found = match there().await {
            Err(e) if has_changed(&e) => there().await,
            found => found,
        };
        let found = match found {
            Ok(found) => found,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound) => return Ok(Place::Free),
            Err(e) if is_of_bytes(&e) => return Ok(Place::Damaged),
            Err(e) => return Err(e.into()),
        };
        if found == *wanted {
            return Ok(Place::Right);
        }
        let name = work.manifest.object_name();
        match Manifest::read(&self.cluster, &name, &found, &opened.trust) {
            Ok((_, Some(signed))) if signed.statement_sha256 == work.story => Ok(Place::Right),
            // Somebody took the signature away, which the others have.
            Ok((_, None)) if work.story != work.manifest_sha256 => Ok(Place::Damaged),
            Ok(_) | Err(ManifestError::Newer { .. }) => {
                let (destination, key) = (opened.store.name().to_owned(), key.clone());
                Err(Error::OtherManifest { destination, key })
            }
            Err(_) => Ok(Place::Damaged),
        }
    }

    /// Puts it in its place, if it is not there yet. A damaged one that lies there is kept first.
    pub(crate) async fn place_manifest(
        &self,
        opened: &Opened,
        work: &Work,
        bytes: &Bytes,
        done: &mut Done,
    ) -> Result<(), Error> {
        let key = &work.manifest_key;
        let place = self.look_at_manifest(opened, work, bytes).await?;
        // What was copied just now was asked about when it was read back.
        if place != Place::Right && done.from.is_none() {
            self.must_be_kept_as_asked(opened, work).await?;
        }
        match place {
            Place::Right => return Ok(()),
            Place::Free => {}
            Place::Damaged => {
                let length = bytes.len() as u64;
                let wanted = Wanted { key, bytes: length, sha256: &work.manifest_sha256 };
                match self.clear_away(opened, &wanted).await? {
                    // Somebody else was quicker.
                    Cleared::Right => return Ok(()),
                    Cleared::Gone => {}
                    Cleared::Kept(kept) => done.quarantined.push(kept),
                }
            }
        }
        failpoint::pass("repair.manifest.writing");
        let keeping = opened.keeping(&work.manifest.tier, work.manifest.taken_at).of_record();
        put(opened, key, bytes, keeping).await?;
        failpoint::pass("repair.manifest.written");
        done.manifest_written = true;
        Ok(())
    }

    /// One that lay there without its manifest: whoever put it there never came to ask whether it is
    /// kept as the configuration says, and it must not count before.
    async fn must_be_kept_as_asked(&self, opened: &Opened, work: &Work) -> Result<(), Error> {
        let key = work.manifest.artifact_key();
        let keeping = opened.keeping(&work.manifest.tier, work.manifest.taken_at);
        let asking = async {
            match opened.store.head(&key).await? {
                Some(info) => opened.store.confirm(info, &keeping).await.map(drop),
                None => {
                    let name = opened.store.name();
                    Err(StoreError::new(name, Operation::Head, &key, ErrorKind::NotFound))
                }
            }
        };
        Ok(in_time(opened, Operation::Head, &key, asking).await?)
    }
}

/// What lies under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing.
    Free,
    /// What has to lie there.
    Right,
    /// Something that has to be replaced.
    Damaged,
}

async fn read(store: &dyn Destination, key: &str) -> Result<Bytes, StoreError> {
    let bytes_max = usize::try_from(MANIFEST_BYTES_MAX).unwrap_or(usize::MAX);
    store::read_small(store, key, bytes_max).await
}
