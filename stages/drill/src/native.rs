//! Reads the restored database again, by itself: no etcd, and nothing that `restore` said is taken
//! on trust.

use crate::checks::Checks;
use crate::error::Error;
use contract::drill::DrillExpectation;
use contract::facts::{HashKvAnswer, RestoreFacts};
use snapshot::{
    Agreement, ErrorClass, Expectations, MemberHashKv, Options, Report, Trailer, Verdict, Verifier,
    VerifyError,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const BLOCK_BYTES: usize = 512 << 10;
/// How HashKV answers where history was never compacted.
pub(crate) const NEVER_COMPACTED: i64 = -1;

/// A member's answer while the snapshot was taken, with which the snapshot agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) member: String,
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
    pub(crate) hash: u32,
}

/// The members whose answers the snapshot agreed with when it was verified. One that held other data
/// already then says nothing of the backup.
pub(crate) fn witnesses(expected: &DrillExpectation) -> Vec<Witness> {
    let agreed = |id: &str| expected.snapshot.hashkv.iter().any(|v| v.member_id == id && v.agrees);
    let answers = expected.hashkv.iter().filter(|answer| agreed(&answer.member_id));
    answers
        .filter_map(|answer| match answer.answer {
            HashKvAnswer::Hash { hash, revision, compact_revision } => {
                let member = answer.member_id.clone();
                Some(Witness { member, revision, compact_revision, hash })
            }
            HashKvAnswer::Missing { .. } => None,
        })
        .collect()
}

/// Compares one database with the manifest and with what was predicted when it was written. Gives how
/// many keys are live in it, the empty one included, if it is sound.
///
/// # Errors
/// Only what is of this machine; everything else is a check that failed.
pub(crate) fn read(
    checks: &mut Checks,
    database: &Path,
    expected: &DrillExpectation,
    restored: &RestoreFacts,
    scratch: Option<&Path>,
) -> Result<Option<u64>, Error> {
    let witnesses = witnesses(expected);
    let report = match verify(database, &witnesses, scratch)? {
        Ok(report) => report,
        Err(e) => {
            checks.note("restored database", "sound, and what the members had", e, false);
            return Ok(None);
        }
    };
    checks.note("restored database", "sound", "sound", true);
    let manifest = &expected.snapshot;
    checks.same("snapshot's revision", &manifest.revision, &restored.snapshot_revision);
    checks.same("revision of the database", &restored.revision, &report.revision);
    let compact = |revision: Option<i64>| revision.unwrap_or(NEVER_COMPACTED);
    let (predicted, found) = (restored.compact_revision, report.compact_revision);
    checks.same("compact revision of the database", &compact(predicted), &compact(found));
    // A raised revision comes with a record of its own.
    if restored.bump.is_none() {
        checks.same(
            "live keys of the database",
            &manifest.total_key_live,
            &report.status.total_key_live,
        );
        let kubernetes = |all: &BTreeMap<String, u64>| all.values().sum::<u64>();
        checks.note(
            "objects of Kubernetes in the database",
            kubernetes(&manifest.kubernetes),
            kubernetes(&report.kubernetes),
            manifest.kubernetes == report.kubernetes,
        );
    }
    if let (Some(predicted), Some(hash)) = (&restored.hashkv, report.hashkv.hash) {
        checks.same("HashKV of the database", &predicted.hash, &hash);
    }
    for compared in &report.hashkv.compared {
        let name =
            format!("HashKV at revision {} of member {}", compared.revision, compared.member);
        match (compared.verdict, compared.computed) {
            (Verdict::Agrees, _) => checks.note(name, compared.hash, compared.hash, true),
            (Verdict::Disagrees, computed) => {
                let found = computed.map_or_else(|| "another".to_owned(), |hash| hash.to_string());
                checks.note(name, compared.hash, found, false)
            }
            // A restored copy may be compacted further than the member was.
            (Verdict::NotComparable, _) => continue,
        };
    }
    Ok(Some(report.status.total_key_live))
}

/// The report, or why the database is refused; an error when this machine cannot read it.
fn verify(
    path: &Path,
    witnesses: &[Witness],
    scratch: Option<&Path>,
) -> Result<Result<Report, VerifyError>, Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let options = Options {
        trailer: Trailer::Absent,
        scratch_dir: scratch.map(Path::to_path_buf),
        ..Options::default()
    };
    let mut verifier = Verifier::new(options);
    let mut file = File::open(path).map_err(failed)?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => break,
            count => match verifier.update(&block[..count]) {
                Ok(()) => {}
                Err(e) => return of_this_machine(e).map(Err),
            },
        }
    }
    let answer = |w: &Witness| MemberHashKv {
        member: w.member.clone(),
        revision: w.revision,
        compact_revision: w.compact_revision,
        hash: w.hash,
    };
    let expectations = Expectations {
        revision_barrier: None,
        members: witnesses.iter().map(answer).collect(),
        agreement: Agreement::Everyone,
    };
    match verifier.finish(&expectations) {
        Ok(report) => Ok(Ok(report)),
        Err(e) => of_this_machine(e).map(Err),
    }
}

/// An error of this machine is none of the backup's.
fn of_this_machine(error: VerifyError) -> Result<VerifyError, Error> {
    match error.class() {
        ErrorClass::Local | ErrorClass::Misuse => Err(Error::Scratch(error)),
        ErrorClass::Corrupt | ErrorClass::Stale | ErrorClass::Unsupported => Ok(error),
    }
}
