//! `lifeboat status`: one line that answers "am I safe?", and an exit code that says the same.

use super::{age, plural, print, print_json, read_catalogue};
use crate::cli::{Common, OutputArgs};
use crate::copies;
use crate::error::Error;
use crate::tampering;
use catalogue::{Safety, Verdict, verdict};
use contract::{Clock, Exit};
use serde::Serialize;
use std::collections::BTreeMap;

pub(crate) fn status(common: &Common, args: &OutputArgs) -> Result<Exit, Error> {
    let pipeline = common.pipeline()?;
    let catalogue = read_catalogue(common)?;
    let limit = pipeline.run.stale_after.get();
    let wanted = pipeline.destinations.len();
    let verdict = verdict(&catalogue, Clock::system().now(), limit, wanted);
    let home = pipeline.run.state_dir.join(&pipeline.cluster);
    let status = Status {
        verdict,
        lagging: copies::lagging(&catalogue, &pipeline)?,
        vanished: tampering::vanished(&catalogue, &home),
    };
    match args.json {
        true => print_json(&status)?,
        false => {
            let now = catalogue.read_at;
            let line = line(&pipeline.cluster, &status, pipeline.run.stale_after, now);
            print(&format!("{line}\n"))?;
        }
    }
    Ok(if status.vanished.is_some() { Exit::Forged } else { status.verdict.exit() })
}

/// The JSON of `lifeboat status --json`.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    verdict: Verdict,
    /// How many copies each destination lacks that another one could give.
    lagging: BTreeMap<String, usize>,
    /// The backup that this machine made last, where it is in no destination any more, and nothing
    /// newer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    vanished: Option<String>,
}

fn line(cluster: &str, status: &Status, limit: config::Duration, now: jiff::Timestamp) -> String {
    let verdict = &status.verdict;
    let newest = match (&verdict.newest, verdict.age_seconds, verdict.revision) {
        (Some(name), Some(seconds), Some(revision)) => {
            format!("newest verified backup {name} is {} old, revision {revision}", age(seconds))
        }
        _ => "no verified backup".into(),
    };
    let copies = format!("{} of {} copies", verdict.copies, verdict.copies_wanted);
    let dark = match verdict.unreadable.as_slice() {
        [] => String::new(),
        names => format!("; could not read {}", names.join(", ")),
    };
    let count = |n: usize, what: &str| match i64::try_from(n).unwrap_or(i64::MAX) {
        0 => String::new(),
        n => format!("; {} {what} (see `lifeboat list`)", plural(n, "copy")),
    };
    let bad = count(verdict.not_trusted - verdict.forged, "broken or suspect")
        + &count(verdict.forged, "forged");
    let proven = match (&verdict.newest_proven, verdict.proven_at) {
        _ if verdict.newest.is_none() => String::new(),
        (Some(name), Some(at)) => {
            let ago = age(now.as_second() - at.as_second());
            match verdict.newest.as_ref() == Some(name) {
                true => format!("; proven by a drill {ago} ago"),
                false => format!("; newest proven is {name}, by a drill {ago} ago"),
            }
        }
        _ => "; none was proven by a drill".to_owned(),
    };
    let read_back = match (&verdict.newest_read_back, verdict.verified_at) {
        (Some(name), Some(at)) => {
            let ago = age(now.as_second() - at.as_second());
            match verdict.newest.as_ref() == Some(name) {
                true => format!("; read back {ago} ago"),
                false => format!("; newest read back is {name}, {ago} ago"),
            }
        }
        _ => String::new(),
    };
    let lag = copies::told(&status.lagging).map(|lag| format!("; {lag}")).unwrap_or_default();
    let gone = status.vanished.as_ref().map(|last| {
        format!("; {last}, the backup that was made here last, is in no destination any more")
    });
    let gone = gone.unwrap_or_default();
    let word = match verdict.safety {
        _ if status.vanished.is_some() => "ROLLED BACK",
        _ if verdict.forged > 0 => "FORGED",
        Safety::Safe => "SAFE",
        Safety::Partial => "PARTIAL",
        Safety::Stale => "STALE",
        Safety::None => "NO BACKUP",
        Safety::Unknown => "UNKNOWN",
    };
    let judged = match verdict.safety {
        Safety::Stale => format!("{newest}, more than the {limit} allowed, {copies}"),
        Safety::None => newest,
        Safety::Unknown => "no destination could be read".into(),
        Safety::Safe | Safety::Partial => format!("{newest}, {copies}"),
    };
    format!("{cluster}: {word}: {judged}{proven}{read_back}{dark}{bad}{gone}{lag}")
}
