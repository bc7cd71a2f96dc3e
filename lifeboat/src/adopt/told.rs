//! What became of one file, for people and for machines.

use crate::chain::Cause;
use contract::Failure;
use contract::facts::{Adopted, TimeFrom, VerifyFacts};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::path::Path;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// It is a backup now.
    Adopted,
    /// It would be one: this was a dry run.
    WouldAdopt,
    /// Its bytes were a backup before.
    Already,
    /// It is none.
    Failed,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Verdict::Adopted => "adopted",
            Verdict::WouldAdopt => "would be adopted",
            Verdict::Already => "backups already",
            Verdict::Failed => "failed",
        }
    }
}

/// One entry of `files[]`.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) file: String,
    pub(super) verdict: Verdict,
    pub(super) exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) taken_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time_from: Option<TimeFrom>,
    #[serde(flatten)]
    pub(super) found: Option<Found>,
    /// What does not fit, one sentence each.
    pub(super) doubts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<Cause>,
}

/// What was found in a file that is a snapshot.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    #[serde(serialize_with = "all")]
    pub(super) wrapped: Vec<String>,
    pub(super) has_trailer: bool,
    pub(super) revision: i64,
    pub(super) keys: u64,
    pub(super) snapshot_bytes: u64,
    pub(super) db_sha256: String,
}

fn all<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list)
}

impl Found {
    pub(super) fn of(adopted: Adopted, facts: &VerifyFacts) -> Self {
        Found {
            wrapped: adopted.wrapped,
            has_trailer: adopted.has_trailer,
            revision: facts.revision,
            keys: facts.total_key_live,
            snapshot_bytes: facts.snapshot_bytes,
            db_sha256: facts.db_sha256.clone(),
        }
    }
}

impl Told {
    /// Something that this program could not do.
    pub(super) fn failed(file: &Path, failure: &impl Failure) -> Self {
        let causes = failure.source().map(ToString::to_string).unwrap_or_default();
        let cause = Cause {
            stage: "lifeboat".into(),
            message: failure.to_string(),
            causes,
            hint: failure.hint().unwrap_or_default(),
            member: String::new(),
        };
        Told {
            file: file.display().to_string(),
            verdict: Verdict::Failed,
            exit: failure.exit().code(),
            backup: None,
            taken_at: None,
            time_from: None,
            found: None,
            doubts: Vec::new(),
            cause: Some(cause),
        }
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        let (file, backup) = (&self.file, self.backup.as_deref().unwrap_or_default());
        let what = self.what();
        match self.verdict {
            Verdict::Adopted => format!("{file}: adopted as {backup}{what}\n"),
            Verdict::WouldAdopt => format!("{file}: would be adopted{what}\n"),
            Verdict::Already => format!("{file}: these bytes are backup {backup} already\n"),
            Verdict::Failed => format!("{file}: not adopted (exit code {})\n", self.exit),
        }
    }

    fn what(&self) -> String {
        let Some(found) = &self.found else { return String::new() };
        let mut words = Vec::new();
        if !found.wrapped.is_empty() {
            words.push(found.wrapped.join(" > "));
        }
        if !found.has_trailer {
            words.push("a copied member/snap/db".to_owned());
        }
        words.push(format!("revision {}, {} keys", found.revision, found.keys));
        if let (Some(time), Some(from)) = (self.taken_at, self.time_from) {
            words.push(format!("{time}, {}", by(from)));
        }
        format!(" ({})", words.join("; "))
    }
}

/// Who says so.
fn by(from: TimeFrom) -> &'static str {
    match from {
        TimeFrom::Given => "as you said",
        TimeFrom::ZipEntry => "the time in the zip file",
        TimeFrom::FileTime => "the file's time",
    }
}
