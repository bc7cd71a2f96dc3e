//! The thread that writes the snapshot to the output.
//!
//! Writing to a pipe blocks. It has a thread of its own, so that it never holds up the tasks that
//! read from etcd and ask for HashKV. Between them is a queue of a few megabytes: capture is not
//! the place to hold a snapshot back, `replicate` is.
//!
//! Invariant: etcd's digest is written only if it is that of every byte written before it, or if a
//! `verify` later in the run is going to compare the two.

use crate::flaw::Flaw;
use crate::order::DIGEST_BYTES;
use contract::{Progress, Sink};
use std::io::{self, Write};
use tokio::sync::{mpsc, oneshot};

/// etcd sends 32 KiB at a time; fewer, larger writes cost less.
pub(crate) const BATCH_BYTES: usize = 256 << 10;
/// Batches on their way: 4 MiB.
const QUEUE_BATCHES: usize = 16;

/// What is written next.
pub(crate) enum Piece {
    /// Bytes of the database.
    Database(Vec<u8>),
    /// The digest of all of them, which ends the snapshot.
    Digest([u8; DIGEST_BYTES]),
}

/// The thread, seen from the outside.
pub(crate) struct Writer {
    queue: mpsc::Sender<Piece>,
    /// Buffers that were written out, to be filled again: memory that is given back to the system
    /// and taken anew for each batch costs a page fault for every 4 KiB of the snapshot.
    spent: mpsc::UnboundedReceiver<Vec<u8>>,
    result: oneshot::Receiver<Result<Sink, Flaw>>,
}

impl Writer {
    /// Starts it. `total` is the size of the database, for progress.
    ///
    /// # Errors
    /// The system's, when it grants no thread.
    pub(crate) fn start(sink: Sink, total: Option<u64>) -> io::Result<Self> {
        let (queue, pieces) = mpsc::channel(QUEUE_BATCHES);
        let (give_back, spent) = mpsc::unbounded_channel();
        let (report, result) = oneshot::channel();
        let thread = std::thread::Builder::new().name("writer".into());
        thread.spawn(move || {
            // Nobody listens any more when capture has failed already.
            let _ = report.send(write_all(sink, pieces, &give_back, total));
        })?;
        Ok(Writer { queue, spent, result })
    }

    /// An empty buffer for the next batch.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spent.try_recv().unwrap_or_default();
        buffer.clear();
        buffer.reserve(BATCH_BYTES);
        buffer
    }

    /// Waits for room in the queue. False when the writer has ended with an error.
    pub(crate) async fn send(&self, piece: Piece) -> bool {
        self.queue.send(piece).await.is_ok()
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// [`Flaw::Output`], [`Flaw::OtherDigest`] or [`Flaw::WriterGone`].
    pub(crate) async fn end(self) -> Result<Sink, Flaw> {
        drop(self.queue);
        self.result.await.unwrap_or(Err(Flaw::WriterGone))
    }

    /// Ends it early and waits for its own error, if it has one.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub(crate) async fn abandon(self) -> Result<(), Flaw> {
        self.end().await.map(drop)
    }
}

fn write_all(
    mut sink: Sink,
    mut pieces: mpsc::Receiver<Piece>,
    give_back: &mpsc::UnboundedSender<Vec<u8>>,
    total: Option<u64>,
) -> Result<Sink, Flaw> {
    let mut progress = Progress::new("capture", total);
    let mut bytes = 0;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Database(batch) => {
                write(&mut sink, &batch)?;
                bytes += batch.len() as u64;
                progress.at(bytes);
                // Nobody fills it any more once the last batch is on its way.
                let _ = give_back.send(batch);
            }
            Piece::Digest(digest) => {
                must_be_the_digest(&sink, digest)?;
                write(&mut sink, &digest)?;
            }
        }
    }
    progress.end(bytes);
    Ok(sink)
}

/// The output counts and hashes what passes. Until the digest that is the database and nothing
/// else, so it need not be hashed twice. Where `verify` comes later in the run it is not even hashed
/// once here: the same check is the first thing that `verify` does.
fn must_be_the_digest(sink: &Sink, digest: [u8; DIGEST_BYTES]) -> Result<(), Flaw> {
    let Some(found) = sink.digest().map(|found| found.sha256) else {
        return Ok(());
    };
    let expected = hex::encode(digest);
    if found == expected {
        return Ok(());
    }
    Err(Flaw::OtherDigest { expected, found })
}

fn write(sink: &mut Sink, bytes: &[u8]) -> Result<(), Flaw> {
    let written = sink.write_all(bytes);
    written.map_err(|e| Flaw::Output(sink.write_error(e)))
}
