//! What can go wrong while encrypting, decrypting or making a key.
//!
//! No message holds a secret: a line of an identity file, or what stands where a recipient
//! belongs, is told by its place, never by its text.

use crate::signing::SigningError;
use contract::{Blame, Exit, Failure, StreamError};
use std::io;
use std::path::PathBuf;

/// Why the stage failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The stage's place in the run, its input or its output.
    #[error(transparent)]
    Contract(#[from] contract::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// What stands where a recipient belongs, or its plugin, is wrong.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// The key that signs cannot be used.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// An identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The input is not what it should be.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The new key cannot be written.
    #[error("cannot write the new key")]
    Keygen(#[source] durable::Error),
    /// The system gives no random bytes.
    #[error("cannot make a key: the system gives no random bytes")]
    NoRandomness(#[source] io::Error),
    /// The decrypted bytes cannot wait where they should.
    #[error("cannot keep decrypted bytes in {}", dir.display())]
    Scratch {
        /// The directory.
        dir: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no directory for them.
    #[error("cannot make a private file for decrypted bytes")]
    NoScratch(#[source] durable::Error),
}

/// What is wrong with the recipients.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecipientError {
    /// There is none.
    #[error("there is no recipient: nobody could open the artifact")]
    None,
    /// There are too many for one header.
    #[error("there are {found} recipients; at most {max} fit")]
    TooMany {
        /// How many.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A secret key stands there.
    #[error("{place} is a secret identity, not a public recipient; it is not shown here")]
    Secret {
        /// Where.
        place: String,
    },
    /// It is no recipient.
    #[error("{place} {problem}")]
    Bad {
        /// Where.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It stands there twice.
    #[error("{second} repeats {first}: {recipient}")]
    Twice {
        /// The public recipient.
        recipient: String,
        /// Where it stood before.
        first: String,
        /// Where it stands again.
        second: String,
    },
    /// A file of recipients cannot be read.
    #[error("cannot read the recipients file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The plugin is not there.
    #[error("the recipient {recipient} needs the program {program}, which is not on the PATH")]
    NoPlugin {
        /// The public recipient.
        recipient: String,
        /// The plugin's program.
        program: String,
    },
    /// age or a plugin refuses to encrypt to these.
    #[error("cannot encrypt to these recipients: {0}")]
    Refused(String),
}

/// What is wrong with the identities.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// There is none.
    #[error("there is no identity to decrypt with")]
    None,
    /// The secret itself was given.
    #[error("expected the path of an identity file, found a secret identity; it is not shown here")]
    Inline,
    /// The file cannot be read.
    #[error("cannot read the identity file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the identity file {} {problem}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The plugin is not there.
    #[error("an identity in {} needs the program {program}, which is not on the PATH", path.display())]
    NoPlugin {
        /// The file.
        path: PathBuf,
        /// The plugin's program.
        program: String,
    },
    /// The plugin failed.
    #[error("a plugin could not open the artifact: {0}")]
    Plugin(String),
    /// There is no way to learn the passphrase.
    #[error("the identity file {} is protected by a passphrase, and nobody can be asked for it", path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The file with the passphrase cannot be used.
    #[error("cannot read the passphrase file {}", path.display())]
    PassphraseFile {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is another one.
    #[error("the passphrase does not open the identity file {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// No identity fits.
    #[error("{} the artifact, which is encrypted to {kinds}", none_of(*.tried))]
    NoneOpens {
        /// How many were tried.
        tried: usize,
        /// The kinds of its recipients.
        kinds: String,
    },
}

/// What is wrong with the artifact.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    /// Something else than age.
    #[error("the input is not an age file: it is {found}")]
    NotAge {
        /// What it looks like.
        found: String,
    },
    /// A later age.
    #[error("the age file has the format {found:?}; this program knows v1")]
    Newer {
        /// Its version line.
        found: String,
    },
    /// A passphrase is its only recipient.
    #[error("the age file is encrypted to a passphrase, not to recipients")]
    Passphrase,
    /// The header breaks the format.
    #[error("the age header is damaged: {0}")]
    Header(String),
    /// The payload is not what was encrypted.
    #[error(
        "the age payload is damaged: what follows its first {bytes} decrypted bytes is not authentic"
    )]
    Payload {
        /// How much was authentic.
        bytes: u64,
    },
    /// The input ended within the header.
    #[error("the input is truncated: it ends within the header of the age file")]
    HeaderTruncated,
    /// The input ended at the end of a chunk that was not the last.
    #[error("the input is truncated: it ends after {bytes} decrypted bytes, before the last chunk")]
    Truncated {
        /// How much was authentic.
        bytes: u64,
    },
}

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        Error::Contract(error.into())
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Contract(e) => e.exit(),
            Error::Config(e) => e.exit(),
            Error::Recipient(_) | Error::Identity(IdentityError::None | IdentityError::Inline) => {
                Exit::Config
            }
            Error::Identity(_) | Error::Artifact(ArtifactError::Passphrase) => Exit::NoKey,
            Error::Artifact(ArtifactError::Newer { .. }) => Exit::Unsupported,
            Error::Artifact(_) | Error::Signing(SigningError::Manifest(_)) => Exit::Corrupt,
            Error::Signing(_) => Exit::Config,
            Error::NoRandomness(_) => Exit::Transient,
            Error::Keygen(durable::Error::AlreadyExists(_)) => Exit::Usage,
            Error::Keygen(_) | Error::Scratch { .. } | Error::NoScratch(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Contract(e) => return e.hint(),
            Error::Config(e) => return e.hint(),
            Error::Recipient(e) => e.hint()?,
            Error::Identity(e) => e.hint()?,
            Error::Signing(e) => e.hint(),
            Error::NoRandomness(_) => return None,
            Error::Artifact(e) => e.hint(),
            Error::Keygen(e) | Error::NoScratch(e) => e.hint()?,
            Error::Scratch { .. } => "free some space, or choose another directory with --scratch",
        };
        Some(hint.to_owned())
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Contract(e) => e.blame(),
            _ => Blame::Own,
        }
    }
}

