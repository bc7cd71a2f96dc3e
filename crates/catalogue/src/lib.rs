//! Backups as they lie in a destination: their names, their manifests, their states.
//!
//! Owns: the object names, the manifest's format, the records of drills and scrubs, what the objects of one
//! destination add up to, and the verdict whether a cluster is safe. All of it is pure: bytes and listings come from
//! the `store` crate.
//!
//! Does not: decide what to keep (that is `retention`), or talk to any store.

mod backup;
mod manifest;
mod name;
mod record;
mod verdict;

pub use backup::{
    Assembled, Backup, Catalogue, DestinationCatalogue, Looks, Object, Orphan, State, assemble,
    mark_forks,
};
pub use manifest::{
    Artifact, MANIFEST_BYTES_MAX, Manifest, ManifestError, ManifestStep, Place, Placed,
};
pub use name::{BackupName, ObjectName, TIER_DEFAULT};
pub use record::{
    CHECKS_READ_MAX, Depth, Drilled, Finding, Looked, RECORD_BYTES_MAX, RECORDS_READ_MAX, Record,
    RecordError, newest_records,
};
pub use verdict::{Safety, Verdict, verdict};

pub use trust::Signed;

#[cfg(test)]
mod tests;
