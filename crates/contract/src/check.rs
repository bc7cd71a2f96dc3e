//! `--check`: what a stage says of its own part before anything is run, as one JSON object.
//!
//! Owns the shape of the answer, so that one screen can show the answers of all stages. What is
//! looked at is each stage's own business.

use crate::{Exit, Failure};
use serde::Serialize;
use std::io::Write;

/// The answer of one stage.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    stage: String,
    ok: bool,
    checks: Vec<Check>,
    #[serde(skip)]
    exit: Exit,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

impl CheckReport {
    /// An answer without checks, which is good.
    #[must_use]
    pub fn new(stage: &str) -> Self {
        CheckReport { stage: stage.to_owned(), ok: true, checks: Vec::new(), exit: Exit::Ok }
    }

    /// Something is as it should be.
    pub fn good(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.checks.push(Check { name: name.into(), ok: true, detail: detail.into() });
    }

    /// Something is not. The first of these decides the exit code.
    pub fn bad(&mut self, name: impl Into<String>, detail: impl Into<String>, exit: Exit) {
        self.ok = false;
        if self.exit == Exit::Ok {
            self.exit = exit;
        }
        self.checks.push(Check { name: name.into(), ok: false, detail: detail.into() });
    }

    /// Something is not, and an error says what.
    pub fn failed(&mut self, name: impl Into<String>, error: &impl Failure) {
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        let hint = error.hint().map_or_else(String::new, |hint| format!("; {hint}"));
        self.bad(name, format!("{error}{cause}{hint}"), error.exit());
    }

    /// Prints the answer as one line and gives the exit code that says the same.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self) -> std::io::Result<Exit> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        std::io::stdout().write_all(&line)?;
        Ok(self.exit)
    }
}
