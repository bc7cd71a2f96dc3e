//! One read of a source, poured into all destinations that want it.
//!
//! Invariant: nothing is completed unless every byte arrived and their SHA-256 is the expected one.

use crate::Halt;
use bytes::Bytes;
use destinations::Opened;
use futures::StreamExt;
use std::ops::Range;
use store::{
    ErrorKind, FanoutOptions, FanoutSender, Operation, Outcome, StoreError, Summary, Summer, Target,
};
use tokio::runtime::Handle;

/// What is read.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) opened: Opened,
    pub(crate) key: String,
    /// Whether it is to be given as it lies there: a whole object the store, or its client, checks
    /// and refuses to give when it is damaged.
    pub(crate) raw: bool,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// How the source ended.
pub(crate) enum Ended {
    /// With the expected bytes.
    Whole,
    /// With other bytes.
    Wrong(String),
    /// Before its end.
    Failed(StoreError),
    /// Nobody wanted it any more.
    Unread,
}

/// What became of the targets, in their order, and of the source.
pub(crate) async fn pour(
    source: Source,
    targets: Vec<Target>,
    options: FanoutOptions,
    halt: &Halt,
) -> (Vec<Outcome>, Ended) {
    let (name, key) = (source.opened.store.name().to_owned(), source.key.clone());
    let (sender, run) = store::fanout(targets, options);
    halt.watch(sender.breaker());
    let runtime = Handle::current();
    // What is poured may have to wait for the slowest, on a thread that may block.
    let pump = tokio::task::spawn_blocking(move || runtime.block_on(pump(&source, sender)));
    let outcomes = run.run().await;
    let ended = match pump.await {
        Ok(ended) => ended,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(e) => {
                let kind = ErrorKind::Transient { said: e.to_string() };
                Ended::Failed(StoreError::new(&name, Operation::Read, &key, kind))
            }
        },
    };
    (outcomes, ended)
}

async fn pump(source: &Source, mut sender: FanoutSender) -> Ended {
    match read(source, &mut sender).await {
        Err(e) => Ended::Failed(e),
        Ok(None) => Ended::Unread,
        Ok(Some(summary)) if summary.bytes != source.bytes => {
            Ended::Wrong(format!("it has {} bytes instead of {}", summary.bytes, source.bytes))
        }
        Ok(Some(summary)) if summary.sha256_hex() != source.sha256 => {
            let found = summary.sha256_hex();
            Ended::Wrong(format!("its SHA-256 is {found} instead of {}", source.sha256))
        }
        // Only here are the uploads completed; a sender that is dropped aborts them.
        Ok(Some(summary)) => match sender.finish(&summary) {
            Ok(()) => Ended::Whole,
            Err(_) => Ended::Unread,
        },
    }
}

/// None when there is nobody left to send to.
async fn read(source: &Source, sender: &mut FanoutSender) -> Result<Option<Summary>, StoreError> {
    let mut is_left = true;
    let summary = each_block(source, |block| {
        is_left = sender.send(block).is_ok();
        is_left
    });
    let summary = summary.await?;
    Ok(is_left.then_some(summary))
}

/// What the bytes of a source amount to, whatever they are.
pub(crate) async fn weigh(source: &Source) -> Result<Summary, StoreError> {
    each_block(source, |_| true).await
}

/// Gives every block to `take`, until it wants no more or there are more bytes than there should be.
async fn each_block(
    source: &Source,
    mut take: impl FnMut(&Bytes) -> bool,
) -> Result<Summary, StoreError> {
    let mut summer = Summer::default();
    let Source { opened, key, .. } = source;
    for range in source.ranges() {
        let mut blocks = in_time(opened, key, opened.store.read(key, range)).await??;
        while let Some(block) = in_time(opened, key, blocks.next()).await? {
            let block: Bytes = block?;
            summer.update(&block);
            if summer.bytes() > source.bytes || !take(&block) {
                return Ok(summer.summary());
            }
        }
    }
    Ok(summer.summary())
}

impl Source {
    /// A range that is the whole object is checked like one; two halves are not. No store gives an
    /// empty range.
    fn ranges(&self) -> Vec<Option<Range<u64>>> {
        let middle = self.bytes / 2;
        match self.raw {
            false => vec![None],
            true => [0..middle, middle..self.bytes]
                .into_iter()
                .filter(|range| !range.is_empty())
                .map(Some)
                .collect(),
        }
    }
}

/// Waits for the store's next answer, but not for ever.
async fn in_time<T>(
    opened: &Opened,
    key: &str,
    answer: impl Future<Output = T>,
) -> Result<T, StoreError> {
    let stalled = ErrorKind::Stalled { after: opened.timeout };
    let answer = tokio::time::timeout(opened.timeout, answer).await;
    answer.map_err(|_| StoreError::new(opened.store.name(), Operation::Read, key, stalled))
}
