//! One source, many destinations at once, each for itself.
//!
//! The source pushes blocks through a [`FanoutSender`] from a thread that may block; a
//! [`FanoutRun`] carries them to every destination. Between them lies one log ([`log`]) with a
//! cursor per destination: memory first, then a spool file without a name, so that a slow
//! destination holds up neither the others nor the source.
//!
//! Invariants: nothing is completed before [`FanoutSender::finish`]; a sender that is merely
//! dropped means that the source broke off, and every upload is aborted. A destination that
//! fails is given up and the others go on. Memory is bounded by `ram_bytes_max` and the parts
//! that uploads hold; disk by `spool_bytes_max`; time by `stall_timeout`.
//!
//! Does not: write manifests, or decide how many copies are enough.

mod carry;
mod log;
mod reader;
mod sender;
mod spool;

pub use sender::{AllFailed, FanoutBreaker, FanoutSender};

use crate::{
    Acknowledged, Destination, Keeping, ReadBack, ReadBackMode, Result, StoreError, Stored, Summary,
};
use log::Log;
use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Limits of a fan-out.
#[derive(Debug, Clone)]
pub struct FanoutOptions {
    /// Bytes that the log holds in memory.
    pub ram_bytes_max: u64,
    /// Bytes that the spool file may have; 0 for none.
    pub spool_bytes_max: u64,
    /// Where the spool file is made when it is first needed: a private directory.
    pub scratch_dir: PathBuf,
}

impl FanoutOptions {
    /// 64 MiB of memory, 16 GiB of spool in `scratch_dir`.
    #[must_use]
    pub fn new(scratch_dir: impl Into<PathBuf>) -> Self {
        FanoutOptions {
            ram_bytes_max: 64 << 20,
            spool_bytes_max: 16 << 30,
            scratch_dir: scratch_dir.into(),
        }
    }
}

/// Where one copy goes, and how much patience it deserves.
pub struct Target {
    /// The destination.
    pub destination: Arc<dyn Destination>,
    /// The key of the object in it.
    pub key: String,
    /// How the store is to keep it.
    pub keeping: Keeping,
    /// How long it may go without acknowledging a byte.
    pub stall_timeout: Duration,
    /// How thoroughly the copy is read back.
    pub read_back: ReadBackMode,
}

impl Target {
    /// A copy that is read back in full, and is given up after five minutes without progress.
    #[must_use]
    pub fn new(destination: Arc<dyn Destination>, key: impl Into<String>) -> Self {
        Target {
            destination,
            key: key.into(),
            keeping: Keeping::default(),
            stall_timeout: Duration::from_secs(300),
            read_back: ReadBackMode::Full,
        }
    }
}

/// What became of one copy.
#[derive(Debug)]
pub struct Outcome {
    /// The destination's name.
    pub destination: String,
    /// The key of the object in it.
    pub key: String,
    /// The copy, completed and read back; or why there is none that counts.
    pub result: Result<Kept>,
    /// Whether this very fan-out made the object, whatever it turned out to be when it was read
    /// back. One that was there already may belong to somebody else.
    pub made: bool,
    /// How far it fell behind.
    pub lag: Lag,
}

/// A copy that was completed and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What the store said when it took it.
    pub stored: Stored,
    /// What reading it back proved.
    pub read_back: ReadBack,
}

/// How far a destination fell behind the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// The largest distance from the source, in bytes.
    pub behind_bytes_max: u64,
    /// Bytes that it took from the spool file.
    pub spooled_bytes: u64,
}

/// A fan-out about to run.
pub struct FanoutRun {
    copies: Vec<carry::Copy>,
}

/// Prepares a fan-out. The sender may be used before [`FanoutRun::run`] is called.
#[must_use]
pub fn fanout(targets: Vec<Target>, options: FanoutOptions) -> (FanoutSender, FanoutRun) {
    let log = Log::new(targets.len(), options);
    let copies = targets.into_iter().zip(log.readers());
    let copies = copies.map(|(target, reader)| carry::Copy {
        target,
        reader,
        acknowledged: Acknowledged::default(),
        made: false,
    });
    let run = FanoutRun { copies: copies.collect() };
    (FanoutSender::new(log), run)
}

impl FanoutRun {
    /// The bytes that each destination acknowledged, in the order of the targets.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.copies.iter().map(|copy| copy.acknowledged.clone()).collect()
    }

    /// Begins to carry everything to its destinations.
    #[must_use]
    pub fn start(self) -> Outcomes {
        let mut tasks = JoinSet::new();
        for (index, copy) in self.copies.into_iter().enumerate() {
            tasks.spawn(async move { (index, copy.carry().await) });
        }
        Outcomes { tasks, panic: None }
    }

    /// Carries everything to its destinations; one outcome for each target, in their order.
    /// Dropping the future gives everything up without aborting the uploads in the stores.
    ///
    /// # Panics
    /// As [`Outcomes::next`].
    pub async fn run(self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut carried = self.start();
        while let Some(outcome) = carried.next_with_index().await {
            outcomes.push(outcome);
        }
        outcomes.sort_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

/// A fan-out under way: one outcome for each destination, as each comes to its end. Dropping it
/// gives everything up without aborting the uploads in the stores.
pub struct Outcomes {
    tasks: JoinSet<(usize, Outcome)>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Outcomes {
    /// The next destination that has come to its end; `None` after the last one. A call that is
    /// cancelled loses none.
    ///
    /// # Panics
    /// With the panic of a destination, after the others have ended.
    pub async fn next(&mut self) -> Option<Outcome> {
        self.next_with_index().await.map(|(_, outcome)| outcome)
    }

    async fn next_with_index(&mut self) -> Option<(usize, Outcome)> {
        while let Some(joined) = self.tasks.join_next().await {
            match joined {
                Ok(outcome) => return Some(outcome),
                Err(e) => self.panic = e.try_into_panic().ok().or(self.panic.take()),
            }
        }
        match self.panic.take() {
            Some(panic) => std::panic::resume_unwind(panic),
            None => None,
        }
    }
}

/// What a destination gets next.
enum Next {
    Block(bytes::Bytes),
    End(Summary),
}

/// Why a destination gets nothing more.
enum Cut {
    /// The source broke off.
    Broken,
    /// This destination fell too far behind, or took too long after the others.
    Off(crate::ErrorKind),
    /// The spool file could not be read.
    Spool(std::io::Error),
}

impl Cut {
    fn into_error(self, copy: &carry::Place) -> StoreError {
        let kind = match self {
            Cut::Broken => crate::ErrorKind::SourceBroke,
            Cut::Off(kind) => kind,
            Cut::Spool(e) => crate::error::local("read", "(spool file)", e),
        };
        copy.error(kind)
    }
}
