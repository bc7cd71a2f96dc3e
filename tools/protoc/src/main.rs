//! Installs the vendored protoc at the path given as the only argument.
//!
//! The binary goes to that path and the well-known types (`google/protobuf/*.proto`) go to
//! `include/` beside it, which is one of the places where protoc itself looks for them.
//! Each file is complete under its final name or absent: it is written beside it and renamed.
//! It does not download anything at run time: both come out of the crates it is built from.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let Some(destination) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: lifeboat-tool-protoc DESTINATION");
        return ExitCode::from(2);
    };
    match install(&destination) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot install protoc at {}: {error}", destination.display());
            ExitCode::FAILURE
        }
    }
}

fn install(destination: &Path) -> io::Result<()> {
    let parent = match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let binary = protoc_bin_vendored::protoc_bin_path().map_err(io::Error::other)?;
    let include = protoc_bin_vendored::include_path().map_err(io::Error::other)?;
    fs::create_dir_all(parent)?;
    copy_tree(&include, &parent.join("include"))?;
    // Last, because its presence tells the Makefile that the whole is there.
    copy_file(&binary, destination)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Copies the content and the permission bits.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut staged = to.as_os_str().to_owned();
    staged.push(format!(".{}.new", std::process::id()));
    let staged = PathBuf::from(staged);
    fs::copy(from, &staged)?;
    fs::rename(&staged, to)
}
