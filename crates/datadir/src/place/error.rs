//! Why a target is refused, or could not be written.

use super::owner::Owner;
use std::io;
use std::path::PathBuf;

/// How many names of a directory a message shows.
pub(super) const SHOWN_MAX: usize = 3;

/// What kind of error it is; the stage maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceClass {
    /// A guard stopped it: a person decides.
    Refused,
    /// The local disk is full, failing or not writable.
    Local,
}

/// A refusal, before anything was written unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The path has no last component, such as `/` or `..`.
    #[error("{} does not name a directory of its own", .0.display())]
    NoName(PathBuf),
    /// The directory above is missing.
    #[error("{} does not exist, so nothing can be put there", .0.display())]
    NoParent(PathBuf),
    /// Something else has the name.
    #[error("{} is a {what}, not a directory", path.display())]
    NotADirectory {
        /// The target.
        path: PathBuf,
        /// `symbolic link` or `file`.
        what: &'static str,
    },
    /// Something is in the target.
    #[error("{} is not empty: it holds {found}", path.display())]
    NotEmpty {
        /// The target.
        path: PathBuf,
        /// Some of the names in it.
        found: String,
    },
    /// What would be moved aside is not etcd's.
    #[error("{} is no {kind} directory of etcd: it holds {found}", path.display())]
    NotOfEtcd {
        /// The target.
        path: PathBuf,
        /// `data` or `WAL`.
        kind: &'static str,
        /// Some of the names in it.
        found: String,
    },
    /// An etcd has locked a file of the target.
    #[error("an etcd is running on {}: {} is locked{by}", path.display(), file.display())]
    Running {
        /// The target.
        path: PathBuf,
        /// The locked file.
        file: PathBuf,
        /// ` by process N (name)`, or nothing when it cannot be told.
        by: String,
    },
    /// Whether an etcd has locked a file of the target cannot be told.
    #[error(
        "it cannot be told whether an etcd is running on {}: the kernel has no lock to try on {}",
        path.display(),
        file.display()
    )]
    LocksUnknown {
        /// The target.
        path: PathBuf,
        /// The file.
        file: PathBuf,
    },
    /// The target cannot be looked at.
    #[error("cannot look at {}", path.display())]
    Unreadable {
        /// What was looked at.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Nothing can be written beside the target.
    #[error("cannot write in {}", path.display())]
    NotWritable {
        /// The directory in which it would be written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file system is too full.
    #[error(
        "the file system of {} has {free_bytes} bytes free; the restore needs {needed_bytes}",
        path.display()
    )]
    NoRoom {
        /// A directory on it.
        path: PathBuf,
        /// What is needed, in bytes.
        needed_bytes: u64,
        /// What is free for this user, in bytes.
        free_bytes: u64,
    },
    /// The new files cannot be given to their owner.
    #[error(
        "{} must belong to {owner}{why}, but this user ({me}) may not give files to them",
        path.display()
    )]
    Owner {
        /// The target.
        path: PathBuf,
        /// Who should own it.
        owner: Owner,
        /// Why, as a part of the sentence.
        why: &'static str,
        /// Who runs this.
        me: Owner,
        /// The system's answer.
        source: io::Error,
    },
    /// The data directory lies in the WAL directory, or is it.
    #[error("the data directory {} lies in the WAL directory {}", data_dir.display(), wal_dir.display())]
    Overlap {
        /// The data directory.
        data_dir: PathBuf,
        /// The WAL directory.
        wal_dir: PathBuf,
    },
    /// A mount point cannot be renamed.
    #[error("{} is a mount point, {problem}", path.display())]
    Mounted {
        /// The mount point.
        path: PathBuf,
        /// What does not go together with that.
        problem: &'static str,
    },
    /// A file system is mounted in what would be moved aside.
    #[error(
        "{} is a mount point, and would be moved aside with the directory around it; at the next \
         start of the machine it would hide the new files behind the old ones",
        .0.display()
    )]
    MountInside(PathBuf),
    /// The target is not as it was when it was looked at.
    #[error("{} has changed while the restore was at work; it was left as it is", .0.display())]
    Changed(PathBuf),
    /// Another restore of this target holds its lock.
    #[error("{} belongs to a restore of the same target that is at work", .0.display())]
    AtWork(PathBuf),
    /// There is nothing to put back.
    #[error("there is nothing to put back: no {}.before-… exists", .0.display())]
    NothingToUndo(PathBuf),
    /// An undo was done, and the next one would go further back.
    #[error(
        "an undo of {} was done already at {time}; the next one would put back {}, which an earlier \
         restore had moved aside",
        unit.display(),
        old.display()
    )]
    UndoneAlready {
        /// The target.
        unit: PathBuf,
        /// The time of that undo, as in the name of what it set aside.
        time: String,
        /// What would be put back.
        old: PathBuf,
        /// What undoes have set aside since then.
        undone: Vec<PathBuf>,
    },
    /// An undo has begun and did not end.
    #[error("the undo of {} has begun, but is not finished", unit.display())]
    UndoUnfinished {
        /// The target.
        unit: PathBuf,
        /// Why.
        source: Box<PlaceError>,
    },
    /// An undo is done, but a step of it has failed at first.
    #[error("undone, but not without an error: {} is what was there before", unit.display())]
    UndoneUnsynced {
        /// The target.
        unit: PathBuf,
        /// What failed.
        source: Box<PlaceError>,
    },
    /// What would be moved aside has its WAL elsewhere.
    #[error("{} has no WAL in it, and no other directory was named for it", .0.display())]
    NeedsWal(PathBuf),
    /// The WAL lies elsewhere.
    #[error("{} keeps its WAL in a directory of its own, which was not named", .0.display())]
    UndoNeedsWal(PathBuf),
    /// The two directories that belong together are not both there.
    #[error("{} was moved aside without a WAL, and no {} exists", data.display(), wal.display())]
    UndoLacksWal {
        /// What would be put back.
        data: PathBuf,
        /// The WAL directory that belongs to it.
        wal: PathBuf,
    },
    /// Every name of this second is taken.
    #[error("there is no free name after {}", .0.display())]
    NoFreeName(PathBuf),
    /// It was published, and something after that failed.
    #[error("restored, but not tidied up: {} is complete{left}", dir.display())]
    Untidy {
        /// The target.
        dir: PathBuf,
        /// Where what was there before is, and what else is left, as a part of the sentence.
        left: String,
        /// The command that puts back what was there before, if anything was.
        undo: Option<String>,
        /// What failed.
        source: Box<PlaceError>,
    },
    /// The publication failed between its renames, and what was there could not be put back.
    #[error("the restore has failed half way, and could not be taken back: {places}")]
    NotTakenBack {
        /// What is where, one sentence each.
        places: String,
        /// The command that takes it back.
        undo: String,
        /// What failed first.
        source: Box<PlaceError>,
    },
    /// Writing failed; what was there is untouched.
    #[error(transparent)]
    Write(#[from] durable::Error),
}

