//! Opens one artifact with standard tools, step by step, as `docs/manifest.md` says that anybody
//! can, and asks etcd's own tool what came out.
//!
//! Invariant: after every step the length and the SHA-256 are those that the manifest has for it,
//! so that a verdict tells which step lied.

use super::look::{Stored, sha256sum};
use super::{Checker, Verdict};
use crate::run;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

impl Checker {
    pub(super) fn open(&self, artifact: &Path, stored: &Stored, manifest: &Value) -> Verdict {
        match self.opened(artifact, stored, manifest) {
            Ok(()) => Verdict::Restorable,
            Err(why) => Verdict::BrokenInside(why),
        }
    }

    fn opened(&self, artifact: &Path, stored: &Stored, manifest: &Value) -> Result<(), String> {
        same("the artifact's SHA-256", &manifest["artifact"]["sha256"], &stored.sha256)?;
        let steps = manifest["steps"].as_array().ok_or("the manifest has no steps")?;
        let mut file = artifact.to_path_buf();
        for pair in steps.windows(2).rev() {
            let (before, made) = (&pair[0]["output"], &pair[1]);
            let undone = match made["stage"].as_str() {
                Some("encrypt") => Some(self.decrypt(&file)?),
                Some("compress") => Some(self.decompress(&file)?),
                _ if made["output"] == *before => None,
                stage => return Err(format!("nobody can undo {stage:?}")),
            };
            if let Some(undone) = undone {
                file = undone;
                let stage = &made["stage"];
                let bytes = file.metadata().map_err(|e| e.to_string())?.len();
                same(&format!("the length before {stage}"), &before["bytes"], &bytes)?;
                let sum = sha256sum(std::slice::from_ref(&file)).remove(0);
                same(&format!("the SHA-256 before {stage}"), &before["sha256"], &sum)?;
            }
        }
        self.ask_etcd(&file, &manifest["snapshot"])
    }

    fn decrypt(&self, from: &Path) -> Result<PathBuf, String> {
        let to = self.fresh("decrypted.zst");
        let mut age = Command::new(&self.age);
        age.arg("-d").arg("-i").arg(&self.identity).arg("-o").arg(&to).arg(from);
        run(&mut age).map_err(|e| e.to_string())?;
        Ok(to)
    }

    fn decompress(&self, from: &Path) -> Result<PathBuf, String> {
        let to = self.fresh("snapshot.db");
        run(Command::new(&self.zstd).args(["-q", "-d", "-f"]).arg(from).arg("-o").arg(&to))
            .map_err(|e| e.to_string())?;
        Ok(to)
    }

    /// `etcdutl snapshot status`, and `restore` in the deeper mode.
    fn ask_etcd(&self, file: &Path, snapshot: &Value) -> Result<(), String> {
        let mut status = Command::new(&self.etcdutl);
        status.env_clear().args(["snapshot", "status", "--write-out", "json"]).arg(file);
        let output = run(&mut status).map_err(|e| e.to_string())?;
        let told: Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
        let pairs = [
            ("hash", "status_hash"),
            ("revision", "revision"),
            ("totalKey", "total_key_live"),
            ("totalSize", "total_bytes"),
        ];
        for (theirs, ours) in pairs.into_iter().filter(|(_, ours)| !snapshot[*ours].is_null()) {
            same(&format!("etcdutl's {theirs}"), &snapshot[ours], &told[theirs])?;
        }
        // Those two are the point of it: they must have been there to compare.
        if snapshot["status_hash"].is_null() || snapshot["revision"].is_null() {
            return Err("the manifest has no hash or no revision".into());
        }
        if !self.deep {
            return Ok(());
        }
        let folder = self.fresh("restored");
        let mut restore = Command::new(&self.etcdutl);
        restore.env_clear().args(["snapshot", "restore"]).arg(file).arg("--data-dir").arg(&folder);
        run(&mut restore).map(drop).map_err(|e| e.to_string())
    }

    /// A path in the scratch folder at which nothing is.
    fn fresh(&self, name: &str) -> PathBuf {
        let path = self.scratch.path().join(name);
        // What is not there cannot be removed; anything else shows when the tool writes.
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir_all(&path);
        path
    }
}

fn same(
    what: &str,
    manifest: &Value,
    found: &(impl serde::Serialize + ?Sized),
) -> Result<(), String> {
    let found = serde_json::to_value(found).map_err(|e| e.to_string())?;
    match *manifest == found {
        true => Ok(()),
        false => Err(format!("{what} is {found}; the manifest says {manifest}")),
    }
}
