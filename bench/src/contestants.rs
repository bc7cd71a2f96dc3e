//! Who is measured: `etcdctl` alone, the script of today in two editions, and Lifeboat.
//!
//! Does not: measure them.

use crate::Error;
use crate::database::Database;
use crate::workplace::{DESTINATIONS, Workplace};
use lifeboat_tests::{EtcdVersion, binaries, servers};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/script.sh");
/// As many threads as Lifeboat's own compressor has by default.
const ZSTD_ARGUMENTS: &str = "-q -1 -T2 -c";

/// One way to back up etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contestant {
    /// `etcdctl snapshot save`, and nothing else.
    Etcdctl,
    /// The script of today, with gzip.
    GzipScript,
    /// The same with zstd.
    ZstdScript,
    /// `lifeboat run` with the shipped pipeline.
    Lifeboat,
}

impl Contestant {
    /// All of them.
    pub(crate) const ALL: [Contestant; 4] =
        [Contestant::Etcdctl, Contestant::GzipScript, Contestant::ZstdScript, Contestant::Lifeboat];

    /// What a table calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Contestant::Etcdctl => "`etcdctl snapshot save` alone",
            Contestant::GzipScript => "script with gzip",
            Contestant::ZstdScript => "script with zstd",
            Contestant::Lifeboat => "`lifeboat run`",
        }
    }
}

/// The programs of today.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) etcd: EtcdVersion,
    pub(crate) age: PathBuf,
    pub(crate) zstd: PathBuf,
}

impl Tools {
    /// The newest etcd of the cache, and the rest.
    pub(crate) fn find() -> Result<Self, Error> {
        Ok(Tools {
            etcd: lifeboat_tests::Etcd::newest()?,
            age: servers::tool("age")?,
            zstd: servers::tool("zstd")?,
        })
    }

    /// The command of a contestant.
    pub(crate) fn command(
        &self,
        contestant: Contestant,
        work: &Workplace,
        database: &Database,
    ) -> Result<Command, Error> {
        match contestant {
            Contestant::Etcdctl => Ok(self.etcdctl(work, database)),
            Contestant::GzipScript => Ok(self.script("gzip -c", work, database)),
            Contestant::ZstdScript => {
                let zstd = format!("{} {ZSTD_ARGUMENTS}", self.zstd.display());
                Ok(self.script(&zstd, work, database))
            }
            Contestant::Lifeboat => lifeboat(work, database),
        }
    }

    fn etcdctl(&self, work: &Workplace, database: &Database) -> Command {
        let mut command = Command::new(&self.etcd.etcdctl);
        work.place(&mut command);
        command.env("ETCDCTL_API", "3").args(["--endpoints", database.endpoint()]);
        command.args(["snapshot", "save"]).arg(work.backups().join("snapshot.db"));
        command
    }

    fn script(&self, compress: &str, work: &Workplace, database: &Database) -> Command {
        let mut command = Command::new(SCRIPT);
        work.place(&mut command);
        command.env("ETCDCTL_API", "3").env("ENDPOINT", database.endpoint());
        command.env("ETCDCTL", &self.etcd.etcdctl).env("ETCDUTL", self.etcd.snapshot_tool());
        command.env("AGE", &self.age).env("RECIPIENTS", work.recipients());
        command.env("COMPRESS", compress);
        command.args(DESTINATIONS.map(|name| work.backups().join(name)));
        command
    }
}

/// `lifeboat run` with what `pipeline.toml` of the workplace says.
pub(crate) fn lifeboat(work: &Workplace, database: &Database) -> Result<Command, Error> {
    let mut command = binaries::command("lifeboat")?;
    work.place(&mut command);
    command.env("LIFEBOAT_CONFIG", work.path("pipeline.toml"));
    command.env("LIFEBOAT__CAPTURE__ENDPOINTS", database.endpoint());
    command.arg("run");
    Ok(command)
}
