//! A place where `lifeboat-restore` is tried: a directory, a snapshot, and a look at what lies there.
//!
//! Owns: running the program with a scrubbed environment, and the comparison of whole directories,
//! file by file, with modes. What a restore has written is judged by etcd itself, in the tests.

use crate::site::Ran;
use crate::{Error, binaries};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The sound snapshot of the vectors.
pub const SNAPSHOT: &[u8] = include_bytes!("../vectors/snapshot/sound.db");
/// A cluster of one member for it.
pub const ONE_MEMBER: [&str; 4] =
    ["--name", "m1", "--initial-cluster", "m1=http://127.0.0.1:27001"];

/// So much of a long file is compared at either end. Between lie the zeros of a WAL, which the proof
/// of a restore has read.
const END_BYTES: u64 = 256 << 10;

/// A file system in memory, where a machine has one, and how much of it has to be free.
const MEMORY: &str = "/dev/shm";
const MEMORY_BYTES_MIN: u64 = 4 << 30;

/// Every file and directory below one, with its mode and what is in it: length and SHA-256 of both
/// ends.
pub type Tree = BTreeMap<PathBuf, (u32, String)>;

/// A directory in which restores are tried.
#[derive(Debug)]
pub struct RestoreScene {
    dir: TempDir,
}

impl RestoreScene {
    /// An empty one.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new() -> Result<Self, Error> {
        let dir = tempfile::Builder::new().prefix("lifeboat-restore-").tempdir();
        Ok(RestoreScene { dir: dir.map_err(Error::io("make a folder in", &std::env::temp_dir()))? })
    }

    /// An empty one in memory, where there is enough of it: for a test that restores hundreds of
    /// times and cuts no power, so that it need not wait for a disk.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn in_memory() -> Result<Self, Error> {
        let free = rustix::fs::statvfs(MEMORY).map_or(0, |v| v.f_bavail.saturating_mul(v.f_frsize));
        if free < MEMORY_BYTES_MIN {
            return RestoreScene::new();
        }
        let dir = tempfile::Builder::new().prefix("lifeboat-restore-").tempdir_in(MEMORY);
        Ok(RestoreScene { dir: dir.map_err(Error::io("make a folder in", Path::new(MEMORY)))? })
    }

    /// Where something in it is.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A command for the program, in this directory.
    ///
    /// # Panics
    /// When the program was not built.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binaries::command("lifeboat-restore").unwrap_or_else(|e| panic!("{e:?}"));
        command.current_dir(self.dir.path()).env("LIFEBOAT_LOG", "human");
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs the program without an input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap_or_else(|e| panic!("{e}")))
    }

    /// Runs the program with these bytes on a pipe. One that ends early is no fault of the pipe.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn pipe(&self, arguments: &[&str], bytes: &[u8]) -> Ran {
        piped(&mut self.command(arguments), bytes)
    }

    /// The names in the directory, sorted.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

/// Runs a command with these bytes on a pipe.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn piped(command: &mut Command, bytes: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{e}"));
    let mut stdin = child.stdin.take();
    if let Some(stdin) = &mut stdin {
        // It may have refused before it read.
        let _ = stdin.write_all(bytes);
    }
    drop(stdin);
    Ran::of(&child.wait_with_output().unwrap_or_else(|e| panic!("{e}")))
}

/// The names in a directory, sorted; none when there is none.
///
/// # Panics
/// When a name is no text.
#[must_use]
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What a directory holds; nothing when it is not there.
///
/// # Panics
/// When something in it cannot be read.
#[must_use]
pub fn tree(dir: &Path) -> Tree {
    let mut found = Tree::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(path) = open.pop() {
        let Ok(meta) = path.symlink_metadata() else {
            assert!(path == dir, "{} vanished", path.display());
            continue;
        };
        let hash = if meta.is_file() { content(&path, meta.len()) } else { String::new() };
        if meta.is_dir() {
            open.extend(names(&path).into_iter().map(|name| path.join(name)));
        }
        let below = path.strip_prefix(dir).unwrap_or(&path).to_path_buf();
        found.insert(below, (meta.permissions().mode() & 0o7777, hash));
    }
    found
}

fn content(file: &Path, bytes: u64) -> String {
    let open = File::open(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let end = bytes.saturating_sub(END_BYTES);
    let mut hash = Sha256::new();
    for from in [0, end] {
        let mut part = vec![0; usize::try_from(END_BYTES.min(bytes)).unwrap_or(0)];
        open.read_exact_at(&mut part, from).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        hash.update(&part);
    }
    format!("{bytes} {}", hex::encode(hash.finalize()))
}
