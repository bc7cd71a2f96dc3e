//! `--look`: what an input begins like. Whoever plans a run needs to know whether it has to be
//! decrypted first, and when the file in a zip file was last changed.

use crate::error::Error;
use crate::layers::{Kind, Wrap, recognise};
use crate::peek::Peek;
use crate::zip;
use contract::{Source, StreamError};
use serde::Serialize;
use std::io;
use std::path::Path;

const VERSION: u32 = 1;
const HEAD_BYTES: usize = 512;

/// The answer.
#[derive(Debug, Serialize)]
struct Look {
    version: u32,
    /// `database`, `gzip`, `zip`, `zstd`, `age` or `other`.
    kind: &'static str,
    /// When the file in a zip file was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_time: Option<jiff::Timestamp>,
}

/// Prints the answer as one line.
///
/// # Errors
/// When the input cannot be read, or the answer not be printed.
pub(crate) fn run(input: Option<&Path>) -> Result<(), Error> {
    let source = Source::open(input).map_err(contract::Error::Stream)?;
    let mut input = Peek::new(Box::new(source));
    let failed = |e| Error::from(contract::Error::Stream(StreamError::Read(e)));
    let kind = recognise(input.begin(HEAD_BYTES).map_err(failed)?);
    let entry_time = match kind {
        // What is wrong with it, the run says.
        Kind::Wrapped(Wrap::Zip) => zip::time_of_entry(input).unwrap_or_default(),
        _ => None,
    };
    let kind = match kind {
        Kind::Database => "database",
        Kind::Wrapped(wrap) => wrap.name(),
        Kind::Age => "age",
        Kind::Other { .. } => "other",
    };
    let look = Look { version: VERSION, kind, entry_time };
    let line = serde_json::to_string(&look).map_err(|e| Error::Print(io::Error::other(e)))?;
    contract::print(line + "\n").map_err(Error::Print)
}
