//! Reads and prints.

use crate::args::Args;
use crate::error::Error;
use config::Pipeline;
use contract::{Clock, Exit};

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let catalogue = destinations::block_on(destinations::read_all(
        &pipeline,
        Clock::system(),
        args.timeout.get(),
    ))?;
    let mut text = serde_json::to_vec(&catalogue).map_err(|e| Error::Print(e.into()))?;
    text.push(b'\n');
    contract::print(text).map_err(Error::Print)?;
    Ok(Exit::Ok)
}
