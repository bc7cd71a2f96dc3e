//! Who asks: nobody, whom a file describes, or whom Google's own chain finds.
//!
//! Google's library makes access tokens, keeps them and renews them before they end. A file that
//! somebody else renews is read again when the store refuses a token and the file has changed since;
//! an unchanged file means that the refusal is meant.
//!
//! Does not: show what it holds, or contact anybody before the first request.

use super::error::credentials;
use crate::{CredentialsProblem, ErrorKind, GcsSettings};
use google_cloud_auth::credentials::{
    Builder, CacheableResource, Credentials, external_account, impersonated, service_account,
    user_account,
};
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests that were on their way when the file was read anew may still be refused.
const RENEWAL_GRACE: Duration = Duration::from_secs(30);
/// How much of a credentials file is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Names the file of Google's own chain.
const CHAIN_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Where it is otherwise, if it is, below the home directory.
const CHAIN_FILE_AT_HOME: &str = ".config/gcloud/application_default_credentials.json";
/// How long a token may take to come: outside of Google's cloud nobody refuses, nor answers.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the credentials come from.
#[derive(Debug)]
enum Source {
    Nobody,
    File(PathBuf),
    /// With the file of it, if there is one; else it asks the machine's metadata server.
    Chain(Option<PathBuf>),
}

/// Whoever asks.
pub(super) struct Identity {
    source: Source,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Credentials>,
    /// How often they were read.
    readings: u64,
    /// What the file was when `kept` came from it.
    print: Option<[u8; 32]>,
    /// When the file was found to have changed.
    renewed: Option<Instant>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.source)
    }
}

impl Identity {
    pub(super) fn new(settings: &GcsSettings) -> Self {
        let source = match &settings.credentials_file {
            _ if settings.anonymous => Source::Nobody,
            Some(path) => Source::File(path.clone()),
            None => Source::Chain(chain_file()),
        };
        Identity { source, state: Mutex::default() }
    }

    /// The headers of a request; none for nobody.
    pub(super) async fn headers(&self) -> Result<HeaderMap, ErrorKind> {
        let Some((kept, _)) = self.current()? else {
            return Ok(HeaderMap::new());
        };
        let is_bare = matches!(self.source, Source::Chain(None));
        match tokio::time::timeout(TOKEN_TIMEOUT, kept.headers(Default::default())).await {
            Ok(Ok(CacheableResource::New { data, .. })) => Ok(data),
            Ok(Ok(CacheableResource::NotModified)) => Ok(HeaderMap::new()),
            Ok(Err(e)) if is_bare && is_unreachable(&e) => Err(missing(NOT_FOUND.to_owned())),
            Ok(Err(e)) => Err(credentials(&e)),
            Err(_) if is_bare => Err(missing(NOT_FOUND.to_owned())),
            Err(_) => {
                Err(ErrorKind::Transient { said: "the credentials did not come in time".into() })
            }
        }
    }

    /// For Google's own client: the credentials, and which reading they are of.
    pub(super) fn current(&self) -> Result<Option<(Credentials, u64)>, ErrorKind> {
        if matches!(self.source, Source::Nobody) {
            return Ok(None);
        }
        let mut state = self.state();
        if let Some(kept) = &state.kept {
            return Ok(Some((kept.clone(), state.readings)));
        }
        // Looked at before it is read: a change in between is then seen as one later.
        state.print = self.print();
        let read = match &self.source {
            Source::File(path) => described(path)?,
            Source::Nobody | Source::Chain(_) => {
                Builder::default().build().map_err(|e| unusable(&crate::error::innermost(&e)))?
            }
        };
        state.readings += 1;
        state.kept = Some(read.clone());
        Ok(Some((read, state.readings)))
    }