impl PlaceError {
    /// What kind of error this is.
    #[must_use]
    pub fn class(&self) -> PlaceClass {
        match self {
            PlaceError::NotWritable { .. }
            | PlaceError::NoRoom { .. }
            | PlaceError::Unreadable { .. }
            | PlaceError::Untidy { .. }
            | PlaceError::NotTakenBack { .. }
            | PlaceError::UndoneUnsynced { .. }
            | PlaceError::Write(_) => PlaceClass::Local,
            // The cause may be a refusal, such as of an etcd that was started in between.
            PlaceError::UndoUnfinished { source, .. } => source.class(),
            PlaceError::NoName(_)
            | PlaceError::NoParent(_)
            | PlaceError::NotADirectory { .. }
            | PlaceError::NotEmpty { .. }
            | PlaceError::NotOfEtcd { .. }
            | PlaceError::Running { .. }
            | PlaceError::LocksUnknown { .. }
            | PlaceError::UndoneAlready { .. }
            | PlaceError::Owner { .. }
            | PlaceError::Overlap { .. }
            | PlaceError::Mounted { .. }
            | PlaceError::MountInside(_)
            | PlaceError::NeedsWal(_)
            | PlaceError::AtWork(_)
            | PlaceError::Changed(_)
            | PlaceError::NothingToUndo(_)
            | PlaceError::UndoNeedsWal(_)
            | PlaceError::UndoLacksWal { .. }
            | PlaceError::NoFreeName(_) => PlaceClass::Refused,
        }
    }

    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            PlaceError::NoName(_) => "name the directory itself, such as /var/lib/etcd".into(),
            PlaceError::NoParent(path) => format!("make it: mkdir -p {}", path.display()),
            PlaceError::NotADirectory { what: "symbolic link", .. } => {
                "name the directory that it leads to".into()
            }
            PlaceError::NotADirectory { .. } => "name a directory, or a name that is free".into(),
            PlaceError::NotEmpty { .. } => {
                "add --replace to move it aside (nothing is deleted), or name another directory"
                    .into()
            }
            PlaceError::NotOfEtcd { .. } => {
                "--replace moves aside directories of etcd only; name the one that etcd uses".into()
            }
            PlaceError::Running { path, .. } => format!(
                "stop it first: systemctl stop etcd, or move the static pod's manifest out of \
                 /etc/kubernetes/manifests; then see that nothing uses {}",
                path.display()
            ),
            PlaceError::Unreadable { .. } => "run as the user that etcd runs as, or as root".into(),
            PlaceError::NotWritable { .. } => {
                "run as a user who may write there, or name another directory".into()
            }
            PlaceError::NoRoom { .. } => "make room, or name a directory on another disk".into(),
            PlaceError::Owner { .. } => {
                "run as root, or as the user that etcd runs as, or name another --owner".into()
            }
            PlaceError::Overlap { .. } => "name two directories beside each other".into(),
            PlaceError::Mounted { .. } => "name a directory below it".into(),
            PlaceError::MountInside(_) => "unmount it and see that no mount of it is left for the \
                next start of the machine; files can be moved to it when it was emptied"
                .into(),
            PlaceError::AtWork(_) => "wait until it has ended, then run again".into(),
            PlaceError::NeedsWal(path) => format!(
                "add --wal-dir with what etcd's own flag says; where etcd has none, it is {}",
                path.join("member").join("wal").display()
            ),
            PlaceError::Changed(_) => "see what uses the directory, then run again".into(),
            PlaceError::NothingToUndo(_) => "name the directory that was restored into".into(),
            PlaceError::UndoNeedsWal(_) => "add --wal-dir with what etcd's own flag says".into(),
            PlaceError::UndoLacksWal { .. } => "name the --wal-dir of that restore".into(),
            PlaceError::LocksUnknown { .. } => {
                "look at /proc/locks, and on NFS at its lock service; \
                stop what has that many locks, then run again"
                    .into()
            }
            PlaceError::UndoneAlready { .. }
            | PlaceError::UndoUnfinished { .. }
            | PlaceError::UndoneUnsynced { .. }
            | PlaceError::Untidy { .. }
            | PlaceError::NotTakenBack { .. } => return self.hint_half_way(),
            PlaceError::NoFreeName(_) => {
                "see whether the clock is right; move names with a time to come away".into()
            }
            PlaceError::Write(e) => return e.hint().map(str::to_owned),
        };
        Some(hint)
    }

    /// The next step where something was begun, or done already.
    fn hint_half_way(&self) -> Option<String> {
        match self {
            PlaceError::UndoneAlready { unit, undone, .. } => {
                let kept =
                    |path: &PathBuf| path.display().to_string().replace(".undone-", ".kept-");
                let moves: Vec<String> =
                    undone.iter().map(|p| format!("mv {} {}", p.display(), kept(p))).collect();
                Some(format!(
                    "nothing is to be done if {} is what it should be; to go further back all the \
                     same: {}, then --undo again",
                    unit.display(),
                    moves.join(" && ")
                ))
            }
            PlaceError::UndoUnfinished { source, .. } => {
                let first = source.hint().map(|hint| format!("{hint}; then ")).unwrap_or_default();
                Some(format!(
                    "{first}run the same --undo again: it goes on where this one has ended"
                ))
            }
            PlaceError::UndoneUnsynced { .. } => Some(
                "do not run it again; see what the kernel says about the disk before etcd is \
                 started: what could not be synced may not outlive a power failure"
                    .into(),
            ),
            PlaceError::Untidy { undo, .. } => {
                let back = undo.as_ref().map(|undo| format!("; to go back: {undo}"));
                Some(format!(
                    "see what the kernel says about the disk before etcd is started: what could not \
                     be synced may not outlive a power failure; the next restore clears up{}",
                    back.unwrap_or_default()
                ))
            }
            PlaceError::NotTakenBack { undo, .. } => Some(format!(
                "do not start etcd; see that the disk has room and is well, then take it back: {undo}"
            )),
            _ => None,
        }
    }
}
