//! The two ends of a stage: plain bytes in, plain bytes out, counted and hashed on the way.
//!
//! A [`Source`] is standard input, a file or a FIFO. A [`Sink`] is standard output, a FIFO, or a
//! new file that gets its name only when the stage has succeeded. No framing: `zstd`, `age`,
//! `pv` and `tee` fit anywhere between two stages.

use crate::{Digest, Exit, Failure, Hasher, Tally, Written, failure::Blame};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What can go wrong at the two ends.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The input cannot be opened.
    #[error("cannot open the input {}", path.display())]
    OpenInput {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The output cannot be opened.
    #[error("cannot open the output {}", path.display())]
    OpenOutput {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read the input")]
    Read(#[source] io::Error),
    /// The next stage went away.
    #[error("the next stage stopped reading after {bytes} bytes")]
    NotTaken {
        /// How much was written before.
        bytes: u64,
    },
    /// Writing failed.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
    /// The output file cannot be written or published.
    #[error("cannot write the output file")]
    File(#[from] durable::Error),
}

impl Failure for StreamError {
    fn exit(&self) -> Exit {
        match self {
            StreamError::OpenInput { .. } | StreamError::OpenOutput { .. } => Exit::Usage,
            StreamError::NotTaken { .. } => Exit::Transient,
            StreamError::File(durable::Error::AlreadyExists(_)) => Exit::Usage,
            StreamError::Read(_) | StreamError::Write(_) | StreamError::File(_) => Exit::LocalDisk,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            StreamError::NotTaken { .. } => Some("look at the error of the next stage".into()),
            StreamError::OpenInput { .. } => {
                Some("check the file's name, and that this user may read it".into())
            }
            StreamError::OpenOutput { .. } => {
                Some("check the file's name, and that this user may write it".into())
            }
            StreamError::File(e) => e.hint().map(str::to_owned),
            StreamError::Read(_) | StreamError::Write(_) => None,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            StreamError::NotTaken { .. } => Blame::Downstream,
            _ => Blame::Own,
        }
    }
}

/// The bytes that come in.
pub struct Source {
    from: Box<dyn Read + Send>,
    hasher: Hasher,
    waited: Duration,
}

impl Source {
    /// Opens `path`; `-` or nothing is standard input. Opening a FIFO waits for its writer.
    ///
    /// # Errors
    /// [`StreamError::OpenInput`].
    pub fn open(path: Option<&Path>) -> Result<Self, StreamError> {
        let from: Box<dyn Read + Send> =
            match named(path) {
                None => Box::new(io::stdin()),
                Some(path) => Box::new(File::open(path).map_err(|source| {
                    StreamError::OpenInput { path: path.to_path_buf(), source }
                })?),
            };
        Ok(Source::new(from))
    }

    /// An input that ends at once, for a stage that reads nothing.
    #[must_use]
    pub fn empty() -> Self {
        Source::new(Box::new(io::empty()))
    }

    fn new(from: Box<dyn Read + Send>) -> Self {
        Source { from, hasher: Hasher::tallying(), waited: Duration::ZERO }
    }

    /// Reads what is left, without keeping it.
    ///
    /// # Errors
    /// [`StreamError::Read`].
    pub fn drain(&mut self) -> Result<(), StreamError> {
        io::copy(self, &mut io::sink()).map(drop).map_err(StreamError::Read)
    }

    /// Takes the SHA-256 of what is read, too, and not only the tally.
    #[must_use]
    pub fn with_sha256(mut self) -> Self {
        self.hasher = Hasher::with_sha256();
        self
    }

    /// The tally of what was read so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.hasher.tally()
    }

    /// The digest of what was read so far, if it is taken.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.hasher.digest()
    }

    /// How many bytes were read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.hasher.bytes()
    }

    pub(crate) fn waited_ms(&self) -> u64 {
        millis(self.waited)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begin = Instant::now();
        let count = self.from.read(buffer)?;
        self.waited += begin.elapsed();
        failpoint::pass_bytes("source.read", self.hasher.bytes(), count);
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

enum To {
    Stream(Box<dyn Write + Send>),
    File(durable::NewFile),
}

/// The bytes that go out.
pub struct Sink {
    to: To,
    hasher: Hasher,
    waited: Duration,
    not_taken: bool,
}

impl Sink {
    /// Opens `path`; `-` or nothing is standard output. A FIFO or a device is written to as it
    /// is; anything else becomes a new file, which must not exist yet.
    ///
    /// # Errors
    /// [`StreamError::OpenOutput`] or [`StreamError::File`].
    pub fn open(path: Option<&Path>) -> Result<Self, StreamError> {
        let to = match named(path) {
            None => To::Stream(Box::new(Unbuffered)),
            Some(path) if is_special(path) => {
                let open = File::options().write(true).open(path);
                To::Stream(Box::new(open.map_err(|source| StreamError::OpenOutput {
                    path: path.to_path_buf(),
                    source,
                })?))
            }
            Some(path) => To::File(durable::NewFile::create(path)?),
        };
        Ok(Sink::new(to))
    }

    /// An output that nothing is written to, for a stage that ends the chain.
    #[must_use]
    pub fn empty() -> Self {
        Sink::new(To::Stream(Box::new(io::sink())))
    }

    fn new(to: To) -> Self {
        Sink { to, hasher: Hasher::with_sha256(), waited: Duration::ZERO, not_taken: false }
    }

    /// Whether this is a new file: nobody sees its bytes before the stage has succeeded.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.to, To::File(_))
    }

    /// Takes only the tally: a later stage, or whoever writes here, takes the SHA-256.
    #[must_use]
    pub fn without_sha256(mut self) -> Self {
        self.hasher = Hasher::tallying();
        self
    }

    /// Takes the digest of everything that was written from whoever needed it anyway.
    pub fn hashed(&mut self, digest: Digest) {
        self.hasher.take(digest);
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> Written {
        self.hasher.written()
    }

    /// The digest of what was written so far, if it is taken.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.hasher.digest()
    }

    /// The right error for a failed write to this sink, which may have passed through an
    /// encoder's own error type on its way.
    #[must_use]
    pub fn write_error(&self, source: io::Error) -> StreamError {
        if self.not_taken || source.kind() == io::ErrorKind::BrokenPipe {
            return StreamError::NotTaken { bytes: self.hasher.bytes() };
        }
        match (&self.to, source.kind()) {
            (To::File(file), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                StreamError::File(durable::Error::NoSpace {
                    path: file.path().to_path_buf(),
                    source,
                })
            }
            _ => StreamError::Write(source),
        }
    }

    /// Hands everything on: flushes a stream, publishes a file.
    pub(crate) fn publish(self) -> Result<(), StreamError> {
        match self.to {
            To::File(file) => Ok(file.publish_new()?),
            To::Stream(mut stream) => stream.flush().map_err(StreamError::Write),
        }
    }

    pub(crate) fn waited_ms(&self) -> u64 {
        millis(self.waited)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begin = Instant::now();
        let written = match &mut self.to {
            To::Stream(stream) => stream.write(bytes),
            To::File(file) => file.write(bytes),
        };
        self.waited += begin.elapsed();
        match written {
            Ok(count) => {
                failpoint::pass_bytes("sink.written", self.hasher.bytes(), count);
                self.hasher.update(&bytes[..count]);
                Ok(count)
            }
            Err(e) => {
                self.not_taken |= e.kind() == io::ErrorKind::BrokenPipe;
                Err(e)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Stream(stream) => stream.flush(),
            To::File(file) => file.flush(),
        }
    }
}

/// Standard output without the standard library's line buffer, which searches every block of a
/// binary stream for line ends.
struct Unbuffered;

impl Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| path.as_os_str() != "-")
}

fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.file_type().is_fifo() || m.file_type().is_char_device())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
