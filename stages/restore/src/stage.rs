//! The core: look, read, prove, build, prove again, publish.

use crate::args::Args;
use crate::error::Error;
use crate::input::Kept;
use crate::members::{self, NewCluster};
use crate::told::{self, Done, Phases};
use crate::undo;
use bbolt::Database;
use config::Pipeline;
use contract::{Clock, Exit, Job, Source};
use datadir::place::{Ground, Staging, Wishes, look, must_have_room, settle};
use datadir::{Built, Expected, Member, Membership};
use snapshot::{Expectations, Options, Report, ServerView, Trailer, Verifier};
use std::fs::File;
use std::path::PathBuf;

/// A database that is built anew packs its pages at least as well as etcd, but for the odd page.
const PACKED_SLACK_BYTES: u64 = 1 << 20;
/// For summaries of pages, in bytes. The stages of a run share what a node of a control plane can
/// spare; whoever restores waits, and a scratch file costs him seconds.
const MEMORY_BYTES_MIN: usize = 96 << 20;
const TRAILER_NOTE: &str = "the input had no SHA-256: a bit that flipped inside of a value before it came here \
                            could not be noticed";

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    // A break-glass host has no configuration; a wrong one is still said.
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let clock = Clock::system();
    if args.undo {
        return undo::run(args, clock);
    }
    let adjust = args.adjustments();
    adjust.check_flags()?;
    let token = args.initial_cluster_token.clone().unwrap_or_else(random_token);
    let said = members::of_flags(args, &token)?;
    if let Some(cluster) = &said {
        members::written(args, &cluster.membership)?;
    }
    let job = Job::open("restore", &args.common.streams, clock)?;
    // Nobody should wait an hour for a refusal.
    let wishes = Wishes { replace: args.replace, owner: args.owner };
    let ground = look(&args.target(&[]), wishes)?;
    failpoint::pass("restore.looked");

    let mut phases = Phases::begin();
    let snapshot = Snapshot::read(args, &pipeline, &job, &ground)?;
    phases.end("read");
    let database = Database::open(snapshot.kept.file(), snapshot.report.database_bytes)?;
    let cluster = match said {
        Some(cluster) => cluster,
        None => members::of_snapshot(&database, &token)?,
    };
    let written = members::written(args, &cluster.membership)?;
    adjust.check(&snapshot.report)?;

    let names: Vec<String> = written.iter().map(|member| member.name.clone()).collect();
    let target = args.target(&names);
    let mut notes = settle(&target)?;
    let ground = look(&target, wishes)?;
    must_have_room(&ground, database_bytes_max(&snapshot.report))?;
    notes.extend(ground.notes.iter().cloned());
    let nonce = ulid::Ulid::generate().to_string().to_ascii_lowercase();
    let staging = Staging::begin(ground, &nonce)?;
    failpoint::pass("restore.begun");
    let plan = Plan { cluster: &cluster, written: &written, view: &snapshot.view };
    let (built, first) = plan.build(&staging, &database, args, &mut notes)?;
    built.must_be_from(&snapshot.report)?;
    phases.end("build");
    plan.prove(&staging, &built, &first)?;
    staging.seal()?;
    phases.end("prove");
    let published = staging.publish(&undo::stamp(clock))?;
    phases.end("publish");
    failpoint::pass("restore.published");

    if !snapshot.report.has_trailer {
        notes.push(TRAILER_NOTE.to_owned());
    }
    notes.extend(cluster.notes.iter().cloned());
    notes.extend(built.notes());
    notes.extend(must_be_the_same(&cluster, &written, &built));
    let done = Done { cluster: &cluster, written: &written, view: &snapshot.view, built: &built };
    let facts = done.facts(&published, notes, phases);
    told::say(&facts, &job, args);
    let told = told::print(&facts, args).and_then(|()| {
        let sink = job.signal_output()?;
        Ok(job.finish(Some(&snapshot.source), sink, &facts)?)
    });
    told.map_err(|e| Error::Unsaid(Box::new(e)))?;
    Ok(Exit::Ok)
}

/// What tells members apart that were restored one by one, from different snapshots by mistake.
fn must_be_the_same(cluster: &NewCluster, written: &[Member], built: &Built) -> Option<String> {
    let is_all = written.len() == cluster.membership.members().len();
    let crc = built.crc32c;
    let note =
        || format!("the database has CRC-32C {crc:08x}; every other member must say the same");
    (!is_all).then(note)
}

fn random_token() -> String {
    format!("lifeboat-{}", ulid::Ulid::generate().to_string().to_ascii_lowercase())
}

