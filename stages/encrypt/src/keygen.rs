//! New keys: with `--keygen` an X25519 identity, in the file format of `age-keygen`, with `--keygen-signing` an
//! Ed25519 key that signs, in that of OpenSSL.

use crate::error::Error;
use crate::signing::SigningError;
use age::secrecy::ExposeSecret;
use age::secrecy::zeroize::Zeroizing;
use contract::{Clock, Exit, Sink};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;
use std::io::Write;
use std::path::Path;
use trust::SecretKey;

/// Writes a new identity to the new file `path` and prints its recipient.
///
/// # Errors
/// When the file is there already or cannot be written, or nobody takes the recipient.
pub(crate) fn identity(path: &Path, clock: Clock) -> Result<Exit, Error> {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public();
    let text = Zeroizing::new(format!(
        "# created: {}\n# public key: {recipient}\n{}\n",
        clock.now(),
        identity.to_string().expose_secret(),
    ));
    durable::write_new(path, text.as_bytes()).map_err(Error::Keygen)?;
    tracing::info!("wrote the secret identity {}; keep a copy of it offline", path.display());
    print(&recipient.to_string())
}

/// Writes a new signing key to the new file `path` and prints its public key.
///
/// # Errors
/// When the file is there already or cannot be written, there is no randomness, or nobody takes the
/// public key.
pub(crate) fn signing_key(path: &Path) -> Result<Exit, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    let filled = rustix::rand::getrandom(&mut *seed, GetRandomFlags::empty());
    if filled != Ok(seed.len()) {
        return Err(Error::NoRandomness(filled.err().unwrap_or(Errno::AGAIN).into()));
    }
    let key = SecretKey::from_seed(&seed);
    let text = key.to_pem().map_err(|source| SigningError::Bad { path: path.into(), source })?;
    durable::write_new(path, text.as_ref().as_bytes()).map_err(Error::Keygen)?;
    tracing::info!(
        hint = "list the public key in [trust] signers wherever backups are read",
        "wrote the secret signing key {}",
        path.display()
    );
    print(&key.public().to_string())
}

fn print(public: &str) -> Result<Exit, Error> {
    let mut sink = Sink::open(None)?;
    let written = sink.write_all(format!("{public}\n").as_bytes());
    written.map_err(|e| sink.write_error(e))?;
    Ok(Exit::Ok)
}
