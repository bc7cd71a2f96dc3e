//! The commit: manifests, written last, where a proved copy of the artifact is.
//!
//! Nothing is recorded before the receipts are confirmed and as many copies are proved as `require`
//! asks for. From then on every further copy is recorded as soon as it is proved, all at once, so
//! that no slow destination keeps the others from having the backup.
//!
//! The manifest is the same everywhere, byte for byte, even if the step dies and is begun again: what
//! it says of copies is kept in the run directory before it is written anywhere.
//!
//! If too few destinations can be brought to have both, what this run wrote is taken back as far
//! as its permissions reach. What cannot be taken back is an artifact without a manifest, which
//! nothing lists, or, in the rare case that a manifest may be there in one place and not in enough
//! others, a whole and proved backup that the run does not claim.

use crate::record::{Record, Writing, is_recorded, take_back, timed_out};
use bytes::Bytes;
use catalogue::{Manifest, Place, Placed};
use destinations::Opened;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;
use store::{ErrorKind, Operation, Outcome, StoreError};
use tokio::task::JoinSet;
use trust::Trust;

/// The manifest as it was first to be written, in the run directory.
const SETTLED: &str = "manifest.json";

/// What became of each destination that came to an end, by name: the time at which its copy was
/// complete and proved, or what was wrong.
pub(crate) type Copies = BTreeMap<String, Result<Instant, destinations::Error>>;

/// A manifest that came to its end.
struct Recorded {
    name: String,
    record: Record,
    result: Result<(), destinations::Error>,
}

/// What there is to commit, and where to.
pub(crate) struct Aim<'a> {
    pub(crate) opened: &'a BTreeMap<String, Opened>,
    pub(crate) artifact_key: &'a str,
    /// How many copies are asked for.
    pub(crate) required: usize,
    /// Where each destination is, for the manifest.
    pub(crate) locations: BTreeMap<String, String>,
    pub(crate) run_dir: Option<PathBuf>,
}

/// What this run has written so far, and what of it counts.
pub(crate) struct Commit<'a> {
    aim: Aim<'a>,
    copies: Copies,
    /// Where this very process made the artifact. One that was there already belongs to an earlier
    /// process of the same run, which may have committed it: it is never taken back.
    made: BTreeSet<String>,
    /// Where a proved copy was there already.
    existed: BTreeSet<String>,
    /// How far the manifest is, where it was begun.
    records: BTreeMap<String, Record>,
    /// Manifests being written, and artifacts being taken back.
    at_work: JoinSet<Option<Recorded>>,
    /// Whether a destination ended as its source did.
    has_followed: bool,
    manifest: Option<Manifest>,
}

impl<'a> Commit<'a> {
    /// Nothing is written yet. `unopened` are destinations that will never have a copy.
    pub(crate) fn new(aim: Aim<'a>, unopened: Copies) -> Self {
        Commit {
            aim,
            copies: unopened,
            made: BTreeSet::new(),
            existed: BTreeSet::new(),
            records: BTreeMap::new(),
            at_work: JoinSet::new(),
            has_followed: false,
            manifest: None,
        }
    }

    /// Whether enough destinations have artifact and manifest.
    pub(crate) fn is_done(&self) -> bool {
        self.recorded() >= self.aim.required
    }

    fn recorded(&self) -> usize {
        self.records.values().filter(|record| matches!(record, Record::There { .. })).count()
    }

    /// Whether nothing is being written or taken back.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.at_work.is_empty()
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
    pub(crate) fn take(&mut self, outcome: Outcome) {
        let name = outcome.destination.clone();
        let broke = |e: &StoreError| matches!(e.kind(), ErrorKind::SourceBroke);
        self.has_followed |= outcome.result.as_ref().is_err_and(broke);
        if is_spoilt(&outcome) {
            self.clear_spoilt(&name, outcome.made);
        }
        if let Ok(kept) = &outcome.result {
            let which = if kept.stored.existed { &mut self.existed } else { &mut self.made };
            which.insert(name.clone());
        }
        if outcome.lag.spooled_bytes > 0 {
            let spooled_bytes = outcome.lag.spooled_bytes;
            tracing::warn!(spooled_bytes, "destination {name} lagged behind");
        }
        let copy = outcome.result.map(|_| Instant::now()).map_err(destinations::Error::from);
        self.copies.insert(name, copy);
        self.tell_twins();
        self.record();
    }

