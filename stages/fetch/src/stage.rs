//! The core: manifest, artifact, comparison.

use crate::args::Args;
use crate::error::Error;
use crate::ranges::{self, RANGE_BYTES};
use catalogue::{MANIFEST_BYTES_MAX, Manifest, ObjectName};
use config::Pipeline;
use contract::{Clock, Digest, Exit, Job, Progress, Sink};
use destinations::Opened;
use futures::StreamExt;
use std::io::Write;
use store::{Blocks, ErrorKind, Operation, StoreError};

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let job = Job::open("fetch", &args.common.streams, Clock::system())?;
    let mut sink = job.output()?;
    destinations::block_on(fetch(args, &pipeline, &mut sink))??;
    job.finish(None, sink, &serde_json::json!({ "destination": args.destination }))?;
    Ok(Exit::Ok)
}

async fn fetch(args: &Args, pipeline: &Pipeline, sink: &mut Sink) -> Result<(), Error> {
    let opened = destinations::open_one(pipeline, &args.destination).await?;
    let manifest = read_manifest(args, pipeline, &opened).await?;
    let (key, expected) = (manifest.artifact_key(), digest_of(&manifest));
    pass(&opened, &key, expected.bytes, sink).await?;
    let found = sink.written();
    if found.digest().as_ref() == Some(&expected) {
        return Ok(());
    }
    let (destination, found) = (args.destination.clone(), Box::new(found));
    Err(Error::Damaged { destination, key, expected, found })
}

async fn read_manifest(
    args: &Args,
    pipeline: &Pipeline,
    opened: &Opened,
) -> Result<Manifest, Error> {
    let key = &args.manifest;
    let name = match ObjectName::parse(&pipeline.cluster, key) {
        Some(name @ ObjectName::Manifest { .. }) => name,
        _ => return Err(Error::NotAManifest(key.clone())),
    };
    let bytes_max = usize::try_from(MANIFEST_BYTES_MAX).unwrap_or(usize::MAX);
    let bytes = store::read_small(&*opened.store, key, bytes_max)
        .await
        .map_err(destinations::Error::Store)?;
    let read = Manifest::from_bytes(&pipeline.cluster, &name, &bytes, &opened.trust);
    let (destination, key) = (args.destination.clone(), key.clone());
    read.map_err(|source| Error::Manifest { destination, key, source })
}

fn digest_of(manifest: &Manifest) -> Digest {
    Digest { bytes: manifest.artifact.bytes, sha256: manifest.artifact.sha256.clone() }
}

/// Passes the artifact on, and not more of it than the manifest promises.
async fn pass(opened: &Opened, key: &str, bytes_max: u64, sink: &mut Sink) -> Result<(), Error> {
    let mut progress = Progress::new("fetch", Some(bytes_max));
    let mut blocks = open(opened, key, bytes_max).await.map_err(destinations::Error::Store)?;
    let mut passed = 0;
    while let Some(block) = blocks.next().await.transpose().map_err(destinations::Error::Store)? {
        passed += block.len() as u64;
        if passed > bytes_max {
            let kind = ErrorKind::TooLarge { bytes_max };
            let error = StoreError::new(opened.store.name(), Operation::Read, key, kind);
            return Err(destinations::Error::Store(error).into());
        }
        let written = sink.write_all(&block);
        written.map_err(|e| contract::Error::Stream(sink.write_error(e)))?;
        progress.at(passed);
    }
    progress.end(passed);
    Ok(())
}

/// A small artifact in one stream, whose bytes the store may check by itself; a larger one as
/// several ranges at once, if the store gives ranges of it.
async fn open(opened: &Opened, key: &str, bytes: u64) -> Result<Blocks, StoreError> {
    let store = &*opened.store;
    if bytes <= RANGE_BYTES {
        return ranges::in_one_stream(opened, key).await;
    }
    // Ranges inside the promised length would not show what comes behind it.
    let found = ranges::in_time(opened, key, store.head(key)).await??;
    if found.as_ref().map(|info| info.bytes) != Some(bytes) {
        let kind = match found {
            None => ErrorKind::NotFound,
            Some(info) => ErrorKind::Corrupt {
                check: "length",
                expected: bytes.to_string(),
                found: info.bytes.to_string(),
            },
        };
        return Err(StoreError::new(store.name(), Operation::Read, key, kind));
    }
    let mut in_order = ranges::in_order(opened, key, bytes);
    let first = in_order.next().await.transpose();
    match first {
        // The range lies inside: a store that gives something else gives no ranges.
        Err(e) if matches!(e.kind(), ErrorKind::Corrupt { .. }) => {
            drop(in_order);
            tracing::warn!("{} gives no ranges, so {key} is read in one stream: {e}", store.name());
            ranges::in_one_stream(opened, key).await
        }
        first => {
            let first = futures::stream::iter(first?.map(Ok));
            Ok(first.chain(in_order).boxed())
        }
    }
}
