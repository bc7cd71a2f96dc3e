//! How the store is to keep an object: class, lock and tags, as the settings ask for them by the
//! tier of a backup.
//!
//! They travel with each write, because one destination holds backups of several tiers. A store
//! that ignores one of them is found by [`Destination::audit`](crate::Destination::audit).

use jiff::Timestamp;
use std::collections::BTreeMap;

/// What is asked of the store for one object; by default nothing but its own standard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keeping {
    /// The storage class or access tier, in the store's own words; `None` is the store's default.
    pub storage_class: Option<String>,
    /// Until when nobody may remove or replace the object.
    pub lock: Option<Lock>,
    /// Tags where the store has them, else metadata.
    pub tags: BTreeMap<String, String>,
}

impl Keeping {
    /// The same for what lies beside an artifact: locked and tagged like it, but never in another
    /// class, because a manifest in an archive could not be read back, nor listed with what it says.
    #[must_use]
    pub fn of_record(&self) -> Self {
        Keeping { storage_class: None, ..self.clone() }
    }
}

/// A lock of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Who may lift it.
    pub mode: LockMode,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// Who may lift a lock before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has a permission of its own for it. Google and Microsoft call it unlocked.
    Governance,
    /// Nobody, the owner of the account included. Google and Microsoft call it locked.
    Compliance,
}

impl LockMode {
    /// The word for it in `pipeline.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LockMode::Governance => "governance",
            LockMode::Compliance => "compliance",
        }
    }
}
