//! `--undo`: what a restore moved aside comes back.

use crate::args::Args;
use crate::error::Error;
use contract::{Clock, Exit};
use datadir::place::MovedAside;
use serde::Serialize;

/// The answer of `--undo --json`, see docs/json.md.
#[derive(Debug, Serialize)]
struct Answer {
    put_back: Vec<Moved>,
    set_aside: Vec<Moved>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Moved {
    from: String,
    to: String,
}

impl From<&MovedAside> for Moved {
    fn from(moved: &MovedAside) -> Self {
        Moved { from: moved.from.display().to_string(), to: moved.to.display().to_string() }
    }
}

pub(crate) fn run(args: &Args, clock: Clock) -> Result<Exit, Error> {
    let done = datadir::place::undo(&args.target(&[]), &stamp(clock))?;
    for note in &done.notes {
        tracing::info!("{note}");
    }
    for MovedAside { from, to } in &done.set_aside {
        tracing::info!("what was restored is {} now; it was {}", to.display(), from.display());
    }
    for MovedAside { from, to } in &done.put_back {
        tracing::info!("{} is back; it was {}", to.display(), from.display());
    }
    if args.json {
        let answer = Answer {
            put_back: done.put_back.iter().map(Moved::from).collect(),
            set_aside: done.set_aside.iter().map(Moved::from).collect(),
            notes: done.notes,
        };
        let text = serde_json::to_string_pretty(&answer).map_err(|e| Error::Print(e.into()))?;
        contract::print(text + "\n").map_err(Error::Print)?;
    }
    Ok(Exit::Ok)
}

/// The time in the names of what is moved aside: UTC, `20261120T021400Z`.
pub(crate) fn stamp(clock: Clock) -> String {
    clock.now().strftime("%Y%m%dT%H%M%SZ").to_string()
}
