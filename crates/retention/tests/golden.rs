//! One file of `golden/` is one policy over the frozen catalogue.
//!
//! The first line of a file is the policy, as `key=value` words; the rest is what the plan says
//! of it: the policy in words, then a line for each backup, or the refusal. To add a case,
//! write a file with that one line and run with `UPDATE_GOLDEN=1`, which rewrites the rest of all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::{Span, Timestamp, tz::TimeZone};
use lifeboat_retention::{Decision, Policy, Refusal, plan};

#[test]
fn every_policy_decides_as_recorded() {
    let cases = cases();
    assert!(cases.len() >= 20, "only {} golden files found", cases.len());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let mut differing = Vec::new();
    for path in cases {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let decided = render(recorded.lines().next().unwrap());
        if recorded == decided {
            continue;
        }
        if update {
            #[expect(clippy::disallowed_methods, reason = "a test fixture, under version control")]
            std::fs::write(&path, decided).unwrap();
        } else {
            differing.push(difference(&path, &recorded, &decided));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        entries.filter(|path| path.extension() == Some("txt".as_ref())).collect();
    cases.sort();
    cases
}

fn difference(path: &Path, recorded: &str, decided: &str) -> String {
    let mut text = format!("{} differs (- recorded, + decided):\n", path.display());
    for line in recorded.lines().filter(|line| !decided.lines().any(|other| other == *line)) {
        writeln!(text, "- {line}").unwrap();
    }
    for line in decided.lines().filter(|line| !recorded.lines().any(|other| other == *line)) {
        writeln!(text, "+ {line}").unwrap();
    }
    text
}

/// What a golden file with this first line must hold.
fn render(line: &str) -> String {
    let (policy, now) = parse(line);
    let mut text = format!("{line}\n{policy}\n");
    match plan(&policy, &common::history(), now, common::OURS) {
        Ok(plan) => {
            let (kept, removed, ignored) = (plan.kept(), plan.removed(), plan.ignored());
            writeln!(text, "keep {kept}, remove {removed}, ignore {ignored}\n").unwrap();
            table(&mut text, &policy, plan.decisions());
        }
        Err(refusal) => {
            writeln!(text, "refused: {refusal}\nhint: {}", refusal.hint()).unwrap();
            if let Refusal::LargeRemoval { decisions, .. } = &refusal {
                text.push('\n');
                table(&mut text, &policy, decisions);
            }
        }
    }
    text
}

fn table(text: &mut String, policy: &Policy, decisions: &[Decision]) {
    for decision in decisions {
        let local = decision.taken_at.to_zoned(policy.time_zone.clone());
        let local = local.strftime("%a %Y-%m-%d %H:%M %:z");
        writeln!(text, "{local}  {:10}  {}", decision.id, decision.action).unwrap();
    }
}

fn parse(line: &str) -> (Policy, Timestamp) {
    let mut policy = Policy::default();
    // What a rule decides is not to be hidden behind how much it decides.
    policy.guards.allow_large_removal = true;
    let mut now = common::now();
    for word in line.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        let count = || {
            if value == "all" { u32::MAX } else { value.parse().unwrap() }
        };
        let span = || value.parse::<Span>().unwrap();
        match key {
            "last" => policy.last = count(),
            "hourly" => policy.hourly = count(),
            "daily" => policy.daily = count(),
            "weekly" => policy.weekly = count(),
            "monthly" => policy.monthly = count(),
            "yearly" => policy.yearly = count(),
            "within" => policy.within = Some(span()),
            "within_hourly" => policy.within_hourly = Some(span()),
            "within_daily" => policy.within_daily = Some(span()),
            "within_weekly" => policy.within_weekly = Some(span()),
            "within_monthly" => policy.within_monthly = Some(span()),
            "within_yearly" => policy.within_yearly = Some(span()),
            "min_keep" => policy.min_keep = count(),
            "stale_after" => policy.stale_after = span(),
            "tz" => policy.time_zone = TimeZone::get(value).unwrap(),
            "allow_large_removal" => policy.guards.allow_large_removal = value.parse().unwrap(),
            "max_fraction" => policy.guards.max_fraction = value.parse().unwrap(),
            "max_count" => policy.guards.max_count = Some(count()),
            "now" => now = value.parse().unwrap(),
            _ => panic!("{key} is not a setting"),
        }
    }
    (policy, now)
}
