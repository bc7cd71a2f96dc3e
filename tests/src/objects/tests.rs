//! The operations are what the spec says.

use super::*;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

#[test]
fn the_same_spec_gives_the_same_operations() {
    let spec = LoadSpec::default();
    assert!(spec.operations().eq(spec.operations()));
    let other = LoadSpec { seed: 2, ..spec.clone() };
    assert!(!spec.operations().eq(other.operations()));
}

/// Whoever changes what a seed means changes recorded hashes elsewhere: this says so first.
#[test]
fn a_seed_means_the_same_in_every_version() {
    let mut hasher = Sha256::new();
    for (key, expected) in LoadSpec::default().expected() {
        hasher.update(&key);
        hasher.update(&expected.value);
    }
    assert_eq!(
        hex::encode(hasher.finalize()),
        "e60ba9827c2accd38dbc4d908a87e93eb0968d9698885025a1674b3230ad5bf2"
    );
}

#[test]
fn every_operation_is_counted_and_possible() {
    let spec = LoadSpec { objects: 100, updates: 70, deletes: 30, ..LoadSpec::default() };
    let (mut live, mut created, mut updated, mut deleted) = (HashSet::new(), 0, 0, 0);
    let mut leases = HashSet::from([0]);
    for operation in spec.operations() {
        match operation {
            Operation::Grant { lease, .. } => assert!(leases.insert(lease)),
            Operation::Put { key, lease, .. } => {
                assert!(leases.contains(&lease), "a lease is granted before it is used");
                if live.insert(key) {
                    created += 1;
                } else {
                    updated += 1;
                }
            }
            Operation::Delete { key } => {
                assert!(live.remove(&key), "what is deleted was there");
                deleted += 1;
            }
        }
    }
    assert_eq!((updated, deleted, leases.len()), (70, 30, 1 + spec.event_leases));
    let base = base_objects(spec.seed, namespace_count(&spec)).len();
    assert_eq!(created, base + 100 + spec.event_leases * spec.events_per_lease);
    assert_eq!(live.len(), spec.expected().len());
}

#[test]
fn more_deletes_than_objects_end() {
    let spec = LoadSpec { objects: 3, updates: 2, deletes: 50, ..LoadSpec::bulk(1, 3) };
    let deletes = spec.operations().filter(|o| matches!(o, Operation::Delete { .. })).count();
    assert!(deletes <= 3, "{deletes}");
}

#[test]
fn values_look_like_those_of_an_api_server() {
    let spec = LoadSpec { secrets_encrypted: true, ..LoadSpec::default() };
    for (key, expected) in spec.expected() {
        let (key, value) = (String::from_utf8(key).unwrap(), expected.value);
        let json = serde_json::from_slice::<serde_json::Value>(&value).is_ok();
        match key.split('/').nth(2) {
            None => assert_eq!(key, "compact_rev_key"),
            Some("cert-manager.io" | "apiextensions.k8s.io") => assert!(json, "{key}"),
            Some("secrets") => assert!(value.starts_with(b"k8s:enc:aescbc:v1:key1:"), "{key}"),
            Some(_) => assert!(value.starts_with(b"k8s\0\x0a"), "{key}"),
        }
        assert_eq!(expected.lease != 0, key.starts_with("/registry/events/"), "{key}");
    }
}
