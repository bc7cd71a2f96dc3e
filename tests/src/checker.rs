//! The independent checker: what the destinations hold, told without Lifeboat.
//!
//! Owns the decision which backups could be restored today. It looks at the files of a directory,
//! at those that an S3 server keeps, or asks the other servers in plain HTTP (`vault`); it opens them with `sha256sum`, `age`,
//! `zstd` and `etcdutl`; and it reads JSON as JSON. No crate, no program and no type of the product
//! takes part: a mistake of theirs must not be repeated here. What it knows of names and manifests
//! it has from `docs/manifest.md`.
//!
//! Invariants: a backup is restorable only when its bytes were opened and agree with the manifest
//! to the last step; a verdict is remembered by the content of both objects, never by their names.
//!
//! Does not: list, fetch or judge with Lifeboat. What a run *claimed* is compared in [`claim`].

pub mod claim;
mod look;
mod open;
mod signature;

pub use claim::{Claim, Deed, misread, violations};
pub use look::{Far, Found, Holding, Place, Stored};

use crate::Error;
use crate::servers::{Etcd, tool};
use signature::Signer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What all destinations hold, by the name of the destination.
pub type Picture = BTreeMap<String, Holding>;

/// What became of a backup that somebody tried to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was opened to the last byte, and is what its manifest says.
    Restorable,
    /// A look at names, lengths and the manifest shows that something is missing.
    Broken(String),
    /// Only whoever reads the artifact finds out.
    BrokenInside(String),
}

impl Verdict {
    /// Whether a listing, which reads no artifact, has to call it sound.
    #[must_use]
    pub fn looks_sound(&self) -> bool {
        !matches!(self, Verdict::Broken(_))
    }
}

/// The SHA-256 of a file, in hex.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn sha256_of(file: &Path) -> String {
    look::sha256sum(&[file.to_path_buf()]).remove(0)
}

/// The tools, and what they found out so far.
#[derive(Debug)]
pub struct Checker {
    age: PathBuf,
    zstd: PathBuf,
    etcdutl: PathBuf,
    identity: PathBuf,
    scratch: TempDir,
    /// Who has to have signed every manifest.
    signer: Option<Signer>,
    /// Which manifests are signed, by their SHA-256.
    signatures: BTreeMap<String, bool>,
    /// Whether `etcdutl snapshot restore` has to succeed too.
    deep: bool,
    /// By the SHA-256 of manifest and artifact.
    verdicts: BTreeMap<(String, String), Verdict>,
    /// What was brought here from servers that keep no files, by place and name.
    near: BTreeMap<String, BTreeMap<String, String>>,
}

impl Checker {
    /// A checker that opens artifacts with `identity`.
    ///
    /// # Errors
    /// [`Error::Missing`] when a tool is not on this machine.
    pub fn new(identity: &Path) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new().prefix("lifeboat-checker-").tempdir();
        Ok(Checker {
            age: tool("age")?,
            zstd: tool("zstd")?,
            etcdutl: Etcd::newest()?.snapshot_tool().to_path_buf(),
            identity: identity.to_path_buf(),
            scratch: scratch.map_err(Error::io("make a folder in", &std::env::temp_dir()))?,
            signer: None,
            signatures: BTreeMap::new(),
            deep: false,
            verdicts: BTreeMap::new(),
            near: BTreeMap::new(),
        })
    }

    /// From now on a new backup must also survive `etcdutl snapshot restore`.
    pub fn deeply(&mut self, deep: bool) {
        self.deep = deep;
    }

    /// From now on a backup is worth nothing that was not signed with this secret key.
    ///
    /// # Panics
    /// When OpenSSL is missing or does not read it.
    pub fn believe_only(&mut self, secret: &Path) {
        self.signer = Some(Signer::of(secret, self.scratch.path()));
    }

    /// Looks at every place.
    ///
    /// # Panics
    /// When a place cannot be read, or a tool not be started.
    #[must_use]
    pub fn look(&mut self, places: &[Place]) -> Picture {
        places.iter().map(|place| (place.name.clone(), self.look_at(place))).collect()
    }
}
