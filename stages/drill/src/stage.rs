//! The core: read again, start, compare, write, stop.

use crate::args::Args;
use crate::ask::{self, Asked, Ready};
use crate::checks::Checks;
use crate::compare::{self, Named, Wanted};
use crate::directory::{self, Member};
use crate::error::Error;
use crate::server::{Launch, Server};
use crate::{native, ports, program, sample};
use contract::drill::{DRILL_VERSION, DrillExpectation, EtcdProgram, FoundEtcd};
use contract::facts::RestoreFacts;
use contract::{Clock, Exit, Job, Receipt};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// An expectation has some kilobytes.
const EXPECTATION_BYTES_MAX: u64 = 16 << 20;
/// How often other ports are tried.
const START_ATTEMPTS_MAX: u32 = 5;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let (Some(data_dir), Some(expect)) = (&args.data_dir, &args.expect) else {
        return find(args).map(ExitCode::from);
    };
    let job = Job::open("drill", &args.common.streams, Clock::system())?;
    if job.run_dir().is_some() {
        // Whoever started this one in a run waits for it. Without them nobody would end the etcd
        // that it starts. Where the system refuses, that is all that is lost.
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
    }
    let source = job.signal_input()?;
    let receipts = job.confirm(&source)?;
    let sink = job.signal_output()?;
    let expected = expectation(expect)?;
    let restored = restored(&receipts, &expected)?;
    let members = directory::members(data_dir, &restored, args.members)?;
    let etcd = match args.native_only {
        true => None,
        false => Some(program::find(args.etcd.as_deref())?),
    };
    let seed = u64::try_from(job.now().as_millisecond()).unwrap_or_default();
    let drill = Drill { args, data_dir, expected, restored, members, etcd, seed };
    let mut checks = Checks::default();
    let ended = drill.run(&mut checks)?;
    let facts = checks.facts(drill.depth(), drill.etcd.clone());
    if let Some(path) = &args.report {
        durable::write_new(path, &to_json(&facts))?;
    }
    failpoint::pass("drill.reported");
    match (ended, checks.failure()) {
        (Some(signal), _) => {
            tracing::error!(code = 128 + signal, blame = "own", "{}", Error::Stopped);
            Ok(ExitCode::from(128 + signal))
        }
        (None, Some(summary)) => Err(Error::Failed { summary }),
        (None, None) => {
            let checks = facts.checks.len();
            tracing::info!(depth = facts.depth, checks, "the restored copy is what it has to be");
            job.finish(Some(&source), sink, &facts)?;
            Ok(Exit::Ok.into())
        }
    }
}

fn find(args: &Args) -> Result<Exit, Error> {
    let etcd = match program::find(args.etcd.as_deref()) {
        Ok(etcd) => Some(etcd),
        Err(Error::NoneOnPath) => None,
        Err(e) => return Err(e),
    };
    contract::print(to_json(&FoundEtcd { etcd })).map_err(Error::Print)?;
    Ok(Exit::Ok)
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    // Strings, numbers and lists only: they always serialise.
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

fn expectation(path: &Path) -> Result<DrillExpectation, Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(EXPECTATION_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    contract::read_json(&text, DRILL_VERSION)
        .map_err(|e| Error::Expectation { path: path.to_path_buf(), problem: e.to_string() })
}

/// What `restore` says that it wrote: its receipt in a run, else what the expectation has of it.
fn restored(receipts: &[Receipt], expected: &DrillExpectation) -> Result<RestoreFacts, Error> {
    match receipts.iter().find(|receipt| receipt.stage == "restore") {
        Some(receipt) => serde_json::from_value(receipt.facts.clone()).map_err(|e| {
            let (stage, problem) = (receipt.stage.clone(), e.to_string());
            contract::Error::Facts { stage, problem }.into()
        }),
        None => expected.restored.clone().ok_or(Error::NotRestored),
    }
}

/// The servers, and the clients of each in the same order.
type Serving = (Vec<Server>, Vec<Asked>);

struct Drill<'a> {
    args: &'a Args,
    data_dir: &'a Path,
    expected: DrillExpectation,
    restored: RestoreFacts,
    members: Vec<Member>,
    etcd: Option<EtcdProgram>,
    seed: u64,
}

