//! The pump: takes the snapshot's messages from etcd, has them checked by `order`, and hands them
//! to the writer in larger pieces.
//!
//! The time that etcd lets us wait and the time that the next stage lets us wait are measured
//! apart: a slow destination must not be reported as a slow etcd.

use crate::flaw::Flaw;
use crate::order::{Message, Order, Part};
use crate::writer::{BATCH_BYTES, Piece, Writer};
use contract::Sink;
use etcd::{Connection, Trouble};
use etcd_client::SnapshotStreaming;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a writer may take to say how it ended once the stream has failed.
const WRITER_GRACE: Duration = Duration::from_secs(5);

/// Where messages come from.
pub(crate) trait Messages {
    /// The next one; `None` at the clean end of the stream.
    async fn next(&mut self) -> Result<Option<Message>, Trouble>;
}

/// The stream of a live etcd.
pub(crate) struct LiveMessages(SnapshotStreaming);

impl LiveMessages {
    pub(crate) async fn begin(connection: &Connection) -> Result<Self, Trouble> {
        Ok(LiveMessages(connection.snapshot().await?))
    }
}

impl Messages for LiveMessages {
    async fn next(&mut self) -> Result<Option<Message>, Trouble> {
        let answer = self.0.message().await.map_err(|e| Trouble::of(&e))?;
        Ok(answer.map(|answer| Message {
            remaining_bytes: answer.remaining_bytes(),
            blob: answer.blob().to_vec(),
            version: answer.version().to_owned(),
        }))
    }
}

/// How long the stream may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Without a message from etcd.
    pub(crate) stall: Duration,
    /// From the beginning to the end.
    pub(crate) whole: Duration,
}

/// A stream that came whole.
pub(crate) struct Pumped {
    /// The output, with everything written to it.
    pub(crate) sink: Sink,
    /// From etcd 3.6 on.
    pub(crate) storage_version: Option<String>,
}

impl std::fmt::Debug for Pumped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pumped").field("digest", &self.sink.digest()).finish_non_exhaustive()
    }
}

/// A stream that broke.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) flaw: Flaw,
    /// Bytes of the database that had arrived.
    pub(crate) received: u64,
    /// And that were announced.
    pub(crate) total: Option<u64>,
}

/// One stream on its way to the output.
pub(crate) struct Pump<'a, M> {
    messages: M,
    limits: Limits,
    /// The output. It is gone once the first byte was handed out.
    sink: &'a mut Option<Sink>,
    writer: Option<Writer>,
    order: Order,
    batch: Vec<u8>,
    begun: Instant,
    waited_etcd: Duration,
    waited_next_stage: Duration,
    storage_version: Option<String>,
}

impl<'a, M: Messages> Pump<'a, M> {
    pub(crate) fn new(messages: M, limits: Limits, sink: &'a mut Option<Sink>) -> Self {
        Pump {
            messages,
            limits,
            sink,
            writer: None,
            order: Order::default(),
            batch: Vec::new(),
            begun: Instant::now(),
            waited_etcd: Duration::ZERO,
            waited_next_stage: Duration::ZERO,
            storage_version: None,
        }
    }

    /// Moves the whole stream. `on_flow` is called once, when the first bytes have come.
    ///
    /// # Errors
    /// [`Broken`]. If the sink is still there, nothing was handed out, and another member may be
    /// asked.
    pub(crate) async fn run(mut self, on_flow: impl FnOnce()) -> Result<Pumped, Broken> {
        match self.pump(on_flow).await {
            Ok(sink) => Ok(Pumped { sink, storage_version: self.storage_version }),
            Err(flaw) => Err(Broken {
                flaw: self.root_of(flaw).await,
                received: self.order.received(),
                total: self.order.total(),
            }),
        }
    }

    async fn pump(&mut self, on_flow: impl FnOnce()) -> Result<Sink, Flaw> {
        let mut on_flow = Some(on_flow);
        while let Some(message) = self.next().await? {
            if self.order.accept(&message)? != Part::Database {
                continue;
            }
            if let Some(on_flow) = on_flow.take() {
                self.storage_version = Some(message.version).filter(|v| !v.is_empty());
                on_flow();
            }
            self.batch.extend_from_slice(&message.blob);
            if self.batch.len() >= BATCH_BYTES {
                self.hand_out().await?;
            }
        }
        // The digest goes out only after the stream has ended as it should.
        let digest = self.order.end()?;
        self.hand_out().await?;
        self.send(Piece::Digest(digest)).await?;
        self.finish().await
    }

    async fn next(&mut self) -> Result<Option<Message>, Flaw> {
        let asked = Instant::now();
        let stalled_at = asked + self.limits.stall;
        let answer = timeout_at(stalled_at.min(self.deadline()), self.messages.next()).await;
        self.waited_etcd += asked.elapsed();
        match answer {
            Ok(message) => Ok(message?),
            Err(_) if stalled_at <= self.deadline() => {
                Err(Flaw::Stalled { limit: self.limits.stall })
            }
            Err(_) => Err(self.too_slow()),
        }
    }

    async fn hand_out(&mut self) -> Result<(), Flaw> {
        let next = self.writer.as_mut().map(Writer::buffer).unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, next);
        self.send(Piece::Database(batch)).await
    }

    async fn send(&mut self, piece: Piece) -> Result<(), Flaw> {
        if let Some(sink) = self.sink.take() {
            let writer = Writer::start(sink, self.order.total()).map_err(Flaw::NoThread)?;
            self.writer = Some(writer);
        }
        let deadline = self.deadline();
        let Some(writer) = &self.writer else {
            return Err(Flaw::WriterGone);
        };
        let asked = Instant::now();
        let sent = timeout_at(deadline, writer.send(piece)).await;
        self.waited_next_stage += asked.elapsed();
        match sent {
            Ok(true) => Ok(()),
            // `root_of` asks the writer why.
            Ok(false) => Err(Flaw::WriterGone),
            Err(_) => Err(self.too_slow()),
        }
    }

    async fn finish(&mut self) -> Result<Sink, Flaw> {
        let deadline = self.deadline();
        let Some(writer) = self.writer.take() else {
            return Err(Flaw::WriterGone);
        };
        let asked = Instant::now();
        let ended = timeout_at(deadline, writer.end()).await;
        self.waited_next_stage += asked.elapsed();
        ended.unwrap_or_else(|_| Err(self.too_slow()))
    }

    /// The writer's own error where it has one: that it went away is only how we noticed. A
    /// writer that is stuck in a pipe is left behind.
    async fn root_of(&mut self, flaw: Flaw) -> Flaw {
        let Some(writer) = self.writer.take() else {
            return flaw;
        };
        let ended = tokio::time::timeout(WRITER_GRACE, writer.abandon()).await;
        match (flaw, ended) {
            (Flaw::WriterGone, Ok(Err(root))) => root,
            (flaw, _) => flaw,
        }
    }

    fn deadline(&self) -> Instant {
        self.begun + self.limits.whole
    }

    fn too_slow(&self) -> Flaw {
        Flaw::TooSlow {
            limit: self.limits.whole,
            etcd: self.waited_etcd,
            next_stage: self.waited_next_stage,
        }
    }
}

#[cfg(test)]
mod tests;
