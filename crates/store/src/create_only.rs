//! The order of calls that makes a write create-only on any object store: look, write on
//! condition, and after any failure look again.
//!
//! Some servers ignore the condition, and an answer may have been lost after the store acted.
//! Identical bytes under the key are success, other bytes are [`ErrorKind::AlreadyExists`], none is
//! the failure itself.
//!
//! Does not: send anything by itself; the backend gives one attempt, with its own retries.

use crate::{Destination, ErrorKind, ObjectInfo, Operation, Result, StoreError, Stored, Summary};
use std::time::Duration;

/// How often a write is tried while another writer is at work on the same key.
const CONFLICT_ATTEMPTS_MAX: u32 = 4;
/// The pause after the first conflict; it doubles.
const CONFLICT_PAUSE: Duration = Duration::from_millis(250);

/// One object that is to appear, once.
pub(crate) struct CreateOnly<'a> {
    pub(crate) destination: &'a dyn Destination,
    pub(crate) operation: Operation,
    pub(crate) key: &'a str,
    pub(crate) wanted: &'a Summary,
}

/// What lies under a key, compared with what is to be written.
enum Found {
    Nothing,
    Same(Box<ObjectInfo>),
    Other,
}

impl CreateOnly<'_> {
    fn error(&self, kind: ErrorKind) -> StoreError {
        StoreError::new(self.destination.name(), self.operation, self.key, kind)
    }

    /// Looks what lies under the key. Where the store keeps no checksum of the whole object, an
    /// object of the right length is read in full.
    async fn compare(&self) -> Result<Found> {
        let Some(info) = self.destination.head(self.key).await.map_err(|e| self.mine(e))? else {
            return Ok(Found::Nothing);
        };
        let same = if info.bytes != self.wanted.bytes {
            false
        } else if let Some(same) = info.agrees_with(self.wanted) {
            same
        } else {
            let blocks = self.destination.read(self.key, None).await?;
            crate::read_back::summarize(blocks).await? == *self.wanted
        };
        Ok(if same { Found::Same(Box::new(info)) } else { Found::Other })
    }

    /// A look on behalf of this write.
    fn mine(&self, e: StoreError) -> StoreError {
        e.during(self.operation)
    }

    /// The outcome of a write after a failure, or of one not yet tried.
    async fn resolve(&self) -> Result<Option<Stored>> {
        match self.compare().await? {
            Found::Nothing => Ok(None),
            Found::Same(info) => Ok(Some(Stored::found(&info))),
            Found::Other => Err(self.error(ErrorKind::AlreadyExists)),
        }
    }

    /// Tries `attempt` until it is known what became of the object.
    pub(crate) async fn write<F>(&self, attempt: impl Fn() -> F) -> Result<Stored>
    where
        F: Future<Output = std::result::Result<Stored, ErrorKind>>,
    {
        if let Some(stored) = self.resolve().await? {
            return Ok(stored);
        }
        let mut pause = CONFLICT_PAUSE;
        let mut tries = 1;
        loop {
            let failure = match attempt().await {
                Ok(stored) => return Ok(stored),
                Err(kind) => self.error(kind),
            };
            match self.resolve().await {
                Ok(Some(stored)) => return Ok(stored),
                Ok(None) => {}
                Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists) => return Err(e),
                Err(e) => return Err(unresolved(failure, &e)),
            }
            let is_conflict = matches!(failure.kind(), ErrorKind::Conflict { .. });
            if !is_conflict || tries == CONFLICT_ATTEMPTS_MAX {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            (pause, tries) = (pause * 2, tries + 1);
        }
    }
}

/// The first failure counts; that it could not be looked into is worth a word.
fn unresolved(failure: StoreError, look: &StoreError) -> StoreError {
    failure.leaving_behind(format!("possibly the whole object ({})", look.kind()))
}
