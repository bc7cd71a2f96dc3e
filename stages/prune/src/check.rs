//! `--check`: whether every destination can be read and pruned, and what the policy would do now.
//!
//! That the newest backup is old, or that there is none, is told and no failure: a run makes a new
//! one before it prunes.

use crate::args::Args;
use crate::error::Error;
use crate::plans::{self, Plans};
use catalogue::DestinationCatalogue;
use config::Pipeline;
use contract::{CheckReport, Clock, Exit, Finding};
use jiff::Timestamp;
use retention::Refusal;

/// Prints the answer and says it again as an exit code.
///
/// # Errors
/// When the configuration cannot be read, or standard output not be written.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let mut report = CheckReport::new("prune");
    let now = Clock::system().now();
    let looked = destinations::block_on(destinations::look_all(&pipeline))?;
    let (all, mut catalogues) = (looked.len(), Vec::new());
    for (name, look) in looked {
        match look {
            Ok(catalogue) => {
                report.add(newest(&catalogue, &pipeline, now).about(name));
                catalogues.push(catalogue);
            }
            Err(e) => report.add(Finding::failed("catalogue", &e).about(name)),
        }
    }
    if catalogues.len() == all {
        report.add(today(plans::make(&pipeline, &catalogues, now, args.allow_large_removal)));
    }
    report.print().map_err(Error::Print)
}

/// What a destination holds.
fn newest(catalogue: &DestinationCatalogue, pipeline: &Pipeline, now: Timestamp) -> Finding {
    let verified = catalogue.backups.iter().filter(|b| b.state.is_trusted());
    let (count, newest) = (verified.clone().count(), verified.max_by_key(|b| &b.name));
    let bad = catalogue.backups.len() - count;
    if bad > 0 {
        let detail = format!("{bad} of {} backups are broken or suspect", catalogue.backups.len());
        return Finding::warning("catalogue", detail, "`lifeboat list` says which, and why");
    }
    let Some(manifest) = newest.and_then(|backup| backup.manifest.as_ref()) else {
        return Finding::good("catalogue", "no backup yet");
    };
    let old = now.as_second() - manifest.taken_at.as_second();
    let detail = format!("{count} backups, the newest {} old", age(old));
    let limit = i64::try_from(pipeline.run.stale_after.get().as_secs()).unwrap_or(i64::MAX);
    match old {
        old if old < 0 => Finding::warning(
            "catalogue",
            format!("the newest backup is dated {}, which is still to come", manifest.taken_at),
            "set this machine's clock; prune refuses until then",
        ),
        old if old > limit => {
            let next = "find out why backups stopped; `lifeboat run` makes a new one";
            Finding::warning("catalogue", format!("{detail}: too old"), next)
        }
        _ => Finding::good("catalogue", detail),
    }
}

/// Hours are enough for what is made once an hour or once a day.
fn age(seconds: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = UNITS.iter().find(|(size, _)| seconds >= *size);
    unit.map_or_else(|| format!("{seconds} s"), |(size, name)| format!("{} {name}", seconds / size))
}

/// What the policy would do.
fn today(planned: Result<Plans, Error>) -> Finding {
    match planned {
        Ok(plans) => {
            let kept: usize = plans.values().map(retention::Plan::kept).sum();
            let removed: usize = plans.values().map(retention::Plan::removed).sum();
            Finding::good("policy", format!("would remove {removed} copies now and keep {kept}"))
        }
        // The run that comes before mends both.
        Err(Error::Refused { refusal, .. })
            if matches!(*refusal, Refusal::NoVerified { .. } | Refusal::Stale { .. }) =>
        {
            Finding::good("policy", "would remove nothing now")
        }
        Err(e) => Finding::failed("policy", &e),
    }
}
