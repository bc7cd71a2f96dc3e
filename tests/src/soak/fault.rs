//! What goes wrong in one step of the simulation: drawn from a seed, begun, and ended again.
//!
//! Invariants: everything that can be chosen is chosen when the fault is drawn, so that a printed
//! fault says all; after [`Fault::end`] the world is as it was, whatever the run did.
//! A fault of another harness takes part as a [`Spoiler`].

use super::world::{Kind, Leave, PATIENCE_SECONDS, World};
use crate::checker::Deed;
use crate::objects::random::Random;
use crate::running::{Process, Running};
use crate::site::{CLUSTER, Ran};
use crate::toxics::Line;
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Debug;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// A year, in seconds.
const YEAR: i64 = 365 * 86_400;

/// A fault that another harness makes: a store or an etcd that lies, say. It puts itself between
/// through [`World`], whose lines and addresses are public.
pub trait Spoiler: Debug + Send {
    /// Puts itself in place before the run.
    fn begin(&mut self, world: &mut World);
    /// Takes itself away after the run.
    fn end(&mut self, world: &mut World);
    /// What a run that it breaks off may leave.
    fn leave(&self) -> Leave;
}

/// Draws a [`Spoiler`].
pub type DrawSpoiler = fn(seed: u64) -> Box<dyn Spoiler>;

/// What goes wrong.
#[derive(Debug)]
pub enum Fault {
    /// Nothing: the run must succeed.
    None,
    /// A program dies at its failpoint of this number, if it comes so far.
    KillAt {
        /// Without `lifeboat-`.
        program: &'static str,
        /// Counted from 1.
        number: u64,
    },
    /// A process of the run is hit at some moment.
    Blow {
        /// After so long.
        after_ms: u64,
        /// Which of those that run then; the first is the front.
        victim: usize,
        /// With what.
        weapon: Weapon,
    },
    /// The line to etcd is spoilt.
    EtcdLine(Line),
    /// The line to a store is spoilt.
    StoreLine(usize, Line),
    /// A store goes wrong at random: request by request, before or after it has acted, or lying.
    Store {
        /// The destination.
        place: usize,
        /// What its front draws from.
        seed: u64,
        /// How likely a request goes wrong, in percent.
        percent: usize,
    },
    /// A destination is a path below a regular file: nobody can write there, not even root.
    Unwritable(usize),
    /// A file system is full: that of the state when no destination is named.
    DiskFull {
        /// The destination.
        place: Option<usize>,
        /// What is free.
        kilobytes: usize,
    },
    /// The clock is off, and is set to something else during the run.
    Clock {
        /// Seconds.
        first: i64,
        /// Seconds, and after how many milliseconds.
        then: (u64, i64),
    },
    /// What another harness does.
    Other(Box<dyn Spoiler>),
}

/// What a process is hit with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weapon {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Term,
    /// SIGSTOP, and SIGCONT after so many milliseconds.
    Pause(u64),
}

/// How many lots there are without those of other harnesses.
const MENU: usize = 30;

/// The programs of a run, and about how many failpoints each passes.
const OF_RUN: [(&str, usize); 8] = [
    ("lifeboat", 40),
    ("capture", 12),
    ("verify", 14),
    ("compress", 14),
    ("encrypt", 14),
    ("replicate", 70),
    ("prune", 40),
    ("catalogue", 6),
];
/// The programs that level.
const OF_SYNC: [(&str, usize); 3] = [("lifeboat", 12), ("sync", 60), ("sync", 20)];
/// The programs that read back, with an identity.
const OF_SCRUB: [(&str, usize); 6] = [
    ("lifeboat", 12),
    ("scrub", 40),
    ("fetch", 14),
    ("encrypt", 14),
    ("compress", 14),
    ("verify", 14),
];
/// The programs of the way back.
const OF_FETCH: [(&str, usize); 6] = [
    ("lifeboat", 30),
    ("fetch", 14),
    ("encrypt", 14),
    ("compress", 14),
    ("verify", 14),
    ("catalogue", 6),
];

