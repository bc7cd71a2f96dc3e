//! The way back, side by side: `lifeboat restore`, and `age | zstd | etcdutl` as a script has it.
//!
//! Invariant: both start from the same artifact in a local folder and end with a data directory
//! that etcd would start from; the order changes with the rounds.
//!
//! Does not: start etcd on what they wrote; the tests do.

use crate::Error;
use crate::contestants::{Tools, lifeboat};
use crate::database::remove;
use crate::download::artifact;
use crate::measure::{Measured, measure};
use crate::report::{Verdict, heading, within_memory};
use crate::results::Setting;
use crate::scenes::Stage;
use crate::statistics::Spread;
use crate::table::{Table, mb, mib, number, spread, times};
use crate::workplace::{DESTINATIONS, Workplace};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/restore.sh");
const ROUNDS_MAX: usize = 5;

/// Both ways back from a backup of one database.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Restore {
    pub(crate) setting: Setting,
    /// The script, round by round.
    pub(crate) script: Vec<Restored>,
    /// `lifeboat restore` in the same rounds.
    pub(crate) lifeboat: Vec<Restored>,
}

/// One data directory that was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Restored {
    pub(crate) measured: Measured,
    /// Length of the database file.
    pub(crate) db_bytes: u64,
}

impl Stage {
    /// Backs up once, then restores by both ways.
    pub(crate) fn restore(&self, size_mb: usize) -> Result<Restore, Error> {
        let (database, setting) = self.database(size_mb)?;
        self.work.clear()?;
        lifeboat_tests::run(&mut lifeboat(&self.work, &database)?)?;
        let artifact = artifact(&self.work.backups().join(DESTINATIONS[0]))?;
        let mut scene = Restore { setting, script: Vec::new(), lifeboat: Vec::new() };
        for round in 0..=self.rounds.min(ROUNDS_MAX) {
            for place in 0..2 {
                let is_script = (round + place) % 2 == 0;
                let target = self.work.path("restored");
                remove(&target)?;
                let (title, mut command) = match is_script {
                    true => ("script", script(&self.tools, &self.work, &artifact, &target)),
                    false => ("`lifeboat restore`", native(&self.work, &target)?),
                };
                let places = (&*self.work.log(), &*self.work.backups());
                let measured = measure(title, &mut command, &database, places)?;
                let db = target.join("member/snap/db");
                let db_bytes = fs::metadata(&db).map_err(Error::io("look at", &db))?.len();
                crate::say(&format!(
                    "  {size_mb} MB, round {round}, {title}: {:.2} s, CPU {:.2} s, {} MiB",
                    measured.wall_seconds,
                    measured.cpu_seconds,
                    measured.peak_rss_bytes >> 20
                ));
                let restored = Restored { measured, db_bytes };
                match (round, is_script) {
                    (0, _) => {}
                    (_, true) => scene.script.push(restored),
                    (_, false) => scene.lifeboat.push(restored),
                }
            }
        }
        Ok(scene)
    }
}

fn script(tools: &Tools, work: &Workplace, artifact: &Path, target: &Path) -> Command {
    let mut command = Command::new(SCRIPT);
    work.place(&mut command);
    command.env("AGE", &tools.age).env("ZSTD", &tools.zstd).env("ETCDCTL_API", "3");
    command.env("ETCDUTL", tools.etcd.snapshot_tool()).env("IDENTITY", work.identity());
    command.arg(artifact).arg(target);
    command
}

fn native(work: &Workplace, target: &Path) -> Result<Command, Error> {
    let mut command = lifeboat_tests::binaries::command("lifeboat")?;
    work.place(&mut command);
    command.env("LIFEBOAT_CONFIG", work.path("pipeline.toml"));
    command.args(["restore", "latest", "--data-dir"]).arg(target);
    command.arg("--identity").arg(work.identity());
    Ok(command)
}

fn walls(runs: &[Restored]) -> Vec<f64> {
    runs.iter().map(|run| run.measured.wall_seconds).collect()
}

fn db_bytes(runs: &[Restored]) -> u64 {
    runs.iter().map(|run| run.db_bytes).max().unwrap_or_default()
}

fn peak(runs: &[Restored]) -> u64 {
    runs.iter().map(|run| run.measured.peak_rss_bytes).max().unwrap_or_default()
}

/// What was to be reached with a backup of this size.
pub(crate) fn verdicts(size_mb: usize, scene: &Restore) -> [Verdict; 3] {
    let ratio = Spread::of_ratios(&walls(&scene.lifeboat), &walls(&scene.script));
    let (ours, theirs) = (db_bytes(&scene.lifeboat), db_bytes(&scene.script));
    [
        Verdict {
            reached: ratio.median <= 1.0,
            hard: false,
            text: format!("restore at {size_mb} MB takes {} the script's time", times(ratio)),
        },
        Verdict {
            reached: ours <= theirs,
            hard: true,
            text: format!("restored database of {ours} bytes; etcdutl wrote {theirs}"),
        },
        within_memory(peak(&scene.lifeboat), &format!("for a restore at {size_mb} MB")),
    ]
}

/// The numbers of all sizes.
pub(crate) fn table(sizes: &BTreeMap<usize, Restore>) -> String {
    let Some(largest) = sizes.values().next_back() else { return String::new() };
    let titles = ["", "database, MB", "wall, s", "CPU, s", "memory, MiB", "restored, MB", "wall"];
    let mut table = Table::new(titles.map(str::to_owned));
    for scene in sizes.values() {
        let ratio = Spread::of_ratios(&walls(&scene.lifeboat), &walls(&scene.script));
        for (name, runs, wall) in [
            ("`age | zstd`, then `etcdutl snapshot restore`", &scene.script, "1×".to_owned()),
            ("`lifeboat restore`", &scene.lifeboat, times(ratio)),
        ] {
            let cpu = runs.iter().map(|run| run.measured.cpu_seconds);
            table.row([
                name.to_owned(),
                mb(scene.setting.content.database_bytes),
                spread(Spread::of(walls(runs)), number),
                spread(Spread::of(cpu), number),
                mib(peak(runs)),
                mb(db_bytes(runs)),
                wall,
            ]);
        }
    }
    heading("The way back (the setting is that of the largest)", &largest.setting) + &table.text()
}
