//! The seeded simulation: runs, one after the other, each with another configuration, another
//! database and another fault, all of it drawn from one seed and judged by the checker.
//!
//! Owns: sequences (a world of its own each, so that one can be replayed alone), what is drawn for
//! each step, and the account of a step that went wrong.
//! Invariants: a step that nothing disturbs succeeds, whatever happened before it; the account of
//! a failure has the seed, the sequence, the step and everything that was drawn until then.

use super::fault::{DrawSpoiler, Fault, can_mount};
use super::stores::Stores;
use super::world::{Kind, Leave, Shape, World};
use crate::checker::{Claim, Deed, Picture, Verdict, sha256_of};
use crate::objects::Compaction;
use crate::objects::random::Random;
use crate::{Error, LoadSpec};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Steps of one sequence.
pub const STEPS: usize = 25;

/// Which simulation.
#[derive(Debug, Clone, Copy)]
pub struct Simulation<'a> {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Faults of other harnesses that take part.
    pub others: &'static [DrawSpoiler],
    /// The servers, which all sequences share.
    pub stores: &'a Arc<Stores>,
}

/// A sequence in which something was wrong.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Which one.
    pub sequence: u64,
    /// What was drawn, step by step, and what was wrong at the end.
    pub account: String,
}

/// What one step does.
#[derive(Debug)]
enum Deal {
    Run(Shape),
    Fetch,
    /// Prune, sync or scrub.
    Tend(Deed, Shape),
}

impl Deal {
    fn deed(&self) -> Deed {
        match self {
            Deal::Run(_) => Deed::Run,
            Deal::Fetch => Deed::Read,
            Deal::Tend(deed, _) => *deed,
        }
    }
}

/// Damage between two steps.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Cut,
    Remove,
}

impl Simulation<'_> {
    /// Plays one sequence of so many steps; gives the account of it.
    ///
    /// # Errors
    /// [`Failed`] at the first step that went wrong; the outer error when a server is missing.
    ///
    /// # Panics
    /// When the harness itself fails.
    pub fn play(&self, sequence: u64, steps: usize) -> Result<Result<String, Failed>, Error> {
        let mut random = Random::derived(self.seed, &[sequence]);
        let count = 1 + random.below(3).unwrap_or_default();
        let kind = |random: &mut Random| match random.below(6) {
            Some(0) => Kind::Directory,
            Some(1 | 2) => Kind::Bucket,
            Some(3 | 4) => self.stores.or(Kind::Gcs),
            _ => self.stores.or(Kind::Azure),
        };
        let kinds: Vec<Kind> = (0..count).map(|_| kind(&mut random)).collect();
        let load = LoadSpec { seed: random.next(), objects: 100, ..LoadSpec::default() };
        let mut world = World::with(&kinds, &load, self.stores)?;
        // In every other one backups are signed.
        if sequence % 2 == 1 && has_openssl() {
            let _ = world.sign();
        }
        // Every new backup is restored by etcd's own tool.
        world.checker.deeply(true);
        let clock = world.site.path("clock");
        world.site.set(failpoint::CLOCK_FILE, &clock.to_string_lossy());
        let account =
            format!("SOAK_SEED={} SOAK_SEQUENCE={sequence}\ndestinations: {kinds:?}\n", self.seed);
        let mut player = Player { simulation: self, random, world, kinds, account };
        for step in 0..steps {
            let wrong = player.step(step);
            if !wrong.is_empty() {
                let _ = writeln!(player.account, "WRONG: {}", wrong.join("\n       "));
                return Ok(Err(Failed { sequence, account: std::mem::take(&mut player.account) }));
            }
        }
        Ok(Ok(std::mem::take(&mut player.account)))
    }
}

struct Player<'a> {
    simulation: &'a Simulation<'a>,
    random: Random,
    world: World,
    kinds: Vec<Kind>,
    account: String,
}

impl Drop for Player<'_> {
    /// A harness that gives up, because something hangs, must say where.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the harness gave up:\n{}", self.account);
        }
    }
}

