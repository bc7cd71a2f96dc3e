//! The scenes: what is run in which order.
//!
//! Invariants: each run starts in an empty workplace, after a sync; the first run of each kind
//! warms the page cache and etcd's own, and is not counted; the order rotates with the rounds, so
//! that nobody always follows the same neighbour.
//!
//! Does not: print or judge; see `report`.

use crate::contestants::{Contestant, Tools, lifeboat};
use crate::database::Database;
use crate::link::Link;
use crate::measure::measure;
use crate::profile::profile;
use crate::results::{Compare, Memory, Run, Setting, SlowLink, Staged};
use crate::summary::Summary;
use crate::workplace::Workplace;
use crate::{Error, machine, say};
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, REGION, S3Kind, S3Server, SECRET_KEY};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The second destination of the shipped pipeline, which goes behind the link.
pub(crate) const SECOND: &str = "url = \"file:backups/region-b\"";
const BUCKET: &str = "bench";
/// Rounds of the scenes in which only Lifeboat runs.
const OWN_ROUNDS_MAX: usize = 3;

/// What every scene needs.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    pub(crate) tools: Tools,
    pub(crate) work: Workplace,
    pub(crate) rounds: usize,
}

impl Stage {
    pub(crate) fn open(dir: &Path, rounds: usize) -> Result<Self, Error> {
        Ok(Stage {
            dir: dir.to_path_buf(),
            tools: Tools::find()?,
            work: Workplace::new(dir)?,
            rounds,
        })
    }

    pub(crate) fn database(&self, mb: usize) -> Result<(Database, Setting), Error> {
        let database = Database::open(&self.dir.join("data"), &self.tools.etcd, mb)?;
        let setting = machine::setting(&self.tools.etcd, database.content.clone())?;
        Ok((database, setting))
    }

    /// All contestants, side by side.
    pub(crate) fn compare(&self, mb: usize) -> Result<Compare, Error> {
        let (database, setting) = self.database(mb)?;
        let mut runs = Vec::new();
        let count = Contestant::ALL.len();
        for round in 0..=self.rounds {
            for place in 0..count {
                let contestant = Contestant::ALL[(round + place) % count];
                let run = self.run(contestant, round, &database)?;
                if round > 0 {
                    runs.push(run);
                }
            }
        }
        Ok(Compare { setting, rounds: self.rounds, summary: Summary::of(&runs), runs })
    }

    fn run(&self, of: Contestant, round: usize, database: &Database) -> Result<Run, Error> {
        self.work.clear()?;
        let command = self.tools.command(of, &self.work, database)?;
        let staged = self.measured(of, command, database)?;
        progress(&format!("{}, {}", when(round), of.title()), &staged);
        Ok(Run { round, contestant: of, measured: staged.measured, stages: staged.stages })
    }

    fn measured(
        &self,
        of: Contestant,
        mut command: Command,
        database: &Database,
    ) -> Result<Staged, Error> {
        let places = (&*self.work.log(), &*self.work.backups());
        let measured = measure(of.title(), &mut command, database, places)?;
        let stages = match of {
            Contestant::Lifeboat => profile(&self.work, &measured)?,
            _ => Vec::new(),
        };
        Ok(Staged { measured, stages })
    }

    /// Lifeboat on a database of this size.
    pub(crate) fn memory(&self, mb: usize) -> Result<Memory, Error> {
        let (database, setting) = self.database(mb)?;
        let mut runs = Vec::new();
        for round in 1..=self.rounds.min(OWN_ROUNDS_MAX) {
            self.work.clear()?;
            let command = lifeboat(&self.work, &database)?;
            let staged = self.measured(Contestant::Lifeboat, command, &database)?;
            progress(&format!("{mb} MB, round {round}"), &staged);
            runs.push(staged);
        }
        Ok(Memory { setting, runs })
    }

    /// Lifeboat with one of two destinations behind a link, slow and fast in turn.
    pub(crate) fn slow_link(&self, mb: usize, bytes_per_second: f64) -> Result<SlowLink, Error> {
        let (database, setting) = self.database(mb)?;
        let mut scene = SlowLink { setting, bytes_per_second, fast: Vec::new(), slow: Vec::new() };
        for round in 0..=self.rounds.min(OWN_ROUNDS_MAX) {
            let fast = self.over(None, &database)?;
            progress(&format!("fast link, {}", when(round)), &fast);
            let slow = self.over(Some(bytes_per_second), &database)?;
            progress(&format!("slow link, {}", when(round)), &slow);
            if round > 0 {
                scene.fast.push(fast);
                scene.slow.push(slow);
            }
        }
        Ok(scene)
    }

    /// A run whose second destination is a store behind a link. The store is a new one each time.
    fn over(&self, bytes_per_second: Option<f64>, database: &Database) -> Result<Staged, Error> {
        let store = S3Server::start(S3Kind::S3sFs)?;
        store.create_bucket(BUCKET, Bucket::Plain)?;
        let link = Link::open(store.port(), bytes_per_second)
            .map_err(Error::io("open", Path::new("a link")))?;
        self.work.clear()?;
        let destination = format!(
            "url = \"s3://{BUCKET}/etcd\"\nendpoint = \"{}\"\nregion = \"{REGION}\"\npath_style = true",
            link.endpoint()
        );
        let toml = lifeboat_tests::site::shipped().replace(SECOND, &destination);
        self.work.configure(&toml)?;
        let mut command = lifeboat(&self.work, database)?;
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        self.measured(Contestant::Lifeboat, command, database)
    }
}

fn when(round: usize) -> String {
    if round == 0 { "warm-up".to_owned() } else { format!("round {round}") }
}

fn progress(what: &str, staged: &Staged) {
    let measured = &staged.measured;
    say(&format!(
        "  {what}: {:.2} s, CPU {:.2} s, {} MiB",
        measured.wall_seconds,
        measured.cpu_seconds,
        measured.peak_rss_bytes >> 20
    ));
}
