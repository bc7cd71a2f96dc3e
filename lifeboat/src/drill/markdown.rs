//! The evidence as Markdown, to attach to a change record or an audit.

use super::report::{Drilled, Report};
use crate::views::{age, bytes};
use std::fmt::Write as _;

pub(super) fn page(report: &Report) -> String {
    let mut page = format!("# Restore drill of cluster {}\n\n", cell(&report.cluster));
    let total = (report.finished_at.as_millisecond() - report.started_at.as_millisecond()) / 1000;
    let mut line = |text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{text}");
    };
    line(format!("- drill: `{}`, {}", report.run, report.tool));
    line(format!("- began {}, took {}", report.started_at, age(total)));
    line(format!("- exit code: {}\n", report.exit));
    report.drills.iter().for_each(|one| page += &section(one));
    page
}

fn section(one: &Drilled) -> String {
    let mut rows: Vec<(&str, String)> = vec![
        ("result", format!("**{}**", one.result.name())),
        ("depth", one.depth.name().to_owned()),
        ("taken", one.taken_at.to_string()),
        ("data that would have been lost (RPO)", age(one.rpo_seconds)),
    ];
    match &one.etcd {
        Some(etcd) => rows.push(("etcd", format!("{} ({})", etcd.version, etcd.path))),
        None => {
            rows.push(("etcd", "none was started: this is no proof that one would serve".into()));
        }
    }
    if let Some(ms) = one.rto_ms {
        rows.push(("time until etcd served (RTO)", seconds(ms)));
    }
    if let Some(restored) = &one.restored {
        rows.push(("revision", restored.revision.to_string()));
        rows.push(("live keys", restored.keys_live.to_string()));
        rows.push(("database", bytes(restored.db_bytes)));
        rows.extend(restored.notes.iter().map(|note| ("note", note.clone())));
    }
    if one.cause.is_some() {
        rows.push(("why", one.summary()));
    }
    match (&one.record, &one.record_problem) {
        (Some(key), _) => rows.push(("record", key.clone())),
        (None, Some(problem)) => rows.push(("record", format!("could not be stored: {problem}"))),
        (None, None) => rows.push(("record", "none".into())),
    }
    let mut text = format!("## {} from {}\n\n| | |\n|---|---|\n", one.backup, one.destination);
    for (name, value) in rows {
        text += &format!("| {name} | {} |\n", cell(&value));
    }
    if !one.phases_ms.is_empty() {
        text += "\n| phase | time |\n|---|---|\n";
        one.phases_ms.iter().for_each(|(name, ms)| {
            text += &format!("| {name} | {} |\n", seconds(*ms));
        });
    }
    if !one.checks.is_empty() {
        text += "\n| check | expected | found | |\n|---|---|---|---|\n";
        for check in &one.checks {
            let mark = if check.passed { "passed" } else { "**failed**" };
            let (name, expected, found) = (&check.name, &check.expected, &check.found);
            text +=
                &format!("| {} | {} | {} | {mark} |\n", cell(name), cell(expected), cell(found));
        }
    }
    text + "\n"
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

/// In a cell of a table: nothing that ends it, and no markup of somebody else's.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for c in contract::visible(text).chars() {
        match c {
            '\n' | '\r' => safe.push(' '),
            '|' | '<' | '[' | '`' => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}
