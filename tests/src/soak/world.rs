//! A place where Lifeboat is broken on purpose: one etcd, a site, and destinations of every kind, with
//! a proxy on the line to etcd and a front before every store.
//!
//! Owns the configuration of each run, made from a [`Shape`], and how a run is carried out and
//! judged: look, break, run, wait until nobody is at work any more, look again, compare.
//! Invariants: the destinations are looked at only when no process of the site runs and no
//! connection to a store is open, so that nothing changes under the checker's eyes.

use super::stores::Stores;
use crate::checker::{Checker, Claim, Deed, Holding, Picture, Place, misread, violations};
use crate::fault_front::FaultFront;
use crate::running::Process;
use crate::site::{CLUSTER, Ran, Site};
use crate::toxics::Proxy;
use crate::{Cluster, ClusterSpec, Error, Etcd, LoadSpec, wait_until};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long what was left of a run may take to end.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// Longer than a busy machine makes anybody wait.
pub const PATIENCE_SECONDS: u32 = 20;

/// What a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A bucket of s3s-fs.
    Bucket,
    /// A bucket of fake-gcs-server.
    Gcs,
    /// A container of Azurite.
    Azure,
}

impl Kind {
    /// Whether there is a line to it that can be spoilt, and a front that lies.
    #[must_use]
    pub fn is_remote(self) -> bool {
        self != Kind::Directory
    }
}

/// How a run is configured.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How hard zstd tries; none leaves the step out.
    pub level: Option<u32>,
    /// How many destinations must have a backup.
    pub require: usize,
    /// Whether a program of the user's stands in the chain.
    pub program: bool,
    /// What pruning keeps: the newest so many, and never fewer than so many. None: no pruning.
    pub prune: Option<(usize, usize)>,
    /// How often a stream is begun anew.
    pub attempts: u32,
}

impl Shape {
    /// The usual pipeline for `all` destinations, keeping two backups.
    #[must_use]
    pub fn usual(all: usize) -> Self {
        let prune = Some((2, 2));
        Shape { level: Some(1), require: all, program: false, prune, attempts: 1 }
    }
}

/// One destination.
#[derive(Debug)]
pub struct Destination {
    /// What it is.
    pub kind: Kind,
    /// Where the checker looks.
    pub place: Place,
    /// The front before its store, with the line to it.
    pub front: Option<FaultFront>,
    /// What of its configuration depends on its kind.
    pub(super) settings: String,
    /// Another `url`, for as long as it is set.
    pub url: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// Where Lifeboat runs.
    pub site: Site,
    /// The line to etcd.
    pub etcd: Proxy,
    /// The destinations, in the order of their names.
    pub destinations: Vec<Destination>,
    /// For how many seconds a program waits for a line that says nothing.
    pub patience_seconds: u32,
    /// Whether nothing is believed that was not signed.
    pub is_signed: bool,
    /// What looks at them.
    pub checker: Checker,
    /// What is backed up.
    pub cluster: Cluster,
    // End last: the fronts speak to them.
    _stores: Arc<Stores>,
}

/// What a run that was broken off may leave without claiming it; see [`Claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It could tidy up, and could say what it did.
    Nothing,
    /// A whole backup: whoever would have told of it was killed.
    Backup,
    /// That, or parts of one that nothing lists.
    Anything,
    /// Even a manifest that the store has spoilt, and would not take away again.
    Spoilt,
}

/// What came of one run.
#[derive(Debug)]
pub struct Judged {
    /// What it printed and how it ended.
    pub ran: Ran,
    /// What it claimed.
    pub claim: Claim,
    /// What is wrong with that.
    pub wrong: Vec<String>,
    /// What the destinations hold now.
    pub after: Picture,
}

impl World {
    /// A small database and destinations of these kinds.
    ///
    /// # Errors
    /// [`Error::Missing`] when a server or tool is not on this machine; any other failure to start.
    pub fn new(kinds: &[Kind], load: &LoadSpec) -> Result<Self, Error> {
        World::with(kinds, load, &Arc::new(Stores::default()))
    }

