//! Stores the record of one drill beside the manifest that it is about.
//!
//! Invariants: the record is created, never replaced; it is stored only where the manifest is still
//! there and is, byte for byte, the one that the drill restored from; it counts only after it was
//! read back.
//!
//! Does not: judge the drill.

use crate::args::Args;
use crate::error::Error;
use bytes::Bytes;
use catalogue::{MANIFEST_BYTES_MAX, Manifest, ObjectName, RECORD_BYTES_MAX, Record, RecordError};
use config::Pipeline;
use destinations::Opened;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{ErrorKind, Keeping, Operation, ReadBackMode, ReadBackOptions, StoreError, Summary};

/// What is to be stored, and where.
pub(crate) struct Wanted {
    file: PathBuf,
    destination: String,
    manifest_key: String,
    timeout: Duration,
}

/// Where the record is. This is the JSON of `lifeboat-catalogue --record`.
#[derive(Debug, Serialize)]
pub(crate) struct Stored {
    version: u32,
    destination: String,
    key: String,
}

impl Wanted {
    /// What the command line asks for, if it asks for this at all.
    pub(crate) fn of(args: &Args) -> Option<Self> {
        Some(Wanted {
            file: args.record.clone()?,
            destination: args.destination.clone()?,
            manifest_key: args.manifest.clone()?,
            timeout: args.timeout.get(),
        })
    }
}

pub(crate) async fn store(wanted: &Wanted, pipeline: &Pipeline) -> Result<Stored, Error> {
    let bytes = read(&wanted.file)?;
    let unfit = |source| Error::Record { path: wanted.file.clone(), source };
    let record = Record::read(&bytes).map_err(unfit)?;
    if record.cluster != pipeline.cluster {
        let (expected, found) = (pipeline.cluster.clone(), record.cluster);
        return Err(Error::OtherCluster { expected, found });
    }
    let key = &wanted.manifest_key;
    let (name, tier) = match ObjectName::parse(&pipeline.cluster, key) {
        Some(ObjectName::Manifest { tier, backup, revision }) if backup == record.backup => {
            (ObjectName::Manifest { tier: tier.clone(), backup, revision }, tier)
        }
        _ => {
            let (key, backup) = (key.clone(), record.backup.to_string());
            return Err(Error::NotTheManifest { key, backup });
        }
    };
    let record_key = record.object_name(&tier).map_err(unfit)?.key(&pipeline.cluster);
    let opened = destinations::open_one(pipeline, &wanted.destination).await?;
    let work = async {
        let manifest = must_be_there(wanted, pipeline, &opened, &name, &record).await?;
        failpoint::pass("catalogue.record.writing");
        let keeping = opened.keeping(&manifest.tier, manifest.taken_at).of_record();
        write(&opened, &record_key, &bytes, keeping).await?;
        failpoint::pass("catalogue.record.written");
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(wanted.timeout, work).await {
        Ok(done) => done?,
        Err(_) => {
            let kind = ErrorKind::Stalled { after: wanted.timeout };
            let error = StoreError::new(&wanted.destination, Operation::Put, &record_key, kind);
            return Err(destinations::Error::Store(error).into());
        }
    }
    Ok(Stored { version: 1, destination: wanted.destination.clone(), key: record_key })
}

fn read(path: &Path) -> Result<Bytes, Error> {
    let failed = |source| Error::ReadRecord { path: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(RECORD_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 <= RECORD_BYTES_MAX {
        return Ok(bytes.into());
    }
    let text = format!("it is larger than {RECORD_BYTES_MAX} bytes");
    Err(Error::Record { path: path.to_path_buf(), source: RecordError::Malformed(text) })
}

/// A record of a backup that is gone, or is another one now, would only mislead.
async fn must_be_there(
    wanted: &Wanted,
    pipeline: &Pipeline,
    opened: &Opened,
    name: &ObjectName,
    record: &Record,
) -> Result<Manifest, Error> {
    let (destination, key) = (wanted.destination.clone(), wanted.manifest_key.clone());
    let bytes_max = usize::try_from(MANIFEST_BYTES_MAX).unwrap_or(usize::MAX);
    let bytes = match store::read_small(&*opened.store, &key, bytes_max).await {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound) => {
            return Err(Error::Gone { destination, key });
        }
        Err(e) => return Err(destinations::Error::Store(e).into()),
    };
    let sha256 = contract::Digest::of(&bytes).sha256;
    let manifest = Manifest::from_bytes(&pipeline.cluster, name, &bytes, &opened.trust);
    match manifest {
        Ok(manifest) => match record.must_be_about(&manifest, &sha256) {
            Ok(()) => Ok(manifest),
            Err(source) => Err(Error::Changed { destination, key, source }),
        },
        Err(source) => Err(Error::Manifest { destination, key, source }),
    }
}

/// The record is kept like the manifest that it is about.
async fn write(opened: &Opened, key: &str, bytes: &Bytes, keeping: Keeping) -> Result<(), Error> {
    let stored = opened.store.put_new(key, bytes.clone(), &keeping).await;
    stored.map_err(destinations::Error::Store)?;
    let (mode, stall_timeout) = (ReadBackMode::Full, opened.timeout);
    let options = ReadBackOptions { mode, stall_timeout, keeping };
    let read_back = store::read_back(&*opened.store, key, &Summary::of(bytes), &options).await;
    Ok(read_back.map(drop).map_err(destinations::Error::Store)?)
}
