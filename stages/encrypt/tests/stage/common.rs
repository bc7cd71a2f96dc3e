//! Starting this program, and things to feed it with.

pub(crate) use stage_testing::*;
use std::process::Command;

/// The program with these arguments, and no setting from outside.
pub(crate) fn command(args: &[&str]) -> Command {
    stage_testing::command(env!("CARGO_BIN_EXE_lifeboat-encrypt"), args)
}

/// Runs the program to its end on `input`.
pub(crate) fn stage(args: &[&str], input: &[u8]) -> Ended {
    feed(command(args).spawn().unwrap(), input)
}
