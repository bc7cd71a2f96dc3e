//! The etcd that a drill starts: where it is, and which version.
//!
//! Invariant: it is run with an empty environment, here as later, so that no `ETCD_*` or proxy
//! variable of this process reaches it.

use crate::error::Error;
use contract::brief;
use contract::drill::EtcdProgram;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAME: &str = "etcd";
/// What `etcd --version` begins with, in every version.
const VERSION_LABEL: &str = "etcd Version:";

/// The etcd that `wanted` names, or the first one on the PATH.
///
/// # Errors
/// When there is none, or it does not say its version.
pub(crate) fn find(wanted: Option<&Path>) -> Result<EtcdProgram, Error> {
    let path = match wanted {
        Some(path) if is_program(path) => path.to_path_buf(),
        Some(path) => return Err(Error::NoEtcd(path.to_path_buf())),
        None => on_path().ok_or(Error::NoneOnPath)?,
    };
    let path = std::path::absolute(&path).map_err(|source| Error::Read { path, source })?;
    let version = version_of(&path)?;
    Ok(EtcdProgram { path: path.display().to_string(), version })
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(NAME)).find(|file| is_program(file))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn version_of(path: &Path) -> Result<String, Error> {
    let not_etcd = |why: String| Error::NotEtcd { path: path.to_path_buf(), why };
    let output = command(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| not_etcd(e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().find_map(|line| line.strip_prefix(VERSION_LABEL)).map(str::trim);
    match version {
        Some(version) if output.status.success() && !version.is_empty() => Ok(brief(version)),
        _ => Err(not_etcd(format!("--version ended with {} and says no version", output.status))),
    }
}

/// A command for it, with nothing of this process's environment.
pub(crate) fn command(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    command.env_clear();
    if cfg!(target_arch = "aarch64") {
        // etcd 3.4 refuses to start there otherwise.
        command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
    }
    command
}
