//! Whether a destination does what a run will ask of it: tried out on one small object.
//!
//! Write, look, read, read a part, write again on condition, write with a wrong checksum, begin an
//! upload in parts, list, delete. The object lies in a folder of its own, under a name that is no
//! backup's, and is gone afterwards. A writer that may not delete, as it should be, leaves it; a
//! later probe finds it there and uses it again, so that they do not become many.
//!
//! Does not: judge how bad a finding is for the user's plans, nor look at a local directory's
//! owner or room.

use crate::{
    Acknowledged, Destination, ErrorKind, Keeping, ObjectInfo, Operation, Result, StoreError,
    Summary,
};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

/// What is written: enough for a range of it to be read.
const SAMPLE: &[u8] = b"Lifeboat wrote this to see whether it can. It is no backup.\n";
const RANGE: std::ops::Range<u64> = 9..14;
/// How many objects that other probes left are looked at.
const LEFT_MAX: usize = 16;
/// An object that is younger may belong to a probe that is at work.
const LEFT_SECONDS_MIN: i64 = 60;

/// What only the store itself can be asked, without the looks that make an ordinary write safe.
#[async_trait]
pub trait Examine: Send + Sync {
    /// Writes over an object on the one condition that there is none, and tells whether the store
    /// refused.
    ///
    /// # Errors
    /// Any other refusal.
    async fn refuses_overwrite(&self, key: &str, bytes: Bytes) -> Result<bool>;

    /// Writes with a checksum that is not that of the bytes, and tells whether the store refused;
    /// `None` where no checksum is configured.
    ///
    /// # Errors
    /// Any other refusal.
    async fn refuses_wrong_checksum(&self, key: &str, bytes: Bytes) -> Result<Option<bool>>;

    /// Begins an upload in parts, and aborts it.
    ///
    /// # Errors
    /// When either is refused.
    async fn begins_parts(&self, key: &str) -> Result<()>;

    /// The store's clock, by the date of an answer, whatever it answers.
    async fn time(&self, key: &str) -> Option<Timestamp>;

    /// What keeps objects from being lost for good, as far as it may be asked.
    async fn protection(&self) -> Protection;

    /// Whether older versions are kept, as far as the description of a new object tells.
    fn keeps_versions(&self, _: &ObjectInfo) -> Option<bool> {
        None
    }

    /// What to do where an upload that breaks cannot be taken back.
    fn leftover_hint(&self) -> &'static str;
}

/// What a bucket does against loss by itself; `None` where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    /// Whether objects can be locked in it.
    pub locks: Option<bool>,
    /// Whether it keeps what is removed or replaced as an older version.
    pub versions: Option<bool>,
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Trial {
    List,
    Write,
    Settings,
    Read,
    Range,
    Condition,
    Checksum,
    Parts,
    Listed,
    Delete,
}

impl Trial {
    /// A word for it that does not change.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Write => "write",
            Self::Settings => "settings",
            Self::Read => "read",
            Self::Range => "range",
            Self::Condition => "condition",
            Self::Checksum => "checksum",
            Self::Parts => "parts",
            Self::Listed => "listed",
            Self::Delete => "delete",
        }
    }
}

