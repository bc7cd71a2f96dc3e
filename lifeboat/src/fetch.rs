//! `lifeboat fetch`: one backup back to a file, through the same contract as the way out.
//!
//! The chain is fetch → decrypt → decompress → verify. Its last step writes the file, which gets
//! its name only when every step before it left a receipt and the bytes are those that the
//! manifest names. A copy that turns out damaged is not the end: the next destination is tried.

use crate::cli::{Common, FetchArgs};
use crate::error::Error;
use crate::views::{choose, read_catalogue};
use crate::way_back::{self, Ended, WayBack};
use catalogue::Manifest;
use contract::Exit;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn fetch(common: &Common, args: &FetchArgs) -> Result<ExitCode, Error> {
    if args.output.symlink_metadata().is_ok() {
        return Err(durable::Error::AlreadyExists(args.output.clone()).into());
    }
    let output = std::path::absolute(&args.output)
        .map_err(|source| Error::Directory { path: args.output.clone(), source })?;
    if let Some(directory) = output.parent().filter(|directory| !directory.is_dir()) {
        let (file, directory) = (args.output.clone(), directory.to_path_buf());
        return Err(Error::NoDirectory { file, directory });
    }
    let pipeline = common.pipeline()?;
    way_back::must_know(&pipeline, args.from.as_deref())?;
    let catalogue = read_catalogue(common)?;
    let backup = choose(&catalogue, &args.backup)?;
    let copies = way_back::usable_copies(&catalogue, &backup, args.from.as_deref())?;
    let needed = copies.iter().map(|(_, manifest)| bytes_of(manifest, args.raw)).max();
    // A relative path was made absolute, so that it has a parent.
    let directory = output.parent().unwrap_or(&output);
    way_back::must_fit(directory, needed.unwrap_or_default())?;
    let way_back = WayBack {
        common,
        home: way_back::home(&pipeline, "fetches"),
        backup: &backup,
        identities: &args.identity,
        last: (!args.raw).then_some("verify"),
        last_arguments: vec!["--output".into(), output.into_os_string()],
        deadline: Instant::now() + pipeline.run.deadline.get(),
        draws_progress: !args.no_progress,
        one_destination: args.from.is_some(),
    };
    match way_back.run(copies)? {
        Ended::Failed(code) => Ok(ExitCode::from(code)),
        Ended::Done(done) => {
            tracing::info!("{backup} from {} is in {}", done.destination, args.output.display());
            Ok(Exit::Ok.into())
        }
    }
}

/// How large the file will be.
fn bytes_of(manifest: &Manifest, raw: bool) -> u64 {
    match way_back::proved(manifest).filter(|_| !raw) {
        Some(proved) => proved.bytes,
        None => manifest.artifact.bytes,
    }
}
