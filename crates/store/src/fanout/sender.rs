//! The source's end of a fan-out. Its functions block: call them from a thread that may.

use super::log::Log;
use crate::Summary;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Pushes blocks to every destination. Dropping it without [`FanoutSender::finish`] means
/// that the source broke off: every upload is aborted and nothing is completed.
pub struct FanoutSender {
    log: Arc<Log>,
}

/// Breaks a fan-out off from elsewhere, while the sender may be waiting for its source.
#[derive(Clone)]
pub struct FanoutBreaker {
    log: Arc<Log>,
}

impl FanoutBreaker {
    /// The source will not come to its end: every upload is aborted and nothing is completed.
    /// Changes nothing after [`FanoutSender::finish`].
    pub fn break_off(&self) {
        self.log.end(None);
    }

    /// Destinations that have no proved copy yet get nothing more, because it was waited for them
    /// for so long already. One that is just being completed may become an object all the same.
    pub fn give_up_stragglers(&self, after: Duration) {
        self.log.give_up_all(after);
    }
}

/// No destination is left; each one's own reason is in its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AllFailed {
    /// Every destination failed.
    #[error("every destination failed")]
    NobodyLeft,
    /// The summary is not of the length that was sent; nothing was completed.
    #[error("the summary has {summary_bytes} bytes, but {sent_bytes} were sent")]
    WrongLength {
        /// The length in the summary.
        summary_bytes: u64,
        /// The length of what was sent.
        sent_bytes: u64,
    },
}

impl FanoutSender {
    pub(super) fn new(log: Arc<Log>) -> Self {
        FanoutSender { log }
    }

    /// A handle that can break the fan-out off.
    #[must_use]
    pub fn breaker(&self) -> FanoutBreaker {
        FanoutBreaker { log: self.log.clone() }
    }

    /// Appends a block. Blocks only while even the fastest destination is slower than the
    /// source and the buffers are full.
    ///
    /// # Errors
    /// When no destination is left.
    pub fn send(&mut self, block: &Bytes) -> Result<(), AllFailed> {
        if block.is_empty() || self.log.append(block) { Ok(()) } else { Err(AllFailed::NobodyLeft) }
    }

    /// The source came to its proper end: the uploads are completed and read back.
    ///
    /// # Errors
    /// When no destination is left, or the summary is not that of what was sent.
    pub fn finish(self, summary: &Summary) -> Result<(), AllFailed> {
        if !self.log.has_readers() {
            return Err(AllFailed::NobodyLeft);
        }
        if self.log.end(Some(*summary)) {
            return Ok(());
        }
        let (summary_bytes, sent_bytes) = (summary.bytes, self.log.head());
        Err(AllFailed::WrongLength { summary_bytes, sent_bytes })
    }
}

impl Drop for FanoutSender {
    fn drop(&mut self) {
        // After `finish` this changes nothing.
        self.log.end(None);
    }
}
