//! Copies, kept level: `lifeboat sync`, `lifeboat scrub`, and the repair at the end of a run.
//!
//! Owns: starting `lifeboat-sync` and `lifeboat-scrub`, which have the stores' credentials, and what
//! people see of their answers. What is inside a backup is looked at from here, through the stages of
//! the way back, because only those hold keys.
//!
//! Invariant: nothing here runs beside a backup of the same cluster on this machine, nor twice.

mod after_run;
mod args;
mod content;
mod lag;
mod program;
mod screen;
mod scrub;
mod sync;

pub(crate) use after_run::{Repair, repair};
pub(crate) use args::{SCRUB_AFTER, SYNC_AFTER, ScrubArgs, SyncArgs};
pub(crate) use lag::{is_lagging, lagging, told};
pub(crate) use scrub::scrub;
pub(crate) use sync::sync;