/// How a trial ended.
#[derive(Debug)]
pub enum Verdict {
    /// As it should.
    Good(&'static str),
    /// A run manages without it.
    Weak {
        /// What the store does not do.
        what: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A run needs it.
    Failed(StoreError),
}

/// What a probe found.
#[derive(Debug, Default)]
pub struct Probe {
    /// In order; the first failure may have ended it.
    pub trials: Vec<(Trial, Verdict)>,
    /// By how much the store's clock is ahead of this machine's; `None` if it did not tell.
    pub clock_ahead_seconds: Option<i64>,
    /// The key of the object that could not be deleted.
    pub left: Option<String>,
    /// What the bucket does against loss.
    pub protection: Protection,
}

impl Probe {
    /// How a trial ended; `None` when it did not come to it.
    #[must_use]
    pub fn verdict(&self, trial: Trial) -> Option<&Verdict> {
        self.trials.iter().find(|(tried, _)| *tried == trial).map(|(_, verdict)| verdict)
    }

    fn good(&mut self, trial: Trial, words: &'static str) {
        self.trials.push((trial, Verdict::Good(words)));
    }

    fn weak(&mut self, trial: Trial, what: impl Into<String>, hint: &'static str) {
        self.trials.push((trial, Verdict::Weak { what: what.into(), hint }));
    }

    fn failed(&mut self, trial: Trial, error: StoreError) {
        self.trials.push((trial, Verdict::Failed(error)));
    }
}

/// Tries a destination out with an object `folder/name`, kept as `keeping` says. `now` is this machine's clock.
pub async fn probe(
    destination: &dyn Destination,
    folder: &str,
    name: &str,
    keeping: &Keeping,
    now: &(dyn Fn() -> Timestamp + Send + Sync),
) -> Probe {
    let mut probe = Probe::default();
    let key = match leftover(destination, folder, now(), &mut probe).await {
        Ok(Some(left)) => {
            probe.left = Some(left.clone());
            left
        }
        Ok(None) => format!("{folder}/{name}"),
        Err(e) => {
            probe.clock_ahead_seconds = ask_time(destination, folder, now).await;
            probe.failed(Trial::List, e);
            return probe;
        }
    };
    if let Some(store) = destination.examine() {
        probe.protection = store.protection().await;
    }
    let before = now();
    if probe.left.is_none() {
        match write(destination, &key, keeping).await {
            Ok(()) => probe.good(Trial::Write, "written"),
            Err(e) => {
                probe.failed(Trial::Write, e);
                return probe;
            }
        }
    }
    let info = look(destination, &key, keeping, &mut probe).await;
    if let (Some(store), Some(info)) = (destination.examine(), &info) {
        let versions = probe.protection.versions;
        probe.protection.versions = versions.or_else(|| store.keeps_versions(info));
    }
    probe.clock_ahead_seconds = match ask_time(destination, &key, now).await {
        Some(ahead) => Some(ahead),
        None => info.filter(|_| probe.left.is_none()).and_then(|info| ahead(&info, before, now())),
    };
    read(destination, &key, &mut probe).await;
    conditions(destination, &key, keeping, &mut probe).await;
    listed(destination, folder, &key, &mut probe).await;
    delete(destination, &key, &mut probe).await;
    probe
}

/// An object that an earlier probe could not delete. Those that can be deleted are.
async fn leftover(
    destination: &dyn Destination,
    folder: &str,
    now: Timestamp,
    probe: &mut Probe,
) -> Result<Option<String>> {
    let listed = destination.list(&format!("{folder}/")).await?;
    probe.good(Trial::List, "listed");
    let is_old = |info: &ObjectInfo| {
        info.modified.is_none_or(|at| now.as_second() - at.as_second() >= LEFT_SECONDS_MIN)
    };
    let is_ours = |info: &&ObjectInfo| {
        info.key.strip_prefix(folder).and_then(|name| name.strip_prefix('/')).is_some_and(is_probe)
    };
    for info in listed.iter().filter(is_ours).take(LEFT_MAX) {
        let refused = match is_old(info) {
            true => destination.delete(&info.key).await.err(),
            false => continue,
        };
        if refused.is_some_and(|e| matches!(e.kind(), ErrorKind::Denied { .. })) {
            return Ok(Some(info.key.clone()));
        }
    }
    Ok(None)
}

/// Whether an object of this name was made by a probe: a ULID, and perhaps what it was for.
fn is_probe(name: &str) -> bool {
    let (id, purpose) = name.split_once('-').unwrap_or((name, ""));
    let is_id = id.len() == 26 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    is_id && purpose.bytes().all(|b| b.is_ascii_lowercase())
}

/// As an artifact is written, so that storage class and encryption are asked for.
async fn write(destination: &dyn Destination, key: &str, keeping: &Keeping) -> Result<()> {
    let mut upload = destination.create(key, keeping, Acknowledged::default()).await?;
    if let Err(e) = upload.write(Bytes::from_static(SAMPLE)).await {
        // The failure counts, not what became of the rest.
        let _ = upload.abort().await;
        return Err(e);
    }
    upload.complete(&Summary::of(SAMPLE)).await.map(drop)
}

async fn look(
    destination: &dyn Destination,
    key: &str,
    keeping: &Keeping,
    probe: &mut Probe,
) -> Option<ObjectInfo> {
    let found = match destination.head(key).await {
        Ok(Some(info)) => Ok(info),
        Ok(None) => {
            Err(StoreError::new(destination.name(), Operation::Head, key, ErrorKind::NotFound))
        }
        Err(e) => Err(e),
    };
    let confirmed = match found {
        Ok(info) => destination.confirm(info, keeping).await,
        Err(e) => Err(e),
    };
    match confirmed {
        Ok(info) => {
            probe.good(Trial::Settings, "settings honoured");
            Some(info)
        }
        Err(e) => {
            probe.failed(Trial::Settings, e);
            None
        }
    }
}

async fn read(destination: &dyn Destination, key: &str, probe: &mut Probe) {
    match read_range(destination, key, None).await {
        Ok(()) => probe.good(Trial::Read, "read back"),
        Err(e) if matches!(e.kind(), ErrorKind::Archived { .. }) => {
            let what = "an object of this storage class cannot be read at once";
            return probe.weak(Trial::Read, what, "set read_back = \"checksum\" for it");
        }
        Err(e) => return probe.failed(Trial::Read, e),
    }
    match read_range(destination, key, Some(RANGE)).await {
        Ok(()) => probe.good(Trial::Range, "ranges"),
        Err(e) => probe.failed(Trial::Range, e),
    }
}

async fn read_range(
    destination: &dyn Destination,
    key: &str,
    range: Option<std::ops::Range<u64>>,
) -> Result<()> {
    use futures::StreamExt as _;
    let mut expected = SAMPLE;
    if let Some(range) = &range {
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        expected = SAMPLE.get(at(range.start)..at(range.end)).unwrap_or_default();
    }
    let mut blocks = destination.read(key, range).await?;
    let mut found = Vec::new();
    while let Some(block) = blocks.next().await {
        found.extend_from_slice(&block?);
        if found.len() > SAMPLE.len() {
            break;
        }
    }
    if found == expected {
        return Ok(());
    }
    let kind = ErrorKind::Corrupt {
        check: "what was written just now",
        expected: format!("{} bytes", expected.len()),
        found: format!("{} bytes, not the same", found.len()),
    };
    Err(StoreError::new(destination.name(), Operation::Read, key, kind))
}

async fn conditions(
    destination: &dyn Destination,
    key: &str,
    keeping: &Keeping,
    probe: &mut Probe,
) {
    let sample = Bytes::from_static(SAMPLE);
    let Some(store) = destination.examine() else {
        // A directory keeps the condition by itself; the very attempt shows it.
        let other = Bytes::from_static(b"other bytes");
        match destination.put_new(key, other, keeping).await {
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists) => {
                probe.good(Trial::Condition, "create-only");
            }
            Err(e) => probe.failed(Trial::Condition, e),
            Ok(_) => probe.weak(Trial::Condition, IGNORES_CONDITION, CONDITION_HINT),
        }
        return;
    };
    match store.refuses_overwrite(key, sample.clone()).await {
        Ok(true) => probe.good(Trial::Condition, "create-only"),
        Ok(false) => probe.weak(Trial::Condition, IGNORES_CONDITION, CONDITION_HINT),
        Err(e) => probe.failed(Trial::Condition, e),
    }
    let altered = format!("{key}-altered");
    match store.refuses_wrong_checksum(&altered, sample).await {
        Ok(Some(true)) => probe.good(Trial::Checksum, "checksums verified"),
        Ok(None) => {}
        Ok(Some(false)) => {
            let what = "the store takes bytes that do not fit their checksum";
            probe.weak(Trial::Checksum, what, "keep read_back = \"full\" for it");
        }
        Err(e) => probe.failed(Trial::Checksum, e),
    }
    // A store may refuse and keep it all the same. Where nothing may be deleted, this may not either;
    // then the bucket's lifecycle has to.
    let _ = destination.delete(&altered).await;
    match store.begins_parts(&format!("{key}-parts")).await {
        Ok(()) => probe.good(Trial::Parts, "multipart"),
        Err(e) if e.operation() == Operation::CleanUp => {
            let what = format!("an upload that breaks cannot be taken back: {}", e.kind());
            probe.weak(Trial::Parts, what, store.leftover_hint());
        }
        Err(e) => probe.failed(Trial::Parts, e),
    }
}

const IGNORES_CONDITION: &str =
    "the store ignores If-None-Match: a write is guarded only by a look before and after it";
const CONDITION_HINT: &str =
    "names never repeat, so this is safe enough; a store with conditional writes is safer";

async fn listed(destination: &dyn Destination, folder: &str, key: &str, probe: &mut Probe) {
    match destination.list(&format!("{folder}/")).await {
        Ok(all) if all.iter().any(|info| info.key == key) => {}
        Ok(_) => {
            let what = "the listing does not show what was written just now";
            probe.weak(Trial::Listed, what, "expect `lifeboat list` to lag behind this store");
        }
        Err(e) => probe.failed(Trial::Listed, e),
    }
}

async fn delete(destination: &dyn Destination, key: &str, probe: &mut Probe) {
    match destination.delete(key).await {
        Ok(()) => {
            probe.left = None;
            probe.good(Trial::Delete, "deleted");
        }
        Err(e) if matches!(e.kind(), ErrorKind::Denied { .. }) => {
            probe.left = Some(key.to_owned());
            probe.good(Trial::Delete, "may not delete, as a writer should not");
        }
        Err(e) => probe.failed(Trial::Delete, e),
    }
}

async fn ask_time(
    destination: &dyn Destination,
    key: &str,
    now: &(dyn Fn() -> Timestamp + Send + Sync),
) -> Option<i64> {
    let store = destination.examine()?;
    let before = now();
    let told = store.time(key).await?;
    Some(difference(told, before, now()))
}

/// The time that a file system gave a new file.
fn ahead(info: &ObjectInfo, before: Timestamp, after: Timestamp) -> Option<i64> {
    Some(difference(info.modified?, before, after))
}

/// By how much `told` lies outside of the time in which it was told. It may be cut to a second.
fn difference(told: Timestamp, before: Timestamp, after: Timestamp) -> i64 {
    let told = told.as_second();
    if told > after.as_second() {
        told - after.as_second()
    } else if told < before.as_second() {
        told - before.as_second()
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::is_probe;

    #[test]
    fn what_no_probe_has_made_is_not_taken_for_left_over() {
        let id = "01m7x1rk690000000000000000";
        for ours in [id.to_owned(), format!("{id}-altered"), format!("{id}-parts")] {
            assert!(is_probe(&ours), "{ours}");
        }
        let artifact = format!("20261120T021400Z-{id}.db.zst.age");
        for other in ["", "notes", &format!("daily/{id}"), &format!("{id}.json"), &artifact] {
            assert!(!is_probe(other), "{other}");
        }
    }
}
