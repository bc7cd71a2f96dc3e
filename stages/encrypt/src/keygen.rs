//! `--keygen`: a new X25519 identity, in the file format of `age-keygen`.

use crate::error::Error;
use age::secrecy::ExposeSecret;
use age::secrecy::zeroize::Zeroizing;
use contract::{Clock, Exit, Sink};
use std::io::Write;
use std::path::Path;

/// Writes a new identity to the new file `path` and prints its recipient.
///
/// # Errors
/// When the file is there already or cannot be written, or nobody takes the recipient.
pub(crate) fn run(path: &Path, clock: Clock) -> Result<Exit, Error> {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public();
    let text = Zeroizing::new(format!(
        "# created: {}\n# public key: {recipient}\n{}\n",
        clock.now(),
        identity.to_string().expose_secret(),
    ));
    durable::write_new(path, text.as_bytes()).map_err(Error::Keygen)?;
    tracing::info!("wrote the secret identity {}; keep a copy of it offline", path.display());
    let mut sink = Sink::open(None)?;
    let written = sink.write_all(format!("{recipient}\n").as_bytes());
    written.map_err(|e| sink.write_error(e))?;
    Ok(Exit::Ok)
}
