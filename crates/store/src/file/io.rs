//! The blocking half of a directory destination: looking, walking, reading.
//!
//! Every function here blocks and is called through [`blocking`].

use super::FileDestination;
use crate::error::local;
use crate::key::{SEGMENTS_MAX, check_key};
use crate::{Blocks, ErrorKind, ObjectInfo, Operation, StoreError};
use bytes::Bytes;
use durable::NewFile;
use futures::stream;
use jiff::Timestamp;
use std::fs::{File, Metadata};
use std::io::ErrorKind as IoKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

type Outcome<T> = Result<T, ErrorKind>;

/// How much of a file is read at once.
const BLOCK_BYTES: u64 = 1 << 20;
/// How many objects a listing may have; beyond that it is an error, never cut short.
const LISTED_OBJECTS_MAX: usize = 500_000;

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ErrorKind::Transient { said: "the program is shutting down".into() }),
        },
    }
}

/// Begins the file of `key` below `root`, making its folders.
pub(super) fn begin(root: &Path, key: &str) -> Outcome<NewFile> {
    let path = root.join(key);
    // It was there when it was opened: without it the volume is, and what is made in its place is
    // hidden when it comes back.
    root.metadata().map_err(|e| local("look at", root, e))?;
    must_be_listed(root, key)?;
    if let Some(folder) = path.parent() {
        durable::create_private_dir(folder).map_err(ErrorKind::Local)?;
    }
    NewFile::create(&path).map_err(taken_or_local)
}

/// A listing does not go through symbolic links, so what was written through one would be there
/// and read back well, and never be seen again.
fn must_be_listed(root: &Path, key: &str) -> Outcome<()> {
    let mut folder = root.to_path_buf();
    for segment in key.split('/') {
        folder.push(segment);
        if folder.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            let said = format!("{} is a symbolic link, which no listing follows", folder.display());
            let hint = "put a directory there, or name the link's target in the destination's url";
            return Err(ErrorKind::Config { said, hint });
        }
    }
    Ok(())
}

pub(super) fn taken_or_local(e: durable::Error) -> ErrorKind {
    match e {
        durable::Error::AlreadyExists(_) => ErrorKind::AlreadyExists,
        e => ErrorKind::Local(e),
    }
}

pub(super) fn look(path: &Path, key: &str) -> Outcome<Option<ObjectInfo>> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => Ok(Some(describe(path, key, &meta)?)),
        Ok(_) => Ok(None),
        Err(e) if matches!(e.kind(), IoKind::NotFound | IoKind::NotADirectory) => Ok(None),
        Err(e) => Err(local("look at", path, e)),
    }
}

pub(super) fn remove(path: &Path) -> Outcome<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => durable::remove_file(path).map_err(ErrorKind::Local),
        _ => Ok(()),
    }
}

fn describe(path: &Path, key: &str, meta: &Metadata) -> Outcome<ObjectInfo> {
    let modified = Some(touched(path, meta)?);
    Ok(ObjectInfo { key: key.to_owned(), bytes: meta.len(), modified, ..ObjectInfo::default() })
}

fn touched(path: &Path, meta: &Metadata) -> Outcome<Timestamp> {
    let time = meta.modified().map_err(|e| local("look at", path, e))?;
    Timestamp::try_from(time).map_err(|e| local("look at", path, std::io::Error::other(e)))
}

/// The blocks of `range`, read on demand.
pub(super) fn blocks(
    destination: FileDestination,
    key: String,
    path: PathBuf,
    file: File,
    range: Range<u64>,
) -> Blocks {
    let begin = (file, range);
    Box::pin(stream::try_unfold(begin, move |(file, range)| {
        let (destination, key, path) = (destination.clone(), key.clone(), path.clone());
        async move {
            if range.is_empty() {
                return Ok(None);
            }
            let read = blocking(move || read_block(file, &path, &range)).await;
            let (file, block, range) = read
                .map_err(|kind| StoreError::new(&destination.name, Operation::Read, &key, kind))?;
            Ok(Some((block, (file, range))))
        }
    }))
}

fn read_block(file: File, path: &Path, range: &Range<u64>) -> Outcome<(File, Bytes, Range<u64>)> {
    let length = (range.end - range.start).min(BLOCK_BYTES);
    let mut block = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    // A file that became shorter meanwhile ends here, as an error.
    file.read_exact_at(&mut block, range.start).map_err(|e| local("read", path, e))?;
    Ok((file, block.into(), range.start + length..range.end))
}

/// What lies below a directory.
#[derive(Default)]
pub(super) struct Walked {
    /// In key order.
    pub(super) objects: Vec<ObjectInfo>,
    pub(super) unfinished: Vec<Unfinished>,
}

/// A hidden file that a killed writer left.
pub(super) struct Unfinished {
    /// The hidden name, as a key would be written.
    pub(super) key: String,
    pub(super) path: PathBuf,
    pub(super) touched: Timestamp,
}

/// Walks the folders that can hold a key that starts with `prefix`.
pub(super) fn walk(root: &Path, prefix: &str) -> Outcome<Walked> {
    let mut walked = Walked::default();
    walk_folder(root, "", prefix, 0, &mut walked)?;
    walked.objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(walked)
}

fn walk_folder(
    folder: &Path,
    folder_key: &str,
    prefix: &str,
    depth: usize,
    walked: &mut Walked,
) -> Outcome<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A folder below the root may vanish meanwhile; a root that is gone is an error.
        Err(e) if depth > 0 && e.kind() == IoKind::NotFound => return Ok(()),
        Err(e) => return Err(local("list", folder, e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| local("list", folder, e))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let (key, path) = (format!("{folder_key}{name}"), entry.path());
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(e) if e.kind() == IoKind::NotFound => continue,
            Err(e) => return Err(local("look at", &path, e)),
        };
        if meta.is_dir() {
            let below = format!("{key}/");
            let wanted = below.starts_with(prefix) || prefix.starts_with(&below);
            if wanted && check_key(&key).is_ok() && depth + 1 < SEGMENTS_MAX {
                walk_folder(&path, &below, prefix, depth + 1, walked)?;
            }
        } else if meta.is_file() {
            note(path, key, folder_key, &name, prefix, &meta, walked)?;
        }
    }
    Ok(())
}

fn note(
    path: PathBuf,
    key: String,
    folder_key: &str,
    name: &str,
    prefix: &str,
    meta: &Metadata,
    walked: &mut Walked,
) -> Outcome<()> {
    if durable::is_partial(name) {
        // The final name follows the first dot of the hidden one.
        let meant = format!("{folder_key}{}", name.trim_start_matches('.'));
        if meant.starts_with(prefix) {
            let touched = touched(&path, meta)?;
            walked.unfinished.push(Unfinished { key, path, touched });
        }
    } else if key.starts_with(prefix) && check_key(&key).is_ok() {
        if walked.objects.len() == LISTED_OBJECTS_MAX {
            let problem = format!("there are more than {LISTED_OBJECTS_MAX} objects");
            return Err(ErrorKind::Listing { problem });
        }
        walked.objects.push(describe(&path, &key, meta)?);
    }
    Ok(())
}
