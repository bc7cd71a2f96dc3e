//! Encrypts to age recipients, or back. Parses the command line, runs the stage, ends with its
//! code.

mod args;
mod check;
mod decrypt;
mod error;
mod file;
mod header;
mod identities;
mod keygen;
mod passphrase;
mod recipients;
mod signing;
mod stage;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = contract::generated::<args::Args>() {
        return done;
    }
    let args = match args::from_command_line() {
        Ok(args) => args,
        Err(code) => return code,
    };
    contract::stage_main(args.stage_name(), &args.stage, || stage::run(&args))
}
