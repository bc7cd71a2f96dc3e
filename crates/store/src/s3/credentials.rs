//! Credentials that the settings name: given ones, or those of a profile.
//!
//! A file of temporary credentials is renewed by somebody else while a run lasts. It is read when
//! it is first needed and again when the store says that the token has expired and the file has
//! changed since; an unchanged file means that the credentials really have expired. That is so
//! whoever names the file: the settings, the environment, or nobody, where it lies in its usual place.
//!
//! Does not: speak to any credential service but through the SDK's own providers, and never shows what
//! it holds.

use crate::{S3Settings, StaticCredentials};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Requests that were on their way when the file was read anew may still be refused.
const RENEWAL_GRACE: Duration = Duration::from_secs(30);
/// Credentials that expire so soon are asked for anew.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);
/// How much of a credentials file is compared.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Those of the settings themselves.
pub(super) fn explicit(credentials: &StaticCredentials) -> Credentials {
    let StaticCredentials { access_key_id, secret_access_key, session_token } = credentials;
    let token = session_token.as_ref().map(|t| t.reveal().to_owned());
    Credentials::new(access_key_id.reveal(), secret_access_key.reveal(), token, None, "lifeboat")
}

/// A profile of a credentials file. What the settings name goes before what the environment
/// offers: in the SDK's own chain it is the other way round, and one variable would speak for
/// every destination.
#[derive(Debug)]
pub(super) struct FromFile {
    source: Source,
    /// The file that is read, whoever names it.
    watched: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Source {
    /// The settings name a profile, a file, or both.
    Named { profile: Option<String>, file: Option<PathBuf> },
    /// The settings name nothing, and the environment names a file: the SDK's own chain, which finds
    /// it there.
    Chain,
}

/// A variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Names the file of credentials, instead of the one below the home directory.
const FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";
/// Where it is otherwise.
const FILE_AT_HOME: &str = ".aws/credentials";
/// With it the SDK's chain never comes to a file.
const KEY: &str = "AWS_ACCESS_KEY_ID";

/// The file in which the SDK looks.
fn shared_file(variable: Variable<'_>) -> Option<PathBuf> {
    let home = || variable("HOME").map(PathBuf::from);
    let Some(named) = variable(FILE).filter(|name| !name.is_empty()) else {
        return Some(home()?.join(FILE_AT_HOME));
    };
    let named = PathBuf::from(named);
    match named.strip_prefix("~") {
        Ok(below) => Some(home()?.join(below)),
        Err(_) => Some(named),
    }
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Credentials>,
    /// What the file was when `kept` came from it.
    print: Option<[u8; 32]>,
    /// When the file was found to have changed.
    renewed: Option<Instant>,
}

impl FromFile {
    /// For settings that name a profile or a file, or an environment that names a file.
    pub(super) fn new(settings: &S3Settings) -> Option<Self> {
        FromFile::within(settings, &|name| std::env::var_os(name))
    }

    fn within(settings: &S3Settings, variable: Variable<'_>) -> Option<Self> {
        let (profile, file) = (settings.profile.clone(), settings.credentials_file.clone());
        let watched = file.clone().or_else(|| shared_file(variable));
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let source = match profile.is_some() || file.is_some() {
            true => Source::Named { profile, file },
            false if is_set(FILE) && !is_set(KEY) => Source::Chain,
            false => return None,
        };
        Some(FromFile { source, watched, state: Mutex::default() })
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

    /// `None` when there is no file of ours, or it cannot be read at this moment.
    fn print(&self) -> Option<[u8; 32]> {
        let file = std::fs::File::open(self.watched.as_ref()?).ok()?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(Sha256::digest(bytes).into())
    }

    fn kept(&self) -> Option<Credentials> {
        let kept = self.state().kept.clone()?;
        let is_fresh = |expiry: SystemTime| {
            #[expect(clippy::disallowed_methods, reason = "the expiry is a time of day")]
            let now = SystemTime::now();
            expiry.duration_since(now).is_ok_and(|left| left > EXPIRY_MARGIN)
        };
        kept.expiry().is_none_or(is_fresh).then_some(kept)
    }

    async fn current(&self) -> Result<Credentials, CredentialsError> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        // Looked at before it is read: a change in between is then seen as one later.
        let print = self.print();
        let read = self.read().await?;
        let mut state = self.state();
        (state.kept, state.print) = (Some(read.clone()), print);
        Ok(read)
    }

