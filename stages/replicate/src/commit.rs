//! The commit: manifests, written last, where a proved copy of the artifact is.
//!
//! Nothing is recorded before the receipts are confirmed and as many copies are proved as `require`
//! asks for. From then on every further copy is recorded as soon as it is proved, so that no slow
//! destination keeps the others from having the backup.
//!
//! If too few destinations can be brought to have both, what this run wrote is taken back as far
//! as its permissions reach. What cannot be taken back is an artifact without a manifest, which
//! nothing lists, or, in the rare case that a manifest could be written in one place and not in
//! enough others, a whole and proved backup that the run does not claim.

use bytes::Bytes;
use catalogue::{Manifest, Place, Placed};
use contract::{Exit, Failure};
use destinations::Opened;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use store::{
    ErrorKind, Keeping, Operation, Outcome, ReadBackMode, ReadBackOptions, StoreError, Summary,
};

/// What became of each destination that came to an end, by name: the time at which its copy was
/// complete and proved, or what was wrong.
pub(crate) type Copies = BTreeMap<String, Result<Instant, destinations::Error>>;

/// What this run has written so far, and what of it counts.
pub(crate) struct Commit<'a> {
    opened: &'a BTreeMap<String, Opened>,
    artifact_key: &'a str,
    required: usize,
    /// Where each destination is, for the manifest.
    locations: BTreeMap<String, String>,
    copies: Copies,
    /// Where this very process made the artifact. One that was there already belongs to an earlier
    /// process of the same run, which may have committed it: it is never taken back.
    made: Vec<String>,
    /// Where the manifest is as well, read back.
    recorded: Vec<String>,
    /// Whether a destination ended as its source did.
    has_followed: bool,
    manifest: Option<Manifest>,
}

impl<'a> Commit<'a> {
    /// Nothing is written yet. `unopened` are destinations that will never have a copy.
    pub(crate) fn new(
        opened: &'a BTreeMap<String, Opened>,
        artifact_key: &'a str,
        required: usize,
        locations: BTreeMap<String, String>,
        unopened: Copies,
    ) -> Self {
        Commit {
            opened,
            artifact_key,
            required,
            locations,
            copies: unopened,
            made: Vec::new(),
            recorded: Vec::new(),
            has_followed: false,
            manifest: None,
        }
    }

    /// Whether enough destinations have artifact and manifest.
    pub(crate) fn is_done(&self) -> bool {
        self.recorded.len() >= self.required
    }

    /// What was recorded, or is to be.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// What became of each destination.
    pub(crate) fn copies(&self) -> &Copies {
        &self.copies
    }

    /// The copies of the artifact that are proved, with a manifest or still without.
    pub(crate) fn kept(&self) -> usize {
        self.copies.values().filter(|copy| copy.is_ok()).count()
    }

    /// One destination came to its end.
    pub(crate) async fn take(&mut self, outcome: Outcome) {
        let name = outcome.destination.clone();
        let broke = |e: &StoreError| matches!(e.kind(), ErrorKind::SourceBroke);
        self.has_followed |= outcome.result.as_ref().is_err_and(broke);
        if is_spoilt(&outcome) {
            self.take_back(std::slice::from_ref(&name), None).await;
        }
        if outcome.result.as_ref().is_ok_and(|kept| !kept.stored.existed) {
            self.made.push(name.clone());
        }
        if outcome.lag.spooled_bytes > 0 {
            let spooled_bytes = outcome.lag.spooled_bytes;
            tracing::warn!(spooled_bytes, "destination {name} lagged behind");
        }
        let copy = outcome.result.map(|_| Instant::now()).map_err(destinations::Error::from);
        self.copies.insert(name, copy);
        self.record().await;
    }

    /// Whether every destination failed for a reason of its own, and not because the source broke
    /// off.
    pub(crate) fn failed_by_itself(&self) -> bool {
        !self.has_followed && self.kept() == 0
    }

    /// Whoever has not come to an end is waited for no more.
    pub(crate) fn close(&mut self) {
        for (name, opened) in self.opened {
            self.copies
                .entry(name.clone())
                .or_insert_with(|| Err(timed_out(name, self.artifact_key, opened.timeout).into()));
        }
    }

    /// The source came to its end, and every receipt was confirmed.
    pub(crate) async fn allow(&mut self, manifest: Manifest) {
        self.manifest = Some(manifest);
        self.record().await;
    }

