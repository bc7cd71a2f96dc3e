//! At most one run for a cluster on this machine. The lock goes with its process, however that
//! ends, so that a killed run never blocks the next one.

use crate::error::Error;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock in `dir`, or says that another run has it.
pub(crate) fn take(dir: &Path, cluster: &str) -> Result<Lock, Error> {
    durable::create_private_dir(dir)?;
    let path = dir.join("lock");
    let failed = |source| Error::Lock { path: path.clone(), source };
    let open = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy { cluster: cluster.to_owned() }),
        Err(e) => Err(failed(e.into())),
    }
}