    /// With a new provider each time, because each reads its files only once.
    async fn read(&self) -> Result<Credentials, CredentialsError> {
        match &self.source {
            Source::Named { profile, file } => {
                profile_provider(profile.as_deref(), file.as_deref()).provide_credentials().await
            }
            Source::Chain => {
                DefaultCredentialsChain::builder().build().await.provide_credentials().await
            }
        }
    }
}

fn profile_provider(profile: Option<&str>, file: Option<&Path>) -> ProfileFileCredentialsProvider {
    let mut builder = ProfileFileCredentialsProvider::builder();
    if let Some(profile) = profile {
        builder = builder.profile_name(profile);
    }
    if let Some(file) = file {
        let files = EnvConfigFiles::builder()
            .include_default_config_file(true)
            .with_file(EnvConfigFileKind::Credentials, file);
        builder = builder.profile_files(files.build());
    }
    builder.build()
}

impl ProvideCredentials for FromFile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(token: &str) -> String {
        format!(
            "[default]\naws_access_key_id = A\naws_secret_access_key = S\naws_session_token = {token}\n"
        )
    }

    #[tokio::test]
    async fn f29_a_file_is_read_again_only_when_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aws");
        durable::write_new(&path, text("one").as_bytes()).unwrap();
        let mut settings = S3Settings::new("x", "y");
        assert!(FromFile::within(&settings, &|_| None).is_none());
        settings.credentials_file = Some(path.clone());
        let file = FromFile::within(&settings, &|_| None).unwrap();
        assert!(!file.is_renewed(), "nothing was read yet");
        assert_eq!(file.current().await.unwrap().session_token(), Some("one"));
        assert!(!file.is_renewed());
        durable::replace(&path, text("two").as_bytes()).unwrap();
        assert_eq!(file.current().await.unwrap().session_token(), Some("one"));
        assert!(file.is_renewed());
        assert_eq!(file.current().await.unwrap().session_token(), Some("two"));
        assert!(file.is_renewed(), "a request of before may still be on its way");
        durable::remove_file(&path).unwrap();
        assert_eq!(file.current().await.unwrap().session_token(), Some("two"));
        assert!(!format!("{file:?}").contains("two"), "{file:?}");
    }

    /// Whoever names the file, and if nobody does: it is the one that is watched.
    #[test]
    fn f29_a_file_that_the_environment_names_is_watched_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let at_home = dir.path().join(".aws/credentials");
        let named = dir.path().join("named");
        durable::create_private_dir(at_home.parent().unwrap()).unwrap();
        let home = ("HOME", dir.path().as_os_str().to_owned());
        let variable = ("AWS_SHARED_CREDENTIALS_FILE", named.as_os_str().to_owned());
        let tilde = ("AWS_SHARED_CREDENTIALS_FILE", OsString::from("~/named"));
        let key = ("AWS_ACCESS_KEY_ID", OsString::from("AKIA"));
        let mut profile = S3Settings::new("x", "y");
        profile.profile = Some("backups".into());
        let plain = S3Settings::new("x", "y");
        for (settings, environment, watched) in [
            (&profile, vec![home.clone()], Some(&at_home)),
            (&profile, vec![home.clone(), variable.clone(), key.clone()], Some(&named)),
            (&plain, vec![home.clone(), variable.clone()], Some(&named)),
            (&plain, vec![home.clone(), tilde], Some(&named)),
            // The key in the environment goes before any file.
            (&plain, vec![home.clone(), variable, key], None),
            (&plain, vec![home], None),
        ] {
            let get = |name: &str| {
                let found = environment.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.clone())
            };
            let found = FromFile::within(settings, &get);
            let file = found.as_ref().and_then(|found| found.watched.as_ref());
            assert_eq!(file, watched, "{environment:?}");
            let (Some(found), Some(path)) = (&found, watched) else { continue };
            durable::replace(path, text("one").as_bytes()).unwrap();
            *found.state() = State {
                kept: Some(Credentials::new("A", "S", Some("one".into()), None, "test")),
                print: found.print(),
                renewed: None,
            };
            assert!(!found.is_renewed());
            durable::replace(path, text("two").as_bytes()).unwrap();
            assert!(found.is_renewed(), "{environment:?}");
        }
    }
}
