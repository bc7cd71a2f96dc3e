//! Everything that was compared, and how long each phase took.
//!
//! Invariant: a check is noted whether it passed or not, so that the evidence shows what a success
//! rests on.

use contract::drill::{DRILL_VERSION, DrillCheck, DrillFacts, EtcdProgram};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Instant;

/// What a drill has found so far.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    all: Vec<DrillCheck>,
    phases_ms: BTreeMap<String, u64>,
}

impl Checks {
    /// Notes a comparison; whether the two are the same.
    pub(crate) fn same<T: PartialEq + Display>(
        &mut self,
        name: impl Into<String>,
        expected: &T,
        found: &T,
    ) -> bool {
        self.note(name, expected, found, expected == found)
    }

    /// Notes a comparison that was made elsewhere.
    pub(crate) fn note(
        &mut self,
        name: impl Into<String>,
        expected: impl Display,
        found: impl Display,
        passed: bool,
    ) -> bool {
        let (name, expected, found) = (name.into(), expected.to_string(), found.to_string());
        self.all.push(DrillCheck { name, expected, found, passed });
        passed
    }

    /// Notes how long a phase took that began then, and begins the next one.
    pub(crate) fn phase(&mut self, name: &str, begun: &mut Instant) {
        let now = Instant::now();
        let taken = now.duration_since(*begun).as_millis();
        self.phases_ms.insert(name.to_owned(), u64::try_from(taken).unwrap_or(u64::MAX));
        *begun = now;
    }

    /// What failed, in a sentence; none when everything passed.
    pub(crate) fn failure(&self) -> Option<String> {
        let failed: Vec<String> = self
            .all
            .iter()
            .filter(|check| !check.passed)
            .map(|c| format!("{}: expected {}, found {}", c.name, c.expected, c.found))
            .collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }

    /// Everything, as evidence.
    pub(crate) fn facts(&self, depth: &str, etcd: Option<EtcdProgram>) -> DrillFacts {
        DrillFacts {
            version: DRILL_VERSION,
            depth: depth.to_owned(),
            etcd,
            checks: self.all.clone(),
            phases_ms: self.phases_ms.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_and_what_passed_stays() {
        let mut checks = Checks::default();
        assert!(checks.same("revision", &7, &7));
        assert_eq!(checks.failure(), None);
        assert!(!checks.same("keys", &3, &4));
        assert_eq!(checks.failure().unwrap(), "keys: expected 3, found 4");
        let facts = checks.facts("native", None);
        assert_eq!(facts.checks.iter().map(|c| c.passed).collect::<Vec<_>>(), [true, false]);
    }
}
