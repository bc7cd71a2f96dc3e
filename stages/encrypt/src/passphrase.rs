//! Where the passphrase of a protected identity file comes from.

use crate::error::IdentityError;
use crate::{file, terminal};
use age::secrecy::SecretString;
use std::io;
use std::path::{Path, PathBuf};

/// How often a person may mistype.
const TRIES_MAX: u32 = 3;

/// A file with the passphrase, or the terminal.
pub(crate) struct Passphrases {
    file: Option<PathBuf>,
}

impl Passphrases {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Passphrases { file }
    }

    /// How often it is worth asking again.
    pub(crate) fn tries(&self) -> u32 {
        if self.file.is_some() { 1 } else { TRIES_MAX }
    }

    /// The passphrase for an identity file.
    ///
    /// # Errors
    /// When the passphrase file is unusable, or there is nobody to ask.
    pub(crate) fn get(&self, identity: &Path) -> Result<SecretString, IdentityError> {
        if let Some(path) = &self.file {
            return from_file(path);
        }
        let question = format!("Passphrase of {}", identity.display());
        terminal::ask_secret(&question)
            .ok_or_else(|| IdentityError::NoPassphrase { path: identity.to_path_buf() })
    }
}

/// The first line, without its end.
fn from_file(path: &Path) -> Result<SecretString, IdentityError> {
    let failed = |source| IdentityError::PassphraseFile { path: path.to_path_buf(), source };
    file::warn_if_public(path);
    let bytes = file::read(path).map_err(failed)?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(failed(io::Error::other("its first line is empty"))),
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(failed(io::Error::other("its first line is not text"))),
    }
}
