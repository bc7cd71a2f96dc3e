//! `lifeboat`: the command that people type.
//!
//! Owns: the verbs, the chain of stages of one run, and what people see of it. It links neither
//! the etcd client nor a cloud SDK and reads no secret: whatever needs one is a stage of its own,
//! started with just the environment that its job needs. `lifeboat VERB` for a verb that is not
//! known here runs `lifeboat-VERB`, as git does.

mod adopt;
mod chain;
mod check;
mod cli;
mod copies;
mod doctor;
mod drill;
mod environment;
mod error;
mod fetch;
mod find;
mod init;
mod lock;
mod notify;
mod papers;
mod planning;
mod restore;
mod run;
mod tampering;
mod tier;
mod views;
mod way_back;
mod wrap;

use clap::Parser;
use cli::{Cli, Verb};
use contract::{Exit, report};
use error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    contract::init_logs(cli.common.log, "lifeboat");
    if let Err(failure) = contract::enough_files() {
        return report(&failure).into();
    }
    // The panic message is on stderr already; the exit code must still come from the table.
    match catch_unwind(AssertUnwindSafe(|| dispatch(&cli))) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => report(&failure).into(),
        Err(_) => Exit::Bug.into(),
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode, Error> {
    let common = &cli.common;
    common.enter_directory()?;
    match &cli.verb {
        Verb::Run(args) => run::run(common, args),
        Verb::Plan(args) => run::plan(common, args),
        Verb::Check(args) => check::check(common, args),
        Verb::List(args) => views::list(common, args).map(ExitCode::from),
        Verb::Show(args) => views::show(common, args).map(ExitCode::from),
        Verb::Status(args) => views::status(common, args).map(ExitCode::from),
        Verb::Fetch(args) => fetch::fetch(common, args),
        Verb::Restore(args) => restore::restore(common, args),
        Verb::Adopt(args) => adopt::adopt(common, args),
        Verb::Doctor(args) => doctor::doctor(common, args),
        Verb::Drill(args) => drill::drill(common, args),
        Verb::Sync(args) => copies::sync(common, args),
        Verb::Scrub(args) => copies::scrub(common, args),
        Verb::Wrap(args) => wrap::wrap(common, args).map(ExitCode::from),
        Verb::Init(args) => init::init(args).map(|()| Exit::Ok.into()),
        Verb::Completions(args) => papers::completions(args).map(|()| Exit::Ok.into()),
        Verb::Man(args) => papers::man(args).map(|()| Exit::Ok.into()),
        Verb::External(words) => find::become_stage(common, words),
    }
}
