//! Leases that live keys name and that are not there.
//!
//! A server that starts on such keys says that it cannot attach them, and the keys never expire. It
//! happens when history is cut, or when a snapshot was put together of parts. So the missing leases
//! are made, with a lifetime of their own.
//!
//! Memory: the ids of all leases, and of keys only those whose lease is missing.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use crate::error::BuildError;
use crate::limits::{LEASES_MAX, ORPHANS_MAX};
use crate::protobuf::put_number;

/// Lifetime of a lease that is made, in seconds.
pub(crate) const MADE_TTL_SECONDS: u64 = 3_600;

/// The leases that there are, ascending.
#[derive(Debug, Default)]
pub(crate) struct KnownLeases(Vec<u64>);

// === impl KnownLeases ===

impl KnownLeases {
    /// Takes the next id; they come in the order of the bucket.
    pub(crate) fn push(&mut self, id: u64) -> Result<(), BuildError> {
        if self.0.len() >= LEASES_MAX {
            let detail = format!("the snapshot has more than {LEASES_MAX} leases");
            return Err(BuildError::Limit { limit: "LEASES_MAX", detail });
        }
        self.0.push(id);
        Ok(())
    }

    fn has(&self, id: u64) -> bool {
        self.0.binary_search(&id).is_ok()
    }
}

/// Follows the rows and keeps the live keys whose lease is missing, by a hash of the key.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    leases: HashMap<u64, u64>,
    secret: RandomState,
}

// === impl Orphans ===

impl Orphans {
    /// Takes the next row: its key and the lease that it names, 0 for none or for a tombstone.
    pub(crate) fn take(
        &mut self,
        known: &KnownLeases,
        key: &[u8],
        lease: i64,
    ) -> Result<(), BuildError> {
        let lease = lease.cast_unsigned();
        if lease == 0 || known.has(lease) {
            if !self.leases.is_empty() {
                self.leases.remove(&self.secret.hash_one(key));
            }
            return Ok(());
        }
        if self.leases.len() >= ORPHANS_MAX {
            let detail = format!("more than {ORPHANS_MAX} live keys name leases that are missing");
            return Err(BuildError::Limit { limit: "ORPHANS_MAX", detail });
        }
        self.leases.insert(self.secret.hash_one(key), lease);
        Ok(())
    }

    /// The leases to be made.
    pub(crate) fn missing(&self) -> BTreeSet<u64> {
        self.leases.values().copied().collect()
    }
}

/// The row of a lease that is made: `leasepb.Lease` {1 id, 2 lifetime}.
pub(crate) fn made_row(id: u64) -> (Vec<u8>, Vec<u8>) {
    let mut value = Vec::new();
    put_number(&mut value, 1, id);
    put_number(&mut value, 2, MADE_TTL_SECONDS);
    (id.to_be_bytes().to_vec(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_live_keys_name_is_missing() {
        let mut known = KnownLeases::default();
        [5, 9].into_iter().for_each(|id| known.push(id).unwrap());
        let mut orphans = Orphans::default();
        for (key, lease) in [
            (&b"kept"[..], 9),
            (b"lost", 7),
            (b"deleted", 8),
            (b"moved", 6),
            (b"plain", 0),
            (b"deleted", 0),
            (b"moved", 5),
            (b"twice", 7),
            (b"negative", -3),
        ] {
            orphans.take(&known, key, lease).unwrap();
        }
        let missing: Vec<u64> = orphans.missing().into_iter().collect();
        assert_eq!(missing, [7, (-3_i64).cast_unsigned()]);
    }

    #[test]
    fn a_made_lease_is_one_of_etcd() {
        let (key, value) = made_row(300);
        assert_eq!(key, b"\0\0\0\0\0\0\x01\x2c");
        assert_eq!(value, b"\x08\xac\x02\x10\x90\x1c");
    }
}
