//! Starting one stage and feeding it: what the tests of the stages share.
//!
//! Owns: the start of a stage's program without any setting from outside, input that compresses
//! and input that does not, and run directories with a first receipt. Only tests use it.
//!
//! Does not: know what any stage does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "a test that cannot prepare its ground must fail, and its files are throw-away"
)]

use contract::{Clock, Plan, Receipt, RunDir, RunId, Step, Waited, Written};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: String,
}

impl Ended {
    /// Asserts the exit code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// The stage's program with these arguments, and no setting from outside.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LIFEBOAT") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Gives a child all of its input while its output is read.
pub fn feed(mut child: Child, input: &[u8]) -> Ended {
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that refuses its input early closes it; its exit code is what counts.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    Ended {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Another program, from the PATH or the cache of `tests/servers/get.sh`. Without it the test
/// `name` is skipped, and says so.
pub fn program(program: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cached = std::env::var_os("HOME").map(|home| {
        let servers = Path::new(&home).join(".cache/lifeboat/servers");
        let folders = std::fs::read_dir(servers).into_iter().flatten().flatten();
        folders.map(|folder| folder.path().join("bin")).collect::<Vec<_>>()
    });
    let found = std::env::split_paths(&path)
        .chain(cached.into_iter().flatten())
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        skip(name, &format!("{program} is not here (tests/servers/get.sh {program})"));
    }
    found
}

fn skip(name: &str, reason: &str) {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/skipped.txt");
    let path = std::env::var_os("LIFEBOAT_SKIPPED").map_or(default, PathBuf::from);
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    writeln!(file, "{name}: {reason}").unwrap();
    #[expect(clippy::print_stderr, reason = "a skip must be seen")]
    {
        eprintln!("skipped {name}: {reason}");
    }
}

/// Runs another program on `input` and gives its output.
pub fn foreign(program: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    feed(command.spawn().unwrap(), input).expect(0).stdout
}

/// Bytes that do not compress; the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes that compress like text.
pub fn prose(length: usize) -> Vec<u8> {
    (0_u64..)
        .flat_map(|n| format!("/registry/pods/ns-{}/pod-{n} ", n % 7).into_bytes())
        .take(length)
        .collect()
}

/// A run directory in `root` whose plan has these steps.
pub fn run_dir(root: &Path, steps: &[&str]) -> RunDir {
    let now = Clock::system().now();
    let steps = steps.iter().map(|name| Step {
        name: (*name).to_owned(),
        program: None,
        suffix: String::new(),
    });
    let plan = Plan::new(RunId::new(now, 7), "test".into(), "daily".into(), now, steps.collect());
    RunDir::create(&root.join("run"), &plan).unwrap()
}

/// The receipt of the first step of the run, which wrote `output`.
pub fn first_receipt(dir: &RunDir, output: &[u8]) {
    let (_, plan) = RunDir::open(dir.path()).unwrap();
    let now = Clock::system().now();
    dir.write_receipt(&Receipt {
        version: plan.version,
        run: plan.run.clone(),
        step: 0,
        stage: plan.steps[0].name.clone(),
        tool: "test 0".into(),
        started_at: now,
        finished_at: now,
        input: None,
        output: Written::of(output),
        waited: Waited::default(),
        facts: serde_json::json!({}),
    })
    .unwrap();
}
