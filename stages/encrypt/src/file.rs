//! Small files that people wrote: read with a limit, and wiped from memory afterwards.
//!
//! Owns also: recognising a secret where none belongs, so that no message quotes it.

use age::secrecy::zeroize::Zeroizing;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Keys and lists of keys have a few kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a whole file of at most 1 MiB.
///
/// # Errors
/// The system's answer, or that the file is too large.
pub(crate) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // All the room at once: a buffer that grows leaves copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "larger than {FILE_BYTES_MAX} bytes, which no key is"
        )));
    }
    Ok(bytes)
}

/// Warns when others than the owner may read a secret.
pub(crate) fn warn_if_public(path: &Path) {
    const OTHERS: u32 = 0o077;
    if let Ok(metadata) = path.metadata()
        && metadata.permissions().mode() & OTHERS != 0
    {
        tracing::warn!(
            "others may read the secret file {} (mode {:04o}); run: chmod 600 {0}",
            path.display(),
            metadata.permissions().mode() & 0o7777,
        );
    }
}

/// Whether the text begins like a secret key of age, of a plugin or of SSH.
pub(crate) fn is_secret(text: &str) -> bool {
    let upper = text.trim_start().to_ascii_uppercase();
    ["AGE-SECRET-KEY-", "AGE-PLUGIN-", "-----BEGIN "].iter().any(|p| upper.starts_with(p))
}

/// The same for what should be the path of a file.
pub(crate) fn is_secret_path(path: &Path) -> bool {
    path.to_str().is_some_and(is_secret)
}
