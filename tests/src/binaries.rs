//! The workspace's own binaries, run in a scrubbed environment.
//!
//! Invariants: a command sees none of the caller's variables but the search path, and the cloud
//! SDKs in it never ask a metadata address. `LIFEBOAT_BIN_DIR` names another folder.
//! Does not: build them; the Makefile does, before it runs the tests.

use crate::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names another folder of binaries.
pub const BIN_DIR_VARIABLE: &str = "LIFEBOAT_BIN_DIR";

/// The folder of the built binaries: `target/debug`, unless cargo was told otherwise.
///
/// # Errors
/// [`Error::Missing`] when the running test does not know where it is.
pub fn bin_dir() -> Result<PathBuf, Error> {
    if let Some(dir) = std::env::var_os(BIN_DIR_VARIABLE) {
        return Ok(PathBuf::from(dir));
    }
    // A test is in target/debug/deps, a binary one above.
    let here = std::env::current_exe().map_err(Error::io("find", Path::new("this test")))?;
    let folder = here.parent().and_then(|p| if p.ends_with("deps") { p.parent() } else { Some(p) });
    folder.map(Path::to_path_buf).ok_or_else(|| Error::Missing {
        tool: "the folder of the binaries".into(),
        reason: format!("{} has no parent; set {BIN_DIR_VARIABLE}", here.display()),
    })
}

/// The path of a binary of the workspace, such as `lifeboat-capture`.
///
/// # Errors
/// [`Error::Command`] when it was not built: that is never a reason to skip a test.
pub fn binary(name: &str) -> Result<PathBuf, Error> {
    let path = bin_dir()?.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Command {
        command: path.display().to_string(),
        status: "no such file".into(),
        stderr: format!("build it first: cargo build --bin {name}"),
    })
}

/// A command for a binary of the workspace.
///
/// # Errors
/// As for [`binary`].
pub fn command(name: &str) -> Result<Command, Error> {
    let mut command = Command::new(binary(name)?);
    scrub(&mut command);
    Ok(command)
}

/// Takes the caller's environment away, and adds what keeps a run the same everywhere.
pub fn scrub(command: &mut Command) {
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    // A path that is no directory: nothing of the user's home is read, nothing written there.
    command.env("HOME", "/dev/null");
    command.env("TZ", "UTC").env("LC_ALL", "C").env("NO_COLOR", "1");
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}
