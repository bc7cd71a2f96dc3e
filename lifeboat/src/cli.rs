//! The verbs and their arguments.

use crate::adopt::AdoptArgs;
use crate::copies::{self, ScrubArgs, SyncArgs};
use crate::doctor::{self, DoctorArgs};
use crate::drill;
use crate::error::Error;
use crate::restore::RestoreArgs;
use clap::{Args, Parser, Subcommand};
use contract::{COMMON_HEADING, LogFormat};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Backs up etcd and brings it back. Exit 0 means restorable.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const AFTER: &str = "\
Begin with:
  lifeboat init                        write a commented pipeline.toml, and edit it
  mkdir -m 700 keys
  lifeboat keygen keys/identity.txt > keys/recipients.txt
                                       make a key; keep the identity away from this machine
  lifeboat check                       can it work? what is to be mended?
  lifeboat run --dry-run               what would be done?
  lifeboat run                         make a backup
  lifeboat status                      am I safe?
  lifeboat drill                       would a restore succeed? rehearse one
  lifeboat sync                        bring every destination level with the others
  lifeboat scrub --sample 1/7          are the copies still what they were? read a seventh
  lifeboat doctor                      what is the matter with the cluster?
  lifeboat fetch -o snapshot.db        bring the newest backup back to a file
  lifeboat restore --plan              how to bring the cluster back, step by step

Each stage is also a command of its own: lifeboat capture, verify, compress, encrypt, replicate,
prune. Any other word runs the program lifeboat-WORD. Exit codes: docs/exit-codes.md.";

const AFTER_RUN: &str = "\
Exit codes: 0 every destination holds a proved copy, 40 enough of them do, but not all. Any other
code is that of the stage that failed: 10 and 30 may be tried again, the rest need a person
(docs/exit-codes.md). A failure before the commit leaves no backup behind.";

const AFTER_CHECK: &str = "\
It connects to etcd and begins a snapshot, writes, reads and deletes a small object in every
destination, and makes no backup.

Exit codes: 0 the next run can make a backup (also with warnings), else that of the failure which
most needs a person: 3 configuration, 11 credentials, 30 this machine, 10 something does not answer.";

const AFTER_STATUS: &str = "\
Exit codes: 0 safe, 40 copies of the newest backup are missing, 41 the newest backup is older than
run.stale_after or there is none, 10 no destination could be read; 22 a copy is forged, or the
newest backup was taken away, whatever else there is.";

const AFTER_FETCH: &str = "\
Examples:
  lifeboat fetch -o snapshot.db
  lifeboat fetch 20261120T02 -o snapshot.db --identity /media/usb/identity.txt
  lifeboat fetch --raw -o snapshot.db.zst.age

Without Lifeboat: age -d -i identity.txt X.db.zst.age | zstd -d > snapshot.db
Then: etcdutl snapshot restore snapshot.db --data-dir DIR (etcdctl, before etcd 3.5)

Exit codes: 0 proved and written, 20 every copy is damaged, 21 no identity opens it, 22 every copy
is forged, 41 there is no such backup.";

/// What every verb understands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// The pipeline's configuration [default: pipeline.toml, else /etc/lifeboat/pipeline.toml]
    #[arg(long, short = 'c', value_name = "FILE", env = "LIFEBOAT_CONFIG", global = true)]
    #[arg(hide_env_values = true, help_heading = COMMON_HEADING)]
    config: Option<PathBuf>,
    /// Take relative paths, here and in the configuration, from this directory
    #[arg(long, short = 'C', value_name = "DIR", global = true, help_heading = COMMON_HEADING)]
    directory: Option<PathBuf>,
    /// Logs: human (lines for people), json (one object a line), or auto (human on a terminal)
    #[arg(long, value_name = "FORMAT", env = "LIFEBOAT_LOG", default_value = "auto")]
    #[arg(global = true, help_heading = COMMON_HEADING)]
    #[arg(hide_env_values = true, hide_possible_values = true)]
    pub(crate) log: LogFormat,
}

const CONFIG_PLACES: [&str; 2] = ["pipeline.toml", "/etc/lifeboat/pipeline.toml"];

