//! An upload of unknown length, chunk after chunk: one on its way while the next is filled.
//!
//! Until more than a chunk was written nothing is sent: a smaller object is one request. The last
//! chunk is held back until the whole is known to be what it has to be, so a source that breaks, or
//! an upload that is dropped, never publishes anything.
//! Memory: the chunk being filled and the one on its way.

use super::client::CHUNK_STEP_BYTES;
use super::insert::{self, Made};
use super::session::{Chunk, Session};
use super::{Bucket, GcsDestination};
use crate::create_only::CreateOnly;
use crate::patience::Patience;
use crate::summary::Tally;
use crate::{Acknowledged, ErrorKind, Keeping, Operation, Result, StoreError, Stored, Summary};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long giving up may take.
const ABORT_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct GcsUpload {
    destination: GcsDestination,
    key: String,
    name: String,
    keeping: Keeping,
    acknowledged: Acknowledged,
    tally: Tally,
    filling: BytesMut,
    chunk_bytes: usize,
    session: Option<Arc<Session>>,
    /// How much was given to the session.
    sent: u64,
    /// The one chunk that is on its way.
    in_flight: JoinSet<Result<()>>,
}

impl GcsUpload {
    pub(super) fn new(
        destination: GcsDestination,
        key: &str,
        name: String,
        keeping: Keeping,
        acknowledged: Acknowledged,
    ) -> Self {
        let chunk = destination.0.settings.part_bytes.next_multiple_of(CHUNK_STEP_BYTES);
        GcsUpload {
            destination,
            key: key.to_owned(),
            name,
            keeping,
            acknowledged,
            tally: Tally::new(),
            filling: BytesMut::new(),
            chunk_bytes: usize::try_from(chunk).unwrap_or(usize::MAX),
            session: None,
            sent: 0,
            in_flight: JoinSet::new(),
        }
    }

    fn bucket(&self) -> &Arc<Bucket> {
        &self.destination.0
    }

    fn error(&self, operation: Operation, kind: impl Into<ErrorKind>) -> StoreError {
        self.bucket().error(operation, &self.key, kind)
    }

    fn patience(&self) -> Patience {
        Patience::new(self.bucket().settings.patience, &self.acknowledged)
    }