impl Fault {
    /// Draws one for what is to be done.
    pub(crate) fn draw(
        random: &mut Random,
        kinds: &[Kind],
        deed: Deed,
        others: &[DrawSpoiler],
    ) -> Self {
        let any = |random: &mut Random, below: usize| random.below(below).unwrap_or_default();
        let fetch = deed == Deed::Read;
        let place = any(random, kinds.len());
        let is_bucket = kinds[place].is_remote();
        match any(random, MENU + others.len()) {
            0..=4 => Fault::None,
            5..=10 => {
                let all: &[(&str, usize)] = match deed {
                    Deed::Read => &OF_FETCH,
                    Deed::Sync => &OF_SYNC,
                    Deed::Scrub => &OF_SCRUB,
                    Deed::Run | Deed::Prune => &OF_RUN,
                };
                let (program, points) = all[any(random, all.len())];
                Fault::KillAt { program, number: any(random, points) as u64 + 1 }
            }
            11..=14 => {
                let after_ms = any(random, 600) as u64;
                let weapon = match any(random, 4) {
                    0 | 1 => Weapon::Kill,
                    2 => Weapon::Term,
                    _ => Weapon::Pause(any(random, 300) as u64),
                };
                Fault::Blow { after_ms, victim: any(random, 8), weapon }
            }
            15 | 16 => Fault::EtcdLine(line(random, 400_000)),
            17 | 18 if is_bucket => Fault::StoreLine(place, line(random, 60_000)),
            19 if is_bucket => Fault::StoreLine(place, Line::Cut { after_bytes: 0 }),
            17 | 19 => Fault::Unwritable(place),
            18 | 20 if !is_bucket && !fetch => {
                Fault::DiskFull { place: Some(place), kilobytes: 4 * any(random, 20) }
            }
            18 | 20 | 21 if !fetch => {
                Fault::DiskFull { place: None, kilobytes: 4 * (1 + any(random, 8)) }
            }
            18 | 20..=23 => {
                let offset = |random: &mut Random| {
                    let offsets = [0, 3_600, -3_600, YEAR, -YEAR, 30 * YEAR, -50 * YEAR];
                    offsets[any(random, offsets.len())]
                };
                let then = (any(random, 500) as u64, offset(random));
                Fault::Clock { first: offset(random), then }
            }
            24..MENU if is_bucket => {
                Fault::Store { place, seed: random.next(), percent: 2 + any(random, 20) }
            }
            24..MENU => Fault::None,
            other => Fault::Other(others[other - MENU](random.next())),
        }
    }

    /// Puts it in place.
    pub fn begin(&mut self, world: &mut World) {
        // Nobody has to wait long for what will not come.
        if let Fault::EtcdLine(Line::BlackHole { .. })
        | Fault::StoreLine(_, Line::BlackHole { .. }) = self
        {
            world.patience_seconds = 2;
        }
        match self {
            Fault::KillAt { program, number } => {
                world.site.set(failpoint::FAIL_AT, &format!("{program}:{number}"));
            }
            Fault::EtcdLine(line) => world.etcd.set(*line),
            Fault::StoreLine(place, line) => {
                if let Some(front) = &world.destinations[*place].front {
                    front.toxic(*line);
                }
            }
            Fault::Store { place, seed, percent } => {
                if let Some(front) = &world.destinations[*place].front {
                    #[expect(clippy::cast_precision_loss, reason = "it is a percentage")]
                    front.random(*seed, *percent as f64 / 100.0);
                }
            }
            Fault::Unwritable(place) => {
                world.site.write("blocker", b"");
                world.destinations[*place].url = Some("file:blocker/below".into());
            }
            Fault::DiskFull { place: Some(place), .. } => {
                world.destinations[*place].url = Some("file:small".into());
            }
            Fault::Clock { first, .. } => set_clock(world, *first),
            Fault::Other(spoiler) => spoiler.begin(world),
            Fault::None | Fault::Blow { .. } | Fault::DiskFull { place: None, .. } => {}
        }
    }

    /// Carries out `lifeboat ARGUMENTS` while it is in place. Gives what the run may leave, too:
    /// that depends on who was hit.
    ///
    /// # Panics
    /// When the run cannot be started, or does not end.
    pub fn carry_out(&self, world: &World, arguments: &[&str]) -> (Ran, Leave) {
        if let Fault::DiskFull { place, kilobytes } = self {
            return (run_with_small_disk(world, *place, *kilobytes, arguments), self.leave(None));
        }
        let mut running = world.site.start("lifeboat", arguments);
        let mut hit = None;
        match self {
            Fault::Blow { after_ms, victim, weapon } => {
                std::thread::sleep(Duration::from_millis(*after_ms));
                hit = strike(&mut running, *victim, *weapon);
            }
            Fault::Clock { then: (after_ms, offset), .. } => {
                std::thread::sleep(Duration::from_millis(*after_ms));
                set_clock(world, *offset);
            }
            _ => {}
        }
        let ran = running.end();
        // Without their front they come to an end of their own; dropping the handle would kill them.
        running.wait_children_gone();
        (ran, self.leave(hit.as_deref()))
    }

    /// Takes it away.
    pub fn end(&mut self, world: &mut World) {
        world.site.unset(failpoint::FAIL_AT);
        world.patience_seconds = PATIENCE_SECONDS;
        world.etcd.set(Line::Sound);
        for destination in &mut world.destinations {
            destination.url = None;
            if let Some(front) = &destination.front {
                front.toxic(Line::Sound);
                front.calm();
            }
        }
        set_clock(world, 0);
        if let Fault::Other(spoiler) = self {
            spoiler.end(world);
        }
    }

