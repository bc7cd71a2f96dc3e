//! What a Kubernetes API server keeps in etcd, made up from a seed.
//!
//! Owns: the sequence of operations that a [`LoadSpec`] stands for, and what must be left of it.
//! Invariants: the same spec gives the same operations, byte for byte, in the same order; every
//! update and delete is of a key that is there; objects are made one at a time, so that a
//! million of them need little memory.
//!
//! Does not: talk to etcd; see `load`.

mod kubernetes;
mod protobuf;
pub(crate) mod random;
#[cfg(test)]
mod tests;

pub use kubernetes::Kind;

use kubernetes::{base_objects, event, object};
pub(crate) use random::Random;
use std::collections::BTreeMap;

/// Lives long enough for every test; nothing expires while one looks.
const EVENT_LEASE_TTL_SECONDS: i64 = 3_660;
/// Lease ids must be unique in a cluster; a seed owns a block of this many.
const LEASES_PER_SEED_MAX: u64 = 1 << 20;

/// What to put into a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSpec {
    /// Everything is derived from it.
    pub seed: u64,
    /// Objects beyond the ones that every Kubernetes cluster has.
    pub objects: usize,
    /// Later versions of those objects.
    pub updates: usize,
    /// Deletions of those objects, at most as many as there are.
    pub deletes: usize,
    /// etcd leases, each with its own events.
    pub event_leases: usize,
    /// Events on each lease.
    pub events_per_lease: usize,
    /// Operations of one transaction; 1 sends each by itself, as Kubernetes does. etcd's own
    /// limit is 128.
    pub transaction_operations: usize,
    /// Whether to compact at the end, and where.
    pub compaction: Compaction,
    /// Whether secrets are written as an API server with encryption at rest writes them.
    pub secrets_encrypted: bool,
}

/// Where the history is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// Nowhere.
    None,
    /// At this revision.
    At(i64),
    /// So many revisions before the last one.
    BehindHead(i64),
}

impl Default for LoadSpec {
    /// A small cluster with everything in it: about 300 live keys and some history.
    fn default() -> Self {
        LoadSpec {
            seed: 1,
            objects: 200,
            updates: 100,
            deletes: 20,
            event_leases: 4,
            events_per_lease: 10,
            transaction_operations: 1,
            compaction: Compaction::None,
            secrets_encrypted: false,
        }
    }
}

impl LoadSpec {
    /// `objects` objects in transactions of 100, without history: the quickest way to a big one.
    #[must_use]
    pub fn bulk(seed: u64, objects: usize) -> Self {
        LoadSpec {
            seed,
            objects,
            updates: 0,
            deletes: 0,
            event_leases: 0,
            events_per_lease: 0,
            transaction_operations: 100,
            ..LoadSpec::default()
        }
    }

    /// The operations, in order.
    #[must_use]
    pub fn operations(&self) -> Operations {
        Operations::new(self.clone())
    }

    /// What is live after the operations.
    #[must_use]
    pub fn expected(&self) -> BTreeMap<Vec<u8>, Expected> {
        let mut live: BTreeMap<Vec<u8>, Expected> = BTreeMap::new();
        for operation in self.operations() {
            match operation {
                Operation::Grant { .. } => {}
                Operation::Put { key, value, lease } => {
                    let version = live.get(&key).map_or(1, |old| old.version + 1);
                    live.insert(key, Expected { value, version, lease });
                }
                Operation::Delete { key } => {
                    live.remove(&key);
                }
            }
        }
        live
    }
}

/// A live key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its value.
    pub value: Vec<u8>,
    /// How often it was put since it was created.
    pub version: i64,
    /// The lease that it is on, 0 for none.
    pub lease: i64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Makes a lease.
    Grant {
        /// Its id.
        lease: i64,
        /// Its time to live.
        ttl_seconds: i64,
    },
    /// Writes a key.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// The lease that it is on, 0 for none.
        lease: i64,
    },
    /// Removes a key that is there.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// The operations of a [`LoadSpec`], made as they are asked for.
#[derive(Debug)]
pub struct Operations {
    spec: LoadSpec,
    random: Random,
    /// The first objects of every cluster, last one first.
    base: Vec<(Vec<u8>, Vec<u8>)>,
    created: usize,
    updated: usize,
    deleted: usize,
    leases: usize,
    events: usize,
    /// Number and generation of each live object.
    live: Vec<(usize, u32)>,
}

impl Operations {
    fn new(spec: LoadSpec) -> Self {
        let mut base = base_objects(spec.seed, namespace_count(&spec));
        base.reverse();
        Operations {
            random: Random::new(spec.seed),
            base,
            created: 0,
            updated: 0,
            deleted: 0,
            leases: 0,
            events: 0,
            live: Vec::new(),
            spec,
        }
    }

    fn create(&mut self) -> Operation {
        let number = self.created;
        self.created += 1;
        self.live.push((number, 1));
        self.put(number, 1)
    }

    fn put(&self, number: usize, generation: u32) -> Operation {
        let (key, value) =
            object(self.spec.seed, number, generation, namespace_count(&self.spec), &self.spec);
        Operation::Put { key, value, lease: 0 }
    }

    fn update(&mut self) -> Option<Operation> {
        let index = self.random.below(self.live.len())?;
        self.updated += 1;
        self.live[index].1 += 1;
        let (number, generation) = self.live[index];
        Some(self.put(number, generation))
    }

    fn delete(&mut self) -> Option<Operation> {
        let index = self.random.below(self.live.len())?;
        self.deleted += 1;
        let (number, generation) = self.live.swap_remove(index);
        match self.put(number, generation) {
            Operation::Put { key, .. } => Some(Operation::Delete { key }),
            other => Some(other),
        }
    }

    fn grant_or_event(&mut self) -> Option<Operation> {
        let granted = self.leases * self.spec.events_per_lease;
        if self.leases > 0 && self.events < granted {
            let (key, value) = event(self.spec.seed, self.events, namespace_count(&self.spec));
            self.events += 1;
            return Some(Operation::Put { key, value, lease: lease_id(&self.spec, self.leases) });
        }
        if self.leases < self.spec.event_leases {
            self.leases += 1;
            let lease = lease_id(&self.spec, self.leases);
            return Some(Operation::Grant { lease, ttl_seconds: EVENT_LEASE_TTL_SECONDS });
        }
        None
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        if let Some((key, value)) = self.base.pop() {
            return Some(Operation::Put { key, value, lease: 0 });
        }
        if self.created < self.spec.objects {
            return Some(self.create());
        }
        if let Some(operation) = self.grant_or_event() {
            return Some(operation);
        }
        let updates = self.spec.updates - self.updated;
        let deletes = self.spec.deletes - self.deleted;
        // Mixed, in proportion to what is left of each.
        match self.random.below(updates + deletes)? {
            choice if choice < updates => self.update(),
            _ => self.delete(),
        }
    }
}

/// One namespace for every fifty objects, as in a shared cluster.
fn namespace_count(spec: &LoadSpec) -> usize {
    1 + spec.objects / 50
}

fn lease_id(spec: &LoadSpec, number: usize) -> i64 {
    let block = spec.seed.wrapping_mul(LEASES_PER_SEED_MAX) % (1 << 62);
    i64::try_from(block + number as u64).unwrap_or(i64::MAX)
}