    /// A copy that was there already, beside one with the same bucket and prefix that was made just
    /// now: one place under two endpoints, whose one copy does not count twice.
    fn tell_twins(&mut self) {
        let url = |name: &String| self.aim.opened.get(name).map(|opened| &opened.written.url);
        for name in &self.existed {
            let twin = self.made.iter().find(|made| url(made) == url(name));
            if let (Some(twin), Some(Ok(_))) = (twin, self.copies.get(name)) {
                let twin = same_place(name, twin, self.aim.artifact_key);
                self.copies.insert(name.clone(), Err(twin.into()));
            }
        }
    }

    /// Whether every destination failed for a reason of its own, and not because the source broke
    /// off.
    pub(crate) fn failed_by_itself(&self) -> bool {
        !self.has_followed && self.kept() == 0
    }

    /// Whoever has not come to an end is waited for no more. A proved copy without its manifest is
    /// none that counts.
    pub(crate) fn close(&mut self) {
        while let Some(Ok(ended)) = self.at_work.try_join_next() {
            self.heed(ended);
        }
        let is_done = self.is_done();
        for (name, opened) in self.aim.opened {
            let late = |key: &str| Err(timed_out(name, key, opened.timeout).into());
            let copy =
                self.copies.entry(name.clone()).or_insert_with(|| late(self.aim.artifact_key));
            let is_there = matches!(self.records.get(name), Some(Record::There { .. }));
            if let Some(manifest) = self.manifest.as_ref().filter(|_| is_done && !is_there)
                && copy.is_ok()
            {
                *copy = late(&manifest.object_name().key(&manifest.cluster));
            }
        }
    }

    /// The source came to its end, and every receipt was confirmed.
    pub(crate) fn allow(&mut self, manifest: Manifest) {
        self.manifest = Some(manifest);
        self.record();
    }

    /// Begins to write the manifest wherever a copy is proved, if they are enough.
    fn record(&mut self) {
        if self.kept() < self.aim.required {
            return;
        }
        let placed = self.placed();
        let Some(manifest) = &mut self.manifest else { return };
        if manifest.placed.is_none() {
            manifest.placed = Some(placed);
            settle(manifest, self.aim.run_dir.as_deref());
        }
        let key = manifest.object_name().key(&manifest.cluster);
        let bytes = Bytes::from(manifest.to_bytes());
        for (name, _) in self.copies.iter().filter(|(_, copy)| copy.is_ok()) {
            let Some(opened) = self.aim.opened.get(name).cloned() else { continue };
            let Entry::Vacant(record) = self.records.entry(name.clone()) else { continue };
            record.insert(Record::Writing);
            let keeping = opened.keeping(&manifest.tier, manifest.taken_at).of_record();
            let (key, bytes, name) = (key.clone(), bytes.clone(), name.clone());
            let writing = Writing { opened, key, bytes, keeping };
            self.at_work.spawn(async move {
                let (record, result) = writing.carry_out().await;
                Some(Recorded { name, record, result })
            });
        }
    }

    /// Waits for the next manifest that came to its end; for ever when none is being written.
    pub(crate) async fn written(&mut self) {
        match self.at_work.join_next().await {
            Some(ended) => self.heed(ended.ok().flatten()),
            None => std::future::pending().await,
        }
    }

    fn heed(&mut self, ended: Option<Recorded>) {
        let Some(Recorded { name, record, result }) = ended else { return };
        self.records.insert(name.clone(), record);
        if self.made.contains(&name) && matches!(record, Record::Refused | Record::Wrong) {
            self.clear(&name, record == Record::Wrong);
        }
        // One that was found out meanwhile, as a twin, stays so.
        if let Some(copy @ Ok(_)) = self.copies.get_mut(&name) {
            *copy = result.map(|()| Instant::now());
        }
    }

