//! The destinations that `pipeline.toml` names: opened, listed, read.
//!
//! Owns: the way from configuration to the `store` crate, from a listing to a catalogue, and
//! from a store's error to an exit code. Every stage that talks to stores goes through here.
//!
//! Does not: know how any store works, or decide anything about backups.

mod check;
mod error;
mod matrix;
mod memory;
mod mounts;
mod read;
mod settings;

pub use check::{Checked, check_all, look_all};
pub use error::{Error, exit_of};
pub use memory::log_bytes_max;
pub use read::{read_all, read_one, read_opened};
pub use settings::{Opened, open_all, open_one};

/// Runs a stage's future on a runtime of its own.
///
/// # Panics
/// Never in practice: the runtime needs nothing but threads and an epoll descriptor.
///
/// # Errors
/// [`Error::Runtime`] when the system refuses those.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Error> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let output = runtime.block_on(future);
    // A thread that still waits for standard input must not hold up the end.
    runtime.shutdown_background();
    Ok(output)
}
