//! Ranges of a store that counts what it was asked for, and answers out of order.

use super::*;
use async_trait::async_trait;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{Acknowledged, Blocks, Destination, Keeping, ObjectInfo, Stored, Upload};

/// An object of a made-up length whose bytes are told by their place.
struct Numbers {
    length: u64,
    asked: Mutex<Vec<Range<u64>>>,
    /// Bytes of ranges that were asked for and not yet handed on by the test.
    held: AtomicU64,
    held_max: AtomicU64,
    lie: Lie,
}

#[derive(Clone, Copy, PartialEq)]
enum Lie {
    No,
    /// The range that begins here is shorter than asked for.
    Short(u64),
    /// The range that begins here never comes.
    Silent(u64),
    /// Every range is answered with the whole.
    Whole,
}

/// Each mebibyte has a byte of its own.
fn bytes_of(range: Range<u64>) -> Bytes {
    let mut all = Vec::new();
    for start in (range.start..range.end).step_by(1 << 20) {
        let length = usize::try_from((1 << 20).min(range.end - start)).unwrap();
        let filled = all.len();
        all.resize(filled + length, u8::try_from((start >> 20) % 251).unwrap());
    }
    all.into()
}

#[async_trait]
impl Destination for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn location(&self) -> String {
        "memory".into()
    }

    async fn read(&self, _: &str, range: Option<Range<u64>>) -> store::Result<Blocks> {
        let whole = 0..self.length;
        let mut range = range.unwrap_or(whole.clone());
        self.asked.lock().unwrap().push(range.clone());
        let held = self.held.fetch_add(range.end - range.start, Ordering::SeqCst);
        self.held_max.fetch_max(held + range.end - range.start, Ordering::SeqCst);
        match self.lie {
            Lie::Short(at) if at == range.start => range.end -= 1,
            Lie::Silent(at) if at == range.start => std::future::pending().await,
            Lie::Whole => range = whole,
            _ => {}
        }
        // Every other range lets the next one overtake it.
        let pauses = if (range.start / RANGE_BYTES).is_multiple_of(2) { 50 } else { 0 };
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        let blocks = range
            .clone()
            .step_by(1 << 20)
            .map(move |start| Ok(bytes_of(start..(start + (1 << 20)).min(range.end))));
        Ok(stream::iter(blocks.collect::<Vec<_>>()).boxed())
    }

    async fn head(&self, _: &str) -> store::Result<Option<ObjectInfo>> {
        unimplemented!()
    }
    async fn create(
        &self,
        _: &str,
        _: &Keeping,
        _: Acknowledged,
    ) -> store::Result<Box<dyn Upload>> {
        unimplemented!()
    }
    async fn put_new(&self, _: &str, _: Bytes, _: &Keeping) -> store::Result<Stored> {
        unimplemented!()
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    async fn list(&self, _: &str) -> store::Result<Vec<ObjectInfo>> {
        unimplemented!()
    }
    async fn delete(&self, _: &str) -> store::Result<()> {
        unimplemented!()
    }
    async fn abort_stale_uploads(&self, _: &str, _: jiff::Timestamp) -> store::Result<Vec<String>> {
        unimplemented!()
    }
}

fn numbers(length: u64, lie: Lie) -> (Arc<Numbers>, Opened) {
    let store = Arc::new(Numbers {
        length,
        asked: Mutex::default(),
        held: AtomicU64::new(0),
        held_max: AtomicU64::new(0),
        lie,
    });
    let opened = Opened {
        written: config::Destination::default(),
        store: store.clone(),
        read_back: store::ReadBackMode::Full,
        timeout: match lie {
            Lie::Silent(_) => Duration::from_millis(50),
            _ => Duration::from_secs(600),
        },
        is_remote: true,
        lock_span: config::LockSpan::of(
            &config::Destination::default(),
            &config::Pipeline::default(),
        ),
        clock: contract::Clock::system(),
        trust: Arc::default(),
    };
    (store, opened)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    destinations::block_on(work).unwrap()
}

#[test]
fn every_byte_comes_once_and_in_order_whatever_the_length() {
    let odd = [RANGE_BYTES - 1, RANGE_BYTES, RANGE_BYTES + 1, 3 * RANGE_BYTES, 3 * RANGE_BYTES + 7];
    for length in odd {
        let (store, opened) = numbers(length, Lie::No);
        run(async {
            let mut place = 0;
            let mut ranges = in_order(&opened, "key", length);
            while let Some(block) = ranges.next().await.transpose().unwrap() {
                let end = place + block.len() as u64;
                assert!(block == bytes_of(place..end), "bytes {place} to {end} of {length}");
                place = end;
            }
            assert_eq!(place, length);
        });
        let mut asked = store.asked.lock().unwrap().clone();
        asked.sort_by_key(|range| range.start);
        assert_eq!(asked, ranges(length).collect::<Vec<_>>());
    }
}

/// However slow the writer is: what is in memory stays within the named limits.
#[test]
fn f50_memory_is_bounded_by_ranges_in_flight() {
    let count = 3 * RANGES_IN_FLIGHT as u64;
    let length = count * RANGE_BYTES;
    let (store, opened) = numbers(length, Lie::No);
    run(async {
        let mut ranges = in_order(&opened, "key", length);
        while let Some(block) = ranges.next().await.transpose().unwrap() {
            // A slow writer: the others have all the time to run ahead.
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            store.held.fetch_sub(block.len() as u64, Ordering::SeqCst);
        }
    });
    let limit = RANGES_IN_FLIGHT as u64 * RANGE_BYTES;
    let most = store.held_max.load(Ordering::SeqCst);
    assert!(most <= limit, "{most} bytes were in memory");
    assert!(most > 2 * RANGE_BYTES, "{most} bytes: nothing was read ahead");
}

#[test]
fn a_range_that_is_not_what_was_asked_for_ends_it() {
    for lie in [Lie::Short(2 * RANGE_BYTES), Lie::Silent(RANGE_BYTES), Lie::Whole] {
        let (_, opened) = numbers(4 * RANGE_BYTES, lie);
        let error = run(async {
            let mut ranges = in_order(&opened, "key", 4 * RANGE_BYTES);
            loop {
                match ranges.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(e)) => return e,
                    None => panic!("it came to an end"),
                }
            }
        });
        let fits = match lie {
            Lie::Silent(_) => matches!(error.kind(), ErrorKind::Stalled { .. }),
            Lie::Whole => matches!(error.kind(), ErrorKind::TooLarge { .. }),
            _ => matches!(error.kind(), ErrorKind::Corrupt { .. }),
        };
        assert!(fits, "{error}");
    }
}
