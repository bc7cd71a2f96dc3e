//! `--check`: what a stage says of its own part before anything is run, as one JSON object.
//!
//! Owns the shape of the answer (`docs/json.md`), its three levels, and which exit code speaks for
//! many. `failed` means: the next run fails, or does less than it promises. `warning` means: it
//! succeeds, and something should be mended before it no longer does.
//!
//! Does not: decide what is looked at. That is each stage's own business.

use crate::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The version of the answer's JSON.
const VERSION: u32 = 1;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// A run succeeds, but somebody should see to it.
    Warning,
    /// A run would fail, or do less than it promises.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which destination, endpoint, directory, …; empty for the stage as a whole.
    pub about: String,
    /// What was looked at, such as `certificate`.
    pub name: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub detail: String,
    /// What to do about it; absent when all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The exit code of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
}

impl Finding {
    /// Something is as it should be.
    #[must_use]
    pub fn good(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Finding::new(name, Level::Ok, detail)
    }

    /// Something should be mended, as `next` says.
    #[must_use]
    pub fn warning(
        name: impl Into<String>,
        detail: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Finding { next: Some(next.into()), ..Finding::new(name, Level::Warning, detail) }
    }

    /// Something must be mended.
    #[must_use]
    pub fn bad(name: impl Into<String>, detail: impl Into<String>, exit: Exit) -> Self {
        Finding { exit: Some(exit.code()), ..Finding::new(name, Level::Failed, detail) }
    }

    /// An error says what is not as it should be.
    #[must_use]
    pub fn failed(name: impl Into<String>, error: &impl Failure) -> Self {
        let mut detail = error.to_string();
        if let Some(cause) = error.source().map(ToString::to_string)
            && !detail.contains(&cause)
        {
            // Writing to a string cannot fail.
            let _ = write!(detail, ": {cause}");
        }
        let finding = Finding::bad(name, detail, error.exit());
        Finding { next: error.hint().filter(|hint| !hint.is_empty()), ..finding }
    }

    /// The same, of one thing among several.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        Finding { about: about.into(), ..self }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Finding { next: Some(next.into()), ..self }
    }

    fn new(name: impl Into<String>, level: Level, detail: impl Into<String>) -> Self {
        let (about, name, detail) = (String::new(), name.into(), detail.into());
        Finding { about, name, level, detail, next: None, exit: None }
    }
}

/// Whether something can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Has {
    /// It can.
    Yes,
    /// It cannot.
    No,
    /// It was not found out: something failed before, or may not be asked.
    Unknown,
    /// Nobody asks for it here.
    Unused,
}

/// One thing that a destination can do, or not. Whether that is well is said by findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Which destination.
    pub about: String,
    /// What, such as `create-only`.
    pub name: String,
    /// Whether.
    pub has: Has,
    /// More than that, such as how far two clocks are apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The answer of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The version of this JSON.
    pub version: u32,
    /// Who answers.
    pub stage: String,
    /// The highest level of all findings.
    pub level: Level,
    /// The code that speaks for all failures; 0 without one.
    pub exit: u8,
    /// What was looked at, in order.
    pub checks: Vec<Finding>,
    /// What destinations can do: of each the same things in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Numbers that were learned on the way, such as `snapshot_bytes`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, u64>,
}

impl CheckReport {
    /// An answer without findings, which is good.
    #[must_use]
    pub fn new(stage: &str) -> Self {
        CheckReport {
            version: VERSION,
            stage: stage.to_owned(),
            level: Level::Ok,
            exit: Exit::Ok.code(),
            checks: Vec::new(),
            capabilities: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// Takes a finding in. Of several failures the one that most needs a person gives the code.
    pub fn add(&mut self, finding: Finding) {
        self.level = self.level.max(finding.level);
        self.exit = worse(self.exit, finding.exit.unwrap_or(0));
        self.checks.push(finding);
    }

    /// Something is as it should be.
    pub fn good(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.add(Finding::good(name, detail));
    }

    /// Something is not, and an error says what.
    pub fn failed(&mut self, name: impl Into<String>, error: &impl Failure) {
        self.add(Finding::failed(name, error));
    }

    /// Prints the answer as one line and gives the exit code that says the same.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self) -> std::io::Result<Exit> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        crate::print(line)?;
        Ok(Exit::from_code(self.exit.into()).unwrap_or(Exit::Bug))
    }
}

/// The code that speaks for both: that of what more needs a person. A wrong configuration or a
/// refused credential will not come right by itself, while a network that is away may.
#[must_use]
pub fn worse(one: u8, other: u8) -> u8 {
    if rank(other) > rank(one) { other } else { one }
}

/// How much a failure needs a person. A code that the table does not know is a bug.
fn rank(code: u8) -> u8 {
    match Exit::from_code(code.into()) {
        Some(Exit::Ok) => 0,
        Some(Exit::Transient) => 1,
        Some(Exit::Busy) => 2,
        Some(Exit::Partial) => 3,
        Some(Exit::Stale) => 4,
        Some(Exit::Refused) => 5,
        Some(Exit::LocalDisk) => 6,
        Some(Exit::Unsupported) => 7,
        Some(Exit::NoKey) => 8,
        Some(Exit::Credentials) => 9,
        Some(Exit::Usage) => 10,
        Some(Exit::Config) => 11,
        Some(Exit::Corrupt) => 12,
        Some(Exit::Forged) => 13,
        Some(Exit::Bug) | None => 14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_that_most_needs_a_person_gives_the_code() {
        let mut report = CheckReport::new("capture");
        report.good("a", "fine");
        assert_eq!((report.level, report.exit), (Level::Ok, 0));
        report.add(Finding::warning("b", "soon", "renew it"));
        assert_eq!((report.level, report.exit), (Level::Warning, 0));
        report.add(Finding::bad("c", "away", Exit::Transient));
        report.add(Finding::bad("d", "refused", Exit::Credentials));
        report.add(Finding::bad("e", "full", Exit::LocalDisk));
        assert_eq!((report.level, report.exit), (Level::Failed, Exit::Credentials.code()));
    }

    #[test]
    fn every_code_has_a_rank_of_its_own() {
        let mut ranks: Vec<u8> = Exit::ALL.iter().map(|exit| rank(exit.code())).collect();
        ranks.sort_unstable();
        ranks.dedup();
        assert_eq!(ranks.len(), Exit::ALL.len());
    }

    #[test]
    fn the_json_is_read_as_it_was_written() {
        let mut report = CheckReport::new("capture");
        report.add(Finding::bad("c", "away", Exit::Transient).about("m1").next("wait"));
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(
            text,
            "{\"version\":1,\"stage\":\"capture\",\"level\":\"failed\",\"exit\":10,\"checks\":[\
             {\"about\":\"m1\",\"name\":\"c\",\"level\":\"failed\",\"detail\":\"away\",\
             \"next\":\"wait\",\"exit\":10}]}"
        );
        assert_eq!(serde_json::from_str::<CheckReport>(&text).unwrap(), report);
    }
}
