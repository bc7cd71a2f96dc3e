//! `lifeboat-bench`: Lifeboat and the scripts of today, measured side by side on one machine.
//!
//! Owns: the command line, and the folder in which everything happens. `docs/benchmarks.md` says
//! what is measured, and how.
//! Invariants: everything listens on loopback; nothing is written outside the folder, unless
//! `--docs` names a document.
//!
//! Does not: build the programs; `make bench` does.

mod contestants;
mod database;
mod destinations;
mod docs;
mod download;
mod error;
mod link;
mod machine;
mod measure;
mod profile;
mod report;
mod restore;
mod results;
mod scenes;
mod statistics;
mod summary;
mod table;
mod tree;
mod workplace;

use clap::{Parser, ValueEnum};
use error::Error;
use results::Results;
use rustix::fs::{FlockOperation, flock};
use scenes::Stage;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measure Lifeboat beside `etcdctl snapshot save` and the scripts of today.
#[derive(Debug, Parser)]
#[command(name = "lifeboat-bench")]
struct Arguments {
    /// What to run; everything by default.
    scenes: Vec<Scene>,
    /// Megabytes of the database, but for `memory`.
    #[arg(long, env = "BENCH_MB", default_value_t = 500)]
    mb: usize,
    /// Rounds of `compare` that count; the other scenes take at most three.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 5, value_parser = rounds)]
    rounds: usize,
    /// Megabytes of the databases of `memory`.
    #[arg(long, env = "BENCH_SIZES", value_delimiter = ',', default_values_t = [100, 2000])]
    sizes: Vec<usize>,
    /// Megabytes of the databases of `restore`.
    #[arg(long, env = "BENCH_RESTORE_SIZES", value_delimiter = ',', default_values_t = [500, 2000])]
    restore_sizes: Vec<usize>,
    /// Megabytes a second of the slow link.
    #[arg(long, env = "BENCH_LINK_MB", default_value_t = 20.0)]
    link_mb: f64,
    /// Megabytes of the database of `destinations` and `download`.
    #[arg(long, env = "BENCH_DESTINATIONS_MB", default_value_t = 2000)]
    destinations_mb: usize,
    /// Measure nothing; write the tables of the last results into this document.
    #[arg(long, value_name = "FILE", conflicts_with = "scenes")]
    docs: Option<PathBuf>,
    /// Where databases, results and everything else lie.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scene {
    /// All contestants, in rounds.
    Compare,
    /// Peak memory, on a small database and a large one.
    Memory,
    /// A destination behind a slow link.
    SlowLink,
    /// The way back, beside the script's.
    Restore,
    /// Five destinations, one of them slow and one dead.
    Destinations,
    /// An artifact out of a bucket, beside rclone.
    Download,
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("at least one round".to_owned()),
        Ok(count) => Ok(count),
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "lifeboat-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that does not depend on the machine was reached.
fn run(arguments: &Arguments) -> Result<bool, Error> {
    durable::create_private_dir(&arguments.dir)?;
    let dir = arguments.dir.canonicalize().map_err(Error::io("find", &arguments.dir))?;
    let path = dir.join("result.json");
    let mut results = Results::load(&path);
    if let Some(document) = &arguments.docs {
        docs::update(document, &report::tables(&results))?;
        return Ok(true);
    }
    let _lock = lock(&dir)?;
    let stage = Stage::open(&dir, arguments.rounds)?;
    for scene in Scene::value_variants().iter().copied() {
        if arguments.scenes.is_empty() || arguments.scenes.contains(&scene) {
            play(scene, arguments, &stage, &mut results)?;
            results.save(&path)?;
        }
    }
    say(&report::tables(&results));
    Ok(judge(&results))
}

fn play(
    scene: Scene,
    arguments: &Arguments,
    stage: &Stage,
    results: &mut Results,
) -> Result<(), Error> {
    match scene {
        Scene::Compare => results.compare = Some(stage.compare(arguments.mb)?),
        Scene::Memory => {
            for mb in &arguments.sizes {
                results.memory.insert(*mb, stage.memory(*mb)?);
            }
        }
        Scene::SlowLink => {
            let rate = arguments.link_mb * 1e6;
            results.slow_link = Some(stage.slow_link(arguments.mb, rate)?);
        }
        Scene::Destinations => {
            results.destinations = Some(stage.destinations(arguments.destinations_mb)?);
        }
        Scene::Download => results.download = Some(stage.download(arguments.destinations_mb)?),
        Scene::Restore => {
            for mb in &arguments.restore_sizes {
                results.restore.insert(*mb, stage.restore(*mb)?);
            }
        }
    }
    Ok(())
}

fn judge(results: &Results) -> bool {
    let verdicts = report::verdicts(results);
    for verdict in &verdicts {
        say(&format!("{} {}", if verdict.reached { "reached:" } else { "MISSED: " }, verdict.text));
    }
    verdicts.iter().all(|verdict| verdict.reached || !verdict.hard)
}

/// Held as long as the file is open.
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(Error::io("open", &path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Error::Busy { dir: dir.to_path_buf() })?;
    Ok(file)
}

/// Tells the user something. Nobody is left to tell when stdout is closed.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
