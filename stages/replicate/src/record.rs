//! One destination's manifest: written beside a proved copy, read back, and taken back where it came
//! to nothing.
//!
//! Invariants: what another process of the run may have written is never removed, nor is anything
//! after a failure that does not say whether the store has acted: artifact and manifest may both be
//! there and whole then. A manifest goes before its artifact.
//!
//! Does not: decide whether there are enough copies; that is the commit's.

use bytes::Bytes;
use contract::Exit;
use destinations::Opened;
use std::time::Duration;
use store::{
    ErrorKind, Keeping, Operation, ReadBackMode, ReadBackOptions, StoreError, Stored, Summary,
};

/// How far the manifest of one destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// It is being written.
    Writing,
    /// It is there, read back.
    There {
        /// By this very process.
        ours: bool,
    },
    /// The store refused it, and holds none.
    Refused,
    /// This process wrote it, and it is not what it has to be.
    Wrong,
    /// This process wrote it, and could not read it back so far.
    Unproved,
    /// Another one is there, or nobody knows whether it is.
    Unknown,
}

/// What there is to be written, and where.
pub(crate) struct Writing {
    pub(crate) opened: Opened,
    pub(crate) key: String,
    pub(crate) bytes: Bytes,
    pub(crate) keeping: Keeping,
}

impl Writing {
    /// Writes it and reads it back, within the destination's time.
    pub(crate) async fn carry_out(&self) -> (Record, Result<(), destinations::Error>) {
        failpoint::pass("replicate.manifest.writing");
        let mut so_far = Record::Unknown;
        let written = tokio::time::timeout(self.opened.timeout, self.written(&mut so_far)).await;
        failpoint::pass("replicate.manifest.settled");
        let late = || timed_out(self.opened.store.name(), &self.key, self.opened.timeout);
        let result = written.unwrap_or_else(|_| Err(late()));
        (so_far, result.map_err(Into::into))
    }

    /// Tells in `record` what is known, even if the time is up in between.
    async fn written(&self, record: &mut Record) -> Result<(), StoreError> {
        let store = &*self.opened.store;
        let stored = match store.put_new(&self.key, self.bytes.clone(), &self.keeping).await {
            Ok(stored) => stored,
            Err(e) => {
                *record = after_put(&e);
                return Err(e);
            }
        };
        if !stored.existed {
            *record = Record::Unproved;
        }
        failpoint::pass("replicate.manifest.created");
        let options = ReadBackOptions {
            mode: ReadBackMode::Full,
            stall_timeout: self.opened.timeout,
            keeping: self.keeping.clone(),
        };
        let read = store::read_back(store, &self.key, &Summary::of(&self.bytes), &options).await;
        *record = after_read_back(&stored, &read);
        read.map(drop)
    }
}

/// What a failure to write says of what is there.
fn after_put(e: &StoreError) -> Record {
    match e.kind() {
        ErrorKind::AlreadyExists => Record::Unknown,
        ErrorKind::SilentDowngrade { .. } | ErrorKind::Corrupt { .. } => Record::Wrong,
        _ if is_final(e) => Record::Refused,
        _ => Record::Unknown,
    }
}

fn after_read_back<T>(stored: &Stored, read: &Result<T, StoreError>) -> Record {
    match read {
        Ok(_) => Record::There { ours: !stored.existed },
        Err(_) if stored.existed => Record::Unknown,
        Err(e) if is_final(e) => Record::Wrong,
        Err(_) => Record::Unproved,
    }
}

fn is_final(e: &StoreError) -> bool {
    destinations::exit_of(e.kind()) != Exit::Transient
}

/// Whether a manifest stands beside the artifact, as far as anybody can tell.
pub(crate) async fn is_recorded(opened: &Opened, artifact_key: &str) -> bool {
    let file = artifact_key.rfind('/').map_or(0, |at| at + 1);
    let end = artifact_key[file..].find('.').map_or(artifact_key.len(), |at| file + at);
    let listed = opened.store.list(&artifact_key[..end]);
    match tokio::time::timeout(opened.timeout, listed).await {
        Ok(Ok(objects)) => objects.iter().any(|object| object.key.ends_with(".json")),
        Ok(Err(_)) | Err(_) => true,
    }
}

/// Takes back what this process wrote in a destination: the manifest first, if there may be one of
/// ours, so that it is never without its artifact.
pub(crate) async fn take_back(opened: &Opened, manifest_key: Option<&str>, artifact_key: &str) {
    for key in manifest_key.into_iter().chain([artifact_key]) {
        failpoint::pass("replicate.taking_back");
        match tokio::time::timeout(opened.timeout, opened.store.delete(key)).await {
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
                let name = opened.store.name();
                tracing::warn!("destination {name} did not answer; {key} may still be there");
                break;
            }
        }
    }
}

pub(crate) fn timed_out(name: &str, key: &str, after: Duration) -> StoreError {
    StoreError::new(name, Operation::Put, key, ErrorKind::Stalled { after })
}