impl Common {
    /// Works in the directory that `-C` names. The configuration is found relative to it, too.
    pub(crate) fn enter_directory(&self) -> Result<(), Error> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        std::env::set_current_dir(directory)
            .map_err(|source| Error::Directory { path: directory.clone(), source })
    }

    /// Where the configuration is.
    pub(crate) fn config_path(&self) -> Result<PathBuf, Error> {
        let path = match &self.config {
            Some(path) => path.clone(),
            None => CONFIG_PLACES
                .iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
                .ok_or(Error::NoConfig)?,
        };
        std::path::absolute(&path).map_err(|source| Error::Directory { path, source })
    }

    /// The configuration's path, if a command that is printed has to name it: it is not where it is
    /// looked for.
    pub(crate) fn config_to_name(&self) -> Result<Option<PathBuf>, Error> {
        let is_usual = |path: &PathBuf| CONFIG_PLACES.iter().any(|usual| path == Path::new(usual));
        match self.config.as_ref().filter(|path| !is_usual(path)) {
            Some(_) => self.config_path().map(Some),
            None => Ok(None),
        }
    }

    /// Loads it.
    pub(crate) fn pipeline(&self) -> Result<config::Pipeline, Error> {
        Ok(config::Pipeline::load(Some(&self.config_path()?))?)
    }

    /// The format of logs, as `--log` takes it.
    pub(crate) fn log_format(&self) -> &'static str {
        match self.log {
            LogFormat::Auto => "auto",
            LogFormat::Human => "human",
            LogFormat::Json => "json",
        }
    }

    /// Whether logs are lines for people.
    pub(crate) fn logs_are_human(&self) -> bool {
        match self.log {
            LogFormat::Auto => std::io::stderr().is_terminal(),
            LogFormat::Human => true,
            LogFormat::Json => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make one backup: run the whole pipeline
    #[command(after_help = AFTER_RUN)]
    Run(RunArgs),
    /// Make a run directory with a plan, for stages that are started one by one
    Plan(PlanArgs),
    /// Look at everything that could be wrong, and say what to mend
    #[command(after_help = AFTER_CHECK)]
    Check(OutputArgs),
    /// List the backups of the cluster in all destinations, newest first
    List(OutputArgs),
    /// Show everything about one backup, and how to bring it back
    Show(ShowArgs),
    /// Answer "am I safe?" in one line and with the exit code
    #[command(after_help = AFTER_STATUS)]
    Status(OutputArgs),
    /// Bring one backup back to a file: fetch, decrypt, decompress, verify
    #[command(after_help = AFTER_FETCH)]
    Fetch(FetchArgs),
    /// Bring a backup back to a data directory that etcd starts from, or print the whole recovery
    #[command(after_help = crate::restore::AFTER)]
    Restore(Box<RestoreArgs>),
    /// Make backups of files that other tools made: proved, compressed, encrypted, stored
    #[command(after_help = crate::adopt::AFTER)]
    Adopt(AdoptArgs),
    /// Rehearse a restore: prove a backup in a scratch directory, and mark it
    #[command(after_help = drill::AFTER)]
    Drill(drill::DrillArgs),
    /// Bring every destination level: copy what one lacks from another, no key needed
    #[command(after_help = copies::SYNC_AFTER)]
    Sync(SyncArgs),
    /// Read copies back, compare every byte, and repair what is damaged
    #[command(after_help = copies::SCRUB_AFTER)]
    Scrub(Box<ScrubArgs>),
    /// Look at a sick cluster: which case is it, restore or not, what to type
    #[command(after_help = doctor::AFTER)]
    Doctor(Box<DoctorArgs>),
    /// Run a program of your own as a step of a run, with a receipt
    Wrap(WrapArgs),
    /// Write a commented pipeline.toml to begin with
    Init(InitArgs),
    /// Print a completion script, for all programs: source <(lifeboat completions bash)
    Completions(CompletionsArgs),
    /// Write the man pages of all programs into a directory
    Man(ManArgs),
    #[command(external_subcommand)]
    External(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the result (or the plan) as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw no progress bar
    #[arg(long)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The directory to make. Give the same one to every stage of the run
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: PathBuf,
    /// Also make a FIFO for each step's output in this directory, as NN-stage.pipe
    #[arg(long, value_name = "DIR")]
    pub(crate) fifos: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// JSON on standard output, as described in docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The backup: `latest`, its name, or how its name begins
    #[arg(default_value = "latest")]
    pub(crate) backup: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// The backup: `latest`, its name, or how its name begins
    #[arg(default_value = "latest")]
    pub(crate) backup: String,
    /// The file to write. It must not exist, and appears only when everything was proved
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Take it from this destination only [default: the first with a verified copy]
    #[arg(long, value_name = "DESTINATION")]
    pub(crate) from: Option<String>,
    /// An identity that opens it; can be given several times [default: those of [decrypt]]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Write the artifact as it is stored, encrypted; no identity is needed
    #[arg(long)]
    pub(crate) raw: bool,
    /// Draw no progress bar
    #[arg(long)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WrapArgs {
    /// The program's name under [programs]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) streams: contract::StreamArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The file to write; it must not exist
    #[arg(default_value = "pipeline.toml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to understand it
    pub(crate) shell: contract::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The directory: verbs in section 1, programs of the stages in section 8, files private
    #[arg(value_name = "DIR")]
    pub(crate) into: PathBuf,
}