    /// Whether other credentials than those of a refused request may be had by asking again.
    pub(super) fn is_renewed(&self) -> bool {
        let now = self.print();
        let mut state = self.state();
        if state.kept.is_some() && now.is_some() && state.print != now {
            state.kept = None;
            state.renewed = Some(Instant::now());
            return true;
        }
        state.renewed.is_some_and(|at| at.elapsed() < RENEWAL_GRACE)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when there is no file, or it cannot be read at this moment.
    fn print(&self) -> Option<[u8; 32]> {
        let (Source::File(path) | Source::Chain(Some(path))) = &self.source else {
            return None;
        };
        Some(Sha256::digest(contents(path).ok()?).into())
    }
}

const NOT_FOUND: &str = "there is no file of them, and no metadata server answers on this machine";

/// The file of Google's chain, where it looks for it.
fn chain_file() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(CHAIN_FILE) {
        return Some(PathBuf::from(named));
    }
    let home = PathBuf::from(std::env::var_os("HOME")?);
    Some(home.join(CHAIN_FILE_AT_HOME)).filter(|path| path.exists())
}

/// Whether nobody was there to be asked.
fn is_unreachable(e: &(dyn std::error::Error + 'static)) -> bool {
    let mut exchanges = crate::error::causes(e).filter_map(|e| e.downcast_ref::<reqwest::Error>());
    exchanges.any(|e| e.is_connect() || e.is_timeout())
}

fn missing(said: String) -> ErrorKind {
    ErrorKind::Credentials { problem: CredentialsProblem::Missing, said }
}

fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The credentials that a file of Google's format describes.
fn described(path: &Path) -> Result<Credentials, ErrorKind> {
    let shown = path.display();
    let bytes =
        contents(path).map_err(|e| missing(format!("the file {shown} cannot be read: {e}")))?;
    // The reason of the parser could show a piece of a key.
    let json: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|_| unusable(&format!("the file {shown} is not JSON")))?;
    let kind = json.get("type").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
    let built = match kind.as_str() {
        "service_account" => service_account::Builder::new(json).build(),
        "external_account" => external_account::Builder::new(json).build(),
        "authorized_user" => user_account::Builder::new(json).build(),
        "impersonated_service_account" => impersonated::Builder::new(json).build(),
        _ => {
            let kind = crate::error::one_line(&kind);
            return Err(unusable(&format!("the file {shown} has the unknown type {kind:?}")));
        }
    };
    built.map_err(|e| unusable(&format!("the file {shown}: {}", crate::error::innermost(&e))))
}

fn unusable(said: &str) -> ErrorKind {
    ErrorKind::Credentials { problem: CredentialsProblem::Invalid, said: said.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(token: &str) -> String {
        format!(
            "{{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"b\",\
             \"refresh_token\":\"{token}\"}}"
        )
    }

    fn of(path: &Path) -> Identity {
        let mut settings = GcsSettings::new("x", "y");
        settings.credentials_file = Some(path.to_owned());
        Identity::new(&settings)
    }

    #[tokio::test]
    async fn f29_a_file_is_read_again_only_when_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("google.json");
        durable::write_new(&path, user("CANARY-1").as_bytes()).unwrap();
        let identity = of(&path);
        assert!(!identity.is_renewed(), "nothing was read yet");
        let readings = || identity.current().unwrap().unwrap().1;
        assert_eq!((readings(), readings()), (1, 1));
        assert!(!identity.is_renewed());
        durable::replace(&path, user("CANARY-2").as_bytes()).unwrap();
        assert_eq!(readings(), 1);
        assert!(identity.is_renewed());
        assert_eq!(readings(), 2);
        assert!(identity.is_renewed(), "a request of before may still be on its way");
        durable::remove_file(&path).unwrap();
        assert_eq!(readings(), 2);
        assert!(!format!("{identity:?}").contains("CANARY"), "{identity:?}");
    }

    #[tokio::test]
    async fn f29_i23_a_file_that_is_no_credentials_is_told_without_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("google.json");
        let said = || of(&path).current().unwrap_err();
        let missing = CredentialsProblem::Missing;
        assert!(matches!(said(), ErrorKind::Credentials { problem, .. } if problem == missing));
        for bad in ["CANARY", "{\"type\":\"robot\",\"private_key\":\"CANARY\"}", &user("")[..60]] {
            durable::replace(&path, bad.as_bytes()).unwrap();
            let said = format!("{:?}", said());
            assert!(said.contains("google.json") && !said.contains("CANARY"), "{said}");
        }
    }
}
