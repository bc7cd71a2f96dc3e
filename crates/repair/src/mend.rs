//! One backup, brought to every destination that lacks it.
//!
//! Owns the order of the steps, each of them for all destinations at once: look what is there; keep
//! and remove what is damaged, when a whole copy is known elsewhere; copy; and last of all write the
//! manifest. A destination that fails at one step takes part in none of the next.

use crate::crew::Crew;
use crate::error::Error;
use crate::manifest::Place;
use crate::note::Note;
use bytes::Bytes;
use catalogue::{Depth, Finding};
use destinations::Opened;
use futures::future::join_all;
use level::{Lack, Synced, Why, Work};

/// What became of one backup.
pub struct Mended {
    /// Each copy that was lacking.
    pub copies: Vec<(Lack, Result<Done, Error>)>,
    /// Sources that turned out to hold other bytes than their manifest says, with what was found.
    /// They are marked already.
    pub damaged: Vec<(String, String)>,
}

/// How a copy was made good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Where it was copied from.
    pub from: Option<String>,
    /// Whether the stores copied it among themselves.
    pub server_side: bool,
    /// Keys of the damaged bytes that were kept.
    pub quarantined: Vec<String>,
    /// Whether a manifest was written.
    pub manifest_written: bool,
}

impl Done {
    /// The word for it.
    #[must_use]
    pub fn result(&self) -> Synced {
        match (self.quarantined.is_empty(), &self.from, self.manifest_written) {
            (false, _, _) => Synced::Replaced,
            (true, Some(_), _) => Synced::Copied,
            (true, None, true) => Synced::Adopted,
            (true, None, false) => Synced::Whole,
        }
    }
}

/// One destination on the way.
pub(crate) struct Spot {
    pub(crate) lack: Lack,
    pub(crate) opened: Opened,
    /// What lies where the artifact belongs.
    pub(crate) artifact: Place,
    pub(crate) done: Done,
}

/// What was learnt of the sources.
#[derive(Default)]
pub(crate) struct Sources {
    /// They hold other bytes than their manifest says, and what was found.
    pub(crate) damaged: Vec<(String, String)>,
    /// They could not be read.
    pub(crate) failing: Vec<(String, Error)>,
}

impl Sources {
    pub(crate) fn is_damaged(&self, name: &str) -> bool {
        self.damaged.iter().any(|(damaged, _)| damaged == name)
    }

    /// In words.
    pub(crate) fn problems(&self) -> String {
        let damaged = self.damaged.iter().map(|(name, problem)| format!("{name}: {problem}"));
        let failing = self.failing.iter().map(|(name, e)| format!("{name}: {}", e.told()));
        damaged.chain(failing).collect::<Vec<_>>().join("; ")
    }
}

/// Those that are still on the way, and those that failed.
pub(crate) struct Spots {
    pub(crate) alive: Vec<Spot>,
    pub(crate) failed: Vec<(Lack, Error)>,
}

impl Spots {
    /// Carries out a step for all of them at once.
    async fn each(&mut self, step: impl AsyncFn(&mut Spot) -> Result<(), Error>) {
        let spots = std::mem::take(&mut self.alive);
        let steps = spots.into_iter().map(|mut spot| async {
            let result = step(&mut spot).await;
            (spot, result)
        });
        for (spot, result) in join_all(steps).await {
            match result {
                Ok(()) => self.alive.push(spot),
                Err(e) => self.failed.push((spot.lack, e)),
            }
        }
    }

    /// Gives up those that are meant.
    pub(crate) fn fail(&mut self, is_meant: impl Fn(&Spot) -> bool, why: &Error) {
        let meant = self.alive.extract_if(.., |spot| is_meant(spot));
        self.failed.extend(meant.map(|spot| {
            let e = match why {
                Error::Stopped => Error::Stopped,
                Error::NoSource(problems) => Error::NoSource(problems.clone()),
                other => Error::NoSource(other.told()),
            };
            (spot.lack, e)
        }));
    }

    pub(crate) fn are(&self, place: Place) -> bool {
        self.alive.iter().any(|spot| spot.artifact == place)
    }
}

