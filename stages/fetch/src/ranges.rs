//! One object as several ranges on their way at once, handed on in order.
//!
//! A single stream from an object store is bound by its round trips; several are bound by the
//! network. Ranges are read by tasks of their own, so that they arrive while the one before is
//! being written out.
//!
//! Invariants: never more than [`RANGES_IN_FLIGHT`] ranges of [`RANGE_BYTES`] are in memory, the
//! one that is being written included. What arrives is compared with the manifest as a whole, by
//! the caller: a range has no checksum of its own.
//!
//! Either way a store that falls silent is given up.
//!
//! Does not: take a broken range up again; the store does that.

use bytes::Bytes;
use destinations::Opened;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::ops::Range;
use store::{Blocks, ErrorKind, Operation, StoreError};

/// How much is asked for at once.
pub(crate) const RANGE_BYTES: u64 = 8 << 20;
/// How many ranges are in memory at most: on their way, waiting for their turn, or being written.
pub(crate) const RANGES_IN_FLIGHT: usize = 6;

/// The whole of an object, range by range and in order. A range that fails ends it.
pub(crate) fn in_order(opened: &Opened, key: &str, object_bytes: u64) -> Blocks {
    let (opened, key) = (opened.clone(), key.to_owned());
    let reads = ranges(object_bytes).map(move |range| {
        let (opened, key) = (opened.clone(), key.clone());
        Reading(tokio::spawn(async move { read(&opened, &key, range).await }))
    });
    let ranges = stream::iter(reads).map(Reading::end).buffered(RANGES_IN_FLIGHT);
    ranges.map_ok(|blocks| stream::iter(blocks.into_iter().map(Ok))).try_flatten().boxed()
}

/// The whole of an object in one stream.
pub(crate) async fn in_one_stream(opened: &Opened, key: &str) -> Result<Blocks, StoreError> {
    let blocks = in_time(opened, key, opened.store.read(key, None)).await??;
    let state = (opened.clone(), key.to_owned(), blocks);
    let next = async |(opened, key, mut blocks): (Opened, String, Blocks)| {
        let block = in_time(&opened, &key, blocks.next()).await?.transpose()?;
        Ok(block.map(|block| (block, (opened, key, blocks))))
    };
    Ok(stream::try_unfold(state, next).boxed())
}

fn ranges(object_bytes: u64) -> impl Iterator<Item = Range<u64>> + Send + 'static {
    let count = object_bytes.div_ceil(RANGE_BYTES);
    (0..count).map(move |n| {
        let start = n * RANGE_BYTES;
        start..(start + RANGE_BYTES).min(object_bytes)
    })
}

/// A range on its way. One that nobody waits for any more is given up.
struct Reading(tokio::task::JoinHandle<Result<Vec<Bytes>, StoreError>>);

impl Reading {
    async fn end(mut self) -> Result<Vec<Bytes>, StoreError> {
        match (&mut self.0).await {
            Ok(read) => read,
            Err(e) => match e.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only this handle gives a task up, and it is still here.
                Err(e) => {
                    let kind = ErrorKind::Transient { said: e.to_string() };
                    Err(StoreError::new("", Operation::Read, "", kind))
                }
            },
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The blocks as they came: to join them would cost another copy.
async fn read(opened: &Opened, key: &str, range: Range<u64>) -> Result<Vec<Bytes>, StoreError> {
    let length = range.end - range.start;
    let (mut all, mut found) = (Vec::new(), 0);
    let mut blocks = in_time(opened, key, opened.store.read(key, Some(range))).await??;
    while let Some(block) = in_time(opened, key, blocks.next()).await?.transpose()? {
        found += block.len() as u64;
        if found > length {
            let kind = ErrorKind::TooLarge { bytes_max: length };
            return Err(StoreError::new(opened.store.name(), Operation::Read, key, kind));
        }
        all.push(block);
    }
    if found == length {
        return Ok(all);
    }
    let (expected, found) = (length.to_string(), found.to_string());
    let kind = ErrorKind::Corrupt { check: "length of the range", expected, found };
    Err(StoreError::new(opened.store.name(), Operation::Read, key, kind))
}

/// Waits for the store's next answer, but not for ever.
pub(crate) async fn in_time<T>(
    opened: &Opened,
    key: &str,
    answer: impl Future<Output = T>,
) -> Result<T, StoreError> {
    let stalled = ErrorKind::Stalled { after: opened.timeout };
    let answer = tokio::time::timeout(opened.timeout, answer).await;
    answer.map_err(|_| StoreError::new(opened.store.name(), Operation::Read, key, stalled))
}

#[cfg(test)]
mod tests;
