//! The files around the database: which there are, the log, the `.snap` file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::limits::{ENTRIES_MAX, SNAP_BYTES_MAX, WAL_RECORDS_BYTES_MAX};
use crate::membership::{Member, Membership};
use crate::proof::ProofError;
use crate::snap::{self, snap_file_name};
use crate::wal::{self, WAL_FILE_NAME, WAL_SEGMENT_BYTES, WalProblem, wal_file};

const TAIL_BYTES: usize = 256 << 10;

pub(super) fn io_error<'a>(
    verb: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> ProofError + 'a {
    move |source| match source.kind() {
        std::io::ErrorKind::NotFound => ProofError::Missing { path: path.to_path_buf() },
        _ => ProofError::Io { verb, path: path.to_path_buf(), source },
    }
}

/// The database of a member.
pub(super) fn db_path(member_dir: &Path) -> PathBuf {
    member_dir.join("snap").join("db")
}

/// Exactly the files that a restore writes.
pub(super) fn check_files(
    member_dir: &Path,
    wal_dir: &Path,
    membership: &Membership,
) -> Result<(), ProofError> {
    let own_wal = member_dir.join("wal");
    let has_own_wal = wal_dir == own_wal;
    let folders = if has_own_wal { vec!["snap", "wal"] } else { vec!["snap"] };
    check_folder(member_dir, &folders)?;
    check_folder(&member_dir.join("snap"), &["db", &snap_file_name(membership)])?;
    check_folder(wal_dir, &[WAL_FILE_NAME])
}

fn check_folder(folder: &Path, names: &[&str]) -> Result<(), ProofError> {
    let mut missing: BTreeSet<OsString> = names.iter().map(OsString::from).collect();
    let entries = folder.read_dir().map_err(io_error("list", folder))?;
    for entry in entries.take(ENTRIES_MAX) {
        let entry = entry.map_err(io_error("list", folder))?;
        if !missing.remove(&entry.file_name()) {
            return Err(ProofError::Foreign { path: entry.path() });
        }
    }
    match missing.pop_first() {
        Some(name) => Err(ProofError::Missing { path: folder.join(name) }),
        None => Ok(()),
    }
}

/// The log: every record, their bytes, and the zeros behind them.
pub(super) fn check_wal(
    wal_dir: &Path,
    membership: &Membership,
    member: &Member,
) -> Result<(), ProofError> {
    let path = wal_dir.join(WAL_FILE_NAME);
    let refused = |problem| ProofError::Wal { path: path.clone(), problem };
    let mut file = File::open(&path).map_err(io_error("open", &path))?;
    let found = file.metadata().map_err(io_error("look at", &path))?.len();
    let mut head = Vec::new();
    let wanted = WAL_RECORDS_BYTES_MAX as u64;
    (&mut file).take(wanted).read_to_end(&mut head).map_err(io_error("read", &path))?;
    let end = wal::check_records(&head, membership, member).map_err(refused)?;
    // Where the file system cannot preallocate, a log ends with its records; etcd extends it.
    if found != WAL_SEGMENT_BYTES && found != end as u64 {
        return Err(refused(WalProblem::Length { found }));
    }
    let (records, zeros) = head.split_at_checked(end).unwrap_or((&head, &[]));
    if records != wal_file(membership, member) {
        return Err(ProofError::WalBytes { path });
    }
    check_zeros(zeros, end as u64).map_err(refused)?;
    let mut offset = head.len() as u64;
    let mut file = BufReader::with_capacity(TAIL_BYTES, file);
    let mut buffer = vec![0; TAIL_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(io_error("read", &path))?;
        if count == 0 {
            break;
        }
        check_zeros(buffer.get(..count).unwrap_or(&buffer), offset).map_err(refused)?;
        offset += count as u64;
    }
    if offset == found { Ok(()) } else { Err(refused(WalProblem::Length { found: offset })) }
}

fn check_zeros(bytes: &[u8], offset: u64) -> Result<(), WalProblem> {
    match bytes.iter().position(|byte| *byte != 0) {
        Some(at) => Err(WalProblem::Tail { offset: offset + at as u64 }),
        None => Ok(()),
    }
}

/// The `.snap` file.
pub(super) fn check_snap(member_dir: &Path, membership: &Membership) -> Result<(), ProofError> {
    let path = member_dir.join("snap").join(snap_file_name(membership));
    let file = File::open(&path).map_err(io_error("open", &path))?;
    let mut bytes = Vec::new();
    file.take(SNAP_BYTES_MAX).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
    snap::check(&bytes, membership).map_err(|problem| ProofError::Snap { path, problem })
}