    /// Takes the artifact back, and the manifest before it, while everything else goes on.
    fn clear(&mut self, name: &str, with_manifest: bool) {
        let Some(opened) = self.aim.opened.get(name).cloned() else { return };
        let manifest = self.manifest.as_ref().filter(|_| with_manifest);
        let manifest_key = manifest.map(|m| m.object_name().key(&m.cluster));
        let artifact_key = self.aim.artifact_key.to_owned();
        self.at_work.spawn(async move {
            take_back(&opened, manifest_key.as_deref(), &artifact_key).await;
            None
        });
    }

    /// Takes an artifact back of which no copy came. One that another process made stays if that
    /// process has committed it: what was read here may be wrong, and not what lies there.
    fn clear_spoilt(&mut self, name: &str, made: bool) {
        let Some(opened) = self.aim.opened.get(name).cloned() else { return };
        let key = self.aim.artifact_key.to_owned();
        self.at_work.spawn(async move {
            if made || !is_recorded(&opened, &key).await {
                take_back(&opened, None, &key).await;
            }
            None
        });
    }

    /// Where copies go, and which of them are proved at this moment.
    fn placed(&self) -> Placed {
        let place = |(name, location): (&String, &String)| {
            let proved = self.copies.get(name).is_some_and(Result::is_ok);
            (name.clone(), Place { location: location.clone(), proved })
        };
        let destinations = self.aim.locations.iter().map(place).collect();
        Placed { required: self.aim.required, destinations }
    }

    /// Takes back what this process wrote, wherever it is known that nothing of somebody else's
    /// depends on it.
    pub(crate) async fn undo(&mut self) {
        for name in self.made.clone() {
            match self.records.get(&name) {
                None => self.clear(&name, false),
                Some(Record::There { ours: true } | Record::Unproved) => self.clear(&name, true),
                // Cleared already, or left alone.
                Some(_) => {}
            }
        }
        while self.at_work.join_next().await.is_some() {}
    }
}

fn same_place(name: &str, other: &str, key: &str) -> StoreError {
    let said = format!("what {other:?} stored is there already: it is one place, and one copy");
    let kind = ErrorKind::Config { said, hint: "delete one of the two from pipeline.toml" };
    StoreError::new(name, Operation::Put, key, kind)
}

/// Keeps the manifest in the run directory, or takes from there what an earlier process of this run
/// said of its copies: with other words the same backup would be two that contradict each other.
fn settle(manifest: &mut Manifest, run_dir: Option<&Path>) {
    let Some(path) = run_dir.map(|dir| dir.join(SETTLED)) else { return };
    let name = manifest.object_name();
    let earlier = std::fs::read(&path).ok();
    // It is compared, and not believed.
    let read = |b: Vec<u8>| Manifest::from_bytes(&manifest.cluster, &name, &b, &Trust::default());
    let earlier = earlier.and_then(|bytes| read(bytes).ok());
    let plain = |manifest: &Manifest| Manifest { placed: None, ..manifest.clone() }.to_bytes();
    match earlier {
        Some(earlier) if plain(&earlier) == plain(manifest) => manifest.placed = earlier.placed,
        _ => {
            if let Err(e) = durable::write_new(&path, &manifest.to_bytes()) {
                // Only a process that begins this step again would miss it.
                tracing::warn!("{e}");
            }
        }
    }
}

/// Whether the artifact was completed and no copy came of it. One that is not what it has to be goes
/// whoever made it, because no backup will ever come of it, unless it is on record; one that merely
/// could not be read back goes only where this process made it. Nobody else would remove either.
fn is_spoilt(outcome: &Outcome) -> bool {
    outcome.result.as_ref().is_err_and(|e| {
        let of_bytes = matches!(e.kind(), ErrorKind::Corrupt { .. });
        let of_settings = matches!(e.kind(), ErrorKind::SilentDowngrade { .. });
        let is_wrong = e.operation() == Operation::ReadBack && (of_bytes || of_settings);
        outcome.made || is_wrong
    })
}