impl Drill<'_> {
    fn depth(&self) -> &'static str {
        match (&self.etcd, self.members.len()) {
            (None, _) => "native",
            (Some(_), 1) => "etcd",
            (Some(_), _) => "three-members",
        }
    }

    /// Runs it. The number of the signal that ended it, if one did.
    fn run(&self, checks: &mut Checks) -> Result<Option<u8>, Error> {
        let mut begun = Instant::now();
        // The databases of one restore are the same byte for byte, and each is read all the same:
        // it is what its member will start from.
        let mut keys_live = None;
        for member in &self.members {
            let scratch = Some(self.data_dir);
            let database = member.database();
            keys_live = native::read(checks, &database, &self.expected, &self.restored, scratch)?;
        }
        checks.phase("read", &mut begun);
        failpoint::pass("drill.read");
        let is_sound = checks.failure().is_none();
        let (Some(etcd), Some(keys_live), true) = (&self.etcd, keys_live, is_sound) else {
            return Ok(None);
        };
        let path = self.members[0].database();
        let sample = sample::of(&directory::open(&path)?, &path, self.seed, sample::KEYS_MAX)?;
        let named = Named { keys: keys_live - u64::from(sample.has_empty_key), sample };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Runtime)?;
        runtime.block_on(async {
            let on = |kind| signal(kind).map_err(Error::Runtime);
            let mut terminate = on(SignalKind::terminate())?;
            let mut interrupt = on(SignalKind::interrupt())?;
            let mut hangup = on(SignalKind::hangup())?;
            // Dropping the future ends every etcd that it has started.
            let stopped_by = tokio::select! {
                done = self.with_etcd(checks, etcd, &named, begun) => return done.map(|()| None),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = hangup.recv() => SignalKind::hangup(),
            };
            Ok(u8::try_from(stopped_by.as_raw_value()).ok())
        })
    }

    async fn with_etcd(
        &self,
        checks: &mut Checks,
        etcd: &EtcdProgram,
        named: &Named,
        mut begun: Instant,
    ) -> Result<(), Error> {
        let Some((mut servers, asked)) = self.start(checks, etcd).await? else { return Ok(()) };
        checks.phase("start", &mut begun);
        failpoint::pass("drill.serving");
        let mut members: Vec<(String, Asked)> =
            servers.iter().map(|server| server.name.clone()).zip(asked).collect();
        let questions = self.ask(checks, etcd, named, &mut members, &mut begun);
        if let Err(e) = questions.await {
            // One that does not answer because it has ended says something of the backup.
            let Some((name, why)) = ask::died(&mut servers).await? else { return Err(e) };
            checks.note(format!("life of {name}"), "serves until it is stopped", why, false);
            return Ok(());
        }
        drop(members);
        failpoint::pass("drill.stopping");
        for server in servers {
            let name = format!("end of {}", server.name);
            match server.stop().await {
                Ok(()) => checks.note(name, "in good order", "in good order", true),
                Err(why) => checks.note(name, "in good order", why, false),
            };
        }
        checks.phase("stop", &mut begun);
        Ok(())
    }

    async fn ask(
        &self,
        checks: &mut Checks,
        etcd: &EtcdProgram,
        named: &Named,
        members: &mut [(String, Asked)],
        begun: &mut Instant,
    ) -> Result<(), Error> {
        let witnesses = native::witnesses(&self.expected);
        let wanted = Wanted {
            restored: &self.restored,
            witnesses: &witnesses,
            named,
            members: &self.members,
            etcd_version: &etcd.version,
        };
        for (name, asked) in &mut *members {
            wanted.compare(checks, name, asked).await?;
        }
        checks.phase("compare", begun);
        let token = format!("{:x}", self.seed);
        compare::write(checks, self.restored.revision, members, &token).await?;
        checks.phase("write", begun);
        Ok(())
    }

    /// Starts every member and waits until each serves; none when one of them cannot live on what
    /// was restored.
    async fn start(
        &self,
        checks: &mut Checks,
        etcd: &EtcdProgram,
    ) -> Result<Option<Serving>, Error> {
        let mut attempt = 1;
        loop {
            match self.start_once(checks, etcd).await {
                // The members of a cluster find each other at addresses that are in their data.
                Err(Error::PortTaken(_))
                    if self.members.len() == 1 && attempt < START_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                started => return started,
            }
        }
    }

    async fn start_once(
        &self,
        checks: &mut Checks,
        etcd: &EtcdProgram,
    ) -> Result<Option<Serving>, Error> {
        let launch = Launch {
            etcd,
            initial_cluster: &self.restored.initial_cluster,
            token: &self.restored.token,
            db_bytes: self.restored.db_bytes,
        };
        let mut servers = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let peer_url = match self.members.len() {
                1 => ports::url(ports::free(1)?[0]),
                _ => member.peer_url.clone(),
            };
            servers.push(launch.start(member, &peer_url)?);
        }
        let limit: Duration = self.args.start_timeout.get();
        match ask::until_ready(&mut servers, limit).await? {
            Ready::Serve(asked) => {
                for server in &servers {
                    checks.note(format!("start of {}", server.name), "serves", "serves", true);
                }
                Ok(Some((servers, asked)))
            }
            Ready::Died { name, why } => {
                checks.note(format!("start of {name}"), "serves", why, false);
                Ok(None)
            }
        }
    }
}
