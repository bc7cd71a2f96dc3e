//! The core: read, prove, pass on.

use crate::args::Args;
use crate::error::Error;
use crate::{facts, looks, page};
use config::{HashKvRule, Pipeline};
use contract::facts::VerifyFacts;
use contract::{Clock, Digest, Exit, Job, Sink, Source, StreamError};
use snapshot::{Expectations, Options, Trailer, Verifier};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 512 << 10;

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    match &args.file {
        Some(file) => prove_file(args, &pipeline, file),
        None => pass_through(args, &pipeline),
    }
}

fn pass_through(args: &Args, pipeline: &Pipeline) -> Result<Exit, Error> {
    let job = Job::open("verify", &args.common.streams, Clock::system())?;
    // The verifier hashes what passes, for the trailer. Once is enough.
    let mut source = job.input()?;
    let mut sink = job.output()?.without_sha256();
    let scratch = job.run_dir().map(|dir| dir.path().to_path_buf());
    let mut verifier = verifier(pipeline, scratch, Trailer::Required);
    let mut block = vec![0; BLOCK_BYTES];
    // The end goes out only once the whole is proved. In a pipe of a shell nobody may look at the
    // exit code, and whoever reads must not get a whole snapshot from a stage that refused it.
    let (mut held, mut held_bytes) = (vec![0; BLOCK_BYTES], 0);
    loop {
        let count = read(&mut source, &mut block)?;
        if count == 0 {
            break;
        }
        must_look_right(&source, &block[..count], None)?;
        verifier.update(&block[..count])?;
        pass_on(&mut sink, &held[..held_bytes])?;
        std::mem::swap(&mut block, &mut held);
        held_bytes = count;
    }
    let digest = digest_of(&verifier);
    // Before anything is said about the bytes: are they all there? A stream that broke is not
    // a damaged snapshot, and the stage before knows more about it.
    let receipts = job.confirm(&source)?;
    must_be(args.expect_sha256.as_deref(), &digest)?;
    let captured = facts::captured(&receipts)?;
    let report =
        verifier.finish(&facts::expectations(captured.as_ref(), pipeline.verify.hashkv))?;
    if !report.missing_buckets.is_empty() {
        let missing = report.missing_buckets.join(", ");
        tracing::warn!(missing, "the snapshot lacks buckets that every etcd makes when it starts");
    }
    if !report.unknown_buckets.is_empty() {
        let unknown = report.unknown_buckets.join(", ");
        tracing::warn!(unknown, "the snapshot has buckets that this program does not know");
    }
    let facts = facts::learned(&report, captured.as_ref());
    if pipeline.verify.hashkv == HashKvRule::All {
        all_compared(&facts)?;
    }
    say(&facts);
    pass_on(&mut sink, &held[..held_bytes])?;
    must_be_passed_on(&source, &sink)?;
    sink.hashed(digest);
    job.finish(Some(&source), sink, &facts)?;
    Ok(Exit::Ok)
}

/// What was proved has been read, and what is stored was written: memory lies between the two.
fn must_be_passed_on(source: &Source, sink: &Sink) -> Result<(), Error> {
    let (read, wrote) = (source.tally(), sink.written().tally());
    if read == wrote { Ok(()) } else { Err(Error::Altered { read, wrote }) }
}

fn pass_on(sink: &mut Sink, bytes: &[u8]) -> Result<(), Error> {
    let written = sink.write_all(bytes);
    Ok(written.map_err(|e| contract::Error::Stream(sink.write_error(e)))?)
}

fn prove_file(args: &Args, pipeline: &Pipeline, file: &Path) -> Result<Exit, Error> {
    let unsound = |source| Error::File { path: file.to_path_buf(), source };
    let mut source = Source::open(Some(file)).map_err(contract::Error::Stream)?;
    let mut verifier = verifier(pipeline, None, Trailer::Either);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let count = read(&mut source, &mut block)?;
        if count == 0 {
            break;
        }
        must_look_right(&source, &block[..count], Some(file))?;
        verifier.update(&block[..count]).map_err(unsound)?;
    }
    must_be(args.expect_sha256.as_deref(), &digest_of(&verifier))?;
    let report = verifier.finish(&Expectations::default()).map_err(unsound)?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&report).map_err(|e| Error::Print(e.into()))? + "\n",
        false => page::of(&report),
    };
    contract::print(text).map_err(Error::Print)?;
    Ok(Exit::Ok)
}

fn verifier(pipeline: &Pipeline, scratch_dir: Option<PathBuf>, trailer: Trailer) -> Verifier {
    let memory = usize::try_from(pipeline.verify.memory_bytes_max).unwrap_or(usize::MAX);
    Verifier::new(Options { memory_bytes_max: memory, scratch_dir, trailer })
}

fn digest_of(verifier: &Verifier) -> Digest {
    let (bytes, sha256) = verifier.stream_digest();
    Digest { bytes, sha256: hex::encode(sha256) }
}

/// Fills the block; 0 is the end. Whole blocks begin where pages begin, which spares the verifier
/// from gluing pages together.
fn read(source: &mut Source, block: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(contract::Error::Stream(StreamError::Read(e)).into()),
        }
    }
    Ok(filled)
}

/// The first block must not be the beginning of some other kind of file.
fn must_look_right(source: &Source, block: &[u8], file: Option<&Path>) -> Result<(), Error> {
    let is_first = source.bytes_read() == block.len() as u64;
    match looks::like(block).filter(|_| is_first) {
        None => Ok(()),
        Some((what, next)) => {
            let input = file.map_or_else(|| "the input".into(), |f| f.display().to_string());
            Err(Error::SomethingElse { input, what, next })
        }
    }
}

fn must_be(expected: Option<&str>, found: &Digest) -> Result<(), Error> {
    let found = &found.sha256;
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => {
            Err(Error::AnotherSnapshot { expected: expected.to_owned(), found: found.clone() })
        }
        _ => Ok(()),
    }
}

fn all_compared(facts: &VerifyFacts) -> Result<(), Error> {
    match facts.hashkv.iter().find(|verdict| !verdict.agrees) {
        Some(verdict) => Err(Error::NotCompared {
            member: verdict.member_id.clone(),
            why: verdict.not_compared.clone().unwrap_or_default(),
        }),
        None => Ok(()),
    }
}

fn say(facts: &VerifyFacts) {
    let agree = facts.hashkv.iter().filter(|verdict| verdict.agrees).count();
    let members = match facts.hashkv.len() {
        // On the way back there is no live cluster to compare with.
        0 => String::new(),
        all => format!("{agree} of {all}"),
    };
    tracing::info!(
        revision = facts.revision,
        keys = facts.total_key_live,
        members_agree = members,
        "the snapshot is sound"
    );
    for diverged in facts.hashkv.iter().filter(|verdict| verdict.computed.is_some()) {
        tracing::warn!(
            hint = "replace that member: `etcdctl member remove`, an empty data directory, \
                    `etcdctl member add`; this backup is of the majority",
            member = diverged.member_id,
            "member {} holds other data than the majority",
            diverged.member_name
        );
    }
}
