//! A place where Lifeboat is used: a directory with a configuration, keys and two local
//! destinations, as an operator would have it.
//!
//! Every program runs with a scrubbed environment; nothing of the machine gets in. What lies in
//! the destinations is looked at as files, without Lifeboat.

use crate::cluster::Cluster;
use crate::running::Running;
use crate::{Error, binaries, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The two local destinations of every site.
pub const REGIONS: [&str; 2] = ["region_a", "region_b"];
/// The cluster's name in every site.
pub const CLUSTER: &str = "demo";

/// How long a held program may take to see that it may go on.
const HELD_LIMIT: Duration = Duration::from_secs(30);

/// A directory with everything that an operator needs.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// How a program of ours ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; 128 + n when signal n ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Ran {
    /// From what the standard library gives.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map(|n| 128 + n);
        Ran {
            code: output.status.code().or(signal).unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    /// When it is another one, with everything the program said.
    #[must_use]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Its standard output as JSON is `lifeboat list --json`: the names of the backups in it.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn backups(&self) -> Vec<String> {
        let listing = self.json();
        let rows = listing["backups"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        rows.iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Asserts that it said something.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn said(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in\n{}", self.stderr);
        self
    }
}

impl Site {
    /// A site for `cluster`, with the shipped `pipeline.toml` and a new key.
    ///
    /// # Errors
    /// When the directory or the key cannot be made.
    pub fn new(cluster: &Cluster) -> Result<Self, Error> {
        let env = cluster.client_env();
        let mut site = Site::without_cluster()?;
        for (name, value) in env {
            site.set(name, &value);
        }
        site.set("LIFEBOAT__CAPTURE__ENDPOINTS", &cluster.endpoints().join(","));
        Ok(site)
    }

    /// A site whose etcd is not there.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn without_cluster() -> Result<Self, Error> {
        let dir = tempfile::Builder::new().prefix("lifeboat-site-").tempdir();
        let dir = dir.map_err(Error::io("make a folder in", &std::env::temp_dir()))?;
        let site = Site { dir, env: Vec::new() };
        site.configure(&shipped())?;
        durable::create_private_dir(&site.path("keys"))?;
        let made = site.lifeboat(&["keygen", "keys/identity.txt"]);
        durable::write_new(&site.path("keys/recipients.txt"), made.stdout.as_bytes())?;
        Ok(site)
    }

    /// Where a file of the site is.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Replaces the configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, toml: &str) -> Result<(), Error> {
        Ok(durable::replace(&self.path("pipeline.toml"), toml.as_bytes())?)
    }

    /// Sets a variable for every program that runs here.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// A command for a program of ours, in this directory and with these variables.
    ///
    /// # Panics
    /// When the program was not built.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = binaries::command(program).unwrap_or_else(|e| panic!("{e:?}"));
        command.current_dir(self.dir.path());
        command.env("LIFEBOAT_CONFIG", self.path("pipeline.toml"));
        command.env("LIFEBOAT_LOG", "human");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    /// Runs `lifeboat` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn lifeboat(&self, arguments: &[&str]) -> Ran {
        self.program("lifeboat", arguments)
    }

    /// Runs any program of ours to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn program(&self, program: &str, arguments: &[&str]) -> Ran {
        let output = self.command(program).args(arguments).output();
        Ran::of(&output.unwrap_or_else(|e| panic!("{program}: {e}")))
    }

    /// Writes a file of the site, in place of an older one.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, relative: &str, bytes: &[u8]) {
        durable::replace(&self.path(relative), bytes).unwrap_or_else(|e| panic!("{e:?}"));
    }

    /// Puts a [`HOLD`] before this stage of the shipped pipeline.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    pub fn hold_before(&self, stage: &str) {
        let toml = with_program(&shipped(), ("hold", ""), stage, &HOLD);
        self.configure(&toml).unwrap_or_else(|e| panic!("{e:?}"));
    }

    /// Starts `lifeboat run` and waits until its stream is held half way.
    ///
    /// # Panics
    /// When it does not come so far.
    #[must_use]
    pub fn run_until_held(&self) -> Running {
        for old in ["held", "go"] {
            durable::remove_file(&self.path(old)).unwrap_or_else(|e| panic!("{e:?}"));
        }
        let mut running = self.start("lifeboat", &["run", "--json"]);
        self.wait_held(&mut running);
        running
    }

    /// Waits until a stream is held half way.
    ///
    /// # Panics
    /// When none is in time.
    pub fn wait_held(&self, running: &mut Running) {
        running.wait("to be held", |running| {
            let _ = running.children();
            self.path("held").exists().then_some(())
        });
    }

    /// Lets the held stream go on, and waits until it does.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn go(&self) {
        self.write("go", b"");
        let taken = || if self.path("go").exists() { Err(String::new()) } else { Ok(()) };
        crate::wait_until("the held stream to go on", HELD_LIMIT, taken)
            .unwrap_or_else(|e| panic!("{e:?}"));
    }

    /// The files of this cluster in a destination whose names end with `suffix`, sorted.
    #[must_use]
    pub fn objects(&self, region: &str, suffix: &str) -> Vec<PathBuf> {
        let folder = self.path("backups").join(region.replace('_', "-")).join(CLUSTER);
        let mut found = Vec::new();
        walk(&folder, &mut found);
        found.retain(|path| path.to_string_lossy().ends_with(suffix));
        found.sort();
        found
    }

    /// The manifests of a destination: one for each backup. Records of drills are none.
    #[must_use]
    pub fn manifests(&self, region: &str) -> Vec<Value> {
        let read = |path: PathBuf| {
            let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let all = self.objects(region, ".json").into_iter();
        let is_record = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ["-proven-", "-restored-", "-suspect-"].iter().any(|word| name.contains(word))
        };
        all.filter(|path| !is_record(path)).map(read).collect()
    }

    /// Asserts that no destination holds anything at all of this cluster.
    ///
    /// # Panics
    /// With the names of what is there.
    pub fn assert_nothing_stored(&self) {
        for region in REGIONS {
            let found = self.objects(region, "");
            assert!(found.is_empty(), "{region} holds {found:?}");
        }
    }

    /// The names of the backups that Lifeboat lists, newest first.
    ///
    /// # Panics
    /// When the listing fails.
    #[must_use]
    pub fn backups(&self) -> Vec<String> {
        self.lifeboat(&["list", "--json"]).code(0).backups()
    }

    /// Fetches the newest backup and asserts that its bytes are those that were captured.
    ///
    /// # Panics
    /// When it cannot be fetched.
    pub fn assert_fetchable(&self) {
        let output = self.path("fetched.db");
        durable::remove_file(&output).unwrap_or_else(|e| panic!("{e:?}"));
        let _ = self.lifeboat(&["fetch", "latest", "-o", "fetched.db"]).code(0);
        let _ = self.program("lifeboat-verify", &["fetched.db"]).code(0);
    }

    /// Brings an artifact back with standard tools only: `age -d | zstd -d`.
    ///
    /// # Errors
    /// When one of the tools is missing or fails.
    pub fn open_by_hand(&self, artifact: &Path, to: &Path) -> Result<(), Error> {
        let (age, zstd) = (crate::servers::tool("age")?, crate::servers::tool("zstd")?);
        let packed = to.with_extension("zst");
        let identity = self.path("keys/identity.txt");
        run(Command::new(age)
            .arg("-d")
            .arg("-i")
            .arg(identity)
            .arg("-o")
            .arg(&packed)
            .arg(artifact))?;
        run(Command::new(zstd).args(["-q", "-d"]).arg(&packed).arg("-o").arg(to))?;
        Ok(())
    }
}

