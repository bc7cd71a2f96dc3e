//! `lifeboat-load`: fills an etcd with made-up Kubernetes objects, for the demo and the benchmark.
//!
//! Talks to one plain endpoint; the tests use the library for everything else.

use clap::Parser;
use lifeboat_tests::load::{Connection, load};
use lifeboat_tests::objects::{Compaction, LoadSpec};
use std::io::Write;
use std::process::ExitCode;

/// Fill an etcd with made-up Kubernetes objects.
#[derive(Debug, Parser)]
#[command(name = "lifeboat-load")]
struct Arguments {
    /// Where etcd listens, such as http://127.0.0.1:2379.
    endpoint: String,
    /// Objects, besides the few that every cluster has.
    #[arg(long, default_value_t = 1_000)]
    count: usize,
    /// The same seed makes the same objects.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Later versions of those objects.
    #[arg(long, default_value_t = 0)]
    updates: usize,
    /// Deletions of those objects.
    #[arg(long, default_value_t = 0)]
    deletes: usize,
    /// Leases, each with ten events.
    #[arg(long, default_value_t = 0)]
    leases: usize,
    /// Operations of one transaction.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=128))]
    batch: u16,
    /// Compact all but the last so many revisions.
    #[arg(long)]
    keep_revisions: Option<i64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let spec = LoadSpec {
        updates: arguments.updates,
        deletes: arguments.deletes,
        event_leases: arguments.leases,
        events_per_lease: 10,
        transaction_operations: arguments.batch.into(),
        compaction: arguments.keep_revisions.map_or(Compaction::None, Compaction::BehindHead),
        ..LoadSpec::bulk(arguments.seed, arguments.count)
    };
    let connection = Connection { endpoints: vec![arguments.endpoint], ..Connection::default() };
    match load(&connection, &spec) {
        Ok(report) => {
            let line = format!(
                "{} puts, {} deletes, {} leases, {} bytes; revision {}\n",
                report.puts,
                report.deletes,
                report.leases.len(),
                report.bytes,
                report.revision
            );
            // A closed stdout is no reason to call the load a failure.
            let _ = std::io::stdout().write_all(line.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lifeboat-load: {error:?}");
            ExitCode::FAILURE
        }
    }
}
