//! The servers and tools that `tests/servers/get.sh` keeps in its cache.
//!
//! Invariant: the script alone knows versions and folders; it is asked once per process.
//! What is missing has a reason, which the tests report when they skip.
//! Does not: fetch anything.

use crate::skips::or_skip;
use crate::{Error, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The lines of etcd that are tested against, oldest first.
pub const ETCD_LABELS: [&str; 4] = ["3.4", "3.5", "3.6", "3.7"];

/// etcd, in all its versions.
#[derive(Debug)]
pub struct Etcd;

/// The programs of one version.
#[derive(Debug, Clone)]
pub struct EtcdVersion {
    /// `3.4` … `3.7`.
    pub label: &'static str,
    /// The server.
    pub etcd: PathBuf,
    /// The client.
    pub etcdctl: PathBuf,
    /// The offline tool; 3.4 has none, its etcdctl does that work.
    pub etcdutl: Option<PathBuf>,
}

impl Etcd {
    /// Those that are on this machine, oldest first.
    #[must_use]
    pub fn available() -> Vec<EtcdVersion> {
        ETCD_LABELS.iter().filter_map(|label| Etcd::version(label).ok()).collect()
    }

    /// One version, by its label.
    ///
    /// # Errors
    /// [`Error::Missing`], also for a label that is not in [`ETCD_LABELS`].
    pub fn version(label: &str) -> Result<EtcdVersion, Error> {
        let name = format!("etcd-{label}");
        let folder = folder_of(&name)?;
        let Some(label) = ETCD_LABELS.into_iter().find(|known| *known == label) else {
            return Err(Error::Missing { tool: name, reason: "no such label".into() });
        };
        let etcdutl = Some(folder.join("etcdutl")).filter(|path| path.exists());
        Ok(EtcdVersion {
            label,
            etcd: folder.join("etcd"),
            etcdctl: folder.join("etcdctl"),
            etcdutl,
        })
    }

    /// The newest one that is here.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none at all.
    pub fn newest() -> Result<EtcdVersion, Error> {
        Etcd::available().pop().ok_or_else(|| Error::Missing {
            tool: "etcd".into(),
            reason: "no version of it was fetched (tests/servers/get.sh --all)".into(),
        })
    }
}

impl EtcdVersion {
    /// What does `snapshot status` and `snapshot restore` in this version.
    #[must_use]
    pub fn snapshot_tool(&self) -> &Path {
        self.etcdutl.as_deref().unwrap_or(&self.etcdctl)
    }

    /// A command for [`Self::snapshot_tool`], without the caller's environment.
    #[must_use]
    pub fn snapshot_command(&self) -> Command {
        let mut command = Command::new(self.snapshot_tool());
        command.env_clear();
        command
    }

    /// Whether it knows `--unsafe-no-fsync`, which spares the disk of the test machine.
    pub(crate) fn can_skip_fsync(&self) -> bool {
        self.label != "3.4"
    }
}

/// The path of a tool: `age`, `age-keygen`, `zstd`, ….
///
/// # Errors
/// [`Error::Missing`] with the script's reason.
pub fn tool(name: &str) -> Result<PathBuf, Error> {
    let package = if name == "age-keygen" { "age" } else { name };
    Ok(folder_of(package)?.join(name))
}

/// The folder of the programs of a package of the script's table.
///
/// # Errors
/// [`Error::Missing`] with the script's reason.
pub(crate) fn folder_of(name: &str) -> Result<PathBuf, Error> {
    let missing = |reason: &str| Error::Missing { tool: name.into(), reason: reason.into() };
    match listing().as_ref().map(|found| found.get(name)) {
        Ok(Some(Ok(folder))) => Ok(folder.clone()),
        Ok(Some(Err(reason))) => Err(missing(reason)),
        Ok(None) => Err(missing("tests/servers/get.sh does not know it")),
        Err(why) => Err(missing(why)),
    }
}

type Listing = BTreeMap<String, Result<PathBuf, String>>;

fn listing() -> &'static Result<Listing, String> {
    static LISTING: OnceLock<Result<Listing, String>> = OnceLock::new();
    LISTING.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/get.sh");
        let output = run(Command::new(script).arg("--list")).map_err(|e| format!("{e:?}"))?;
        Ok(parse_listing(&String::from_utf8_lossy(&output.stdout)))
    })
}

/// Each line is `NAME FOLDER` or `NAME missing: WHY`.
fn parse_listing(text: &str) -> Listing {
    let entry = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        let found = match rest.strip_prefix("missing: ") {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(PathBuf::from(rest)),
        };
        Some((name.to_owned(), found))
    };
    text.lines().filter_map(entry).collect()
}

/// Runs `body` with one version, or notes that the test was skipped. See [`each_etcd!`].
///
/// [`each_etcd!`]: crate::each_etcd
pub fn with_etcd(test: &str, label: &str, body: fn(&EtcdVersion)) {
    let name = format!("{test}::v{}", label.replace('.', "_"));
    if let Some(version) = or_skip(&name, Etcd::version(label)) {
        body(&version);
    }
}

/// Makes four tests, `NAME::v3_4` to `NAME::v3_7`, of each function `fn NAME(&EtcdVersion)`.
#[macro_export]
macro_rules! each_etcd {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[test]
            fn v3_4() {
                $crate::servers::with_etcd(stringify!($name), "3.4", super::$name);
            }
            #[test]
            fn v3_5() {
                $crate::servers::with_etcd(stringify!($name), "3.5", super::$name);
            }
            #[test]
            fn v3_6() {
                $crate::servers::with_etcd(stringify!($name), "3.6", super::$name);
            }
            #[test]
            fn v3_7() {
                $crate::servers::with_etcd(stringify!($name), "3.7", super::$name);
            }
        })+
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_folders_and_reasons() {
        let listing = parse_listing("age /a/bin dir\nmoto missing: no python3\n");
        assert_eq!(listing["age"], Ok(PathBuf::from("/a/bin dir")));
        assert_eq!(listing["moto"], Err("no python3".to_owned()));
    }

    #[test]
    fn an_unknown_tool_is_missing_with_a_reason() {
        let error = folder_of("no-such-tool").unwrap_err();
        assert!(error.to_string().contains("no-such-tool is not here"), "{error}");
    }
}
