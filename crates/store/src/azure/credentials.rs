//! A secret in a file that somebody else renews while a run lasts.
//!
//! It is read when it is first needed, and again when the store refuses it and the file has changed
//! since; an unchanged file means that the refusal is meant.
//!
//! Does not: know what the secret is for, and never shows it.

use super::error::Trouble;
use crate::{CredentialsProblem, Secret};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests that were on their way when the file was read anew may still be refused.
const RENEWAL_GRACE: Duration = Duration::from_secs(30);
/// The largest file; a signature or a key has some hundred bytes.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// What has to be in the file.
pub(super) type Check = fn(&str) -> Result<(), &'static str>;

/// The file, and what was last read from it.
pub(super) struct Watched {
    path: PathBuf,
    check: Check,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Secret>,
    /// What the file was when `kept` came from it.
    print: Option<[u8; 32]>,
    /// When the file was found to have changed.
    renewed: Option<Instant>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({})", self.path.display())
    }
}

impl Watched {
    pub(super) fn new(path: PathBuf, check: Check) -> Self {
        Watched { path, check, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(&self.path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Whether another secret than that of a refused request may be had by asking again.
    pub(super) fn is_renewed(&self) -> bool {
        let now = self.read().ok().map(|text| print(&text));
        let mut state = self.state();
        if state.kept.is_some() && now.is_some() && state.print != now {
            state.kept = None;
            state.renewed = Some(Instant::now());
            return true;
        }
        state.renewed.is_some_and(|at| at.elapsed() < RENEWAL_GRACE)
    }

    /// The secret.
    pub(super) fn current(&self) -> azure_core::Result<Secret> {
        if let Some(kept) = &self.state().kept {
            return Ok(kept.clone());
        }
        let text =
            self.read().map_err(|e| self.unusable(CredentialsProblem::Missing, &e.to_string()))?;
        let secret = text.trim().trim_start_matches('?');
        (self.check)(secret).map_err(|why| self.unusable(CredentialsProblem::Invalid, why))?;
        let mut state = self.state();
        state.kept = Some(Secret::new(secret));
        state.print = Some(print(&text));
        Ok(Secret::new(secret))
    }

    fn unusable(&self, problem: CredentialsProblem, why: &str) -> azure_core::Error {
        let said = format!("the file {} cannot be used: {why}", self.path.display());
        Trouble::Credentials { problem, said }.into_sdk()
    }
}

fn print(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Whether a text may be a shared access signature.
pub(super) fn check_sas(text: &str) -> Result<(), &'static str> {
    if text.contains("://") {
        return Err("it holds an address; give only what stands after its question mark");
    }
    if text.contains(char::is_whitespace) || !text.split('&').any(|p| p.starts_with("sig=")) {
        return Err("it holds no shared access signature (sv=…&sig=…)");
    }
    Ok(())
}

/// Whether a text may be an account's key.
pub(super) fn check_key(text: &str) -> Result<(), &'static str> {
    use base64::Engine as _;
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(key) if !key.is_empty() => Ok(()),
        _ => Err("it holds no account key (base64)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f29_a_file_is_read_again_only_when_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sas");
        durable::write_new(&path, b"?sv=1&sig=one\n").unwrap();
        let file = Watched::new(path.clone(), check_sas);
        assert!(!file.is_renewed(), "nothing was read yet");
        assert_eq!(file.current().unwrap().reveal(), "sv=1&sig=one");
        assert!(!file.is_renewed());
        durable::replace(&path, b"sv=1&sig=two\n").unwrap();
        assert_eq!(file.current().unwrap().reveal(), "sv=1&sig=one");
        assert!(file.is_renewed());
        assert_eq!(file.current().unwrap().reveal(), "sv=1&sig=two");
        assert!(file.is_renewed(), "a request of before may still be on its way");
        durable::remove_file(&path).unwrap();
        assert_eq!(file.current().unwrap().reveal(), "sv=1&sig=two");
        assert!(!format!("{file:?}").contains("two"), "{file:?}");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let dir = tempfile::tempdir().unwrap();
        for (number, (text, check)) in [
            ("https://h/c?sv=1&sig=CANARY", check_sas as Check),
            ("sv=1&CANARY", check_sas),
            ("sig=CANARY other", check_sas),
            ("", check_sas),
            ("CANARY!", check_key),
            ("", check_key),
        ]
        .into_iter()
        .enumerate()
        {
            let path = dir.path().join(number.to_string());
            durable::write_new(&path, text.as_bytes()).unwrap();
            let error = Watched::new(path, check).current().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("cannot be used") && !shown.contains("CANARY"), "{shown}");
        }
        let missing = Watched::new(dir.path().join("none"), check_sas).current().unwrap_err();
        assert!(
            matches!(
                Trouble::of(&missing),
                Some(Trouble::Credentials { problem: CredentialsProblem::Missing, .. })
            ),
            "{missing:?}"
        );
    }
}