    /// The session, which is begun when it is first needed. A call that is cancelled meanwhile may
    /// leave one behind: invisible, free of charge, and gone after a week.
    async fn session(&mut self) -> Result<Arc<Session>> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let begin = async || {
            let begun = Session::begin(self.bucket().clone(), &self.name, &self.keeping).await;
            begun.map_err(|kind| self.error(Operation::Write, kind))
        };
        let session = Arc::new(self.patience().insist(begin).await?);
        self.session = Some(session.clone());
        Ok(session)
    }

    /// Sends a full chunk that is not the last, once the one before has arrived.
    async fn send_chunk(&mut self, bytes: Bytes) -> Result<()> {
        self.arrived().await?;
        let session = self.session().await?;
        let chunk = Chunk { at: self.sent, bytes, whole: None };
        self.sent += chunk.bytes.len() as u64;
        let (acknowledged, patience) = (self.acknowledged.clone(), self.patience());
        let (bucket, key) = (self.bucket().clone(), self.key.clone());
        self.in_flight.spawn(async move {
            let was_sent = AtomicBool::new(false);
            let deliver = async || {
                let delivered = session.deliver(&chunk, was_sent.swap(true, Relaxed)).await;
                delivered.map_err(|kind| bucket.error(Operation::Write, &key, kind))
            };
            patience.insist_to_the_end(deliver).await?;
            acknowledged.add(chunk.bytes.len() as u64);
            Ok(())
        });
        Ok(())
    }

    async fn arrived(&mut self) -> Result<()> {
        while let Some(joined) = self.in_flight.join_next().await {
            let delivered = joined.unwrap_or_else(|e| match e.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => {
                    let said = "the program is shutting down".to_owned();
                    Err(self.error(Operation::Write, ErrorKind::Transient { said }))
                }
            });
            delivered?;
        }
        Ok(())
    }

    async fn finish(&mut self, summary: &Summary) -> Result<Stored> {
        self.tally.check(summary).map_err(|kind| self.error(Operation::Complete, kind))?;
        let rest = std::mem::take(&mut self.filling).freeze();
        let length = rest.len() as u64;
        let stored = match self.session.clone() {
            None => {
                let (destination, key, keeping) = (&self.destination, &self.key, &self.keeping);
                let operation = Operation::Complete;
                let put = || insert::put_new(destination, operation, key, rest.clone(), keeping);
                self.patience().insist(put).await?
            }
            Some(session) => {
                self.arrived().await?;
                self.publish(&session, rest, summary).await?
            }
        };
        self.acknowledged.add(length);
        Ok(stored)
    }

    /// Sends the last chunk, which makes the object appear.
    async fn publish(&self, session: &Session, bytes: Bytes, wanted: &Summary) -> Result<Stored> {
        let whole = Some((wanted.bytes, wanted.crc32c));
        let chunk = Chunk { at: self.sent, bytes, whole };
        let (operation, key) = (Operation::Complete, self.key.as_str());
        let create = CreateOnly { destination: &self.destination, operation, key, wanted };
        let (made, was_sent) = (Made::default(), AtomicBool::new(false));
        let attempt = async || match session.deliver(&chunk, was_sent.swap(true, Relaxed)).await? {
            Some(resource) => made.note(resource, wanted),
            None => {
                Err(ErrorKind::Transient { said: "the store did not finish the upload".into() })
            }
        };
        let stored = self.patience().insist(|| create.write(&attempt)).await?;
        made.confirm(self.bucket(), operation, key, &self.name, wanted).await.map(|()| stored)
    }

    /// Cancels the session. Says what stays behind if it cannot.
    async fn abandon(&mut self) -> std::result::Result<(), (ErrorKind, String)> {
        self.in_flight.shutdown().await;
        let Some(session) = self.session.take() else {
            return Ok(());
        };
        let kind = match tokio::time::timeout(ABORT_TIMEOUT, session.cancel()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(kind)) => kind,
            Err(_) => ErrorKind::Stalled { after: ABORT_TIMEOUT },
        };
        let what = format!(
            "an unfinished upload, invisible and free of charge, which ends by itself within a week \
             ({kind})"
        );
        Err((kind, what))
    }
}

#[async_trait]
impl crate::Upload for GcsUpload {
    async fn write(&mut self, mut block: Bytes) -> Result<()> {
        self.tally.update(&block);
        let size = self.chunk_bytes;
        while !block.is_empty() {
            // More is to come, so what is full is not the last.
            if self.filling.len() == size {
                let full = std::mem::take(&mut self.filling).freeze();
                self.send_chunk(full).await?;
            }
            if self.filling.is_empty() && block.len() > size {
                self.send_chunk(block.split_to(size)).await?;
                continue;
            }
            let piece = block.split_to(block.len().min(size - self.filling.len()));
            if self.filling.is_empty() {
                // Untouched memory costs nothing, and growing step by step would copy.
                self.filling.reserve(size);
            }
            self.filling.extend_from_slice(&piece);
        }
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        let finished = self.finish(summary).await;
        if finished.as_ref().is_ok_and(|stored| !stored.existed) {
            self.session = None;
        }
        // After success nothing is left to abandon, except a session made needless.
        match (finished, self.abandon().await) {
            (Ok(stored), _) => Ok(stored),
            (Err(e), Ok(())) => Err(e),
            (Err(e), Err((_, what))) if e.left_behind().is_none() => Err(e.leaving_behind(what)),
            (Err(e), Err(_)) => Err(e),
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let abandoned = self.abandon().await;
        abandoned.map_err(|(kind, what)| self.error(Operation::Abort, kind).leaving_behind(what))
    }
}
