//! Reads and prints.

use crate::args::Args;
use crate::error::Error;
use crate::record;
use config::Pipeline;
use contract::{Clock, Exit};
use serde::Serialize;

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    if let Some(wanted) = record::Wanted::of(args) {
        let stored = destinations::block_on(record::store(&wanted, &pipeline))??;
        return print(&stored);
    }
    let catalogue = destinations::block_on(destinations::read_all(
        &pipeline,
        Clock::system(),
        args.timeout.get(),
    ))?;
    print(&catalogue)
}

fn print(answer: &impl Serialize) -> Result<Exit, Error> {
    let mut text = serde_json::to_vec(answer).map_err(|e| Error::Print(e.into()))?;
    text.push(b'\n');
    contract::print(text).map_err(Error::Print)?;
    Ok(Exit::Ok)
}
