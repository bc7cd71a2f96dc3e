//! Five destinations at once: S3, Google's and Azure's that are well, one behind a very slow link, and one that is dead.
//!
//! Whether the slow one harms the others is told by the time after which each of the others had its
//! copy, artifact and manifest, read back: with the slow one and without it, in the same rounds. The
//! dead one is there both times.
//!
//! Does not: wait for the slow one to the end: a run gives it up `PATIENCE` after the others.

use crate::Error;
use crate::contestants::{Contestant, lifeboat};
use crate::link::Link;
use crate::measure::measure_ending;
use crate::profile::{copies, profile};
use crate::report::{Verdict, heading, within_memory};
use crate::results::{Setting, Staged};
use crate::scenes::Stage;
use crate::statistics::Spread;
use crate::table::{Table, mib, number, spread, times};
use lifeboat_tests::azure::{ACCOUNT, ACCOUNT_KEY, AzureServer};
use lifeboat_tests::gcs::GcsServer;
use lifeboat_tests::ports::free_port;
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, REGION, S3Kind, S3Server, SECRET_KEY};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

const BUCKET: &str = "bench";
/// Bytes a second of the slow one.
const SLOW: f64 = 1e6;
const PATIENCE: &str = "20s";
const ROUNDS_MAX: usize = 3;
/// The time of the others, as a multiple of what they take without the slow one.
const HARM_MAX: f64 = 1.05;
/// Committed, with fewer copies than wanted.
const PARTIAL: i32 = 40;

/// Runs with the slow destination and without it, round by round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Destinations {
    pub(crate) setting: Setting,
    pub(crate) without: Vec<Copied>,
    pub(crate) with: Vec<Copied>,
}

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Copied {
    pub(crate) staged: Staged,
    /// Seconds after which each destination had its copy.
    pub(crate) copies: BTreeMap<String, f64>,
}

impl Copied {
    /// When the last of those that are well had its copy.
    fn last_seconds(&self) -> f64 {
        self.copies.values().copied().fold(0.0, f64::max)
    }
}

impl Stage {
    /// Runs with and without the slow destination in turn.
    pub(crate) fn destinations(&self, size_mb: usize) -> Result<Destinations, Error> {
        let (database, setting) = self.database(size_mb)?;
        let mut scene = Destinations { setting, without: Vec::new(), with: Vec::new() };
        for round in 0..=self.rounds.min(ROUNDS_MAX) {
            for place in 0..2 {
                let is_slowed = (round + place) % 2 == 0;
                let copied = self.copied(is_slowed, &database)?;
                let which = if is_slowed { "with" } else { "without" };
                crate::say(&format!(
                    "  round {round}, {which} a slow one: {:.2} s for the others, {} MiB",
                    copied.last_seconds(),
                    copied.staged.measured.peak_rss_bytes >> 20
                ));
                match (round, is_slowed) {
                    (0, _) => {}
                    (_, true) => scene.with.push(copied),
                    (_, false) => scene.without.push(copied),
                }
            }
        }
        Ok(scene)
    }

    /// One run, to servers that are new each time.
    fn copied(
        &self,
        is_slowed: bool,
        database: &crate::database::Database,
    ) -> Result<Copied, Error> {
        let store = S3Server::start(S3Kind::S3sFs)?;
        store.create_bucket(BUCKET, Bucket::Plain)?;
        let rate = is_slowed.then_some(SLOW);
        let link =
            Link::open(store.port(), rate).map_err(Error::io("open", Path::new("a link")))?;
        let dead = format!("http://127.0.0.1:{}", free_port()?);
        let (google, azure) = (GcsServer::start()?, AzureServer::start()?);
        google.create_bucket(BUCKET)?;
        azure.create_container(BUCKET)?;
        self.work.clear()?;
        durable::write_new(&self.work.path("keys/azure"), ACCOUNT_KEY.as_bytes())?;
        let mut all = vec![
            bucket("s3", "well", &store.endpoint()),
            format!(
                "[destinations.google]\nurl = \"gs://{BUCKET}/etcd\"\nendpoint = \"{}\"\n\
                 credentials = \"none\"\n",
                google.endpoint()
            ),
            format!(
                "[destinations.azure]\nurl = \"az://{ACCOUNT}/{BUCKET}/etcd\"\nendpoint = \"{}\"\n\
                 account_key_file = \"keys/azure\"\n",
                azure.endpoint()
            ),
            bucket("dead", "dead", &dead),
        ];
        if is_slowed {
            all.push(bucket("slow", "slow", &link.endpoint()));
        }
        self.work.configure(&configuration(&all))?;
        let mut command = lifeboat(&self.work, database)?;
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let places = (&*self.work.log(), &*self.work.backups());
        let title = Contestant::Lifeboat.title();
        let measured = measure_ending(PARTIAL, title, &mut command, database, places)?;
        let stages = profile(&self.work, &measured)?;
        Ok(Copied { staged: Staged { measured, stages }, copies: copies(&self.work)? })
    }
}

