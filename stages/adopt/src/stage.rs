//! The stage: layers off, the database through, a digest behind it where none was, then the receipt.

use crate::args::Args;
use crate::error::Error;
use crate::layers::{self, Opened, Wrap};
use contract::facts::{Adopted, CaptureFacts};
use contract::{Clock, Exit, Job, Progress, Receipt, Sink, Source, StreamError};
use snapshot::TrailedDigest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const BLOCK_BYTES: usize = 512 << 10;
/// Two hundred thousand backups, with room.
const KNOWN_BYTES_MAX: u64 = 64 << 20;

/// Does what the command line asks for.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let streams = &args.stage.streams;
    if args.look {
        crate::look::run(streams.input.as_deref())?;
        return Ok(Exit::Ok);
    }
    let known = args.known.as_deref().map(read_known).transpose()?.unwrap_or_default();
    let job = Job::open("adopt", streams, Clock::system())?;
    let mut source = job.input()?;
    // `verify` takes the SHA-256 of the whole.
    let mut sink = job.output()?.without_sha256();
    let total = streams.input.as_deref().and_then(length_of);
    let passed = pass(&mut source, &mut sink, args.bytes_max, total);
    let passed = passed.map_err(|e| root_cause(e, &job, &mut source))?;
    let receipts = job.confirm(&source)?;
    if let Some(backup) = known.get(&hex::encode(passed.db_sha256)) {
        return Err(Error::Known { backup: backup.clone() });
    }
    if !passed.has_trailer {
        sink.write_all(&passed.db_sha256).map_err(|e| failed_to_write(&sink, e))?;
    }
    let facts = facts(&job, &receipts, &passed)?;
    say(&passed);
    job.finish(Some(&source), sink, &facts)?;
    Ok(Exit::Ok)
}

/// What has passed.
struct Passed {
    wrapped: Vec<Wrap>,
    has_trailer: bool,
    db_sha256: [u8; 32],
}

fn pass(
    source: &mut Source,
    sink: &mut Sink,
    bytes_max: u64,
    total: Option<u64>,
) -> Result<Passed, Error> {
    let mut progress = Progress::new("adopt", None);
    let opened = layers::open(Box::new(Marked(source)), bytes_max).map_err(failed_to_read)?;
    let Opened { mut content, wrapped } = opened;
    if wrapped.is_empty() {
        progress = Progress::new("adopt", total);
    }
    let mut digest = TrailedDigest::default();
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    loop {
        let count = fill(&mut content, &mut block).map_err(failed_to_read)?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        digest.update(&block[..count]);
        sink.write_all(&block[..count]).map_err(|e| failed_to_write(sink, e))?;
        progress.at(bytes);
    }
    progress.end(bytes);
    let (db_sha256, has_trailer) = digest.by_length().ok_or(Error::OddLength { bytes })?;
    Ok(Passed { wrapped, has_trailer, db_sha256 })
}

/// Whole blocks, which the next stage takes page by page.
fn fill(from: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match from.read(&mut block[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// The input, whose own failures must not be taken for damage by whoever unpacks it.
struct Marked<'a>(&'a mut Source);

impl Read for Marked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => Error::from(contract::Error::Stream(StreamError::Read(e))).into(),
        })
    }
}

fn failed_to_read(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => contract::Error::Stream(StreamError::Read(error)).into(),
    }
}

fn failed_to_write(sink: &Sink, error: io::Error) -> Error {
    contract::Error::Stream(sink.write_error(error)).into()
}

/// Before this stage blames the bytes it reads to the end: if the receipts say that they did not
/// arrive whole, then that is the cause and the damage only its consequence.
fn root_cause(error: Error, job: &Job, source: &mut Source) -> Error {
    if job.run_dir().is_none() || !error.may_come_from_upstream() {
        return error;
    }
    match source.drain() {
        Ok(()) => job.confirm(source).err().map_or(error, Error::from),
        Err(_) => error,
    }
}

/// What the manifest needs: nobody saw the cluster, and this is where the bytes came from.
fn facts(job: &Job, receipts: &[Receipt], passed: &Passed) -> Result<Option<CaptureFacts>, Error> {
    let Some(plan) = job.plan() else { return Ok(None) };
    let input = plan.input.as_ref().ok_or(Error::NotPlanned)?;
    let was_encrypted = receipts.iter().any(|receipt| receipt.stage == "decrypt");
    let age = was_encrypted.then(|| "age".to_owned());
    let wrapped = passed.wrapped.iter().map(|wrap| wrap.name().to_owned());
    Ok(Some(CaptureFacts::unseen(Adopted {
        file: input.file.clone(),
        wrapped: age.into_iter().chain(wrapped).collect(),
        has_trailer: passed.has_trailer,
        time_from: input.time_from,
    })))
}

fn say(passed: &Passed) {
    if !passed.has_trailer {
        tracing::warn!(
            hint = "where there is a choice, adopt what `etcdctl snapshot save` wrote",
            "it has no SHA-256 behind it: it was copied from a data directory. Writes that were only \
             in the WAL then are not in it, and only its structure shows that it is whole"
        );
    }
}

fn read_known(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let failed = |problem: String| Error::KnownFile { path: path.to_path_buf(), problem };
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let mut text = Vec::new();
    file.take(KNOWN_BYTES_MAX + 1).read_to_end(&mut text).map_err(|e| failed(e.to_string()))?;
    if text.len() as u64 > KNOWN_BYTES_MAX {
        return Err(failed(format!("it has more than {KNOWN_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&text).map_err(|e| failed(e.to_string()))
}

fn length_of(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len())
}