/// `toml` with a program of the user's before the stage `before`.
///
/// # Panics
/// When there is no such stage.
#[must_use]
pub fn with_program(
    toml: &str,
    (name, suffix): (&str, &str),
    before: &str,
    command: &[&str],
) -> String {
    let (stage, both) = (format!("{before:?}"), format!("{name:?}, {before:?}"));
    let stages = |line: &str| line.starts_with("stages = ") && line.contains(&stage);
    assert!(toml.lines().any(stages), "no stage {before:?} in\n{toml}");
    let line = |line: &str| match stages(line) {
        true => line.replacen(&stage, &both, 1),
        false => line.to_owned(),
    };
    let lines: Vec<String> = toml.lines().map(line).collect();
    format!("{}\n[programs.{name}]\ncommand = {command:?}\nsuffix = {suffix:?}\n", lines.join("\n"))
}

/// A program that passes 300 000 bytes, says so with the file `held`, and goes on when there is
/// a file `go`. It takes both away, so that the next one waits again.
pub const HOLD: [&str; 3] = [
    "sh",
    "-c",
    "head -c 300000; : > held; until test -e go; do sleep 0.02; done; rm -f held go; exec cat",
];

/// The shipped `pipeline.toml`.
#[must_use]
pub fn shipped() -> String {
    include_str!("../../pipeline.toml").to_owned()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}