/// The shipped pipeline with these destinations, three of which are well.
fn configuration(destinations: &[String]) -> String {
    let shipped = lifeboat_tests::site::shipped();
    let (before, rest) = shipped.split_once("[destinations.region_a]").unwrap_or((&shipped, ""));
    let after = rest.find("\n[prune]").map_or("", |at| &rest[at..]);
    // What the slow one lacks is not brought there meanwhile: that is not what is measured.
    let wanted = format!("require = 3\npatience = \"{PATIENCE}\"\nrepair = \"off\"");
    let before = before.replace("require = \"all\"", &wanted);
    // The defaults of keys that were set just now.
    let is_default =
        |line: &str| line.starts_with("patience = \"30m\"") || line.starts_with("repair = \"10m\"");
    let lines = before.lines().filter(|line| !is_default(line));
    lines
        .chain(destinations.iter().map(String::as_str))
        .chain([after])
        .collect::<Vec<_>>()
        .join("\n")
}

fn bucket(name: &str, prefix: &str, endpoint: &str) -> String {
    format!(
        "[destinations.{name}]\nurl = \"s3://{BUCKET}/{prefix}\"\nendpoint = \"{endpoint}\"\n\
         region = \"{REGION}\"\npath_style = true\n"
    )
}

fn lasts(runs: &[Copied]) -> Vec<f64> {
    runs.iter().map(Copied::last_seconds).collect()
}

fn harm(scene: &Destinations) -> Spread {
    Spread::of_ratios(&lasts(&scene.with), &lasts(&scene.without))
}

pub(crate) fn verdicts(scene: &Destinations) -> [Verdict; 2] {
    let peak = scene.with.iter().map(|run| run.staged.measured.peak_rss_bound_bytes).max();
    let harm = harm(scene);
    [
        Verdict {
            reached: harm.median <= HARM_MAX,
            hard: false,
            text: format!(
                "beside a slow and a dead destination the others take {} the time (at most {HARM_MAX})",
                times(harm)
            ),
        },
        within_memory(peak.unwrap_or_default(), "with five destinations"),
    ]
}

pub(crate) fn table(scene: &Destinations) -> String {
    let titles = [
        "",
        "the others have it after, s",
        "as multiple",
        "whole run, s",
        "memory, MiB",
        "spooled, MB",
    ];
    let mut table = Table::new(titles.map(str::to_owned));
    for (name, runs, multiple) in [
        ("three clouds that are well, one dead", &scene.without, "1×".to_owned()),
        ("the same and one at 1 MB/s", &scene.with, times(harm(scene))),
    ] {
        let of = |value: fn(&Copied) -> f64| spread(Spread::of(runs.iter().map(value)), number);
        let peak = runs.iter().map(|run| run.staged.measured.peak_rss_bytes).max();
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        table.row([
            name.to_owned(),
            of(Copied::last_seconds),
            multiple,
            of(|run| run.staged.measured.wall_seconds),
            mib(peak.unwrap_or_default()),
            of(|run| run.staged.measured.elsewhere_bytes() as f64 / 1e6),
        ]);
    }
    heading("Five destinations, one of them slow and one dead", &scene.setting) + &table.text()
}
