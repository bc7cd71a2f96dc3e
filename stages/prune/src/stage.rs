//! The core: read, plan, print, apply.

use crate::apply::{self, Removed};
use crate::args::Args;
use crate::check;
use crate::doubts;
use crate::error::Error;
use crate::page;
use crate::plans::{self, Plans};
use catalogue::DestinationCatalogue;
use config::Pipeline;
use contract::facts::{PruneFacts, ReplicateFacts};
use contract::{Clock, Exit, Failure, Job};
use destinations::Opened;
use std::collections::BTreeMap;

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    if args.check {
        return check::run(args);
    }
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let job = Job::open("prune", &args.common.streams, Clock::system())?;
    let source = job.signal_input()?;
    // Inside a run, nothing is removed before the new backup is committed.
    let receipts = job.confirm(&source)?;
    let sink = job.signal_output()?;
    let stored = doubts::replicated(&receipts);
    let pruned = destinations::block_on(prune(args, &pipeline, &job, stored.as_ref()))?;
    let (plans, removed) = match pruned {
        Err(e) if is_known(&e, stored.as_ref()) => {
            tracing::warn!(hint = e.hint().unwrap_or_default(), "{e}");
            Default::default()
        }
        result => result?,
    };
    let kept = plans.iter().map(|(name, plan)| (name.clone(), plan.kept())).collect();
    job.finish(Some(&source), sink, &PruneFacts { removed, kept })?;
    Ok(Exit::Ok)
}

/// Whether it is about a destination in which `replicate` could store nothing either. The run
/// says so already, with a code of its own, and nothing else is wrong with it.
fn is_known(error: &Error, stored: Option<&ReplicateFacts>) -> bool {
    let mut copies = stored.into_iter().flat_map(|facts| &facts.copies);
    copies.any(|c| !c.stored && error.destination() == Some(c.destination.as_str()))
}

async fn prune(
    args: &Args,
    pipeline: &Pipeline,
    job: &Job,
    stored: Option<&ReplicateFacts>,
) -> Result<(Plans, Removed), Error> {
    let mut opened = BTreeMap::new();
    let mut catalogues = Vec::new();
    for (name, result) in destinations::open_all(pipeline).await {
        let destination = result.map_err(|e| unreadable(&name, &e))?;
        let catalogue = read(&name, &destination, pipeline).await?;
        doubts::must_have_our_time(&name, &destination, job.now())?;
        doubts::must_list_what_was_stored(&catalogue, stored)?;
        catalogues.push(catalogue);
        opened.insert(name, destination);
    }
    // Of two records of one backup that differ, one is wrong, and it may be the date.
    catalogue::mark_forks(&mut catalogues);
    failpoint::pass("prune.read");
    let plans = plans::make(pipeline, &catalogues, job.now(), args.allow_large_removal)?;
    doubts::must_not_remove_what_was_stored(&plans, stored)?;
    if args.common.streams.run_dir.is_none() {
        print(args, &plans)?;
    }
    let removed = match args.dry_run {
        true => Removed::new(),
        false => apply::apply(&plans, &catalogues, &opened, job.now()).await?,
    };
    match args.dry_run {
        true => tracing::info!("nothing was removed: this was a dry run"),
        false => say(&plans, &removed, &catalogues),
    }
    Ok((plans, removed))
}

/// Each request has a limit of its own; this one is for a file system that does not answer, and
/// for a listing without an end.
async fn read(
    name: &str,
    opened: &Opened,
    pipeline: &Pipeline,
) -> Result<DestinationCatalogue, Error> {
    let limit = pipeline.run.deadline.get();
    let read = destinations::read_one(opened, &pipeline.cluster);
    match tokio::time::timeout(limit, read).await {
        Ok(read) => read.map_err(|e| unreadable(name, &e)),
        Err(_) => {
            let problem = format!("it was not read within {} s", limit.as_secs());
            Err(Error::Unreadable { destination: name.to_owned(), problem })
        }
    }
}

fn unreadable(name: &str, error: &destinations::Error) -> Error {
    let problem = match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    };
    Error::Unreadable { destination: name.to_owned(), problem }
}

fn print(args: &Args, plans: &Plans) -> Result<(), Error> {
    let text = match args.json {
        true => serde_json::to_string_pretty(plans).map_err(|e| Error::Print(e.into()))? + "\n",
        false => page::of(plans),
    };
    contract::print(text).map_err(Error::Print)
}

fn say(plans: &Plans, removed: &Removed, catalogues: &[DestinationCatalogue]) {
    for (name, plan) in plans {
        let gone = removed.get(name).map_or(0, Vec::len);
        tracing::info!(kept = plan.kept(), removed = gone, "{name} is pruned");
    }
    for catalogue in catalogues.iter().filter(|c| !c.orphans.is_empty()) {
        let (name, count) = (&catalogue.destination, catalogue.orphans.len());
        tracing::warn!("{name}: artifacts without a manifest, which are no backups: {count}");
    }
}
