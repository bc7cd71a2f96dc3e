//! What can go wrong in the front.

use contract::{Blame, Exit, Failure, Tally};
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Policy(#[from] level::BadPolicy),
    #[error(transparent)]
    Restore(#[from] crate::restore::Error),
    #[error(transparent)]
    RunDir(#[from] contract::RunDirError),
    #[error(transparent)]
    Stage(#[from] contract::Error),
    #[error(transparent)]
    File(#[from] durable::Error),
    #[error("there is no pipeline.toml here, and none in /etc/lifeboat")]
    NoConfig,
    #[error("cannot work in the directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("there is no program {0:?} beside lifeboat, and none on the PATH")]
    NoProgram(String),
    #[error("there is no verb {verb:?}, and no program \"lifeboat-{verb}\" on the PATH")]
    UnknownVerb { verb: String, near: Option<String> },
    #[error("cannot write {}: there is no directory {}", file.display(), directory.display())]
    NoDirectory { file: PathBuf, directory: PathBuf },
    #[error("{} has too little room: {needed} bytes are needed and {free} are free", directory.display())]
    NoRoom { directory: PathBuf, needed: u64, free: u64 },
    #[error("cannot read {}", path.display())]
    NoFile { path: PathBuf, source: io::Error },
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} would be of {taken_at}, which cannot be", path.display())]
    OddTime { path: PathBuf, taken_at: jiff::Timestamp },
    #[error("--taken-at and --name are for one file")]
    OneFile,
    #[error("cannot start {program:?}")]
    Start { program: String, source: io::Error },
    #[error("cannot make a pipe")]
    Pipe(#[source] io::Error),
    #[error("cannot make the FIFO {}", path.display())]
    Fifo { path: PathBuf, source: io::Error },
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("another run for cluster {cluster:?} is at work")]
    Busy { cluster: String },
    #[error("{program} ended with exit code {code}")]
    Program { program: String, code: i32 },
    #[error("{program} was killed by signal {signal}")]
    Killed { program: String, signal: i32 },
    #[error("{program:?} gave no answer within {seconds} s, and was ended")]
    NoAnswer { program: String, seconds: u64 },
    #[error("program {name:?} ended with {status}")]
    OwnProgram { name: String, status: String, exit: Exit },
    #[error("program {name:?} stopped reading after {bytes} bytes, before the end of its input")]
    NotRead { name: String, bytes: u64 },
    #[error("program {name:?} read {read} and wrote {wrote}")]
    Changed { name: String, read: Tally, wrote: Tally },
    #[error("there is no program {0:?} under [programs]")]
    UnknownProgram(String),
    #[error("{program} printed something that cannot be understood: {problem}")]
    Garbled { program: String, problem: String },
    #[error("cluster {cluster:?} has no backup {wanted:?}{}", as_far_as_seen(.unreadable))]
    NoBackup { cluster: String, wanted: String, unreadable: Vec<(String, String)>, exit: Exit },
    #[error("cluster {cluster:?} has no verified copy of any backup: {}", plural_broken(*.copies))]
    NoneVerified { cluster: String, copies: usize, exit: Exit },
    #[error("there is no destination {name:?} in the configuration")]
    UnknownDestination { name: String, known: Vec<String> },
    #[error("{wanted:?} is how {count} backups begin")]
    Ambiguous { wanted: String, count: usize },
    #[error("no destination has a verified copy of {backup}: {why}")]
    NoCopy { backup: String, why: String, exit: Exit },
    #[error("{backup} was made with program {program:?}, which only you can undo")]
    CannotUndo { backup: String, program: String },
    #[error("{}", unfit(.0))]
    Unfit(Box<contract::Finding>),
    #[error("there is no etcd here, and three members of it are wanted")]
    NoEtcd,
    #[error("no free port on loopback")]
    NoPort(#[source] io::Error),
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl Error {
    /// The next step, where it is the same for all of a kind.
    fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Error::NoConfig => "name it with --config, or write one with `lifeboat init`",
            Error::NoProgram(_) => "install it beside lifeboat; they are of one version",
            Error::UnknownVerb { .. } => "see `lifeboat --help` for the verbs",
            Error::Directory { .. } => "name a directory that exists with -C",
            Error::NoDirectory { .. } => "make it first, or choose another place",
            Error::NoFile { .. } => "check its name, and that this user may read it",
            Error::NotAFile(_) => "name the files in it",
            Error::OddTime { .. } => {
                "say when it was taken, such as --taken-at 2026-11-20T02:14:00Z"
            }
            Error::OneFile => "adopt that one by itself",
            Error::NoRoom { .. } => "make room, or choose another place",
            Error::Program { .. } => "look at what it said above",
            Error::Killed { .. } => {
                "run it again; if it is killed again, look at this machine's memory"
            }
            Error::NoAnswer { .. } => "`lifeboat check` says which destination hangs",
            Error::Busy { .. } => "wait for it; the lock goes with its process",
            Error::NoneVerified { exit: Exit::Forged, .. }
            | Error::NoCopy { exit: Exit::Forged, .. } => {
                "if it is yours: [trust] unsigned_until lets in what is from before you signed, signers \
                 what another key of yours signed; if not, see docs/recovery.md"
            }
            Error::NoneVerified { .. } => {
                "`lifeboat list` says what is wrong with each; a suspect one can be fetched by its \
                 name"
            }
            Error::NoBackup { .. } => "`lifeboat list` shows what there is",
            Error::Ambiguous { .. } => "write more of the name; `lifeboat list` shows it",
            Error::NoCopy { exit: Exit::Unsupported, .. } => {
                "upgrade Lifeboat to the version that made it, or a later one"
            }
            Error::NoCopy { .. } => "`lifeboat list` shows the state of every copy",
            Error::CannotUndo { .. } => "fetch it with --raw and undo the steps by hand",
            Error::Start { source, .. } if is_missing(source) => {
                "correct its command in pipeline.toml, or install it"
            }
            Error::NoEtcd => "install etcd, or name its program with --etcd",
            Error::NotRead { .. } => "a step must read its input to the end",
            _ => return None,
        })
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Config(e) => e.exit(),
            Error::Restore(e) => e.exit(),
            Error::RunDir(e) => e.exit(),
            Error::Stage(e) => e.exit(),
            Error::File(durable::Error::AlreadyExists(_)) => Exit::Usage,
            Error::File(_) | Error::Lock { .. } | Error::Pipe(_) | Error::Fifo { .. } => {
                Exit::LocalDisk
            }
            Error::NoConfig | Error::Policy(_) | Error::UnknownProgram(_) => Exit::Config,
            Error::Directory { .. } | Error::NoDirectory { .. } => Exit::Usage,
            Error::NoProgram(_) | Error::UnknownVerb { .. } => Exit::Usage,
            Error::Ambiguous { .. } | Error::OneFile | Error::NoFile { .. } => Exit::Usage,
            Error::NotAFile(_) | Error::OddTime { .. } => Exit::Usage,
            Error::NoEtcd => Exit::Config,
            Error::NoPort(_) => Exit::Transient,
            Error::Start { source, .. } if is_missing(source) => Exit::Config,
            Error::Start { .. } | Error::Garbled { .. } => Exit::Bug,
            Error::Busy { .. } => Exit::Busy,
            Error::Program { code, .. } => Exit::from_code(*code).unwrap_or(Exit::Bug),
            Error::Killed { .. } | Error::NoAnswer { .. } => Exit::Transient,
            Error::OwnProgram { exit, .. } => *exit,
            Error::NotRead { .. } | Error::Changed { .. } => Exit::Corrupt,
            Error::NoBackup { exit, .. } => *exit,
            Error::UnknownDestination { .. } => Exit::Usage,
            Error::NoneVerified { exit, .. } => *exit,
            Error::NoCopy { exit, .. } => *exit,
            Error::CannotUndo { .. } => Exit::Unsupported,
            Error::Unfit(finding) => {
                let code = finding.exit.unwrap_or(Exit::Bug.code());
                Exit::from_code(code.into()).unwrap_or(Exit::Bug)
            }
            Error::Output(_) | Error::NoRoom { .. } => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Config(e) => e.hint(),
            Error::Restore(e) => e.hint(),
            Error::RunDir(e) => e.hint(),
            Error::Stage(e) => e.hint(),
            Error::File(e) => e.hint().map(str::to_owned),
            Error::UnknownVerb { near: Some(near), .. } => {
                Some(format!("did you mean `lifeboat {near}`?"))
            }
            Error::NoBackup { unreadable, .. } if !unreadable.is_empty() => {
                let names: Vec<&str> = unreadable.iter().map(|(name, _)| name.as_str()).collect();
                Some(format!("`lifeboat list` says why {} could not be read", names.join(", ")))
            }
            Error::UnknownDestination { known, .. } => {
                Some(format!("the destinations are {}", known.join(", ")))
            }
            Error::UnknownProgram(name) => Some(format!("describe it under [programs.{name}]")),
            Error::Changed { name, .. } => Some(format!(
                "a program that changes the bytes needs a suffix under [programs.{name}]; any \
                 other one must write what it read"
            )),
            Error::Unfit(finding) => finding.next.clone(),
            _ => self.advice().map(str::to_owned),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Stage(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}

/// Whether a program could not be started because it is not there, or is none.
fn is_missing(source: &io::Error) -> bool {
    matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

/// What could not be read may well have it.
fn as_far_as_seen(unreadable: &[(String, String)]) -> String {
    unreadable.iter().map(|(_, problem)| format!("; {problem}")).collect()
}

fn plural_broken(copies: usize) -> String {
    match copies {
        1 => "the only copy is broken, forged or suspect".into(),
        n => format!("all {n} copies are broken, forged or suspect"),
    }
}

fn unfit(finding: &contract::Finding) -> String {
    match finding.about.as_str() {
        "" => finding.detail.clone(),
        about => format!("{about}: {}", finding.detail),
    }
}
