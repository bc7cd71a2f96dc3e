//! Whether the backup belongs where it is about to go.

use crate::error::Error;
use catalogue::Manifest;
use config::Pipeline;
use contract::Plan;
use destinations::Opened;

/// An artifact that nobody encrypted does not leave this machine unasked. The plan is checked
/// before a byte flows; that its `encrypt` did its work, the receipts show.
pub(crate) fn must_be_encrypted(
    plan: &Plan,
    pipeline: &Pipeline,
    opened: &[(String, Result<Opened, destinations::Error>)],
) -> Result<(), Error> {
    if pipeline.replicate.allow_plaintext || plan.position("encrypt").is_some() {
        return Ok(());
    }
    let is_remote = |o: &Result<Opened, _>| o.as_ref().is_ok_and(|o| o.is_remote);
    match opened.iter().find(|(_, opened)| is_remote(opened)) {
        Some((name, _)) => Err(Error::Plaintext(name.clone())),
        None => Ok(()),
    }
}

/// What this stage believes, those who planned the run believe too: else it would commit a backup that is
/// forged for everybody else.
pub(crate) fn must_be_believed(plan: &Plan, pipeline: &Pipeline) -> Result<(), Error> {
    let (expected, found) = (plan.signers.clone(), pipeline.trust.signer_names());
    if expected == found { Ok(()) } else { Err(Error::OtherSigners { expected, found }) }
}

/// One prefix belongs to one etcd cluster: backups of two that share a name would evict each
/// other. A rebuilt or restored cluster has a new id and has to be confirmed.
pub(crate) fn must_be_same_cluster(manifest: &Manifest, pipeline: &Pipeline) -> Result<(), Error> {
    let found = &manifest.etcd.cluster_id;
    let accepted = pipeline.replicate.accept_cluster_id.as_ref();
    match &manifest.previous {
        Some(previous) if previous.cluster_id != *found && accepted != Some(found) => {
            Err(Error::AnotherCluster {
                cluster: manifest.cluster.clone(),
                backup: previous.backup.clone(),
                expected: previous.cluster_id.clone(),
                found: found.clone(),
            })
        }
        _ => Ok(()),
    }
}
