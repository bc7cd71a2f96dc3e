//! The read path, side by side: `lifeboat fetch --raw` and rclone, out of one bucket of one server.
//!
//! Invariants: both leave the same file, synced; the order changes with the rounds.
//! Does not: compare what they check: rclone looks at nothing but the length of an object that was
//! uploaded in parts, Lifeboat at its SHA-256.

use crate::Error;
use crate::contestants::lifeboat;
use crate::measure::{Measured, measure};
use crate::report::{Verdict, heading};
use crate::results::Setting;
use crate::scenes::{SECOND, Stage};
use crate::statistics::Spread;
use crate::table::{Table, mb, mib, number, spread, times};
use crate::workplace::Workplace;
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, REGION, S3Kind, S3Server, SECRET_KEY};
use lifeboat_tests::{binaries, servers};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BUCKET: &str = "bench";
const ROUNDS_MAX: usize = 5;
/// The rate of Lifeboat, as a share of rclone's.
const RATE_MIN: f64 = 0.9;

/// Both ways, round by round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Download {
    pub(crate) setting: Setting,
    /// Length of the artifact.
    pub(crate) artifact_bytes: u64,
    pub(crate) rclone: Vec<Measured>,
    pub(crate) lifeboat: Vec<Measured>,
}

impl Stage {
    /// Backs up into a bucket once, then reads the artifact out of it by both ways.
    pub(crate) fn download(&self, size_mb: usize) -> Result<Download, Error> {
        let rclone = servers::tool("rclone")?;
        let (database, setting) = self.database(size_mb)?;
        let server = S3Server::start(S3Kind::Minio)?;
        server.create_bucket(BUCKET, Bucket::Plain)?;
        self.work.clear()?;
        let destination = format!(
            "url = \"s3://{BUCKET}/etcd\"\nendpoint = \"{}\"\nregion = \"{REGION}\"\npath_style = true",
            server.endpoint()
        );
        let toml = lifeboat_tests::site::shipped().replace(SECOND, &destination);
        self.work.configure(&toml)?;
        lifeboat_tests::run(signed(&mut lifeboat(&self.work, &database)?))?;
        let local = artifact(&self.work.backups())?;
        let artifact_bytes = fs::metadata(&local).map_err(Error::io("look at", &local))?.len();
        let key = key_of(&local, &self.work.backups());
        let mut scene =
            Download { setting, artifact_bytes, rclone: Vec::new(), lifeboat: Vec::new() };
        for round in 0..=self.rounds.min(ROUNDS_MAX) {
            for place in 0..2 {
                let is_rclone = (round + place) % 2 == 0;
                let target = self.work.path("fetched");
                durable::remove_file(&target)?;
                let (title, mut command) = match is_rclone {
                    true => ("rclone", copy(&rclone, &self.work, &server, &key, &target)),
                    false => ("`lifeboat fetch --raw`", fetch(&self.work, &target)?),
                };
                let places = (&*self.work.log(), &*self.work.backups());
                let measured = measure(title, &mut command, &database, places)?;
                must_be_equal(&local, &target)?;
                crate::say(&format!("  round {round}, {title}: {:.2} s", measured.wall_seconds));
                match (round, is_rclone) {
                    (0, _) => {}
                    (_, true) => scene.rclone.push(measured),
                    (_, false) => scene.lifeboat.push(measured),
                }
            }
        }
        Ok(scene)
    }
}

fn signed(command: &mut Command) -> &mut Command {
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
}

fn copy(rclone: &Path, work: &Workplace, server: &S3Server, key: &str, target: &Path) -> Command {
    let mut command = Command::new("sh");
    work.place(&mut command);
    for (name, value) in [
        ("TYPE", "s3"),
        ("PROVIDER", "Minio"),
        ("ACCESS_KEY_ID", ACCESS_KEY),
        ("SECRET_ACCESS_KEY", SECRET_KEY),
        ("REGION", REGION),
        ("ENDPOINT", &server.endpoint()),
    ] {
        command.env(format!("RCLONE_CONFIG_BENCH_{name}"), value);
    }
    // Lifeboat's file is on the disk when it ends, so rclone's has to be as well.
    let script = "\"$RCLONE\" --config /dev/null copyto \"bench:$FROM\" \"$TO\" && sync \"$TO\"";
    command.args(["-c", script]).env("RCLONE", rclone);
    command.env("FROM", format!("{BUCKET}/etcd/{key}")).env("TO", target);
    command
}

fn fetch(work: &Workplace, target: &Path) -> Result<Command, Error> {
    let mut command = binaries::command("lifeboat")?;
    work.place(&mut command);
    command.env("LIFEBOAT_CONFIG", work.path("pipeline.toml"));
    signed(&mut command).args(["fetch", "--raw", "--from", "region_b", "-o"]).arg(target);
    Ok(command)
}

/// The only artifact below a folder.
pub(crate) fn artifact(folder: &Path) -> Result<PathBuf, Error> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let path = entry.map_err(Error::io("list", &folder))?.path();
            match path.extension().is_some_and(|extension| extension == "age") {
                true => return Ok(path),
                false if path.is_dir() => folders.push(path),
                false => {}
            }
        }
    }
    let why = "no artifact in it".to_owned();
    Err(Error::Unreadable { path: folder.to_path_buf(), why })
}

/// The key of an object by the file of its copy in a directory: without the destination's folder.
fn key_of(file: &Path, backups: &Path) -> String {
    let below = file.strip_prefix(backups).unwrap_or(file);
    let parts: Vec<_> = below.iter().skip(1).map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn must_be_equal(one: &Path, other: &Path) -> Result<(), Error> {
    let read = |path: &Path| fs::read(path).map_err(Error::io("read", path));
    match read(one)? == read(other)? {
        true => Ok(()),
        false => {
            let why = "it is not the artifact".to_owned();
            Err(Error::Unreadable { path: other.to_path_buf(), why })
        }
    }
}

fn walls(runs: &[Measured]) -> Vec<f64> {
    runs.iter().map(|run| run.wall_seconds).collect()
}

/// Lifeboat's rate, as a multiple of rclone's.
fn rate(scene: &Download) -> Spread {
    Spread::of_ratios(&walls(&scene.rclone), &walls(&scene.lifeboat))
}

pub(crate) fn verdict(scene: &Download) -> Verdict {
    let rate = rate(scene);
    Verdict {
        reached: rate.median >= RATE_MIN,
        hard: false,
        text: format!("a download at {} the rate of rclone (at least {RATE_MIN})", times(rate)),
    }
}

pub(crate) fn table(scene: &Download) -> String {
    let titles = ["", "artifact, MB", "wall, s", "CPU, s", "memory, MiB", "rate"];
    let mut table = Table::new(titles.map(str::to_owned));
    for (name, runs, rate) in [
        ("rclone", &scene.rclone, "1×".to_owned()),
        ("`lifeboat fetch --raw`", &scene.lifeboat, times(rate(scene))),
    ] {
        let peak = runs.iter().map(|run| run.peak_rss_bytes).max().unwrap_or_default();
        table.row([
            name.to_owned(),
            mb(scene.artifact_bytes),
            spread(Spread::of(walls(runs)), number),
            spread(Spread::of(runs.iter().map(|run| run.cpu_seconds)), number),
            mib(peak),
            rate,
        ]);
    }
    heading("An artifact out of a bucket of MinIO", &scene.setting) + &table.text()
}