/// The new database is not larger than the old one, and not much larger than what the old one uses.
fn database_bytes_max(report: &Report) -> u64 {
    let used = report.pages.reachable.saturating_mul(u64::from(report.page_bytes));
    (used + used / 4).min(report.database_bytes).saturating_add(PACKED_SLACK_BYTES)
}

/// A snapshot that was proved.
struct Snapshot {
    source: Source,
    kept: Kept,
    report: Report,
    /// What a server that is started from the restored directory has to answer.
    view: ServerView,
}

impl Snapshot {
    fn read(args: &Args, pipeline: &Pipeline, job: &Job, ground: &Ground) -> Result<Self, Error> {
        let mut source = job.input()?;
        let kept = Kept::open(args.common.streams.input.as_deref(), ground.scratch_dir())?;
        let scratch = job.run_dir().map_or(ground.scratch_dir(), contract::RunDir::path);
        let mut verifier = verifier(args, pipeline, scratch.to_path_buf());
        kept.read(&mut source, &mut verifier)?;
        failpoint::pass("restore.read");
        let (_, found) = verifier.stream_digest();
        // Before anything is said about the bytes: are they all there? A stream that broke is not
        // a damaged snapshot, and the stage before knows more about it.
        job.confirm(&source)?;
        must_be(args.expect_sha256.as_deref(), &hex::encode(found))?;
        let alteration = args.adjustments().alteration();
        let (report, view) = verifier.finish_altered(&Expectations::default(), &alteration)?;
        failpoint::pass("restore.verified");
        // A cut outside of the history is said with its limits.
        args.adjustments().check(&report)?;
        Ok(Snapshot { source, kept, report, view: view.ok_or(Error::NoView)? })
    }
}

fn verifier(args: &Args, pipeline: &Pipeline, scratch_dir: PathBuf) -> Verifier {
    let memory = usize::try_from(pipeline.verify.memory_bytes_max).unwrap_or(usize::MAX);
    let memory = memory.max(MEMORY_BYTES_MIN);
    let trailer = if args.skip_hash_check { Trailer::Either } else { Trailer::Required };
    Verifier::new(Options { memory_bytes_max: memory, scratch_dir: Some(scratch_dir), trailer })
}

fn must_be(expected: Option<&str>, found: &str) -> Result<(), Error> {
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            Err(Error::AnotherSnapshot { expected, found })
        }
        _ => Ok(()),
    }
}

/// What is written, and what it has to be.
struct Plan<'a> {
    cluster: &'a NewCluster,
    written: &'a [Member],
    view: &'a ServerView,
}

impl Plan<'_> {
    /// Writes every file. The database is the same for all members; only the logs differ.
    fn build(
        &self,
        staging: &Staging,
        database: &Database<&File>,
        args: &Args,
        notes: &mut Vec<String>,
    ) -> Result<(Built, File), Error> {
        let membership: &Membership = &self.cluster.membership;
        let first = staging.new_database(0)?;
        let built = datadir::build_database(database, membership, &args.adjustments(), &first)?;
        failpoint::pass("restore.built");
        let (snap_name, snap) = datadir::snap_file(membership);
        let mut short = false;
        for (at, member) in self.written.iter().enumerate() {
            if at > 0 {
                staging.copy_database(&first, at)?;
            }
            let wal = datadir::wal_file(membership, member);
            short |= !staging.write_log(at, (&snap_name, &snap), &wal)?;
        }
        if short {
            notes.push("the WAL could not be preallocated and is short; etcd extends it".into());
        }
        Ok((built, first))
    }

    /// Reads everything again, while the disk takes what it was given.
    fn prove(&self, staging: &Staging, built: &Built, first: &File) -> Result<(), Error> {
        std::thread::scope(|scope| {
            let synced = scope.spawn(|| staging.sync_database(0, first));
            for (at, member) in self.written.iter().enumerate() {
                let paths = staging.member(at);
                let expected = Expected::new(&self.cluster.membership, member, self.view, built);
                match at {
                    0 => drop(datadir::prove(&paths.member_dir, &paths.wal_dir, &expected)?),
                    _ => datadir::prove_copy(&paths.member_dir, &paths.wal_dir, &expected)?,
                }
                failpoint::pass("restore.proved");
            }
            // A thread that panicked has synced nothing.
            let synced = synced.join().unwrap_or_else(|_| staging.sync_database(0, first));
            failpoint::pass("restore.synced");
            Ok(synced?)
        })
    }
}
