//! What people see of a sync and of a scrub.

use crate::error::Error;
use crate::views::{bytes, plural, print};
use catalogue::Depth;
use level::{Copied, Found, Remark, ScrubReport, SyncReport, Synced};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// So many copies that are whole are named; the others are in the JSON.
const WHOLE_SHOWN_MAX: usize = 20;

/// A line for each copy that was lacking, and one for the whole.
pub(super) fn of_sync(report: &SyncReport) -> Result<(), Error> {
    let mut text: String = report.copies.iter().map(|copy| format!("{}\n", copied(copy))).collect();
    text += &rest(&report.remarks, &report.unreadable);
    let count = |is: fn(Synced) -> bool| report.copies.iter().filter(|c| is(c.result)).count();
    let (there, planned) = (count(Synced::is_there), count(|r| r == Synced::Planned));
    let lacking = report.copies.len() - there - planned;
    let whole = match (there, planned, lacking, report.remarks.is_empty()) {
        (0, 0, 0, true) if report.unreadable.is_empty() => "level: nothing is lacking".to_owned(),
        (_, n, _, _) if n > 0 => format!("{} would be made; nothing was done", copies(n)),
        (n, _, 0, _) => format!("{} made good", copies(n)),
        (n, _, left, _) => format!("{} made good, {} still lacking", copies(n), copies(left)),
    };
    print(&format!("{text}{}: {whole}\n", report.cluster))
}

fn copies(count: usize) -> String {
    plural(i64::try_from(count).unwrap_or(i64::MAX), "copy")
}

fn copied(copy: &Copied) -> String {
    let from = copy.from.as_deref().unwrap_or("another destination");
    let size = bytes(copy.artifact_bytes);
    let done = match copy.result {
        Synced::Copied if copy.server_side => {
            format!("copied from {from} by the stores themselves ({size})")
        }
        Synced::Copied => format!("copied from {from} ({size})"),
        Synced::Replaced => format!("replaced from {from} ({size})"),
        Synced::Adopted => "its artifact was there, and has its manifest now".to_owned(),
        Synced::Whole => "read, and nothing is wrong with it".to_owned(),
        Synced::Planned => format!("would be copied from {from} ({size})"),
        Synced::Left => "left for the next time".to_owned(),
        Synced::Failed => "NOT made good".to_owned(),
    };
    let problem = copy.problem.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
    let error = copy.error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
    let kept = copy.quarantined.iter().map(|key| format!("; kept {key}")).collect::<String>();
    let (name, destination, why) = (&copy.backup, &copy.destination, copy.why.name());
    format!("{name} in {destination}: {why}{problem}: {done}{error}{kept}")
}

fn rest(remarks: &[Remark], unreadable: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for remark in remarks {
        let backup = remark.backup.as_ref().map(|b| format!("{b}: ")).unwrap_or_default();
        let place = remark.destination.as_ref().map(|d| format!("{d}: ")).unwrap_or_default();
        let _ = writeln!(text, "! {backup}{place}{}", remark.problem);
    }
    for (destination, problem) in unreadable {
        let _ = writeln!(text, "! {destination} could not be read: {problem}");
    }
    text
}

/// A line for each copy that is not whole and for some that are, and one for all.
pub(super) fn of_scrub(report: &ScrubReport) -> Result<(), Error> {
    let mut text = String::new();
    let mut shown = 0;
    for copy in &report.copies {
        let depth = match copy.depth {
            Depth::Content => "digest and content",
            _ => "digest",
        };
        let word = match copy.result {
            Found::Whole if shown >= WHOLE_SHOWN_MAX => continue,
            Found::Whole => "whole",
            Found::Repaired => "REPAIRED",
            Found::Damaged => "DAMAGED",
            Found::Unread => "NOT READ",
            Found::Archived => "in an archive, and not read",
            Found::Left => "left for the next time",
        };
        shown += 1;
        let problem = copy.problem.as_ref().map(|p| format!(": {p}")).unwrap_or_default();
        let (name, destination) = (&copy.backup, &copy.destination);
        let _ = writeln!(text, "{name} in {destination}: {word} ({depth}){problem}");
    }
    let count = |found| report.copies.iter().filter(|copy| copy.result == found).count();
    let whole = count(Found::Whole);
    if let Some(more) = whole.checked_sub(WHOLE_SHOWN_MAX).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {} more that are whole", copies(more));
    }
    for repair in report.repairs.iter().filter(|repair| !repair.quarantined.is_empty()) {
        let _ = writeln!(text, "{}", copied(repair));
    }
    text += &rest(&[], &report.unreadable);
    let mut all = format!("{} whole", copies(whole));
    for (found, word) in [
        (Found::Repaired, "repaired"),
        (Found::Damaged, "DAMAGED"),
        (Found::Unread, "not read"),
        (Found::Archived, "in an archive"),
        (Found::Left, "left"),
    ] {
        if count(found) > 0 {
            let _ = write!(all, ", {} {word}", count(found));
        }
    }
    let next = match count(Found::Damaged) {
        0 => "",
        _ => "  next: `lifeboat sync` replaces it where another copy is whole\n",
    };
    print(&format!("{text}{}: {all}\n{next}", report.cluster))
}
