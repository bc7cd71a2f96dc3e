//! The way back: an age file in, its authentic content out.
//!
//! Invariant: unless the next stage waits for this one's receipt, no decrypted byte is published
//! before the last chunk of the file was authenticated. age authenticates 64 KiB at a time, so a
//! file that was cut gives authentic bytes for a while.

use crate::args::Args;
use crate::error::{ArtifactError, Error, IdentityError, Stopped};
use crate::header::Header;
use crate::identities::{Explained, Keyring, explain};
use crate::passphrase::Passphrases;
use crate::stage;
use age::Decryptor;
use contract::{Exit, Job, Sink, Source};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::PathBuf;

/// Size of the blocks that are read.
const BUFFER_BYTES: usize = 512 << 10;

/// What the way back has to say in its receipt.
#[derive(Serialize)]
struct DecryptFacts {
    format: &'static str,
}

/// Decrypts from one stream to the other.
///
/// # Errors
/// Whatever keeps the content from being whole, authentic and written.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let keyring = keyring(args)?;
    let job = stage::open(args)?;
    let mut source = job.input()?;
    let mut sink = job.output()?;
    if sink.is_file() || has_waiting_reader(&job) {
        let result = decrypt(&mut source, &mut sink, &keyring);
        result.map_err(|stopped| root_cause(stage::failed(stopped, &sink), &job, &mut source))?;
        job.confirm(&source)?;
    } else {
        let mut scratch = Scratch::new(args, &job)?;
        let result = decrypt(&mut source, &mut scratch.file, &keyring);
        result.map_err(|stopped| root_cause(scratch.failed(stopped), &job, &mut source))?;
        job.confirm(&source)?;
        scratch.pour_into(&mut sink)?;
    }
    job.finish(Some(&source), sink, &DecryptFacts { format: "age" })?;
    Ok(Exit::Ok)
}

/// The identities: from the command line, else from the configuration.
///
/// # Errors
/// When there are none, or one cannot be read.
pub(crate) fn keyring(args: &Args) -> Result<Keyring, Error> {
    let files = if args.identity.is_empty() {
        config::Pipeline::load(args.stage.config.as_deref())?.decrypt.identities_files
    } else {
        args.identity.clone()
    };
    Keyring::read(&files, Passphrases::new(args.passphrase_file.clone()))
}

/// Whether a later step of the run waits for this one's receipt before it publishes anything.
fn has_waiting_reader(job: &Job) -> bool {
    job.plan().is_some_and(|plan| job.step() + 1 < plan.steps.len())
}

/// Decrypts all of `source` into `to`.
///
/// # Errors
/// [`Stopped`] says which end failed, or what is wrong with file or identities.
fn decrypt(source: &mut Source, to: &mut impl Write, keyring: &Keyring) -> Result<(), Stopped> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, Marked { from: source });
    let header = Header::read(&mut input)?;
    if header.is_passphrase() {
        return Err(ArtifactError::Passphrase.into());
    }
    let kinds = header.kinds();
    let whole = io::Cursor::new(header.bytes).chain(input);
    let mut content = Decryptor::new_buffered(whole)
        .and_then(|decryptor| decryptor.decrypt(keyring.identities()))
        .map_err(|e| match keyring.take_failure() {
            Some(failure) => Stopped::from(failure),
            None => match explain(e, keyring, kinds) {
                Explained::Identity(e) => e.into(),
                Explained::Header(problem) => ArtifactError::Header(problem).into(),
                Explained::Io(e) => header_error(e),
            },
        })?;
    let mut block = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let length = match content.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(payload_error(e, bytes)),
        };
        to.write_all(&block[..length]).map_err(Stopped::Write)?;
        bytes += length as u64;
    }
}

/// An error of the input itself, marked so that age's own errors can be told from it.
#[derive(Debug, thiserror::Error)]
#[error("the input failed")]
struct InputFailed(io::Error);

struct Marked<'a> {
    from: &'a mut Source,
}

impl Read for Marked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            kind => io::Error::new(kind, InputFailed(e)),
        })
    }
}

/// What an error means that came out of age while it read the header.
pub(crate) fn header_error(error: io::Error) -> Stopped {
    match error.downcast::<InputFailed>() {
        Ok(InputFailed(e)) => Stopped::Read(e),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => ArtifactError::HeaderTruncated.into(),
        // The input is fine, so it is the other thing that is talked to here.
        Err(e) => IdentityError::Plugin(e.to_string()).into(),
    }
}

/// What an error means that came out of age after so many decrypted bytes.
fn payload_error(error: io::Error, bytes: u64) -> Stopped {
    match error.downcast::<InputFailed>() {
        Ok(InputFailed(e)) => Stopped::Read(e),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            ArtifactError::Truncated { bytes }.into()
        }
        Err(_) => ArtifactError::Payload { bytes }.into(),
    }
}

/// Before this stage blames the bytes it reads to the end: if the receipts say that they did not
/// arrive whole, then that is the cause and the damage only its consequence.
fn root_cause(error: Error, job: &Job, source: &mut Source) -> Error {
    let about_bytes = match &error {
        // A damaged header also looks like one that no identity fits.
        Error::Artifact(_) | Error::Identity(_) => true,
        Error::Contract(_)
        | Error::Config(_)
        | Error::Recipient(_)
        | Error::Signing(_)
        | Error::Keygen(_)
        | Error::NoRandomness(_)
        | Error::Scratch { .. }
        | Error::NoScratch(_) => false,
    };
    if job.run_dir().is_none() || !about_bytes || source.drain().is_err() {
        return error;
    }
    job.confirm(source).err().map_or(error, Error::from)
}

/// Decrypted bytes that wait for the last authenticator where no path leads to them.
struct Scratch {
    file: File,
    dir: PathBuf,
}

impl Scratch {
    fn new(args: &Args, job: &Job) -> Result<Self, Error> {
        let dir = match (&args.scratch, job.run_dir()) {
            (Some(dir), _) => dir.clone(),
            (None, Some(run)) => run.path().to_path_buf(),
            (None, None) => std::env::temp_dir(),
        };
        let file = durable::scratch_file(&dir).map_err(Error::NoScratch)?;
        Ok(Scratch { file, dir })
    }

    fn pour_into(&mut self, sink: &mut Sink) -> Result<(), Error> {
        self.file.rewind().map_err(|e| self.broken(e))?;
        let mut block = vec![0; BUFFER_BYTES];
        loop {
            let length = match self.file.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.broken(e)),
            };
            let written = sink.write_all(&block[..length]);
            written.map_err(|e| sink.write_error(e))?;
        }
    }

    fn failed(&self, stopped: Stopped) -> Error {
        match stopped {
            Stopped::Read(e) => contract::StreamError::Read(e).into(),
            Stopped::Write(e) => self.broken(e),
            Stopped::Failed(e) => e,
        }
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Scratch { dir: self.dir.clone(), source }
    }
}
