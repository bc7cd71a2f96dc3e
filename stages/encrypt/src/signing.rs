//! Signing the manifest that `replicate` is going to make of this run.
//!
//! It is made here, from the same receipts and this stage's own, signed, and thrown away: only the
//! signature goes on, in the receipt. So the key that says "this is ours" lies where no store can be reached,
//! and whoever takes over the stage with the stores' credentials cannot sign.

use crate::error::Error;
use crate::file;
use catalogue::{Manifest, ManifestError};
use config::Pipeline;
use contract::facts::Signature;
use contract::{Clock, Plan, Receipt};
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};
use trust::{KeyError, SecretKey};

/// How far this machine's clock may be behind the one that somebody read.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(3);

/// What is wrong with the signing key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    /// There is none, and unsigned backups are not believed.
    #[error("there is no key to sign with, and what is not signed is forged by [trust]")]
    None,
    /// Those who planned the run believe others.
    #[error(
        "the run was planned for backups signed by {expected:?}, and this stage believes {found:?}"
    )]
    OtherSigners {
        /// In the plan.
        expected: Vec<String>,
        /// In the configuration.
        found: Vec<String>,
    },
    /// Until then nothing would need a signature.
    #[error("[trust] unsigned_until, {0}, lies ahead: until then nobody would need a signature")]
    Ahead(Timestamp),
    /// The file cannot be read.
    #[error("cannot read the signing key {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the signing key {} cannot be used", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// Nobody would believe it.
    #[error("the signing key {} is {key}, which [trust] signers does not list", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Its public key.
        key: String,
    },
    /// The receipts make no manifest.
    #[error("there is no manifest to sign")]
    Manifest(#[from] ManifestError),
}

impl SigningError {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            SigningError::None => {
                "set [encrypt] signing_key_file; `lifeboat-encrypt --keygen-signing FILE` makes a key"
            }
            SigningError::Ahead(_) => "set it to when you began to sign, or delete it",
            SigningError::OtherSigners { .. } => {
                "give every stage of a run the same [trust] signers"
            }
            SigningError::File { .. } => "check the file's name, and that this user may read it",
            SigningError::Bad { .. } => {
                "`lifeboat-encrypt --keygen-signing FILE` or `openssl genpkey -algorithm ed25519` \
                 makes one"
            }
            SigningError::Untrusted { .. } => {
                "add that public key to [trust] signers wherever backups are read, then begin to sign"
            }
            SigningError::Manifest(_) => "use programs of one version in one run",
        }
    }
}

/// Reads the key that the configuration names. It is believed by the same configuration, or refused before
/// a byte flows.
///
/// # Errors
/// [`SigningError`]; nothing where nothing is to be signed.
pub(crate) fn key(pipeline: &Pipeline) -> Result<Option<SecretKey>, SigningError> {
    let Some(path) = &pipeline.encrypt.signing_key_file else {
        return if pipeline.trust.is_wanted() { Err(SigningError::None) } else { Ok(None) };
    };
    let late = Clock::system().now() + CLOCK_SKEW_MAX;
    if let Some(until) = pipeline.trust.unsigned_until.filter(|until| *until > late) {
        return Err(SigningError::Ahead(until));
    }
    let key = read(path)?;
    if !pipeline.trust.signers.contains(&key.public()) {
        return Err(SigningError::Untrusted { path: path.clone(), key: key.public().to_string() });
    }
    Ok(Some(key))
}

/// The key for the backup of this plan. What is not stored next has no manifest.
///
/// # Errors
/// As [`key`], and when the configuration cannot be read.
pub(crate) fn key_of_run(
    config: Option<&Path>,
    plan: Option<&Plan>,
    step: usize,
) -> Result<Option<SecretKey>, Error> {
    let is_stored = |plan: &&Plan| plan.steps.get(step + 1).is_some_and(|s| s.name == "replicate");
    let Some(plan) = plan.filter(is_stored) else { return Ok(None) };
    let pipeline = Pipeline::load(config)?;
    let (expected, found) = (plan.signers.clone(), pipeline.trust.signer_names());
    if expected != found {
        return Err(SigningError::OtherSigners { expected, found }.into());
    }
    Ok(key(&pipeline)?)
}

/// The signature of what `receipts`, the last of which is this stage's own, come to.
///
/// # Errors
/// [`SigningError::Manifest`].
pub(crate) fn sign(
    key: &SecretKey,
    plan: &Plan,
    receipts: &[Receipt],
) -> Result<Signature, SigningError> {
    // Which program writes it down is not part of what is signed.
    Ok(Manifest::from_receipts(plan, receipts, String::new())?.signed_by(key))
}

fn read(path: &Path) -> Result<SecretKey, SigningError> {
    let failed = |source| SigningError::File { path: path.to_path_buf(), source };
    let bytes = file::read(path).map_err(failed)?;
    file::warn_if_public(path);
    let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::Pem);
    let key = text.and_then(SecretKey::from_pem);
    key.map_err(|source| SigningError::Bad { path: path.to_path_buf(), source })
}
