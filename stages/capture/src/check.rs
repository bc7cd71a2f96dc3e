//! `--check`: everything that a capture does up to the first bytes, as one JSON object.
//!
//! `lifeboat check` puts it on one screen with the answers of the other stages. A failed check
//! does not hide the later ones where they can still be made. Nothing is written to the output.

use crate::args::Args;
use crate::barrier;
use crate::choice::choose;
use crate::connection::hex_id;
use crate::error::Error;
use crate::order::Order;
use crate::settings::Settings;
use crate::stage::{nobody, runtime, settings, wish};
use crate::stream::{LiveMessages, Messages};
use crate::survey::{Sighting, Survey};
use crate::trouble::Trouble;
use contract::{CheckReport, Exit};
use std::sync::Arc;
use tokio::time::timeout;

fn in_trouble(report: &mut CheckReport, name: impl Into<String>, trouble: &Trouble) {
    let hint = trouble.hint().map_or_else(String::new, |hint| format!("; {hint}"));
    report.bad(name, format!("{trouble}{hint}"), trouble.exit());
}

/// Checks and prints. The exit code is that of the first check that failed.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let mut report = CheckReport::new("capture");
    match settings(args) {
        Ok(settings) => {
            let runtime = runtime()?;
            runtime.block_on(check_cluster(&Arc::new(settings), &mut report));
            runtime.shutdown_background();
        }
        Err(error) => report.failed("settings", &error),
    }
    report.print().map_err(Error::Answer)
}

async fn check_cluster(settings: &Arc<Settings>, report: &mut CheckReport) {
    let survey = match Survey::take(settings).await {
        Ok(survey) => survey,
        Err(Error::NoMember { unreachable }) => {
            for there in unreachable {
                in_trouble(report, format!("endpoint {}", there.endpoint), &there.trouble);
            }
            return;
        }
        Err(error) => return report.failed("cluster", &error),
    };
    check_members(&survey, report);
    let choice = choose(&survey.seen(), &wish(settings, 0, true));
    let Some(&best) = choice.order.first() else {
        let error = nobody(&survey, &choice, &settings.member);
        return report.failed("member", &error);
    };
    let sighting = &survey.sightings[best];
    report.good("member", format!("{} would give the snapshot", sighting.title()));
    match barrier::read(sighting).await {
        Ok(revision) => report.good("quorum", format!("the cluster is at revision {revision}")),
        Err(trouble) => in_trouble(report, "quorum", &trouble),
    }
    check_snapshot(sighting, settings, report).await;
}

fn check_members(survey: &Survey, report: &mut CheckReport) {
    for there in survey.strays() {
        in_trouble(report, format!("endpoint {}", there.endpoint), &there.trouble);
    }
    for sighting in &survey.sightings {
        let status = &sighting.status;
        let role = match status.leader {
            _ if status.is_learner => "learner",
            0 => "without a leader",
            leader if leader == status.member_id => "leader",
            _ => "follower",
        };
        let (id, version) = (hex_id(status.member_id), &status.version);
        let detail = format!(
            "member {:?} ({id}), etcd {version}, {role}, revision {}, {} bytes",
            sighting.name, status.revision, status.db_bytes
        );
        report.good(format!("endpoint {}", sighting.connection.endpoint()), detail);
    }
    for silent in &survey.silent {
        let name = format!("member {:?} ({})", silent.name, hex_id(silent.id));
        report.bad(name, silent.reason.clone(), Exit::Transient);
    }
    match survey.alarms.as_slice() {
        [] => report.good("alarms", "none"),
        alarms => {
            let each = alarms.iter().map(|a| format!("{} of member {}", a.alarm, a.member_id));
            let detail = each.collect::<Vec<_>>().join(", ");
            report.bad("alarms", detail, Exit::Transient);
        }
    }
}

/// Begins a snapshot, reads its first message and lets it go.
async fn check_snapshot(sighting: &Sighting, settings: &Settings, report: &mut CheckReport) {
    let begun = async {
        let mut messages = LiveMessages::begin(&sighting.connection).await?;
        messages.next().await
    };
    let mut order = Order::default();
    match timeout(settings.stall_timeout, begun).await {
        Ok(Ok(Some(message))) => match order.accept(&message) {
            Ok(_) => {
                let bytes = order.total().unwrap_or(0);
                report.good("snapshot", format!("{bytes} bytes would come"));
            }
            Err(flaw) => report.bad("snapshot", flaw.to_string(), flaw.exit()),
        },
        Ok(Ok(None)) => report.bad("snapshot", "the stream is empty", Exit::Corrupt),
        Ok(Err(trouble)) => in_trouble(report, "snapshot", &trouble),
        Err(_) => report.bad("snapshot", "etcd sends nothing", Exit::Transient),
    }
}
