//! The restored members, and whether they may be started here.
//!
//! Invariant: nothing is started on a directory that is not below the one that was named, or whose
//! database knows a member anywhere but on loopback. So a drill that was pointed at the directory of
//! a real cluster by mistake refuses, and an etcd that it does start finds nobody else to talk to.

use crate::error::Error;
use crate::ports::is_loopback;
use bbolt::{Database, ReadError};
use contract::facts::{RestoreFacts, RestoredMember};
use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The database of a member, below its data directory.
const DATABASE: &str = "member/snap/db";
/// More members than this are not restored for a drill.
const MEMBERS_MAX: usize = 9;

/// One member to start.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// In hex, as etcd shows it.
    pub(crate) id: String,
    pub(crate) peer_url: String,
    pub(crate) data_dir: PathBuf,
}

impl Member {
    pub(crate) fn database(&self) -> PathBuf {
        self.data_dir.join(DATABASE)
    }
}

/// What `etcd` keeps of a member in the bucket `members`.
#[derive(Debug, Deserialize)]
struct Known {
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
}

/// The members of a scratch copy in `dir`.
///
/// # Errors
/// [`Error::NotScratch`] when it is none.
pub(crate) fn members(
    dir: &Path,
    restored: &RestoreFacts,
    expected: usize,
) -> Result<Vec<Member>, Error> {
    let found = restored.members.len();
    if found != expected || found > MEMBERS_MAX {
        return Err(Error::Members { expected, found });
    }
    let root = real(dir)?;
    let members: Result<Vec<Member>, Error> =
        restored.members.iter().map(|member| of(member, &root)).collect();
    let members = members?;
    members.iter().try_for_each(must_know_nobody_else)?;
    Ok(members)
}

fn of(member: &RestoredMember, root: &Path) -> Result<Member, Error> {
    let data_dir = real(Path::new(&member.data_dir))?;
    let refused = |why: String| Error::NotScratch { path: data_dir.clone(), why };
    if !data_dir.starts_with(root) {
        return Err(refused(format!("it is not below {}", root.display())));
    }
    let [peer_url] = member.peer_urls.as_slice() else {
        let count = member.peer_urls.len();
        return Err(refused(format!("member {:?} has {count} peer URLs", member.name)));
    };
    if member.wal_dir.is_some() {
        return Err(refused("its WAL is elsewhere".into()));
    }
    if !is_loopback(peer_url) {
        return Err(refused(format!("member {:?} is at {peer_url}", member.name)));
    }
    let (name, id, peer_url) = (member.name.clone(), member.id.clone(), peer_url.clone());
    Ok(Member { name, id, peer_url, data_dir })
}

fn real(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

/// The database itself has to say so, too: the facts come from a file that anybody could write.
fn must_know_nobody_else(member: &Member) -> Result<(), Error> {
    let refused = |why: String| Error::NotScratch { path: member.data_dir.clone(), why };
    must_not_be_in_use(&member.database())?;
    let database = open(&member.database())?;
    let unreadable = |e: ReadError| refused(format!("its members cannot be read: {e}"));
    let Some(mut rows) = database.rows(b"members").map_err(unreadable)? else {
        return Err(refused("its database knows no members".into()));
    };
    while let Some((_, value)) = rows.next_row().map_err(unreadable)? {
        let known: Known = serde_json::from_slice(value)
            .map_err(|e| refused(format!("a member of it cannot be understood: {e}")))?;
        let mut urls = known.peer_urls.iter().chain(&known.client_urls);
        if let Some(url) = urls.find(|url| !is_loopback(url)) {
            return Err(refused(format!("its database knows a member at {url}")));
        }
    }
    Ok(())
}

/// etcd locks its database as long as it runs.
fn must_not_be_in_use(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let why = "an etcd is running on it".to_owned();
            Err(Error::NotScratch { path: path.to_path_buf(), why })
        }
        Err(e) => Err(failed(e.into())),
    }
}

/// A database, read at random.
pub(crate) fn open(path: &Path) -> Result<Database<File>, Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Database::open(file, length).map_err(|e| Error::NotScratch {
        path: path.to_path_buf(),
        why: format!("its database cannot be opened: {e}"),
    })
}
