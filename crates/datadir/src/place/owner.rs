//! Who owns the new files: who owned what they replace, unless somebody else is named.
//!
//! An etcd that cannot read its own directory does not start, so an owner that cannot be given is
//! found out by giving a scratch file to them, before anything is read or written.

use super::error::PlaceError;
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat, fchown};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;

/// The number that the system calls mean "leave as it is" by.
const NOBODY: u32 = u32::MAX;
/// How deep a tree is given away.
const DEPTH_MAX: usize = 16;

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// An owner that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not UID or UID:GID in numbers (`id -u etcd` and `id -g etcd` print them)")]
pub struct OwnerError(String);

impl FromStr for Owner {
    type Err = OwnerError;

    /// `UID:GID`, or `UID` for the group of the same number.
    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let number = |part: &str| part.parse().ok().filter(|n| *n != NOBODY);
        let (user, group) = text.split_once(':').unwrap_or((text, text));
        match (number(user), number(group)) {
            (Some(uid), Some(gid)) => Ok(Owner { uid, gid }),
            _ => Err(OwnerError(text.to_owned())),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}, group {}", self.uid, self.gid)
    }
}

impl Owner {
    /// Whom the files of this process belong to.
    #[must_use]
    pub fn me() -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Owner { uid: uid.as_raw(), gid: gid.as_raw() }
    }

    pub(super) fn of(meta: &std::fs::Metadata) -> Self {
        Owner { uid: meta.uid(), gid: meta.gid() }
    }

    fn raw(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }
}

/// Tries, with a file that has no name, whether `beside` can be written and its files be given away.
pub(super) fn must_be_possible(
    owner: Owner,
    beside: &Path,
    target: &Path,
    why: &'static str,
) -> Result<(), PlaceError> {
    let scratch = durable::scratch_file(beside).map_err(|e| match e {
        durable::Error::Io { source, .. } => {
            PlaceError::NotWritable { path: beside.to_path_buf(), source }
        }
        other => PlaceError::Write(other),
    })?;
    let (uid, gid) = owner.raw();
    fchown(&scratch, uid, gid).map_err(|e| PlaceError::Owner {
        path: target.to_path_buf(),
        owner,
        why,
        me: Owner::me(),
        source: e.into(),
    })
}

/// Gives a tree to its owner. Links are not followed.
pub(super) fn give(tree: &Path, owner: Owner) -> Result<(), PlaceError> {
    give_below(tree, owner, DEPTH_MAX)
}

fn give_below(path: &Path, owner: Owner, depth: usize) -> Result<(), PlaceError> {
    let failed =
        |source| durable::Error::Io { verb: "give to its owner", path: path.to_path_buf(), source };
    let meta = path.symlink_metadata().map_err(failed)?;
    if meta.is_dir() && depth > 0 {
        for entry in std::fs::read_dir(path).map_err(failed)? {
            give_below(&entry.map_err(failed)?.path(), owner, depth - 1)?;
        }
    }
    if Owner::of(&meta) != owner {
        let (uid, gid) = owner.raw();
        chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed(e.into()))?;
        failpoint::pass("place.owner.given");
    }
    Ok(())
}
