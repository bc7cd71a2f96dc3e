//! `lifeboat init`: writes the reference pipeline, to begin with.

use crate::cli::InitArgs;
use crate::error::Error;

pub(crate) fn init(args: &InitArgs) -> Result<(), Error> {
    durable::write_new(&args.file, config::REFERENCE.as_bytes())?;
    tracing::info!(
        "wrote {}; name your cluster and its destinations in it, then run: lifeboat check",
        args.file.display()
    );
    Ok(())
}
