//! The secret side: the identities that may open an artifact.
//!
//! Owns: reading identity files of age, SSH and plugins. A file that a passphrase protects is
//! opened only when no other identity fits, so that nobody is asked in vain, and only once.

use crate::error::{Error, IdentityError};
use crate::file;
use crate::passphrase::Passphrases;
use crate::terminal::Prompts;
use age::armor::ArmoredReader;
use age::plugin::{IdentityPluginV1, ResolveError};
use age::secrecy::SecretString;
use age::secrecy::zeroize::Zeroizing;
use age::{DecryptError, Decryptor, scrypt, ssh};
use std::cell::{OnceCell, RefCell};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The hardest scrypt that is attempted, as age's own tool does: 2^22 takes 4 GiB of memory.
const SCRYPT_LOG_N_MAX: u8 = 22;
/// The longest SSH key that age reads.
const SSH_KEY_BYTES_MAX: usize = 16 << 10;
/// The longest content of a protected identity file.
const PROTECTED_BYTES_MAX: u64 = 1 << 20;

type Identity = Box<dyn age::Identity>;

/// All identities, the protected ones last.
pub(crate) struct Keyring {
    open: Vec<Identity>,
    locked: Vec<Locked>,
    passphrases: Passphrases,
    /// Why a protected file could not be opened. age's own error type has no room for it.
    failure: RefCell<Option<IdentityError>>,
}

struct Locked {
    path: PathBuf,
    secret: LockedSecret,
    unlocked: OnceCell<Vec<Identity>>,
}

enum LockedSecret {
    /// A whole age file.
    AgeFile(Zeroizing<Vec<u8>>),
    /// An SSH private key.
    Ssh(Box<ssh::EncryptedKey>),
}

impl Keyring {
    /// Reads identity files.
    ///
    /// # Errors
    /// When there is none, or one of them is unusable.
    pub(crate) fn read(files: &[PathBuf], passphrases: Passphrases) -> Result<Self, Error> {
        let mut keyring = Keyring {
            open: Vec::new(),
            locked: Vec::new(),
            passphrases,
            failure: RefCell::new(None),
        };
        if files.is_empty() {
            return Err(IdentityError::None.into());
        }
        for path in files {
            keyring.add_file(path)?;
        }
        Ok(keyring)
    }

    /// How many there are; a protected file counts as one until it is opened.
    pub(crate) fn len(&self) -> usize {
        let locked = self.locked.iter().map(|locked| match locked.unlocked.get() {
            Some(identities) => identities.len(),
            None => 1,
        });
        self.open.len() + locked.sum::<usize>()
    }

    /// How many files a passphrase protects.
    pub(crate) fn locked(&self) -> usize {
        self.locked.len()
    }

    /// The identities, in the order to try. Asks for passphrases on the way.
    pub(crate) fn identities(&self) -> impl Iterator<Item = &dyn age::Identity> {
        let unlocked = self.locked.iter().flat_map(|locked| self.unlock(locked));
        self.open.iter().chain(unlocked).map(AsRef::as_ref)
    }

    /// The identities that no passphrase protects.
    pub(crate) fn unlocked(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.open.iter().map(AsRef::as_ref)
    }

    /// Why a protected file could not be opened, if one could not.
    pub(crate) fn take_failure(&self) -> Option<IdentityError> {
        self.failure.take()
    }

    fn add_file(&mut self, path: &Path) -> Result<(), IdentityError> {
        let failed = |source| IdentityError::File { path: path.to_path_buf(), source };
        if file::is_secret_path(path) {
            return Err(IdentityError::Inline);
        }
        let bytes = file::read(path).map_err(failed)?;
        file::warn_if_public(path);
        let content: &[u8] = &bytes;
        if content.starts_with(b"age-encryption.org/")
            || content.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
        {
            protected_decryptor(path, content)?;
            self.lock(path, LockedSecret::AgeFile(bytes));
            Ok(())
        } else if content.starts_with(b"-----BEGIN ") {
            self.add_ssh(path, content)
        } else {
            self.open.extend(parse_lines(path, content)?);
            Ok(())
        }
    }

    fn add_ssh(&mut self, path: &Path, content: &[u8]) -> Result<(), IdentityError> {
        let content = &content[..content.len().min(SSH_KEY_BYTES_MAX)];
        match ssh::Identity::from_buffer(content, None) {
            Ok(ssh::Identity::Encrypted(key)) => {
                self.lock(path, LockedSecret::Ssh(Box::new(key)));
            }
            Ok(ssh::Identity::Unsupported(kind)) => return Err(bad(path, unsupported(&kind))),
            Ok(key @ ssh::Identity::Unencrypted(_)) => self.open.push(Box::new(key)),
            Err(_) => return Err(bad(path, "is not a private key that age can read")),
        }
        Ok(())
    }

    fn lock(&mut self, path: &Path, secret: LockedSecret) {
        self.locked.push(Locked { path: path.to_path_buf(), secret, unlocked: OnceCell::new() });
    }

    /// The identities of a protected file; none once one could not be opened.
    fn unlock<'a>(&'a self, locked: &'a Locked) -> &'a [Identity] {
        if self.failure.borrow().is_some() {
            return &[];
        }
        if let Some(identities) = locked.unlocked.get() {
            return identities;
        }
        match self.ask_and_open(locked) {
            Ok(identities) => locked.unlocked.get_or_init(|| identities),
            Err(e) => {
                self.failure.replace(Some(e));
                &[]
            }
        }
    }