impl Crew {
    /// Makes good what can be. A source that turns out damaged is marked, and the next one is asked.
    pub async fn mend(&mut self, work: &Work) -> Mended {
        let mut spots = self.spots(work);
        let mut sources = Sources::default();
        self.steps(work, &mut spots, &mut sources).await;
        for (source, problem) in &sources.damaged {
            self.suspect(source, work, problem).await;
        }
        for (source, e) in &sources.failing {
            self.hear(source, Some(e));
        }
        let mut copies: Vec<(Lack, Result<Done, Error>)> =
            spots.alive.into_iter().map(|spot| (spot.lack, Ok(spot.done))).collect();
        copies.extend(spots.failed.into_iter().map(|(lack, e)| (lack, Err(e))));
        copies.sort_by(|a, b| a.0.destination.cmp(&b.0.destination));
        for (lack, result) in &copies {
            self.hear(&lack.destination, result.as_ref().err());
        }
        Mended { copies, damaged: sources.damaged }
    }

    fn spots(&self, work: &Work) -> Spots {
        let mut spots = Spots { alive: Vec::new(), failed: Vec::new() };
        for lack in work.lacks.iter().cloned() {
            let opened = self.destination(&lack.destination);
            match opened.and_then(|opened| self.must_be_meant_for(opened, work)) {
                Ok(opened) => spots.alive.push(Spot {
                    lack,
                    opened: opened.clone(),
                    artifact: Place::Free,
                    done: Done::default(),
                }),
                Err(e) => spots.failed.push((lack, e)),
            }
        }
        spots
    }

    /// What nobody encrypted does not leave this machine unasked.
    fn must_be_meant_for<'a>(&self, to: &'a Opened, work: &Work) -> Result<&'a Opened, Error> {
        match to.is_remote && !self.allow_plaintext && !work.manifest.is_encrypted() {
            false => Ok(to),
            true => {
                let (destination, backup) = (to.store.name().to_owned(), work.backup.to_string());
                Err(Error::Plaintext { destination, backup })
            }
        }
    }

    async fn steps(&self, work: &Work, spots: &mut Spots, sources: &mut Sources) {
        if spots.alive.is_empty() {
            return;
        }
        let manifest = match self.manifest_of(work).await {
            Ok(manifest) => manifest,
            Err(e) => return spots.fail(|_| true, &e),
        };
        spots.each(async |spot: &mut Spot| self.look(spot, work, &manifest).await).await;
        failpoint::pass("repair.looked");
        spots.each(async |spot: &mut Spot| self.must_not_be_locked(spot, work).await).await;
        if spots.are(Place::Damaged) {
            // Nothing goes before a whole copy was read elsewhere, just now.
            let whole = self.whole_source(work, sources).await;
            spots.each(async |spot: &mut Spot| self.clear(spot, work, whole).await).await;
        }
        let sound: Vec<String> =
            work.sources.iter().filter(|name| !sources.is_damaged(name)).cloned().collect();
        spots.each(async |spot: &mut Spot| self.copy_among_stores(spot, work, &sound).await).await;
        self.copy_through_here(work, &sound, spots, sources).await;
        spots.each(async |spot: &mut Spot| self.settle(spot, work, &manifest).await).await;
    }

    /// The manifest, when the artifact is there, and a record where one had called it damaged.
    async fn settle(&self, spot: &mut Spot, work: &Work, manifest: &Bytes) -> Result<(), Error> {
        self.place_manifest(&spot.opened, work, manifest, &mut spot.done).await?;
        // A record may have called it damaged. Where a listing alone had shown it so, and nothing was
        // wrong with it, the listing was.
        let was_listed_wrong = spot.lack.why == Why::Broken && spot.done.result() == Synced::Whole;
        if spot.lack.why != Why::Missing && !was_listed_wrong && self.records {
            let summary = match spot.done.result() {
                Synced::Replaced => "the damaged bytes were replaced, and the good ones read back",
                _ => "every byte was read back, and is what the manifest says",
            };
            let note = Note {
                manifest: &work.manifest,
                manifest_sha256: work.manifest_in(&spot.lack.destination),
                finding: Finding::Checked,
                depth: Depth::Digest,
                summary,
            };
            self.note(&spot.lack.destination, note).await?;
        }
        Ok(())
    }

    /// Marks a copy that turned out damaged.
    async fn suspect(&self, source: &str, work: &Work, problem: &str) {
        tracing::warn!("the copy of {} in {source} is damaged: {problem}", work.backup);
        if !self.records {
            return;
        }
        let note = Note {
            manifest: &work.manifest,
            manifest_sha256: work.manifest_in(source),
            finding: Finding::Suspect,
            depth: Depth::Digest,
            summary: problem,
        };
        if let Err(e) = self.note(source, note).await {
            tracing::warn!("it could not be marked: {}", e.told());
        }
    }
}
