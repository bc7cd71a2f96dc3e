//! Reads the artifact in a thread of its own and hands it to the fan-out.
//!
//! The end of the input is only believed when the receipts say so. Until then the fan-out has
//! not been told that there is an end, and dropping its sender aborts every upload.

use crate::error::Error;
use crate::lineage;
use bytes::{Bytes, BytesMut};
use catalogue::Manifest;
use config::Pipeline;
use contract::{Job, Source, StreamError};
use std::io::Read;
use store::{FanoutSender, Summary, Summer};

const BLOCK_BYTES: usize = 1 << 20;

/// What was read, and whose job it was.
pub(crate) struct Pumped {
    pub(crate) job: Job,
    pub(crate) source: Source,
    pub(crate) manifest: Manifest,
}

/// Reads to the end, confirms the receipts, makes the manifest, and only then tells the fan-out
/// to complete. When every destination has failed it stops early.
pub(crate) fn pump(
    job: Job,
    mut source: Source,
    mut sender: FanoutSender,
    pipeline: &Pipeline,
) -> Result<Option<Pumped>, Error> {
    let Some(summary) = pass(&mut source, &mut sender)? else { return Ok(None) };
    let receipts = job.confirm(&source)?;
    let plan = job.plan().ok_or(Error::NoRun)?;
    let tool = format!("lifeboat {}", env!("CARGO_PKG_VERSION"));
    let manifest = Manifest::from_receipts(plan, &receipts, tool)?;
    manifest.must_be_readable(&pipeline.trust)?;
    lineage::must_be_same_cluster(&manifest, pipeline)?;
    // If nobody is left to complete, the outcomes say why.
    failpoint::pass("replicate.finishing");
    must_be_recorded(&manifest, &summary)?;
    let finished = sender.finish(&summary);
    Ok(finished.is_ok().then_some(Pumped { job, source, manifest }))
}

/// The receipts agree on tallies; what is going to be stored must have the SHA-256 that the last
/// of them names, because that is what every later reader compares with.
fn must_be_recorded(manifest: &Manifest, summary: &Summary) -> Result<(), Error> {
    let (expected, found) = (&manifest.artifact.sha256, summary.sha256_hex());
    if *expected == found {
        return Ok(());
    }
    Err(Error::OtherDigest { expected: expected.clone(), found })
}

fn pass(source: &mut Source, sender: &mut FanoutSender) -> Result<Option<Summary>, Error> {
    let mut summer = Summer::default();
    loop {
        let block =
            read_block(source).map_err(|e| contract::Error::Stream(StreamError::Read(e)))?;
        if block.is_empty() {
            return Ok(Some(summer.summary()));
        }
        summer.update(&block);
        if sender.send(&block).is_err() {
            return Ok(None);
        }
    }
}

/// A full block, or what was left.
fn read_block(source: &mut Source) -> std::io::Result<Bytes> {
    let mut block = BytesMut::zeroed(BLOCK_BYTES);
    let mut filled = 0;
    while filled < BLOCK_BYTES {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    block.truncate(filled);
    Ok(block.freeze())
}
