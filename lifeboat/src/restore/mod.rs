//! `lifeboat restore`: a backup back to a data directory that etcd starts from.
//!
//! Owns: which backup, which members, which token and how far the revision is raised; the chain
//! fetch → decrypt → decompress → restore; what people see of it. `--plan` prints the recovery of
//! the whole cluster and changes nothing.
//!
//! Does not: write a data directory, look at one, or move one aside. `lifeboat-restore` does, and
//! refuses a target before it has read a byte.

mod args;
mod bump;
mod choice;
mod error;
mod flavour;
mod intent;
#[cfg(test)]
pub(crate) mod made_up;
mod membership;
mod plan;
mod screen;
mod time;
mod undo;

pub(crate) use args::{AFTER, RestoreArgs};
pub(crate) use error::Error;

use crate::cli::Common;
use crate::error::Error as Front;
use crate::planning::new_run_id;
use crate::views::read_catalogue;
use crate::way_back::{self, Done, Ended, WayBack};
use bump::Ceiling;
use catalogue::Catalogue;
use choice::Wanted;
use contract::facts::RestoreFacts;
use contract::{Clock, Exit};
use intent::{Bump, Intent, Target};
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::process::ExitCode;
use std::time::Instant;

/// What a new token begins with, so that whoever meets it knows where it is from.
const TOKEN_PREFIX: &str = "lifeboat-";

pub(crate) fn restore(common: &Common, args: &RestoreArgs) -> Result<ExitCode, Front> {
    if args.undo {
        return undo::undo(common, args);
    }
    let pipeline = common.pipeline()?;
    way_back::must_know(&pipeline, args.from.as_deref())?;
    let wanted = intent::wanted(args, &TimeZone::system())?;
    if let Wanted::At(time::At { time, zone: Some(zone) }) = &wanted {
        tracing::info!("--at is {time}: the time zone is {zone}");
    }
    let whole = read_catalogue(common)?;
    let visible = narrowed(&whole, args.from.as_deref());
    let now = Clock::system().now();
    let token = format!("{TOKEN_PREFIX}{}", new_run_id(now));
    let mut intent = Intent::decide(args, (&visible, &whole), &wanted, now, token)?;
    intent.config = common.config_to_name()?;
    warn(&intent, &whole);
    if args.plan {
        return plan::plan(&intent, &pipeline, now).map(|()| Exit::Ok.into());
    }
    let target = intent.target()?;
    let copies = way_back::usable_copies(&visible, &intent.chosen.backup, args.from.as_deref())?;
    // The whole snapshot lies beside the target until the database is written.
    let snapshot_bytes = copies.iter().filter_map(|(_, manifest)| way_back::proved(manifest));
    let needed = snapshot_bytes.map(|digest| digest.bytes).max().unwrap_or_default();
    way_back::must_fit(target.directory(), needed)?;
    announce(&intent, &target);
    let way_back = WayBack {
        common,
        home: way_back::home(&pipeline, "restores"),
        backup: &intent.chosen.backup,
        identities: &args.identity,
        last: Some("restore"),
        last_arguments: intent.stage_arguments(&target),
        deadline: Instant::now() + pipeline.run.deadline.get(),
        draws_progress: !args.no_progress,
        one_destination: args.from.is_some(),
    };
    match way_back.run(copies)? {
        Ended::Failed(code) => Ok(ExitCode::from(code)),
        Ended::Done(done) => {
            let facts = facts(&done)?;
            screen::show(&intent, &done, &facts, Clock::system().now())?;
            Ok(Exit::Ok.into())
        }
    }
}

/// The catalogue with one destination only, where one was asked for.
fn narrowed(whole: &Catalogue, from: Option<&str>) -> Catalogue {
    let mut visible = whole.clone();
    visible.destinations.retain(|d| from.is_none_or(|name| d.destination == name));
    visible
}

/// What somebody should know before it begins.
fn warn(intent: &Intent<'_>, whole: &Catalogue) {
    if let Some(doubts) = choice::doubts(whole, &intent.chosen.backup) {
        tracing::warn!("{} is not trusted: {doubts}", intent.chosen.backup);
    }
    if let Bump::Computed(_, Ceiling { unreadable, highest, .. }) = &intent.bump
        && !unreadable.is_empty()
    {
        let hint = "if the cluster went further than this, give --bump-revision N";
        let dark = unreadable.join(", ");
        tracing::warn!(
            hint,
            "{dark} could not be read: that no revision was above {highest} rests on the others"
        );
    }
}

fn announce(intent: &Intent<'_>, target: &Target) {
    let backup = &intent.chosen.backup;
    match target {
        Target::All(directory) => {
            tracing::info!("restoring {backup}, every member below {}", directory.display());
        }
        Target::One { name, data_dir, .. } => {
            let member = name.as_ref().map(|name| format!(", member {name}")).unwrap_or_default();
            let default = match intent.args.data_dir {
                Some(_) => String::new(),
                None => {
                    format!(" (that of {}; --data-dir names another)", intent.judged.flavour.name())
                }
            };
            tracing::info!("restoring {backup}{member} to {}{default}", data_dir.display());
        }
    }
}

fn facts(done: &Done) -> Result<RestoreFacts, Front> {
    let garbled = |problem: String| Front::Garbled { program: "lifeboat-restore".into(), problem };
    let receipt = done.receipt.as_ref().ok_or_else(|| garbled("its receipt is gone".into()))?;
    RestoreFacts::deserialize(&receipt.facts).map_err(|e| garbled(e.to_string()))
}
