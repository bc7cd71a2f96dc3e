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
mod files;
mod job;
mod json;
mod log;
mod papers;
mod place;
mod plan;
mod print;
mod progress;
mod receipt;
mod run_dir;
mod stage;
mod stream;

pub mod drill;
pub mod facts;

pub use check::{Capability, CheckReport, Finding, Has, Level, worse};
pub use clock::Clock;
pub use digest::{Digest, Hasher, Tally, Written};
pub use exit::Exit;
pub use failure::{Blame, Failure, report};
pub use files::{TooFewFiles, enough_files};
pub use job::{Error, Job};
pub use json::{JsonError, brief, read_json};
pub use log::{LogFormat, human_line, init as init_logs, visible};
pub use papers::{GENERATE, SECTION_OF_STAGES, Shell, generated, man_page};
pub use place::Place;
pub use plan::{Plan, PlannedInput, Previous, RunId, Step};
pub use print::print;
pub use progress::{PROGRESS_TARGET, Progress};
pub use receipt::{Receipt, Waited};
pub use run_dir::{RunDir, RunDirError};
pub use stage::{COMMON_HEADING, StageArgs, StreamArgs, stage_main};
pub use stream::{Sink, Source, StreamError};