impl Player<'_> {
    fn any(&mut self, below: usize) -> usize {
        self.random.below(below).unwrap_or_default()
    }

    fn step(&mut self, step: usize) -> Vec<String> {
        self.change_data(step);
        if self.any(8) == 0 {
            self.damage();
        }
        let before = self.world.look();
        let deal = self.deal();
        let (kinds, others) = (self.kinds.clone(), self.simulation.others);
        let mut fault = Fault::draw(&mut self.random, &kinds, deal.deed(), others);
        if matches!(fault, Fault::DiskFull { .. }) && !can_mount() {
            fault = Fault::None;
        }
        let _ = writeln!(self.account, "{step:2}: {deal:?} with {fault:?}");
        let wrong = match &deal {
            Deal::Run(shape) => self.run(shape, &mut fault, &before),
            Deal::Fetch => self.fetch(&mut fault, &before),
            Deal::Tend(deed, shape) => self.tend(*deed, shape, &mut fault, &before),
        };
        match wrong.is_empty() {
            true => {
                let after = self.world.look();
                self.world.misread(&after)
            }
            false => wrong,
        }
    }

    fn deal(&mut self) -> Deal {
        let shape = self.shape();
        match self.any(12) {
            0 | 1 => Deal::Fetch,
            2 if shape.prune.is_some() => Deal::Tend(Deed::Prune, shape),
            3 => Deal::Tend(Deed::Sync, shape),
            4 => Deal::Tend(Deed::Scrub, shape),
            _ => Deal::Run(shape),
        }
    }

    fn shape(&mut self) -> Shape {
        let last = 1 + self.any(4);
        let prune = (self.any(4) > 0).then_some(last).map(|last| (last, 1 + self.any(last)));
        Shape {
            level: [None, Some(1), Some(1), Some(3)][self.any(4)],
            require: 1 + self.any(self.kinds.len()),
            program: self.any(5) == 0,
            prune,
            attempts: 1 + u32::from(self.any(3) == 0),
        }
    }

    fn run(&mut self, shape: &Shape, fault: &mut Fault, before: &Picture) -> Vec<String> {
        fault.begin(&mut self.world);
        self.world.configure(shape);
        let (ran, leave) = fault.carry_out(&self.world, &["run", "--json"]);
        self.world.rest();
        fault.end(&mut self.world);
        self.world.configure(shape);
        let judged = self.world.judge(shape, before, ran, leave);
        let mut wrong = judged.wrong;
        if matches!(fault, Fault::None) {
            let cause = serde_json::from_str::<serde_json::Value>(&judged.ran.stdout);
            let only_prune = cause.is_ok_and(|report| report["cause"]["stage"] == "prune");
            let missing = judged.after.iter().find(|(_, held)| {
                !judged.claim.backup.as_ref().is_some_and(|b| held.restorable().contains(&**b))
            });
            if missing.is_some() || (judged.ran.code != 0 && !only_prune) {
                wrong.push(format!("undisturbed, and exit {}: {missing:?}", judged.ran.code));
            }
        }
        let _ = writeln!(self.account, "    exit {}, {:?}", judged.ran.code, judged.claim.backup);
        if !wrong.is_empty() {
            wrong.push(format!("it said\n{}{}", judged.ran.stdout, judged.ran.stderr));
        }
        wrong
    }

    fn fetch(&mut self, fault: &mut Fault, before: &Picture) -> Vec<String> {
        let output = self.world.site.path("fetched.db");
        durable::remove_file(&output).unwrap_or_else(|e| panic!("{e:?}"));
        fault.begin(&mut self.world);
        self.world.configure(&Shape::usual(self.kinds.len()));
        let (ran, _) = fault.carry_out(&self.world, &["fetch", "latest", "-o", "fetched.db"]);
        self.world.rest();
        fault.end(&mut self.world);
        self.world.configure(&Shape::usual(self.kinds.len()));
        let _ = writeln!(self.account, "    exit {}", ran.code);
        let mut wrong = Vec::new();
        let (newest, sound) = newest(before);
        if output.exists() {
            let whole = self.snapshots(before);
            let found = sha256_of(&output);
            if !whole.contains(&found) {
                wrong.push(format!("the fetched file, {found}, is no snapshot of a backup"));
            }
        } else if ran.code == 0 {
            wrong.push("exit 0, and nothing was fetched".into());
        }
        if matches!(fault, Fault::None) && sound && ran.code != 0 {
            wrong.push(format!("undisturbed, exit {}, and {newest:?} is whole", ran.code));
        }
        let claim = Claim { code: ran.code, deed: Deed::Read, ..Claim::default() };
        let judged = self.world.judge_claim(before, ran, claim);
        wrong.extend(judged.wrong);
        if !wrong.is_empty() {
            wrong.push(format!("it said\n{}{}", judged.ran.stdout, judged.ran.stderr));
        }
        wrong
    }

    /// Prunes, brings everything everywhere, or reads all of every copy.
    fn tend(
        &mut self,
        deed: Deed,
        shape: &Shape,
        fault: &mut Fault,
        before: &Picture,
    ) -> Vec<String> {
        let arguments: &[&str] = match deed {
            Deed::Prune => &["prune"],
            Deed::Scrub => &["scrub", "--json", "--identity", "keys/identity.txt"],
            _ => &["sync", "--json", "--all"],
        };
        fault.begin(&mut self.world);
        self.world.configure(shape);
        let (ran, leave) = fault.carry_out(&self.world, arguments);
        self.world.rest();
        fault.end(&mut self.world);
        self.world.configure(shape);
        let _ = writeln!(self.account, "    exit {}", ran.code);
        let hides = matches!(fault, Fault::Store { .. } | Fault::DiskFull { place: Some(_), .. });
        let prunes = deed == Deed::Prune;
        let claim = Claim {
            code: ran.code,
            min_keep: shape.prune.filter(|_| prunes).map(|(_, min_keep)| min_keep),
            litter: matches!(leave, Leave::Anything | Leave::Spoilt),
            spoilt: leave == Leave::Spoilt,
            every: !hides && !prunes,
            deed,
            ..Claim::default()
        };
        let judged = self.world.judge_claim(before, ran, claim);
        let mut wrong = judged.wrong;
        if !wrong.is_empty() {
            wrong.push(format!("it said\n{}{}", judged.ran.stdout, judged.ran.stderr));
        }
        wrong
    }

    /// A little more data; now and then much more, and a compaction.
    fn change_data(&mut self, step: usize) {
        let seed = self.random.next();
        let (objects, updates) = match self.any(24) {
            0 => (2_500, 0),
            1..=8 => (self.any(40), 5),
            _ => return,
        };
        let compaction = match self.any(3) {
            0 => Compaction::BehindHead(2),
            _ => Compaction::None,
        };
        let load =
            LoadSpec { updates: updates.min(objects), compaction, ..LoadSpec::bulk(seed, objects) };
        let _ = writeln!(self.account, "{step:2}: {objects} objects more, {compaction:?}");
        let _ = self.world.cluster.load(&load).unwrap_or_else(|e| panic!("{e:?}"));
    }

    /// Spoils an object in one destination, as a disk or a hand would.
    fn damage(&mut self) {
        let damage = [Damage::Flip, Damage::Cut, Damage::Remove][self.any(3)];
        let picture = self.world.look();
        let at = self.any(self.kinds.len());
        let place = self.world.destinations[at].place.clone();
        let keys: Vec<&String> = picture[&place.name].objects.keys().collect();
        if keys.is_empty() {
            return;
        }
        let key = keys[self.any(keys.len())];
        let path: PathBuf = place.folder.join(key);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{key}: {e}"));
        let at = self.any(bytes.len());
        // A digit of a manifest that is another one is a forgery, which signatures are for. Records have
        // none.
        let is_judged = self.world.is_signed && is_manifest(key);
        let damage = match damage {
            Damage::Flip if key.ends_with(".json") && !is_judged => Damage::Cut,
            damage => damage,
        };
        let _ = writeln!(self.account, "    {damage:?} {} {key} at {at}", place.name);
        match damage {
            Damage::Flip => {
                let mut bytes = bytes;
                bytes[at] ^= 1 << (at % 8);
                place.put(key, &bytes);
            }
            Damage::Cut => place.put(key, &bytes[..at]),
            Damage::Remove => place.remove(key),
        }
    }

    /// The SHA-256 of every snapshot that a backup promises.
    fn snapshots(&self, picture: &Picture) -> Vec<String> {
        let mut found = Vec::new();
        for destination in &self.world.destinations {
            for backup in picture[&destination.place.name].backups.values() {
                let text = std::fs::read(destination.place.folder.join(&backup.manifest));
                let json = serde_json::from_slice::<serde_json::Value>(&text.unwrap_or_default());
                let sum = json.map(|m| m["steps"][0]["output"]["sha256"].clone());
                found.extend(sum.ok().and_then(|sum| sum.as_str().map(str::to_owned)));
            }
        }
        found
    }
}

/// The backup that `latest` means, and whether a copy of it is whole.
fn newest(picture: &Picture) -> (Option<String>, bool) {
    let all = || picture.values().flat_map(|held| &held.backups);
    let newest = all().filter(|(_, f)| f.verdict.looks_sound()).map(|(name, _)| name).max();
    let whole = |name: &String| all().any(|(n, f)| n == name && f.verdict == Verdict::Restorable);
    (newest.cloned(), newest.is_some_and(whole))
}

/// A manifest's name ends with the revision; that of a record with the run that made it.
fn is_manifest(key: &str) -> bool {
    let last = key.strip_suffix(".json").and_then(|key| key.rsplit('-').next());
    last.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn has_openssl() -> bool {
    std::process::Command::new("openssl").arg("version").output().is_ok()
}
