//! A destination that is written and read no faster than it may be.
//!
//! Owns the pace: bytes wait their turn before they go to the backend, and again after they come
//! from it, in pieces of about a second. Everybody who uses the destination at once shares the one
//! limit. What a backend has taken it may send in bursts of its own, a part at a time; over a part
//! the limit holds. A small object does not wait: it is counted, and the next bytes wait for it.
//!
//! Waiting here is no stall: [`Acknowledged`] is told that all is well.
//!
//! Every method is passed on: one that is added to [`Destination`] with a default has to be added
//! here too. Does not: pace listings and other requests without bytes.

use crate::{
    Acknowledged, Blocks, Destination, Examine, Keeping, ObjectInfo, Result, Stored, Summary,
    Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The least that goes at once, whatever the limit: pieces of a few bytes would cost more than they
/// spare.
const PIECE_BYTES_MIN: u64 = 4 << 10;

/// A destination with a limit.
pub struct Throttled {
    inner: Arc<dyn Destination>,
    pace: Pace,
}

impl Throttled {
    /// `inner`, with at most so many bytes in a second, there and back together.
    #[must_use]
    pub fn new(inner: Arc<dyn Destination>, bytes_per_second_max: u64) -> Self {
        Throttled { inner, pace: Pace::new(bytes_per_second_max) }
    }
}

/// When the next byte may go; clones share it.
#[derive(Clone)]
struct Pace {
    bytes_per_second: u64,
    free_at: Arc<Mutex<Instant>>,
}

impl Pace {
    fn new(bytes_per_second_max: u64) -> Self {
        let free_at = Arc::new(Mutex::new(Instant::now()));
        Pace { bytes_per_second: bytes_per_second_max.max(1), free_at }
    }

    /// Counts bytes that go now, and says when those before them are through.
    fn count(&self, bytes: usize, now: Instant) -> Instant {
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*free_at).max(now);
        *free_at = begin.checked_add(takes).unwrap_or(begin);
        begin
    }

    /// Waits for the turn of so many bytes.
    async fn turn(&self, bytes: usize) {
        tokio::time::sleep_until(self.count(bytes, Instant::now())).await;
    }

    /// Cuts off what may go at once.
    fn piece(&self, block: &mut Bytes) -> Bytes {
        let most =
            usize::try_from(self.bytes_per_second.max(PIECE_BYTES_MIN)).unwrap_or(usize::MAX);
        block.split_to(most.min(block.len()))
    }
}

#[async_trait]
impl Destination for Throttled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn store_time(&self) -> Option<Timestamp> {
        self.inner.store_time()
    }

    async fn create(
        &self,
        key: &str,
        keeping: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>> {
        let inner = self.inner.create(key, keeping, acknowledged.clone()).await?;
        Ok(Box::new(ThrottledUpload { inner, pace: self.pace.clone(), acknowledged }))
    }

    async fn put_new(&self, key: &str, bytes: Bytes, keeping: &Keeping) -> Result<Stored> {
        self.pace.count(bytes.len(), Instant::now());
        self.inner.put_new(key, bytes, keeping).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.inner.head(key).await
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Blocks> {
        let (blocks, pace) = (self.inner.read(key, range).await?, self.pace.clone());
        let paced = blocks.map_ok(move |block| {
            let pace = pace.clone();
            stream::try_unfold(block, move |mut block| {
                let pace = pace.clone();
                async move {
                    if block.is_empty() {
                        return Ok(None);
                    }
                    let piece = pace.piece(&mut block);
                    pace.turn(piece.len()).await;
                    Ok(Some((piece, block)))
                }
            })
        });
        Ok(paced.try_flatten().boxed())
    }

    async fn copy_from(
        &self,
        source: &dyn Destination,
        key: &str,
        bytes: u64,
        keeping: &Keeping,
    ) -> Result<Option<Stored>> {
        self.inner.copy_from(source, key, bytes, keeping).await
    }

    fn as_any(&self) -> &dyn Any {
        self.inner.as_any()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.inner.list(prefix).await
    }

    async fn must_not_be_locked(&self, key: &str, now: Timestamp, expected: bool) -> Result<()> {
        self.inner.must_not_be_locked(key, now, expected).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn abort_stale_uploads(
        &self,
        prefix: &str,
        begun_before: Timestamp,
    ) -> Result<Vec<String>> {
        self.inner.abort_stale_uploads(prefix, begun_before).await
    }

    fn examine(&self) -> Option<&dyn Examine> {
        self.inner.examine()
    }

    fn audit(&self, info: &ObjectInfo, keeping: &Keeping) -> Result<()> {
        self.inner.audit(info, keeping)
    }

    async fn confirm(&self, info: ObjectInfo, keeping: &Keeping) -> Result<ObjectInfo> {
        self.inner.confirm(info, keeping).await
    }
}

struct ThrottledUpload {
    inner: Box<dyn Upload>,
    pace: Pace,
    acknowledged: Acknowledged,
}

#[async_trait]
impl Upload for ThrottledUpload {
    async fn write(&mut self, mut block: Bytes) -> Result<()> {
        while !block.is_empty() {
            let piece = self.pace.piece(&mut block);
            self.pace.turn(piece.len()).await;
            self.acknowledged.alive();
            self.inner.write(piece).await?;
        }
        Ok(())
    }

    async fn complete(&mut self, summary: &Summary) -> Result<Stored> {
        self.inner.complete(summary).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit of 10,000 bytes in a second: so many seconds for so many bytes, whoever asks.
    #[test]
    fn bytes_wait_their_turn() {
        let pace = Pace::new(10_000);
        let begin = *pace.free_at.lock().unwrap();
        let turn = |bytes, after| (pace.count(bytes, begin + after) - begin).as_millis();
        let second = Duration::from_secs(1);
        assert_eq!(turn(10_000, Duration::ZERO), 0, "the first ones wait for nobody");
        assert_eq!(turn(5_000, Duration::ZERO), 1_000);
        assert_eq!(turn(20_000, Duration::ZERO), 1_500);
        assert_eq!(turn(1, second), 3_500);
        // Time that nobody used is not saved up.
        assert_eq!(turn(10_000, second * 100), 100_000);
        assert_eq!(turn(1, second * 100), 101_000);
    }

    #[test]
    fn a_piece_is_about_a_second() {
        for (rate, expected) in [(1, 4_096), (10_000, 10_000), (u64::MAX, 50_000)] {
            let mut block = Bytes::from(vec![0; 50_000]);
            let piece = Pace::new(rate).piece(&mut block);
            assert_eq!((piece.len(), block.len()), (expected, 50_000 - expected));
        }
    }
}
