//! One destination's end of the log.
//!
//! Waiting is asynchronous; reading the spool file happens on a thread that may block.

use super::log::{Log, Peek};
use super::{Cut, Lag, Next, spool::Spool};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::watch;

/// One destination's view of the log. Dropping it lets the log go on without.
pub(super) struct Reader {
    log: Arc<Log>,
    index: usize,
    changes: watch::Receiver<u64>,
}

impl Reader {
    pub(super) fn new(log: Arc<Log>, index: usize, changes: watch::Receiver<u64>) -> Self {
        Reader { log, index, changes }
    }

    /// The next block or the end, as soon as there is one.
    pub(super) async fn next(&mut self) -> Result<Next, Cut> {
        loop {
            self.changes.mark_unchanged();
            let peek = self.log.lock().peek(self.index);
            match peek {
                Peek::Cut(cut) => return Err(cut),
                Peek::End(summary) => return Ok(Next::End(summary)),
                Peek::Block(block) => {
                    self.log.advance(self.index, block.len(), false);
                    return Ok(Next::Block(block));
                }
                Peek::Spool(spool, position, length) => {
                    return self.take_spooled(spool, position, length).await.map(Next::Block);
                }
                Peek::Nothing => self.wait().await,
            }
        }
    }

    /// Resolves when the source breaks off or the log cuts this reader off.
    pub(super) async fn cut(&mut self) -> Cut {
        loop {
            self.changes.mark_unchanged();
            let cut = self.log.lock().cut_of(self.index);
            match cut {
                Some(cut) => return cut,
                None => self.wait().await,
            }
        }
    }

    pub(super) fn lag(&self) -> Lag {
        self.log.lag(self.index)
    }

    async fn wait(&mut self) {
        // The sending half lives in the log, which this reader keeps alive.
        let _ = self.changes.changed().await;
    }

    async fn take_spooled(
        &mut self,
        spool: Arc<Spool>,
        at: u64,
        length: u64,
    ) -> Result<Bytes, Cut> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let read = tokio::task::spawn_blocking(move || spool.read(at, length)).await;
        // If the log went on without this reader, what it read may have been overwritten.
        if let Some(cut) = self.log.lock().cut_of(self.index) {
            return Err(cut);
        }
        let block = read.map_err(std::io::Error::other).and_then(|r| r).map_err(Cut::Spool)?;
        self.log.advance(self.index, block.len(), true);
        Ok(block)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.log.leave(self.index);
    }
}
