//! The public side: who can open an artifact.
//!
//! Owns: parsing and its messages, the refusal of duplicates and of secrets, and the plugins
//! that some recipients need. age's own parser would skip a recipient that it does not know and
//! quote one that it cannot read, which may be a secret in the wrong place.

use crate::error::{Error, RecipientError};
use crate::file;
use crate::terminal::Prompts;
use age::plugin::{RecipientPluginV1, ResolveError};
use age::{EncryptError, Encryptor, ssh};
use std::path::{Path, PathBuf};

/// So many headers of the largest recipients still fit in [`crate::header::HEADER_BYTES_MAX`].
const RECIPIENTS_MAX: usize = 64;

/// Those who can open the artifact, each alone.
#[derive(Default)]
pub(crate) struct Recipients {
    all: Vec<Recipient>,
}

struct Recipient {
    /// In its canonical spelling, without an SSH key's comment.
    name: String,
    /// Where it was found.
    place: String,
    key: Key,
}

enum Key {
    Native(Box<dyn age::Recipient>),
    Plugin(age::plugin::Recipient),
}

impl Recipients {
    /// Reads recipients given one by one, which `what` names, and those in files.
    ///
    /// # Errors
    /// The first thing that is wrong. That there is none at all is an error as well.
    pub(crate) fn read(what: &str, given: &[String], files: &[PathBuf]) -> Result<Self, Error> {
        let mut recipients = Recipients::default();
        for (index, text) in given.iter().enumerate() {
            recipients.add(format!("{what} {}", index + 1), text.trim())?;
        }
        for path in files {
            recipients.add_file(path)?;
        }
        match recipients.all.len() {
            0 => Err(RecipientError::None.into()),
            found if found > RECIPIENTS_MAX => {
                Err(RecipientError::TooMany { found, max: RECIPIENTS_MAX }.into())
            }
            _ => Ok(recipients),
        }
    }

    /// Their public names, as they go into the receipt and the manifest.
    pub(crate) fn names(&self) -> Vec<String> {
        self.all.iter().map(|r| r.name.clone()).collect()
    }

    /// The names of the plugins that they need, each once.
    pub(crate) fn plugins(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for recipient in &self.all {
            if let Key::Plugin(key) = &recipient.key
                && !names.contains(&key.plugin())
            {
                names.push(key.plugin());
            }
        }
        names
    }

    /// Finds the program of a plugin, for all of its recipients at once.
    ///
    /// # Errors
    /// [`RecipientError::NoPlugin`].
    pub(crate) fn plugin(&self, name: &str) -> Result<RecipientPluginV1<Prompts>, Error> {
        let keys: Vec<age::plugin::Recipient> = self
            .all
            .iter()
            .filter_map(|recipient| match &recipient.key {
                Key::Plugin(key) if key.plugin() == name => Some(key.clone()),
                _ => None,
            })
            .collect();
        RecipientPluginV1::new(name, &keys, &[], Prompts).map_err(|e| match e {
            ResolveError::MissingPlugin { binary_name } => RecipientError::NoPlugin {
                recipient: keys.first().map(ToString::to_string).unwrap_or_default(),
                program: binary_name,
            }
            .into(),
            other => RecipientError::Refused(other.to_string()).into(),
        })
    }

    /// Makes a file key and wraps it for each of them.
    ///
    /// # Errors
    /// When a plugin is missing or fails, or recipients refuse each other's company.
    pub(crate) fn encryptor(&self) -> Result<Encryptor, Error> {
        let plugins = self
            .plugins()
            .into_iter()
            .map(|name| self.plugin(name))
            .collect::<Result<Vec<_>, Error>>()?;
        let native = self.all.iter().filter_map(|recipient| match &recipient.key {
            Key::Native(key) => Some(key.as_ref()),
            Key::Plugin(_) => None,
        });
        let all = native.chain(plugins.iter().map(|p| p as &dyn age::Recipient));
        Encryptor::with_recipients(all).map_err(|e| match e {
            EncryptError::MissingRecipients => RecipientError::None.into(),
            other => RecipientError::Refused(other.to_string()).into(),
        })
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |source| RecipientError::File { path: path.to_path_buf(), source };
        if file::is_secret_path(path) {
            let place = "what should be the path of a recipients file".to_owned();
            return Err(RecipientError::Secret { place }.into());
        }
        let bytes = file::read(path).map_err(failed)?;
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let place = format!("line {} of {}", index + 1, path.display());
            let Ok(line) = std::str::from_utf8(line) else {
                return Err(bad(place, "is not text").into());
            };
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add(place, line)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, place: String, text: &str) -> Result<(), RecipientError> {
        let (name, key) = parse(&place, text)?;
        if let Some(first) = self.all.iter().find(|r| r.name == name) {
            return Err(RecipientError::Twice {
                recipient: name,
                first: first.place.clone(),
                second: place,
            });
        }
        self.all.push(Recipient { name, place, key });
        Ok(())
    }
}

fn bad(place: String, problem: impl Into<String>) -> RecipientError {
    RecipientError::Bad { place, problem: problem.into() }
}

fn parse(place: &str, text: &str) -> Result<(String, Key), RecipientError> {
    if file::is_secret(text) {
        return Err(RecipientError::Secret { place: place.to_owned() });
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
        return parse_ssh(place, text);
    }
    if let Ok(key) = text.parse::<age::x25519::Recipient>() {
        return Ok((key.to_string(), Key::Native(Box::new(key))));
    }
    if let Ok(key) = text.parse::<age::tag::Recipient>() {
        return Ok((key.to_string(), Key::Native(Box::new(key))));
    }
    if let Ok(key) = text.parse::<age::tagpq::Recipient>() {
        return Ok((key.to_string(), Key::Native(Box::new(key))));
    }
    if let Ok(key) = text.parse::<age::plugin::Recipient>() {
        return Ok((key.to_string().to_lowercase(), Key::Plugin(key)));
    }
    let problem = if text.to_ascii_lowercase().starts_with("age1") {
        "looks like an age recipient, but its checksum does not hold: a character is missing or wrong"
    } else {
        "is not a recipient; passphrases are not supported as recipients"
    };
    Err(bad(place.to_owned(), problem))
}

fn parse_ssh(place: &str, text: &str) -> Result<(String, Key), RecipientError> {
    use ssh::ParseRecipientKeyError as Problem;
    let problem = match text.parse::<ssh::Recipient>() {
        Ok(key) => return Ok((key.to_string(), Key::Native(Box::new(key)))),
        Err(Problem::RsaModulusTooLarge) => "is an RSA key of more than 4096 bits".to_owned(),
        Err(Problem::RsaModulusTooSmall) => "is an RSA key of fewer than 2048 bits".to_owned(),
        Err(Problem::Unsupported(kind)) => {
            format!("is an SSH key of the type {kind}; age knows ssh-ed25519 and ssh-rsa")
        }
        Err(_) => {
            "looks like an SSH key, but is not one of the types ssh-ed25519 and ssh-rsa, or a \
             character is missing or wrong"
                .to_owned()
        }
    };
    Err(bad(place.to_owned(), problem))
}
