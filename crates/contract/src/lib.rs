//! The stage contract: what makes separate programs one pipeline.
//!
//! Owns: the exit codes, the run directory with its plan and receipts, the streams between
//! stages, the logs and the way a stage begins and ends. `docs/stage-contract.md` says the
//! same for people who write a stage of their own.
//!
//! Does not: know etcd, compression, encryption or any store. Nothing here touches a network.

mod check;
mod clock;
mod digest;
mod exit;
mod failure;
mod job;
mod log;
mod plan;
mod print;
mod progress;
mod receipt;
mod run_dir;
mod stage;
mod stream;

pub mod facts;

pub use check::CheckReport;
pub use clock::Clock;
pub use digest::{Digest, Hasher};
pub use exit::Exit;
pub use failure::{Blame, Failure, report};
pub use job::{Error, Job};
pub use log::{LogFormat, human_line, init as init_logs, visible};
pub use plan::{Plan, Previous, RunId, Step};
pub use print::print;
pub use progress::{PROGRESS_TARGET, Progress};
pub use receipt::{Receipt, Waited};
pub use run_dir::{RunDir, RunDirError};
pub use stage::{COMMON_HEADING, StageArgs, StreamArgs, stage_main};
pub use stream::{Sink, Source, StreamError};