    /// Writes the manifest wherever a copy is proved, if they are enough, reading each one back.
    async fn record(&mut self) {
        if self.kept() < self.required {
            return;
        }
        let placed = self.placed();
        let Some(manifest) = &mut self.manifest else { return };
        // From here on it is the same everywhere, byte for byte.
        manifest.placed.get_or_insert(placed);
        let key = manifest.object_name().key(&manifest.cluster);
        let bytes = Bytes::from(manifest.to_bytes());
        let mut misrecorded = Vec::new();
        for (name, copy) in self.copies.iter_mut().filter(|(_, copy)| copy.is_ok()) {
            let Some(opened) = self.opened.get(name).filter(|_| !self.recorded.contains(name))
            else {
                continue;
            };
            let keeping = opened.keeping(&manifest.tier, manifest.taken_at).of_record();
            match write_in_time(opened, &key, &bytes, &keeping).await {
                Ok(()) => {
                    *copy = Ok(Instant::now());
                    self.recorded.push(name.clone());
                }
                Err(e) => {
                    if is_final(&e) && self.made.contains(name) {
                        misrecorded.push(name.clone());
                    }
                    *copy = Err(e);
                }
            }
        }
        self.take_back(&misrecorded, Some(&key)).await;
    }

    /// Where copies go, and which of them are proved at this moment.
    fn placed(&self) -> Placed {
        let place = |(name, location): (&String, &String)| {
            let proved = self.copies.get(name).is_some_and(Result::is_ok);
            (name.clone(), Place { location: location.clone(), proved })
        };
        let destinations = self.locations.iter().map(place).collect();
        Placed { required: self.required, destinations }
    }

    /// Takes everything back that this run wrote.
    pub(crate) async fn undo(&self) {
        let manifest_key = self.manifest.as_ref().map(|m| m.object_name().key(&m.cluster));
        self.take_back(&self.made, manifest_key.as_deref()).await;
    }

    /// Takes back what this run wrote in these destinations: the manifest first, so that it is
    /// never without its artifact.
    async fn take_back(&self, names: &[String], manifest_key: Option<&str>) {
        for name in names {
            let Some(opened) = self.opened.get(name) else { continue };
            for key in manifest_key.into_iter().chain([self.artifact_key]) {
                failpoint::pass("replicate.taking_back");
                let deleted = tokio::time::timeout(opened.timeout, opened.store.delete(key)).await;
                match deleted {
                    Ok(Ok(())) => {}
                    Ok(Err(e)) if matches!(e.kind(), ErrorKind::Denied { .. }) => {
                        tracing::warn!("{e}; without its manifest it is listed as an orphan");
                        break;
                    }
                    Ok(Err(e)) => {
                        tracing::warn!("{e}");
                        break;
                    }
                    Err(_) => {
                        tracing::warn!(
                            "destination {name} did not answer; {key} may still be there"
                        );
                        break;
                    }
                }
            }
        }
    }
}

/// Whether the artifact was completed and no copy came of it. One that is not what it has to be goes
/// whoever made it, because no backup will ever come of it; one that merely could not be read back
/// goes only where this process made it. Nobody else would remove either.
fn is_spoilt(outcome: &Outcome) -> bool {
    outcome.result.as_ref().is_err_and(|e| {
        let of_bytes = matches!(e.kind(), ErrorKind::Corrupt { .. });
        let of_settings = matches!(e.kind(), ErrorKind::SilentDowngrade { .. });
        let is_wrong = e.operation() == Operation::ReadBack && (of_bytes || of_settings);
        outcome.made || is_wrong
    })
}

/// Whether the manifest was refused or came out as something else: the backup would be an orphan, or
/// listed and broken for ever. After a failure that says nothing of what the store did, both may be
/// there and whole, and stay.
fn is_final(e: &destinations::Error) -> bool {
    e.exit() != Exit::Transient
}

async fn write_in_time(
    opened: &Opened,
    key: &str,
    bytes: &Bytes,
    keeping: &Keeping,
) -> Result<(), destinations::Error> {
    failpoint::pass("replicate.manifest.writing");
    let written = write_manifest(opened, key, bytes, keeping);
    let result = match tokio::time::timeout(opened.timeout, written).await {
        Ok(result) => result,
        Err(_) => Err(timed_out(opened.store.name(), key, opened.timeout)),
    };
    failpoint::pass("replicate.manifest.settled");
    result.map_err(Into::into)
}

async fn write_manifest(
    opened: &Opened,
    key: &str,
    bytes: &Bytes,
    keeping: &Keeping,
) -> Result<(), StoreError> {
    opened.store.put_new(key, bytes.clone(), keeping).await?;
    failpoint::pass("replicate.manifest.created");
    let options = ReadBackOptions {
        mode: ReadBackMode::Full,
        stall_timeout: opened.timeout,
        keeping: keeping.clone(),
    };
    store::read_back(&*opened.store, key, &Summary::of(bytes), &options).await.map(drop)
}

fn timed_out(name: &str, key: &str, after: Duration) -> StoreError {
    StoreError::new(name, Operation::Put, key, ErrorKind::Stalled { after })
}