    fn ask_and_open(&self, locked: &Locked) -> Result<Vec<Identity>, IdentityError> {
        let path = &locked.path;
        for _ in 0..self.passphrases.tries() {
            let passphrase = self.passphrases.get(path)?;
            let opened = match &locked.secret {
                LockedSecret::AgeFile(content) => open_age_file(path, content, passphrase)?,
                LockedSecret::Ssh(key) => open_ssh_key(key, passphrase),
            };
            if let Some(identities) = opened {
                return Ok(identities);
            }
            tracing::warn!("the passphrase does not open {}", path.display());
        }
        Err(IdentityError::WrongPassphrase { path: path.clone() })
    }
}

fn bad(path: &Path, problem: impl Into<String>) -> IdentityError {
    IdentityError::Bad { path: path.to_path_buf(), problem: problem.into() }
}

fn protected_decryptor<'a>(
    path: &Path,
    content: &'a [u8],
) -> Result<Decryptor<ArmoredReader<BufReader<&'a [u8]>>>, IdentityError> {
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(content))
        .map_err(|_| bad(path, "is a damaged age file"))?;
    if decryptor.is_scrypt() {
        return Ok(decryptor);
    }
    Err(bad(path, "is encrypted to recipients, not to a passphrase"))
}

/// The identities in an age file; nothing if the passphrase is wrong.
fn open_age_file(
    path: &Path,
    content: &[u8],
    passphrase: SecretString,
) -> Result<Option<Vec<Identity>>, IdentityError> {
    let mut key = scrypt::Identity::new(passphrase);
    key.set_max_work_factor(SCRYPT_LOG_N_MAX);
    let decrypted =
        protected_decryptor(path, content)?.decrypt(std::iter::once(&key as &dyn age::Identity));
    let reader = match decrypted {
        Ok(reader) => reader,
        Err(DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed) => return Ok(None),
        Err(DecryptError::ExcessiveWork { .. }) => {
            return Err(bad(path, "takes more work to open than is sane"));
        }
        Err(_) => return Err(bad(path, "is a damaged age file")),
    };
    let mut lines = Zeroizing::new(Vec::with_capacity(64 << 10));
    reader
        .take(PROTECTED_BYTES_MAX)
        .read_to_end(&mut lines)
        .map_err(|_| bad(path, "is a damaged age file"))?;
    parse_lines(path, &lines).map(Some)
}

/// The one identity in an SSH key; nothing if the passphrase is wrong.
fn open_ssh_key(key: &ssh::EncryptedKey, passphrase: SecretString) -> Option<Vec<Identity>> {
    let key = key.decrypt(passphrase).ok()?;
    Some(vec![Box::new(ssh::Identity::Unencrypted(key))])
}

/// One identity a line, `#` begins a comment.
fn parse_lines(path: &Path, content: &[u8]) -> Result<Vec<Identity>, IdentityError> {
    let mut identities: Vec<Identity> = Vec::new();
    for (index, line) in content.split(|b| *b == b'\n').enumerate() {
        let problem = |what: &str| bad(path, format!("has {what} in line {}", index + 1));
        let line = std::str::from_utf8(line).map_err(|_| problem("something that is not text"))?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Ok(identity) = line.parse::<age::x25519::Identity>() {
            identities.push(Box::new(identity));
        } else if let Ok(identity) = line.parse::<age::plugin::Identity>() {
            identities.push(plugin_identity(path, identity)?);
        } else if line.starts_with("age1") || line.starts_with("ssh-") {
            return Err(problem("a public recipient, which opens nothing,"));
        } else {
            return Err(problem("something that is not an identity"));
        }
    }
    if identities.is_empty() {
        return Err(bad(path, "has no identity in it"));
    }
    Ok(identities)
}

fn plugin_identity(
    path: &Path,
    identity: age::plugin::Identity,
) -> Result<Identity, IdentityError> {
    let name = identity.plugin().to_owned();
    match IdentityPluginV1::new(&name, &[identity], Prompts) {
        Ok(plugin) => Ok(Box::new(plugin)),
        Err(ResolveError::MissingPlugin { binary_name }) => {
            Err(IdentityError::NoPlugin { path: path.to_path_buf(), program: binary_name })
        }
        Err(other) => Err(bad(path, format!("names an unusable plugin: {other}"))),
    }
}

fn unsupported(kind: &ssh::UnsupportedKey) -> String {
    match kind {
        ssh::UnsupportedKey::EncryptedPem => {
            "is an SSH key in the old encrypted format; `ssh-keygen -p -f FILE` renews it".into()
        }
        ssh::UnsupportedKey::EncryptedSsh(cipher) => {
            format!("is an SSH key encrypted with {cipher}, which age cannot read")
        }
        ssh::UnsupportedKey::Hardware(kind) | ssh::UnsupportedKey::Type(kind) => {
            format!("is an SSH key of the type {kind}, which age cannot use")
        }
    }
}

/// Turns age's answer to "does any of these open it" into ours.
pub(crate) fn explain(error: DecryptError, keyring: &Keyring, kinds: String) -> Explained {
    match error {
        DecryptError::NoMatchingKeys => {
            Explained::Identity(IdentityError::NoneOpens { tried: keyring.len(), kinds })
        }
        DecryptError::Plugin(errors) => {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Explained::Identity(IdentityError::Plugin(texts.join("; ")))
        }
        DecryptError::PluginResolve(e) => Explained::Identity(IdentityError::Plugin(e.to_string())),
        DecryptError::Io(e) => Explained::Io(e),
        DecryptError::InvalidMac => {
            Explained::Header("its authentication code does not hold".into())
        }
        DecryptError::DecryptionFailed => {
            Explained::Header("the part for one of the identities is not authentic".into())
        }
        other => Explained::Header(other.to_string()),
    }
}

/// What age's answer means.
pub(crate) enum Explained {
    /// No identity opens it.
    Identity(IdentityError),
    /// The header is damaged.
    Header(String),
    /// Reading failed, in the input or in a plugin.
    Io(io::Error),
}
