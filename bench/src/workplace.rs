//! Where everything that is measured works: a folder that is emptied before each run.
//!
//! Owns: its layout, the keys, and the configuration of Lifeboat in it.
//! Invariant: every contestant starts with the same empty folders on the same file system, and
//! its temporary files lie there too.
//!
//! Does not: measure anything.

use crate::Error;
use crate::database::remove;
use lifeboat_tests::{binaries, site};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The two local destinations of the shipped pipeline.
pub(crate) const DESTINATIONS: [&str; 2] = ["region-a", "region-b"];

/// The folder and the public keys.
#[derive(Debug)]
pub(crate) struct Workplace {
    dir: PathBuf,
    keys: PathBuf,
    recipients: String,
}

impl Workplace {
    /// Makes two new keys, as the documents advise.
    pub(crate) fn new(dir: &Path) -> Result<Self, Error> {
        let keys = dir.join("keys");
        remove(&keys)?;
        durable::create_private_dir(&keys)?;
        let mut recipients = String::new();
        for name in ["identity.txt", "offline.txt"] {
            let mut command = binaries::command("lifeboat")?;
            let output = lifeboat_tests::run(command.arg("keygen").arg(keys.join(name)))?;
            recipients.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        let work = Workplace { dir: dir.join("work"), keys, recipients };
        work.clear()?;
        Ok(work)
    }

    /// Takes everything away that a run left, and makes the empty folders anew.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        remove(&self.dir)?;
        for folder in ["keys", "tmp", "backups"] {
            durable::create_private_dir(&self.dir.join(folder))?;
        }
        for name in DESTINATIONS {
            durable::create_private_dir(&self.dir.join("backups").join(name))?;
        }
        durable::write_new(&self.recipients(), self.recipients.as_bytes())?;
        self.configure(&site::shipped())
    }

    /// Replaces the configuration.
    pub(crate) fn configure(&self, toml: &str) -> Result<(), Error> {
        Ok(durable::replace(&self.path("pipeline.toml"), toml.as_bytes())?)
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    pub(crate) fn recipients(&self) -> PathBuf {
        self.path("keys/recipients.txt")
    }

    /// The private half of the first key.
    pub(crate) fn identity(&self) -> PathBuf {
        self.keys.join("identity.txt")
    }

    /// What the run says.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("log")
    }

    /// Both destinations.
    pub(crate) fn backups(&self) -> PathBuf {
        self.path("backups")
    }

    /// Adapts a command: it works here, its temporary files too, and it sees no other variables.
    pub(crate) fn place(&self, command: &mut Command) {
        binaries::scrub(command);
        command.current_dir(&self.dir).env("TMPDIR", self.path("tmp"));
    }
}