    fn leave(&self, hit: Option<&str>) -> Leave {
        let of = |program: &str| match program {
            "replicate" | "sync" | "scrub" => Leave::Anything,
            "lifeboat" => Leave::Backup,
            _ => Leave::Nothing,
        };
        match self {
            Fault::KillAt { program, .. } => of(program),
            // A writer that is asked to end tidies up.
            Fault::Blow { weapon: Weapon::Kill, .. } => hit.map_or(Leave::Nothing, of),
            Fault::StoreLine(..) => Leave::Anything,
            Fault::Store { .. } => Leave::Spoilt,
            // A writer whose receipt does not fit has committed, and says so in words only.
            Fault::DiskFull { place: None, .. } => Leave::Backup,
            Fault::Other(spoiler) => spoiler.leave(),
            _ => Leave::Nothing,
        }
    }
}

fn line(random: &mut Random, bytes: usize) -> Line {
    let after_bytes = random.below(bytes).unwrap_or_default() as u64;
    match random.below(8) {
        Some(0..=4) => Line::Cut { after_bytes },
        Some(5 | 6) => Line::Slow { each_ms: random.below(5).unwrap_or_default() as u64 },
        _ => Line::BlackHole { after_bytes },
    }
}

fn set_clock(world: &World, offset: i64) {
    world.site.write("clock", offset.to_string().as_bytes());
}

/// Hits one of the processes that run now; gives its name, without `lifeboat-`.
fn strike(running: &mut Running, victim: usize, weapon: Weapon) -> Option<String> {
    let children = running.children();
    let count = children.len() + 1;
    let (pid, name) = match victim % count {
        0 => (running.pid(), "lifeboat".to_owned()),
        at => (children[at - 1].pid, name_of(&children[at - 1])),
    };
    // It may have ended meanwhile; then nobody was hit.
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    match weapon {
        Weapon::Kill => kill_process(pid, Signal::KILL).ok()?,
        Weapon::Term => kill_process(pid, Signal::TERM).ok()?,
        Weapon::Pause(ms) => {
            kill_process(pid, Signal::STOP).ok()?;
            std::thread::sleep(Duration::from_millis(ms));
            kill_process(pid, Signal::CONT).ok()?;
        }
    }
    Some(name)
}

fn name_of(process: &Process) -> String {
    let program = process.words.first().map(String::as_str).unwrap_or_default();
    let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    match program.strip_prefix("lifeboat-") {
        Some(stage) => stage.to_owned(),
        // `lifeboat wrap` is a step and no front.
        None => "wrap".to_owned(),
    }
}

/// Whether this machine lets a test mount something of its own.
#[must_use]
pub fn can_mount() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| crate::skips::try_to_mount().is_ok())
}

/// Runs with a small file system in place of the state, or of a destination, whose objects are
/// taken there and back.
fn run_with_small_disk(
    world: &World,
    place: Option<usize>,
    kilobytes: usize,
    arguments: &[&str],
) -> Ran {
    let home = match place {
        Some(place) => world.destinations[place].place.folder.clone(),
        None => world.site.path("state").join(CLUSTER),
    };
    let small = if place.is_some() { "small" } else { "state" };
    for folder in [&home, &world.site.path(small)] {
        durable::create_private_dir(folder).unwrap_or_else(|e| panic!("{e:?}"));
    }
    let script = match place {
        // What is there already takes its room, and as much again is free as was drawn.
        // What is there already takes its room, and so much more is free.
        Some(_) => {
            "mount -t tmpfs -o size=256m,mode=700 none small && cp -a \"$1/.\" small/ || exit 99
             size=$(($(du -sk small | cut -f1) + $2))
             mount -o remount,size=${size}k small || exit 99
             shift 2; \"$@\"; code=$?
             rm -rf small.kept && cp -a small small.kept || exit 99
             exit $code"
        }
        None => {
            "mount -t tmpfs -o size=$2k,mode=700 none state || exit 99
             shift 2; exec \"$@\""
        }
    };
    let lifeboat = world.site.command("lifeboat");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh"]).arg(&home).arg(kilobytes.to_string());
    command.arg(lifeboat.get_program()).args(arguments);
    command.current_dir(world.site.path("")).env_clear();
    command.envs(lifeboat.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::of(&command.output().unwrap_or_else(|e| panic!("unshare: {e}")));
    assert_ne!(ran.code, 99, "{}", ran.stderr);
    if place.is_some() {
        let kept = world.site.path("small.kept");
        let back = "rm -rf \"$1\" && mv \"$2\" \"$1\"";
        let mut command = Command::new("sh");
        command.args(["-c", back, "sh"]).arg(&home).arg(kept);
        crate::run(&mut command).unwrap_or_else(|e| panic!("{e:?}"));
    }
    ran
}
