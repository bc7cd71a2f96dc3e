//! What can be told of a file before it is read: whether it is one, whether it has to be decrypted,
//! and when its snapshot was taken.

use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use contract::facts::TimeFrom;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// 2016-06-30, when etcd 3.0 came out: what is older says nothing but that its time was lost.
const TAKEN_MIN: Timestamp = Timestamp::constant(1_467_244_800, 0);
/// How far the clocks of two machines may be apart.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(3);

/// What a file is, from outside.
#[derive(Debug)]
pub(super) struct Seen {
    /// Where it is, from the root.
    pub(super) path: PathBuf,
    /// What it is called in the manifest.
    pub(super) name: String,
    pub(super) is_encrypted: bool,
    pub(super) taken_at: Timestamp,
    pub(super) time_from: TimeFrom,
}

/// The answer of `lifeboat-adopt --look`.
#[derive(Debug, Deserialize)]
struct Look {
    kind: String,
    entry_time: Option<Timestamp>,
}

/// What somebody said of the file, on the command line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) taken_at: Option<Timestamp>,
    pub(super) name: Option<&'a str>,
}

/// Looks at a file.
pub(super) fn look(
    common: &Common,
    file: &Path,
    given: Given<'_>,
    now: Timestamp,
) -> Result<Seen, Error> {
    let unreadable = |source| Error::NoFile { path: file.to_path_buf(), source };
    let path = std::path::absolute(file).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(Error::NotAFile(file.to_path_buf()));
    }
    let look = ask(common, &path)?;
    let (taken_at, time_from) = match (given.taken_at, look.entry_time) {
        (Some(time), _) => (time, TimeFrom::Given),
        (None, Some(time)) => (time, TimeFrom::ZipEntry),
        (None, None) => {
            let modified = meta.modified().map_err(unreadable)?;
            (Timestamp::try_from(modified).unwrap_or(Timestamp::MIN), TimeFrom::FileTime)
        }
    };
    if taken_at < TAKEN_MIN || taken_at.duration_since(now) > CLOCK_SKEW_MAX {
        return Err(Error::OddTime { path: file.to_path_buf(), taken_at });
    }
    let own = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = given.name.map(str::to_owned).or(own).unwrap_or_default();
    let is_encrypted = look.kind == "age";
    // Names have whole seconds.
    let taken_at = Timestamp::from_second(taken_at.as_second()).unwrap_or(taken_at);
    Ok(Seen { path, name, is_encrypted, taken_at, time_from })
}

fn ask(common: &Common, path: &Path) -> Result<Look, Error> {
    let program = "lifeboat-adopt".to_owned();
    let output = Command::new(find::stage("adopt")?)
        .args([
            "--look",
            "--log",
            if common.logs_are_human() { "human" } else { "json" },
            "--input",
        ])
        .arg(path)
        .env_clear()
        .envs(environment::of("adopt"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start { program: program.clone(), source })?;
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout)
            .map_err(|e| Error::Garbled { program, problem: e.to_string() }),
        code => Err(Error::Program { program, code: code.unwrap_or(1) }),
    }
}
