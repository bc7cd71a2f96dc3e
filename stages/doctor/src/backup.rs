//! The newest backup, as `lifeboat doctor` tells it. This program holds no credential of a
//! destination, so that it cannot look by itself; without the front it knows nothing of backups.

use serde::{Deserialize, Serialize};
use std::io::Read;

/// An answer has some hundred bytes.
const BACKUP_BYTES_MAX: u64 = 1 << 20;

/// What is known of the newest backup. All of it is absent when nobody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// How safe the cluster is, as `lifeboat status` says it: `safe`, `partial`, `stale`, `none` or
    /// `unknown`.
    #[serde(default)]
    pub(crate) safety: Option<String>,
    /// The newest backup with a verified copy.
    #[serde(default)]
    pub(crate) newest: Option<String>,
    /// Its age when it was looked at.
    #[serde(default)]
    pub(crate) age_seconds: Option<i64>,
    /// Its revision.
    #[serde(default)]
    pub(crate) revision: Option<i64>,
    /// How many destinations hold a verified copy.
    #[serde(default)]
    pub(crate) copies: usize,
    /// How many should.
    #[serde(default)]
    pub(crate) copies_wanted: usize,
    /// The newest backup that a drill proved.
    #[serde(default)]
    pub(crate) newest_proven: Option<String>,
    /// Why the catalogue could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl Backup {
    /// Reads what the front says, to its end. Whatever is wrong with it is no reason to say nothing
    /// about the cluster.
    pub(crate) fn read(from: impl Read) -> Self {
        let mut text = Vec::new();
        let read = from.take(BACKUP_BYTES_MAX).read_to_end(&mut text).map_err(|e| e.to_string());
        let parsed = read.and_then(|_| serde_json::from_slice(&text).map_err(|e| e.to_string()));
        parsed.unwrap_or_else(|problem| Backup { problem: Some(problem), ..Backup::default() })
    }

    /// Whether there is one that is young enough to go back to without regret.
    pub(crate) fn is_fresh(&self) -> bool {
        self.newest.is_some() && matches!(self.safety.as_deref(), Some("safe" | "partial"))
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("not known: {problem}");
        }
        let (Some(newest), Some(age)) = (&self.newest, self.age_seconds) else {
            return match self.safety.as_deref() {
                Some("none") => "there is none".into(),
                Some(_) => "not known: no destination could be read".into(),
                None => {
                    "not looked at (`lifeboat doctor` does, `lifeboat status` says more)".into()
                }
            };
        };
        let mut line = format!("{newest}, {} old", age_of(age));
        if let Some(revision) = self.revision {
            line += &format!(", revision {revision}");
        }
        line += &format!(", {} of {} copies", self.copies, self.copies_wanted);
        if self.safety.as_deref() == Some("stale") {
            line += ", older than it should be";
        }
        if self.newest_proven.as_ref() == Some(newest) {
            line += ", proven by a drill";
        }
        line
    }
}

/// `3 days`, `2 hours`, `1 minute`, `5 seconds`: the largest unit that fits.
fn age_of(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, name) =
        units.into_iter().find(|(size, _)| seconds.abs() >= *size).unwrap_or((1, "second"));
    match seconds / size {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_front_says_there_is_a_line_for_it() {
        let line = |text: &str| Backup::read(text.as_bytes()).line();
        let verdict = r#"{"safety":"safe","newest":"b1","age_seconds":300,"revision":7,
                          "copies":2,"copies_wanted":2,"newest_proven":"b1","unreadable":[]}"#;
        assert_eq!(
            line(verdict),
            "b1, 5 minutes old, revision 7, 2 of 2 copies, proven by a drill"
        );
        assert!(Backup::read(verdict.as_bytes()).is_fresh());
        assert!(
            line(&verdict.replace("\"safe\"", "\"stale\"")).contains("older than it should be")
        );
        assert!(!Backup::read(verdict.replace("\"safe\"", "\"stale\"").as_bytes()).is_fresh());
        assert_eq!(line(r#"{"safety":"none"}"#), "there is none");
        assert_eq!(line(r#"{"problem":"timed out"}"#), "not known: timed out");
        assert!(line("").starts_with("not known: EOF"), "{}", line(""));
        assert!(Backup::default().line().starts_with("not looked at"));
    }
}
