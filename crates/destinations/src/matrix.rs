//! What each destination can do, as one row of a matrix, and what of it does not fit the
//! configuration.
//!
//! Whether a "no" is well depends on what is asked for: a writer should not be able to delete, a
//! pruner has to be.

use config::{Destination, Location, Pipeline};
use contract::{Capability, Exit, Finding, Has};
use store::{Probe, Trial, Verdict};

/// The row of one destination, the same columns for each.
pub(crate) fn row(name: &str, written: &Destination, probe: &Probe) -> Vec<Capability> {
    let trial = |trial| match probe.verdict(trial) {
        Some(Verdict::Good(_)) => Has::Yes,
        Some(Verdict::Weak { .. }) => Has::No,
        Some(Verdict::Failed(_)) | None => Has::Unknown,
    };
    // A directory has neither parts nor checksums of its own, nor anything to be set.
    let of_bucket = |has| if written.is_remote() { has } else { Has::Unused };
    let setting = |is_set: bool| match probe.verdict(Trial::Settings) {
        _ if !is_set => Has::Unused,
        Some(Verdict::Good(_)) => Has::Yes,
        Some(Verdict::Failed(_)) => Has::No,
        Some(Verdict::Weak { .. }) | None => Has::Unknown,
    };
    let clock = probe.clock_ahead_seconds;
    let columns = [
        ("create-only", trial(Trial::Condition), None),
        ("checksums", of_bucket(trial(Trial::Checksum)), None),
        ("ranges", trial(Trial::Range), None),
        ("parts", of_bucket(trial(Trial::Parts)), None),
        ("class", setting(written.storage_class.is_some()), None),
        ("encryption", setting(written.sse.is_some()), None),
        ("lock", of_bucket(told(probe.protection.locks)), None),
        ("versions", of_bucket(told(probe.protection.versions)), None),
        ("delete", may_delete(probe), None),
        (
            "clock",
            if clock.is_some() { Has::Yes } else { Has::Unknown },
            clock.map(|ahead| format!("{ahead:+} s").replace("+0", "0")),
        ),
    ];
    let cell = |(column, has, detail): (&str, Has, Option<String>)| Capability {
        about: name.to_owned(),
        name: column.to_owned(),
        has,
        detail,
    };
    columns.into_iter().map(cell).collect()
}

/// Whether a row tells how this trial ended.
pub(crate) fn has_column(trial: Trial) -> bool {
    use Trial::{Checksum, Condition, Delete, List, Listed, Parts, Range, Read, Settings, Write};
    match trial {
        Condition | Checksum | Range | Parts | Delete => true,
        List | Write | Settings | Read | Listed => false,
    }
}

fn told(has: Option<bool>) -> Has {
    match has {
        Some(true) => Has::Yes,
        Some(false) => Has::No,
        None => Has::Unknown,
    }
}

fn may_delete(probe: &Probe) -> Has {
    match probe.verdict(Trial::Delete) {
        Some(Verdict::Good(_)) if probe.left.is_some() => Has::No,
        Some(Verdict::Good(_)) => Has::Yes,
        _ => Has::Unknown,
    }
}

/// What a bucket can do and should not, or the other way round.
pub(crate) fn misfits(pipeline: &Pipeline, written: &Destination, probe: &Probe) -> Vec<Finding> {
    let mut findings = Vec::new();
    let prunes = pipeline.stages.iter().any(|stage| stage == "prune");
    if prunes && may_delete(probe) == Has::No {
        let detail = "\"prune\" is a stage, and nothing may be deleted here";
        let next = "grant the permission to delete, or take \"prune\" out of `stages` and prune \
                    with other credentials";
        findings.push(Finding::bad("delete", detail, Exit::Credentials).next(next));
    }
    if written.lock.is_some() && probe.protection.locks == Some(false) {
        let detail = "lock is set, and nothing can be locked in this bucket";
        let next = match written.location() {
            Ok(Location::Gcs { .. }) => "make a bucket with object retention",
            Ok(Location::Azure { .. }) => "make a container with version-level immutability",
            _ => "make a bucket with object lock",
        };
        let next = format!("{next} for it, or delete lock");
        findings.push(Finding::bad("lock", detail, Exit::Config).next(next));
    }
    let is_open = probe.protection.locks == Some(false) && probe.protection.versions == Some(false);
    if is_open && may_delete(probe) == Has::Yes {
        let detail = "no locks, no versions: these credentials can delete it all";
        findings.push(Finding::good("protection", detail));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Level;
    use store::Protection;

    fn probe(may_delete: bool, locks: Option<bool>, versions: Option<bool>) -> Probe {
        Probe {
            trials: vec![(Trial::Delete, Verdict::Good("tried"))],
            left: (!may_delete).then(|| "key".to_owned()),
            protection: Protection { locks, versions },
            ..Probe::default()
        }
    }

    fn found(stages: &[&str], lock: bool, probe: &Probe) -> Vec<(Level, String)> {
        let stages = stages.iter().map(|stage| (*stage).to_owned()).collect();
        let pipeline = Pipeline { stages, ..Pipeline::default() };
        let url = "s3://b".to_owned();
        let lock = lock.then_some(config::Lock::Governance);
        let written = Destination { url, lock, ..Destination::default() };
        let found = misfits(&pipeline, &written, probe);
        found.into_iter().map(|finding| (finding.level, finding.name)).collect()
    }

    #[test]
    fn f30_i18_what_is_right_for_a_writer_is_wrong_for_a_pruner() {
        let (writer, pruner) = (&["replicate"][..], &["replicate", "prune"][..]);
        let denied = probe(false, Some(true), Some(true));
        assert_eq!(found(writer, true, &denied), []);
        assert_eq!(found(pruner, true, &denied), [(Level::Failed, "delete".to_owned())]);
        assert_eq!(found(pruner, true, &probe(true, Some(true), Some(true))), []);
    }

    #[test]
    fn f33_locks_that_cannot_be_and_buckets_without_any_protection_are_told() {
        let stages = &["replicate"][..];
        let bare = probe(true, Some(false), Some(false));
        assert_eq!(found(stages, false, &bare), [(Level::Ok, "protection".to_owned())]);
        let lock = (Level::Failed, "lock".to_owned());
        assert_eq!(found(stages, true, &bare)[0], lock);
        // What it does not say is no reason for anything.
        assert_eq!(found(stages, true, &probe(true, None, None)), []);
        assert_eq!(found(stages, false, &probe(true, Some(false), Some(true))), []);
    }

    #[test]
    fn a_row_has_the_same_columns_whatever_was_found() {
        let bucket = Destination { url: "s3://b".into(), ..Destination::default() };
        let directory = Destination { url: "file:b".into(), ..Destination::default() };
        let names = |row: Vec<Capability>| row.into_iter().map(|c| c.name).collect::<Vec<_>>();
        let full = row("a", &bucket, &probe(true, None, Some(true)));
        let has = |name: &str| full.iter().find(|c| c.name == name).unwrap().has;
        assert_eq!(
            (has("delete"), has("lock"), has("versions")),
            (Has::Yes, Has::Unknown, Has::Yes)
        );
        assert_eq!((has("create-only"), has("class")), (Has::Unknown, Has::Unused));
        assert_eq!(names(full), names(row("b", &directory, &Probe::default())));
    }
}
