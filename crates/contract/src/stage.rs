//! How every stage begins and ends: arguments, umask, logs, and the one place where its error
//! becomes a message and an exit code.

use crate::{Exit, Failure, LogFormat, report};
use clap::Args;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where help lists the arguments that every program has, after its own.
pub const COMMON_HEADING: &str = "Options of every command";
const STREAMS_HEADING: &str = "Input and output";

/// Arguments that every stage has.
#[derive(Debug, Clone, Args)]
pub struct StageArgs {
    /// The pipeline's configuration; without it, defaults, options and LIFEBOAT__… variables
    #[arg(long, short = 'c', value_name = "FILE", env = "LIFEBOAT_CONFIG", global = true)]
    #[arg(hide_env_values = true, help_heading = COMMON_HEADING)]
    pub config: Option<PathBuf>,

    /// Take relative paths, here and in the configuration, from this directory
    #[arg(long, short = 'C', value_name = "DIR", global = true, help_heading = COMMON_HEADING)]
    pub directory: Option<PathBuf>,

    /// Logs: human (lines for people), json (one object a line), or auto (human on a terminal)
    #[arg(long, value_name = "FORMAT", env = "LIFEBOAT_LOG", default_value = "auto")]
    #[arg(global = true, help_heading = COMMON_HEADING)]
    #[arg(hide_env_values = true, hide_possible_values = true)]
    pub log: LogFormat,

    #[command(flatten)]
    /// The streams.
    pub streams: StreamArgs,
}

/// Where the bytes come from and go to.
#[derive(Debug, Clone, Default, Args)]
pub struct StreamArgs {
    /// The run's directory, where receipts are checked and written; without it, a plain filter
    #[arg(long, value_name = "DIR", env = "LIFEBOAT_RUN_DIR")]
    #[arg(hide_env_values = true, help_heading = STREAMS_HEADING)]
    pub run_dir: Option<PathBuf>,

    /// Read from this file or FIFO [default: standard input]
    #[arg(long, short = 'i', value_name = "FILE", help_heading = STREAMS_HEADING)]
    pub input: Option<PathBuf>,

    /// Write to this new file, or to this FIFO [default: standard output]
    #[arg(long, short = 'o', value_name = "FILE", help_heading = STREAMS_HEADING)]
    pub output: Option<PathBuf>,
}

/// Runs a stage: private umask, working directory, logs, then `run`, whose error is reported
/// here and nowhere else.
pub fn stage_main<T: Into<ExitCode>, E: Failure>(
    stage: &'static str,
    args: &StageArgs,
    run: impl FnOnce() -> Result<T, E>,
) -> ExitCode {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    crate::init_logs(args.log, stage);
    if let Err(failure) = crate::enough_files() {
        return report(&failure).into();
    }
    if let Some(directory) = &args.directory
        && let Err(e) = std::env::set_current_dir(directory)
    {
        tracing::error!(
            code = Exit::Usage.code(),
            causes = e.to_string(),
            hint = "name a directory that exists with -C",
            "cannot work in the directory {}",
            directory.display()
        );
        return Exit::Usage.into();
    }
    // The panic message is on stderr already; the exit code must still come from the table.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => report(&failure).into(),
        Err(_) => Exit::Bug.into(),
    }
}
