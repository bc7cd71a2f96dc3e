//! The directory of one run: `plan.json` and `receipts/NN-stage.json`, private to its owner.
//!
//! Everything in it is written once and never changed, so that several processes, containers
//! or job steps can share it without a lock. It holds no secret and no byte of the snapshot.

use crate::exit::Exit;
use crate::plan::FORMAT_VERSION;
use crate::{Failure, JsonError, Plan, Receipt};
use serde::de::DeserializeOwned;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A plan or a receipt is a few kilobytes; more than this is not ours.
const JSON_BYTES_MAX: u64 = 16 << 20;

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

/// What is wrong with a run directory.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// It could not be written.
    #[error("cannot write the run directory")]
    Write(#[from] durable::Error),
    /// A file in it could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no plan in it.
    #[error("{} is not a run directory: it has no plan.json", .0.display())]
    NoPlan(PathBuf),
    /// A file in it is not what it should be.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file in it has a newer format.
    #[error("{} has format version {found}; this program knows up to {FORMAT_VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u64,
    },
}

impl Failure for RunDirError {
    fn exit(&self) -> Exit {
        match self {
            RunDirError::Write(durable::Error::AlreadyExists(_)) => Exit::Usage,
            RunDirError::Write(_) | RunDirError::Read { .. } => Exit::LocalDisk,
            RunDirError::NoPlan(_) => Exit::Usage,
            RunDirError::Damaged { .. } => Exit::Corrupt,
            RunDirError::Newer { .. } => Exit::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RunDirError::Write(e) => e.hint().map(str::to_owned),
            RunDirError::NoPlan(_) => Some(
                "make one with `lifeboat plan --run-dir DIR`, and give every step the same DIR"
                    .into(),
            ),
            RunDirError::Newer { .. } => Some("use programs of one version in one run".into()),
            RunDirError::Read { .. } | RunDirError::Damaged { .. } => None,
        }
    }
}

impl RunDir {
    /// Makes the directory and writes the plan into it.
    ///
    /// # Errors
    /// When it cannot be written, or a plan is there already: a run directory is used once.
    pub fn create(path: &Path, plan: &Plan) -> Result<Self, RunDirError> {
        let dir = RunDir { path: path.to_path_buf() };
        durable::create_private_dir(&dir.receipts())?;
        failpoint::pass("run_dir.made");
        durable::write_new(&dir.plan_path(), &to_json(plan))?;
        failpoint::pass("run_dir.planned");
        Ok(dir)
    }

    /// Opens an existing one and reads its plan.
    ///
    /// # Errors
    /// When there is no plan, or one that this program cannot follow.
    pub fn open(path: &Path) -> Result<(Self, Plan), RunDirError> {
        let dir = RunDir { path: path.to_path_buf() };
        match read_json(&dir.plan_path())? {
            Some(plan) => Ok((dir, plan)),
            None => Err(RunDirError::NoPlan(path.to_path_buf())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a receipt, once.
    ///
    /// # Errors
    /// When the step has a receipt already, or the disk refuses.
    pub fn write_receipt(&self, receipt: &Receipt) -> Result<(), RunDirError> {
        durable::create_private_dir(&self.receipts())?;
        let path = self.receipt_path(receipt.step, &receipt.stage);
        Ok(durable::write_new(&path, &to_json(receipt))?)
    }

    /// The receipt of a step, if the step has written one.
    ///
    /// # Errors
    /// When there is one that cannot be read or is damaged.
    pub fn receipt(&self, step: usize, stage: &str) -> Result<Option<Receipt>, RunDirError> {
        read_json(&self.receipt_path(step, stage))
    }

    /// Where the receipt of a step is.
    #[must_use]
    pub fn receipt_path(&self, step: usize, stage: &str) -> PathBuf {
        self.receipts().join(format!("{step:02}-{stage}.json"))
    }

    fn receipts(&self) -> PathBuf {
        self.path.join("receipts")
    }

    fn plan_path(&self) -> PathBuf {
        self.path.join("plan.json")
    }
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    // These types hold strings, numbers and lists only: they always serialise.
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RunDirError> {
    let damaged = |problem: String| RunDirError::Damaged { path: path.to_path_buf(), problem };
    let failed = |source| RunDirError::Read { path: path.to_path_buf(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut text = Vec::new();
    file.take(JSON_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > JSON_BYTES_MAX {
        return Err(damaged(format!("larger than {JSON_BYTES_MAX} bytes")));
    }
    crate::read_json(&text, FORMAT_VERSION).map(Some).map_err(|e| match e {
        JsonError::Newer { found } => RunDirError::Newer { path: path.to_path_buf(), found },
        JsonError::Malformed(problem) => damaged(problem),
    })
}