impl RecipientError {
    fn hint(&self) -> Option<&'static str> {
        match self {
            RecipientError::None => Some(
                "give --recipient, or [encrypt] recipients in pipeline.toml; \
                 `lifeboat-encrypt --keygen FILE` makes a key",
            ),
            RecipientError::Secret { .. } => Some(
                "write its public half there (`age-keygen -y FILE` prints it), and make a new key: \
                 this one may have been seen",
            ),
            RecipientError::Bad { .. } => {
                Some("a recipient is age1…, ssh-ed25519 …, ssh-rsa …, or age1NAME1… of a plugin")
            }
            RecipientError::Twice { .. } => Some("remove one of the two"),
            RecipientError::NoPlugin { .. } => Some("install it, or leave out that recipient"),
            RecipientError::TooMany { .. } => Some("encrypt to a few keys that teams share"),
            RecipientError::File { .. } => {
                Some("check the file's name, and that this user may read it")
            }
            RecipientError::Refused(_) => None,
        }
    }
}

fn none_of(tried: usize) -> String {
    match tried {
        1 => "the one identity that was tried does not open".into(),
        n => format!("none of the {n} identities opens"),
    }
}

impl IdentityError {
    fn hint(&self) -> Option<&'static str> {
        match self {
            IdentityError::None => {
                Some("give --identity FILE, or [decrypt] identities_files in pipeline.toml")
            }
            IdentityError::Bad { .. } => Some(
                "an identity file is what `age-keygen` or `ssh-keygen` (ed25519, rsa) wrote, or \
                 the former encrypted with `age -p`",
            ),
            IdentityError::Inline => Some(
                "write it into a file of mode 0600 and give --identity FILE; others may have \
                 seen it on the command line",
            ),
            IdentityError::NoPlugin { .. } => Some("install it, or leave out that identity"),
            IdentityError::NoPassphrase { .. } => Some(
                "give --passphrase-file FILE (or LIFEBOAT_PASSPHRASE_FILE), or run on a terminal",
            ),
            IdentityError::WrongPassphrase { .. } => Some("find the right passphrase"),
            IdentityError::NoneOpens { .. } => Some(
                "find the identity of a recipient in the backup's manifest; if it should fit, \
                 compare the artifact's SHA-256 with the manifest",
            ),
            IdentityError::File { .. } | IdentityError::PassphraseFile { .. } => {
                Some("check the file's name, and that this user may read it")
            }
            IdentityError::Plugin(_) => None,
        }
    }
}

impl ArtifactError {
    fn hint(&self) -> &'static str {
        match self {
            ArtifactError::NotAge { .. } => {
                "check that the steps before this one undo the right things"
            }
            ArtifactError::Newer { .. } => "decrypt it with the newest `age`, or upgrade Lifeboat",
            ArtifactError::Passphrase => "`age -d` asks for the passphrase and opens it",
            ArtifactError::Header(_)
            | ArtifactError::HeaderTruncated
            | ArtifactError::Payload { .. }
            | ArtifactError::Truncated { .. } => {
                "compare the artifact's SHA-256 with its manifest, and use another copy"
            }
        }
    }
}

/// Why a copy stopped before the end. Only the stage knows whether its reader went away, so
/// failures of its two ends travel apart from its own.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Reading the stage's input failed.
    Read(io::Error),
    /// Writing failed.
    Write(io::Error),
    /// Anything else.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Stopped::Failed(error.into())
    }
}
