//! What can go wrong while compressing or decompressing.

use contract::{Blame, Exit, Failure, StreamError};

/// Why the stage failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The stage's place in the run, its input or its output.
    #[error(transparent)]
    Contract(#[from] contract::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A setting outside its range.
    #[error("compress.{key} is {found}; expected {expected}")]
    Setting {
        /// The key in `[compress]`.
        key: &'static str,
        /// Its value.
        found: i64,
        /// What it may be.
        expected: String,
    },
    /// libzstd refused to work, for want of memory above all.
    #[error("zstd cannot {verb}")]
    Codec {
        /// What it was asked to do.
        verb: &'static str,
        /// Its own words.
        source: std::io::Error,
    },
    /// Something else than zstd.
    #[error("the input is not a zstd frame: expected the bytes 28 b5 2f fd, found {found}")]
    NotZstd {
        /// What it looks like.
        found: String,
    },
    /// The frame's header breaks the format.
    #[error("the zstd frame header is damaged: {0}")]
    Header(&'static str),
    /// The frame could be damaged without anyone noticing.
    #[error("the zstd frame has no content checksum, so its bytes cannot be trusted")]
    NoChecksum,
    /// The frame needs a file that is not in the backup.
    #[error("the zstd frame needs the dictionary {id}; frames with a dictionary are not supported")]
    Dictionary {
        /// The dictionary's number.
        id: u32,
    },
    /// Unpacking would take too much memory.
    #[error("the zstd frame asks for a window of {bytes} bytes; at most {bytes_max} are allowed")]
    Window {
        /// What it asks for.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The input ended within the frame.
    #[error("the input is truncated: it ends after {bytes} bytes, within the zstd frame")]
    Truncated {
        /// How much there was.
        bytes: u64,
    },
    /// libzstd noticed damage; its content checksum is one way.
    #[error("the zstd frame is damaged: {problem} (within the first {bytes} bytes of the input)")]
    Damaged {
        /// libzstd's own words.
        problem: String,
        /// How much of the input had been read.
        bytes: u64,
    },
    /// There is more after the frame.
    #[error("expected the input to end with its zstd frame, found {found} after it")]
    Trailing {
        /// What follows.
        found: &'static str,
    },
    /// The content is larger than allowed.
    #[error("decompression bomb: the zstd frame unpacks to more than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
}

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        Error::Contract(error.into())
    }
}

impl Error {
    /// Whether bytes that were changed or cut on their way here could be the reason.
    pub(crate) fn may_come_from_upstream(&self) -> bool {
        match self {
            Error::NotZstd { .. }
            | Error::Header(_)
            | Error::NoChecksum
            | Error::Dictionary { .. }
            | Error::Truncated { .. }
            | Error::Damaged { .. }
            | Error::Trailing { .. } => true,
            // To read a bomb to its end would be to do what it wants.
            Error::Window { .. } | Error::TooLarge { .. } => false,
            Error::Contract(_) | Error::Config(_) | Error::Setting { .. } | Error::Codec { .. } => {
                false
            }
        }
    }
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Contract(e) => e.exit(),
            Error::Config(e) => e.exit(),
            Error::Setting { .. } => Exit::Config,
            Error::Codec { .. } => Exit::Transient,
            Error::Dictionary { .. } => Exit::Unsupported,
            Error::NotZstd { .. }
            | Error::Header(_)
            | Error::NoChecksum
            | Error::Window { .. }
            | Error::Truncated { .. }
            | Error::Damaged { .. }
            | Error::Trailing { .. }
            | Error::TooLarge { .. } => Exit::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Contract(e) => return e.hint(),
            Error::Config(e) => return e.hint(),
            Error::Setting { .. } => "correct [compress] in pipeline.toml",
            Error::Codec { .. } => "give the stage more memory, or a lower --level and --threads",
            Error::NotZstd { .. } => "check that the steps before this one undo the right things",
            Error::NoChecksum => {
                "if you trust the bytes, `zstd -d` reads them; \
                 `zstd --check` or lifeboat-compress writes frames with a checksum"
            }
            Error::Dictionary { .. } => "unpack it with `zstd -d -D DICTIONARY`",
            Error::Window { .. } => "if you trust the bytes, `zstd -d --long=31` reads them",
            Error::TooLarge { .. } => "if a snapshot of that size is expected, raise --bytes-max",
            Error::Header(_) | Error::Truncated { .. } | Error::Damaged { .. } => {
                "compare the artifact's SHA-256 with its manifest, and use another copy"
            }
            Error::Trailing { .. } => {
                "files were joined, or not written by lifeboat-compress; `zstd -d` may read them"
            }
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

/// Why a codec stopped before the end. Only the stage knows whether its reader went away, so
/// failures of its two ends travel apart from its own.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Reading failed.
    Read(std::io::Error),
    /// Writing failed.
    Write(std::io::Error),
    /// The codec itself failed.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error)
    }
}
