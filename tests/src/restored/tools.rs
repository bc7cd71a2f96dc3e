//! One snapshot restored with etcd's own tool and with ours, under the same flags.
//!
//! Invariant: both get the same flags, those that only ours knows apart; neither sees the
//! caller's environment.
//! Does not: start anything on what they wrote.

use crate::binaries;
use crate::cluster::{MemberAddress, Plan};
use crate::site::Ran;
use crate::{Error, EtcdVersion, run};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who restores.
#[derive(Debug, Clone, Copy)]
pub enum Tool<'a> {
    /// `etcdutl snapshot restore` of this version, `etcdctl snapshot restore` of 3.4.
    Etcds(&'a EtcdVersion),
    /// `lifeboat-restore --input FILE`.
    Lifeboat,
    /// `lifeboat-restore < FILE`.
    LifeboatFromStdin,
}

/// What to restore, and how.
#[derive(Debug, Clone)]
pub struct Order {
    /// The snapshot, with its trailer.
    pub snapshot: PathBuf,
    /// `--initial-cluster-token`.
    pub token: String,
    /// `--bump-revision` with `--mark-compacted`.
    pub bump: Option<i64>,
    /// Flags that only ours knows.
    pub ours_only: Vec<String>,
}

impl Order {
    /// Without a bump.
    #[must_use]
    pub fn new(snapshot: &Path, token: &str) -> Self {
        Order {
            snapshot: snapshot.to_path_buf(),
            token: token.to_owned(),
            bump: None,
            ours_only: Vec::new(),
        }
    }

    /// With a revision raised by `bump` and everything before compacted.
    #[must_use]
    pub fn bump(mut self, bump: i64) -> Self {
        self.bump = Some(bump);
        self
    }

    /// With flags that only ours knows.
    #[must_use]
    pub fn ours_only(mut self, flags: &[&str]) -> Self {
        self.ours_only.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }
}

/// Restores every voter of `plan` into its data directory, which must not exist.
///
/// # Errors
/// [`Error::Command`] with what the tool said.
pub fn restore(tool: Tool<'_>, order: &Order, plan: &Plan) -> Result<(), Error> {
    let voters = plan.members().iter().take(plan.voters());
    for member in voters {
        run_tool(tool, order, member, &plan.initial_cluster())?;
    }
    Ok(())
}

fn run_tool(
    tool: Tool<'_>,
    order: &Order,
    member: &MemberAddress,
    initial_cluster: &str,
) -> Result<(), Error> {
    let mut command = match tool {
        Tool::Etcds(version) => {
            let mut command = version.snapshot_command();
            command.env("ETCDCTL_API", "3");
            command.args(["snapshot", "restore"]).arg(&order.snapshot);
            command
        }
        Tool::Lifeboat => {
            let mut command = binaries::command("lifeboat-restore")?;
            command.arg("--input").arg(&order.snapshot).args(&order.ours_only);
            command
        }
        Tool::LifeboatFromStdin => {
            let mut command = binaries::command("lifeboat-restore")?;
            command.args(&order.ours_only);
            command
        }
    };
    same_flags(&mut command, order, member, initial_cluster);
    match tool {
        Tool::LifeboatFromStdin => run_with_stdin(&mut command, &order.snapshot),
        Tool::Etcds(_) | Tool::Lifeboat => run(&mut command).map(drop),
    }
}

fn same_flags(command: &mut Command, order: &Order, member: &MemberAddress, initial_cluster: &str) {
    command.args(["--name", &member.name, "--initial-cluster", initial_cluster]);
    command.args(["--initial-cluster-token", &order.token]);
    command.args(["--initial-advertise-peer-urls", &member.peer_urls()]);
    command.arg("--data-dir").arg(&member.data_dir);
    if let Some(wal_dir) = &member.wal_dir {
        command.arg("--wal-dir").arg(wal_dir);
    }
    if let Some(bump) = order.bump {
        command.args(["--bump-revision", &bump.to_string(), "--mark-compacted"]);
    }
}

fn run_with_stdin(command: &mut Command, snapshot: &Path) -> Result<(), Error> {
    let input = File::open(snapshot).map_err(Error::io("open", snapshot))?;
    let program = PathBuf::from(command.get_program());
    let output =
        command.stdin(Stdio::from(input)).output().map_err(Error::io("start", &program))?;
    let ran = Ran::of(&output);
    if ran.code == 0 {
        return Ok(());
    }
    let command = program.display().to_string();
    Err(Error::Command { command, status: ran.code.to_string(), stderr: ran.stderr })
}

/// What a tool wrote for one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The write-ahead log up to its first zeros that go on to the end.
    pub wal: Vec<u8>,
    /// The names of the files of the write-ahead log.
    pub wal_names: Vec<String>,
    /// The names of the files beside the database.
    pub snap_names: Vec<String>,
    /// The length of the database in bytes.
    pub db_bytes: u64,
    /// What all its files take up on the disk, in bytes.
    pub disk_bytes: u64,
}

impl Written {
    /// Reads what lies in the data directory of `member`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(member: &MemberAddress) -> Result<Self, Error> {
        let snap_dir = member.data_dir.join("member/snap");
        let wal_dir = member.wal_dir.clone().unwrap_or_else(|| member.data_dir.join("member/wal"));
        let wal_names = names(&wal_dir)?;
        let mut wal = Vec::new();
        let mut disk_bytes = 0;
        for name in &wal_names {
            let path = wal_dir.join(name);
            wal.extend(std::fs::read(&path).map_err(Error::io("read", &path))?);
            disk_bytes += allocated(&path)?;
        }
        let used = wal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        wal.truncate(used);
        let snap_names = names(&snap_dir)?;
        for name in &snap_names {
            disk_bytes += allocated(&snap_dir.join(name))?;
        }
        let db = snap_dir.join("db");
        let db_bytes = std::fs::metadata(&db).map_err(Error::io("look at", &db))?.len();
        Ok(Written { wal, wal_names, snap_names, db_bytes, disk_bytes })
    }
}

fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        all.push(entry.file_name().to_string_lossy().into_owned());
    }
    all.sort();
    Ok(all)
}

fn allocated(path: &Path) -> Result<u64, Error> {
    use std::os::unix::fs::MetadataExt;
    const BLOCK_BYTES: u64 = 512;
    Ok(std::fs::metadata(path).map_err(Error::io("look at", path))?.blocks() * BLOCK_BYTES)
}

/// Takes away what was restored, so that the same places can be used again.
///
/// # Errors
/// [`Error::Io`].
pub fn clear(plan: &Plan) -> Result<(), Error> {
    for member in plan.members() {
        for dir in [Some(&member.data_dir), member.wal_dir.as_ref()].into_iter().flatten() {
            match std::fs::remove_dir_all(dir) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", dir)(e));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
