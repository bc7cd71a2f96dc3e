//! Whether the file systems have room for what a restore writes.

use super::error::PlaceError;
use super::look::Ground;
use super::names::parent_of;
use crate::wal::WAL_SEGMENT_BYTES;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Directories, the `.snap` file and the file system's own records, for each member.
const SMALL_BYTES: u64 = 1 << 20;

/// Refuses when a restore of this many members with a database of `database_bytes` each would not
/// fit. The WAL counts: etcd preallocates it, and could not start without.
///
/// # Errors
/// [`PlaceError::NoRoom`], or [`PlaceError::Unreadable`].
pub fn must_have_room(ground: &Ground, database_bytes: u64) -> Result<(), PlaceError> {
    let members = ground.sites.members.len().max(1) as u64;
    let data = parent_of(&ground.sites.data);
    let of_data = members.saturating_mul(database_bytes.saturating_add(SMALL_BYTES));
    let of_wal = members.saturating_mul(WAL_SEGMENT_BYTES);
    let Some(wal) = ground.sites.wal.as_ref().map(|wal| parent_of(&wal.unit)) else {
        return must_have(data, of_data.saturating_add(of_wal));
    };
    if device(data)? == device(wal)? {
        return must_have(data, of_data.saturating_add(of_wal));
    }
    must_have(data, of_data)?;
    must_have(wal, of_wal)
}

fn device(path: &Path) -> Result<u64, PlaceError> {
    let meta = path.metadata();
    let meta =
        meta.map_err(|source| PlaceError::Unreadable { path: path.to_path_buf(), source })?;
    Ok(meta.dev())
}

fn must_have(path: &Path, needed_bytes: u64) -> Result<(), PlaceError> {
    let volume = rustix::fs::statvfs(path);
    let volume = volume
        .map_err(|e| PlaceError::Unreadable { path: path.to_path_buf(), source: e.into() })?;
    let free_bytes = volume.f_bavail.saturating_mul(volume.f_frsize);
    match free_bytes < needed_bytes {
        true => Err(PlaceError::NoRoom { path: path.to_path_buf(), needed_bytes, free_bytes }),
        false => Ok(()),
    }
}
