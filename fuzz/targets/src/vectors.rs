//! The verdict of a reader on one vector of `tests/vectors`, as an exit code and its words.

use crate::answers::{ListVerdict, list_verdict};
use crate::{database, documents};
use catalogue::Manifest;
use contract::{Exit, Failure};
use lifeboat_snapshot::{ErrorClass, Options};

/// What a reader made of a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The exit code that a program ends with because of it; 0 if it was accepted.
    pub exit: u8,
    /// The reader's words, or what it read.
    pub said: String,
}

/// What stands between two answers of one vector of the area `s3`.
const NEXT_ANSWER: &str = "\n----\n";
/// The cluster of the vectors of the area `manifest`.
const CLUSTER: &str = "golden";

/// Gives the bytes to the reader of an area; `None` for an area that no library reads.
pub fn verdict(area: &str, bytes: &[u8]) -> Option<Verdict> {
    Some(match area {
        "snapshot" => snapshot(bytes),
        "manifest" => manifest(bytes),
        "receipt" => of(documents::read_receipt(bytes).map(|read| read.stage)),
        "plan" => of(documents::read_plan(bytes).map(|read| read.cluster)),
        "pipeline" => of(documents::load_pipeline(bytes).map(|read| read.cluster)),
        "s3" => listing(bytes),
        _ => return None,
    })
}

fn of<E: Failure>(read: Result<String, E>) -> Verdict {
    match read {
        Ok(said) => Verdict { exit: 0, said },
        Err(error) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            Verdict { exit: error.exit().code(), said: format!("{error}{source}") }
        }
    }
}

fn snapshot(bytes: &[u8]) -> Verdict {
    match database::verify(bytes, bytes.len(), Options::default()) {
        Ok(report) => Verdict { exit: 0, said: report.unknown_buckets.join(" ") },
        Err(error) => {
            let exit = match error.class() {
                ErrorClass::Corrupt => Exit::Corrupt,
                ErrorClass::Unsupported => Exit::Unsupported,
                other => panic!("{other:?}: {error}"),
            };
            Verdict { exit: exit.code(), said: error.to_string() }
        }
    }
}

fn manifest(bytes: &[u8]) -> Verdict {
    match Manifest::from_bytes(
        CLUSTER,
        &documents::manifest_name(bytes),
        bytes,
        &trust::Trust::default(),
    ) {
        Ok(manifest) => Verdict { exit: 0, said: manifest.backup.to_string() },
        Err(error) => Verdict { exit: error.exit().code(), said: error.to_string() },
    }
}

fn listing(bytes: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(bytes);
    let bodies: Vec<&[u8]> = text.split(NEXT_ANSWER).map(str::as_bytes).collect();
    match list_verdict(&bodies) {
        ListVerdict::Keys(keys) => Verdict { exit: 0, said: keys.join(" ") },
        ListVerdict::Untrusted(said) => Verdict { exit: Exit::Corrupt.code(), said },
        ListVerdict::Failed(said) => Verdict { exit: Exit::Transient.code(), said },
    }
}