    /// The same with servers that other worlds use as well.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn with(kinds: &[Kind], load: &LoadSpec, stores: &Arc<Stores>) -> Result<Self, Error> {
        let cluster = ClusterSpec::new(&Etcd::newest()?).start()?;
        let _ = cluster.load(load)?;
        let etcd = Proxy::to(cluster.endpoint(0))?;
        let mut site = Site::new(&cluster)?;
        site.unset("LIFEBOAT__CAPTURE__ENDPOINTS");
        if kinds.contains(&Kind::Bucket) {
            for (name, value) in stores.s3()?.client_env() {
                site.set(name, &value);
            }
            site.unset("AWS_ENDPOINT_URL_S3");
        }
        let number = stores.worlds.fetch_add(1, Ordering::SeqCst);
        let checker = Checker::new(&site.path("keys/identity.txt"))?;
        let destinations = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| stores.destination(*kind, at, number, &site))
            .collect::<Result<_, Error>>()?;
        let patience_seconds = PATIENCE_SECONDS;
        let _stores = stores.clone();
        let is_signed = false;
        Ok(World {
            site,
            etcd,
            destinations,
            patience_seconds,
            is_signed,
            checker,
            cluster,
            _stores,
        })
    }

    /// From now on every run signs, and nothing else is believed. Gives the public key.
    ///
    /// # Panics
    /// When there is no new key.
    pub fn sign(&mut self) -> String {
        let made = self.site.lifeboat(&["keygen-signing", "keys/signing.pem"]).code(0);
        let key = made.stdout.trim().to_owned();
        self.site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/signing.pem");
        self.site.set("LIFEBOAT__TRUST__SIGNERS", &format!("[{key:?}]"));
        self.checker.believe_only(&self.site.path("keys/signing.pem"));
        self.is_signed = true;
        key
    }

    /// Writes the configuration of the next run.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, shape: &Shape) {
        let written = self.site.configure(&self.toml(shape));
        written.unwrap_or_else(|e| panic!("{e:?}"));
    }

    fn toml(&self, shape: &Shape) -> String {
        let mut stages = vec!["capture", "verify"];
        stages.extend(shape.program.then_some("own"));
        stages.extend(shape.level.map(|_| "compress"));
        stages.extend(["encrypt", "replicate"]);
        stages.extend(shape.prune.map(|_| "prune"));
        let mut toml = format!("cluster = {CLUSTER:?}\nstages = {stages:?}\n");
        // Writing to a string cannot fail.
        let _ = writeln!(toml, "[run]\nattempts = {}\ndeadline = \"60s\"", shape.attempts);
        let _ = writeln!(toml, "[capture]\nendpoints = [{:?}]", self.etcd.endpoint());
        let patience = self.patience_seconds;
        let _ =
            writeln!(toml, "connect_timeout = \"{patience}s\"\nstall_timeout = \"{patience}s\"");
        if let Some(level) = shape.level {
            let _ = writeln!(toml, "[compress]\nlevel = {level}\nthreads = 1");
        }
        toml += "[encrypt]\nrecipients_files = [\"keys/recipients.txt\"]\n";
        toml += "[decrypt]\nidentities_files = [\"keys/identity.txt\"]\n";
        let _ = writeln!(toml, "[replicate]\nrequire = {}", shape.require);
        for destination in &self.destinations {
            toml += &destination.toml(patience);
        }
        if let Some((last, min_keep)) = shape.prune {
            let none = "hourly = 0\ndaily = 0\nweekly = 0\nmonthly = 0";
            let _ = writeln!(toml, "[prune]\nlast = {last}\nmin_keep = {min_keep}\n{none}");
            // Deaths pile backups up; a guard that asks for a person would end every series.
            toml += "max_fraction = 1.0\n";
        }
        if shape.program {
            toml += "[programs.own]\ncommand = [\"cat\"]\n";
        }
        toml
    }

    /// Where the checker looks.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        self.destinations.iter().map(|d| d.place.clone()).collect()
    }

    /// What the destinations hold now.
    ///
    /// # Panics
    /// When somebody is still at work after a minute.
    #[must_use]
    pub fn look(&mut self) -> Picture {
        self.rest();
        let places = self.places();
        self.checker.look(&places)
    }

    /// Waits until no process of the site runs and the stores have nothing left to do.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn rest(&self) {
        let home = self.site.path("").canonicalize().unwrap_or_else(|e| panic!("{e}"));
        let resting = wait_until("the site to be at rest", REST_LIMIT, || {
            let left = Process::working_in(&home);
            let lines = self.destinations.iter().filter_map(|d| d.front.as_ref());
            match (left.first(), lines.filter(|line| !line.is_idle()).count()) {
                (None, 0) => Ok(()),
                (Some(process), _) => Err(format!("{process:?} still runs")),
                (None, count) => Err(format!("{count} lines to a store are open")),
            }
        });
        resting.unwrap_or_else(|e| panic!("{e:?}"));
    }

    /// Judges a `lifeboat run` that has ended.
    ///
    /// # Panics
    /// When the destinations cannot be looked at.
    #[must_use]
    pub fn judge(&mut self, shape: &Shape, before: &Picture, ran: Ran, leave: Leave) -> Judged {
        let claim = Claim {
            code: ran.code,
            backup: self.named(&ran).filter(|name| !knows(before, name)),
            require: shape.require,
            min_keep: shape.prune.map(|(_, min_keep)| min_keep),
            silent: leave != Leave::Nothing,
            litter: matches!(leave, Leave::Anything | Leave::Spoilt),
            spoilt: leave == Leave::Spoilt,
            deed: Deed::Run,
            every: false,
        };
        self.judge_claim(before, ran, claim)
    }

    /// As [`Self::judge`], for any other program.
    ///
    /// # Panics
    /// When the destinations cannot be looked at.
    #[must_use]
    pub fn judge_claim(&mut self, before: &Picture, ran: Ran, claim: Claim) -> Judged {
        let after = self.look();
        let mut wrong = violations(&claim, before, &after);
        if !KNOWN_CODES.contains(&claim.code) {
            wrong.push(format!("exit code {} is in no table", claim.code));
        }
        Judged { ran, claim, wrong, after }
    }

    /// Compares `lifeboat list` with the picture.
    ///
    /// # Panics
    /// When the listing fails.
    #[must_use]
    pub fn misread(&self, picture: &Picture) -> Vec<String> {
        let ran = self.site.lifeboat(&["list", "--json"]);
        match serde_json::from_str::<Value>(&ran.stdout) {
            Ok(listing) => misread(&listing, picture),
            Err(e) => vec![format!("list --json is no JSON ({e}): {ran:?}")],
        }
    }

    /// The SHA-256 of the snapshot in the newest backup that could be restored.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn captured_sha256(&self, picture: &Picture) -> String {
        let sound = |(place, holds): (&String, &Holding)| {
            let name = holds.restorable().pop_last()?.to_owned();
            Some((name.clone(), place.clone(), holds.backups[&name].manifest.clone()))
        };
        let newest = picture.iter().filter_map(sound).max();
        let (_, place, key) = newest.unwrap_or_else(|| panic!("there is no backup: {picture:?}"));
        let is_it = |d: &&Destination| d.place.name == place;
        let folder = self.destinations.iter().find(is_it).map(|d| d.place.folder.join(key));
        let text = std::fs::read(folder.unwrap_or_default()).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&text).unwrap_or_default();
        manifest["steps"][0]["output"]["sha256"].as_str().unwrap_or_default().to_owned()
    }

    /// The backup that a run names: in what it printed, else in the report that it left.
    fn named(&self, ran: &Ran) -> Option<String> {
        let printed = serde_json::from_str::<Value>(&ran.stdout).ok();
        let report = printed.or_else(|| self.report(ran))?;
        report["backup"].as_str().map(str::to_owned)
    }

    /// The newest report. It may be of an earlier run, when this one died too soon to leave one.
    fn report(&self, ran: &Ran) -> Option<Value> {
        if ran.code != 137 {
            return None;
        }
        let runs = std::fs::read_dir(self.site.path("state").join(CLUSTER).join("runs")).ok()?;
        let mut runs: Vec<PathBuf> = runs.flatten().map(|entry| entry.path()).collect();
        runs.sort();
        let text = std::fs::read(runs.pop()?.join("report.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

fn knows(picture: &Picture, name: &str) -> bool {
    picture.values().any(|held| held.backups.contains_key(name))
}

/// `docs/exit-codes.md`, and the signals that tests send.
const KNOWN_CODES: [i32; 16] = [0, 2, 3, 10, 11, 12, 20, 21, 22, 30, 40, 41, 50, 60, 137, 143];

impl Destination {
    fn toml(&self, patience_seconds: u32) -> String {
        let name = &self.place.name;
        let mut toml = format!("[destinations.{name}]\n");
        match &self.url {
            Some(url) => drop(writeln!(toml, "url = {url:?}")),
            None => toml += &self.settings,
        }
        if self.front.is_some() && self.url.is_none() {
            let _ = writeln!(toml, "timeout = \"{patience_seconds}s\"\npart_bytes = 5242880");
        }
        toml
    }
}
