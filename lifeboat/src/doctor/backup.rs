//! The newest backup, for the doctor. Whatever goes wrong is an answer, too.

use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use catalogue::{Catalogue, Verdict, verdict};
use contract::{Clock, Failure as _};
use serde::Serialize;
use serde_json::Value;
use std::process::{Command, Stdio};

/// For one destination: whoever asks has a sick cluster, and no time.
const LIMIT: &str = "10s";

/// What the doctor is told: the verdict, or why there is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Newest {
    Known(Box<Verdict>),
    Unknown { problem: String },
}

pub(super) fn newest(common: &Common) -> Newest {
    match judged(common) {
        Ok(verdict) => Newest::Known(Box::new(verdict)),
        Err(problem) => Newest::Unknown { problem },
    }
}

fn judged(common: &Common) -> Result<Verdict, String> {
    let said = |error: &Error| match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    };
    let pipeline = common.pipeline().map_err(|error| said(&error))?;
    if pipeline.destinations.is_empty() {
        return Err("no destination is configured".into());
    }
    let program = find::stage("catalogue").map_err(|error| said(&error))?;
    let config = common.config_path().map_err(|error| said(&error))?;
    // Its errors belong on the page, in the place of the answer, and not before it.
    let output = Command::new(program)
        .arg("--config")
        .arg(config)
        .args(["--timeout", LIMIT, "--log", "json"])
        .env_clear()
        .envs(environment::of("catalogue"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("lifeboat-catalogue cannot be started: {error}"))?;
    let catalogue: Catalogue =
        serde_json::from_slice(&output.stdout).map_err(|_| last_words(&output.stderr))?;
    let limit = pipeline.run.stale_after.get();
    Ok(verdict(&catalogue, Clock::system().now(), limit, pipeline.destinations.len()))
}

/// The error in a log of JSON lines.
fn last_words(log: &[u8]) -> String {
    let lines = log.split(|byte| *byte == b'\n').rev();
    let parsed = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut messages = parsed.filter_map(|line| Some(line["message"].as_str()?.to_owned()));
    let message = messages.next().unwrap_or_else(|| "it said nothing that counts".into());
    format!("lifeboat-catalogue: {}", contract::brief(&message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_what_is_said() {
        let log = b"{\"message\":\"one\"}\n{\"message\":\"two\"}\nnot json\n";
        assert_eq!(last_words(log), "lifeboat-catalogue: two");
        assert!(last_words(b"").contains("said nothing"));
    }
}
