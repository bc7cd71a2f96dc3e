//! The stage: settings, one codec between the two streams, then the receipt.

use crate::args::Args;
use crate::decode::decode;
use crate::encode::{LEVELS, Settings, THREADS_MAX, encode};
use crate::error::{Error, Stopped};
use contract::facts::CompressFacts;
use contract::{Clock, Exit, Job, Sink, Source, StreamError};
use serde::Serialize;

const TOOL: &str = concat!("lifeboat-compress ", env!("CARGO_PKG_VERSION"));

/// What the way back has to say in its receipt.
#[derive(Serialize)]
struct DecompressFacts {
    format: &'static str,
}

/// Does what the command line asks for.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    if args.check {
        return crate::check::run(args);
    }
    if args.decompress {
        decompress(args)?;
    } else {
        compress(args)?;
    }
    Ok(Exit::Ok)
}

/// The level and the threads: from the command line, else from the configuration.
///
/// # Errors
/// When the configuration cannot be read, or a setting is outside its range.
pub(crate) fn settings(args: &Args) -> Result<Settings, Error> {
    let configured = config::Pipeline::load(args.stage.config.as_deref())?.compress;
    let level = args.level.unwrap_or(configured.level);
    let threads = args.threads.unwrap_or(configured.threads);
    if !LEVELS.contains(&level) {
        return Err(Error::Setting {
            key: "level",
            found: level.into(),
            expected: format!("{} to {}", LEVELS.start(), LEVELS.end()),
        });
    }
    if threads > THREADS_MAX {
        return Err(Error::Setting {
            key: "threads",
            found: threads.into(),
            expected: format!("0 to {THREADS_MAX}"),
        });
    }
    Ok(Settings { level, threads })
}

fn compress(args: &Args) -> Result<(), Error> {
    let settings = settings(args)?;
    let job = open(args)?;
    let mut source = job.input()?;
    let mut sink = job.output()?;
    let result = encode(&mut source, &mut sink, settings);
    result.map_err(|stopped| failed(stopped, &sink))?;
    job.confirm(&source)?;
    let facts = CompressFacts { format: "zstd".into(), level: settings.level };
    Ok(job.finish(Some(&source), sink, &facts)?)
}

fn decompress(args: &Args) -> Result<(), Error> {
    let job = open(args)?;
    let mut source = job.input()?;
    let sink = job.output()?;
    let mut sink = if next_hashes_it(&job) { sink.without_sha256() } else { sink };
    let result = decode(&mut source, &mut sink, args.bytes_max);
    result.map_err(|stopped| root_cause(failed(stopped, &sink), &job, &mut source))?;
    job.confirm(&source)?;
    let facts = DecompressFacts { format: "zstd" };
    Ok(job.finish(Some(&source), sink, &facts)?)
}

/// Whether the next step takes the SHA-256 of the very bytes that are written here, and compares it
/// with what the manifest says.
fn next_hashes_it(job: &Job) -> bool {
    let next = job.plan().and_then(|plan| plan.steps.get(job.step() + 1));
    next.is_some_and(|step| ["verify", "restore"].contains(&step.name.as_str()))
}

fn open(args: &Args) -> Result<Job, Error> {
    let job = Job::open(args.stage_name(), &args.stage.streams, Clock::system())?;
    Ok(job.of_tool(TOOL.to_owned()))
}

fn failed(stopped: Stopped, sink: &Sink) -> Error {
    match stopped {
        Stopped::Read(e) => StreamError::Read(e).into(),
        Stopped::Write(e) => sink.write_error(e).into(),
        Stopped::Failed(e) => e,
    }
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
