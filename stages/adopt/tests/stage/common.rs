//! Starting this program, and things to feed it with.

use sha2::{Digest, Sha256};
pub(crate) use stage_testing::*;
use std::io::Write;
use std::process::Command;

/// The program with these arguments, and no setting from outside.
pub(crate) fn command(args: &[&str]) -> Command {
    stage_testing::command(env!("CARGO_BIN_EXE_lifeboat-adopt"), args)
}

/// Runs the program to its end on `input`.
pub(crate) fn stage(args: &[&str], input: &[u8]) -> Ended {
    feed(command(args).spawn().unwrap(), input)
}

/// What begins like a database of so many pages.
pub(crate) fn database(pages: usize) -> Vec<u8> {
    let mut bytes = prose(pages * 4_096);
    bytes[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
    bytes[16..20].copy_from_slice(&[0xed, 0xda, 0x0c, 0xed]);
    bytes
}

/// With its SHA-256 behind it.
pub(crate) fn sealed(database: &[u8]) -> Vec<u8> {
    [database, &Sha256::digest(database)].concat()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
