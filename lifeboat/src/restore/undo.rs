//! `lifeboat restore --undo`: what was moved aside comes back. The program that moved it does it;
//! neither a configuration nor a destination is needed.

use super::args::{Flavour, RestoreArgs};
use super::intent::absolute;
use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use contract::Exit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

pub(crate) fn undo(common: &Common, args: &RestoreArgs) -> Result<ExitCode, Error> {
    let name = "lifeboat-restore".to_owned();
    let mut command = Command::new(find::stage("restore")?);
    command.arg("--undo").args(["--log", common.log_format()]);
    match &args.all_members {
        Some(directory) => command.arg("--all-members").arg(absolute(directory)?),
        None => {
            let usual = args.flavour.unwrap_or(Flavour::Kubeadm).data_dir();
            let directory = args.data_dir.clone().unwrap_or_else(|| usual.into());
            command.arg("--data-dir").arg(absolute(&directory)?)
        }
    };
    if let Some(directory) = &args.wal_dir {
        command.arg("--wal-dir").arg(absolute(directory)?);
    }
    if args.json {
        command.arg("--json");
    }
    command.env_clear().envs(environment::of("restore"));
    let status =
        command.status().map_err(|source| Error::Start { program: name.clone(), source })?;
    match (status.signal(), status.code().and_then(|code| u8::try_from(code).ok())) {
        (Some(signal), _) => Err(Error::Killed { program: name, signal }),
        // It has said what is wrong, if anything is.
        (None, code) => Ok(ExitCode::from(code.unwrap_or(Exit::Bug.code()))),
    }
}
