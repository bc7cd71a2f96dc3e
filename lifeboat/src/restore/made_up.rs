//! Made-up catalogues, for the tests of what rests on one.

use catalogue::{
    Backup, BackupName, Catalogue, DestinationCatalogue, Manifest, ManifestStep, State,
};
use contract::{Digest, RunId};
use jiff::Timestamp;
use serde_json::json;

/// So many seconds after the first of these tests.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_763_600_000 + second).unwrap()
}

/// A manifest of a backup taken at [`at`] `second`, which ends at `revision` and was never compacted.
pub(crate) fn manifest(second: i64, revision: i64) -> Manifest {
    let run = RunId::new(at(second), 7);
    let backup = BackupName::new(at(second), &run);
    let member = |name: &str, host: &str, learner: bool| {
        json!({
            "id": "1", "name": name, "learner": learner,
            "peer_urls": [format!("https://{host}:2380")],
            "client_urls": [format!("https://{host}:2379")],
        })
    };
    let text = json!({
        "version": 1, "backup": backup, "cluster": "prod", "tier": "frequent",
        "run": run.to_string(), "taken_at": at(second), "tool": "lifeboat 0",
        "etcd": {
            "cluster_id": "cafe", "member_id": "1", "member_name": "cp-01",
            "endpoint": "https://10.0.0.1:2379", "etcd_version": "3.6.0", "leader_id": "1",
            "raft_term": 2, "raft_index": 9, "raft_applied_index": 9, "db_bytes": 4096,
            "db_bytes_in_use": 4096, "revision_barrier": revision, "alarms": [], "hashkv": [],
            "members": [
                member("cp-01", "10.0.0.1", false), member("cp-02", "10.0.0.2", false),
                member("cp-03", "10.0.0.3", false), member("cp-04", "10.0.0.4", true),
                member("", "10.0.0.5", false),
            ],
        },
        "snapshot": {
            "snapshot_bytes": 4128, "db_sha256": "00", "status_hash": 1, "revision": revision,
            "total_key_records": 9, "total_key_live": 4, "total_bytes": 4096, "free_bytes": 0,
            "page_bytes": 4096, "buckets": {}, "hashkv": [], "kubernetes": { "pods": 3 },
        },
        "steps": [],
        "artifact": {
            "file": format!("{backup}.db.zst.age"), "bytes": 100, "sha256": Digest::of(b"").sha256,
        },
    });
    let mut manifest: Manifest = serde_json::from_value(text).unwrap();
    manifest.steps = vec![step("capture", 4128), step("verify", 4128), step("encrypt", 100)];
    manifest
}

/// A step that wrote so many bytes, which name its digest, too.
pub(crate) fn step(stage: &str, bytes: u64) -> ManifestStep {
    let output = Digest { bytes, sha256: format!("{bytes:064x}") };
    ManifestStep { stage: stage.into(), tool: "lifeboat 0".into(), output }
}

/// A catalogue of destinations `d0`, `d1`, …, all of it verified.
pub(crate) fn catalogue(destinations: &[&[Manifest]]) -> Catalogue {
    let of = |(number, manifests): (usize, &&[Manifest])| DestinationCatalogue {
        destination: format!("d{number}"),
        backups: manifests.iter().map(backup).collect(),
        ..empty()
    };
    Catalogue {
        destinations: destinations.iter().enumerate().map(of).collect(),
        ..serde_json::from_value(json!({
            "version": 1, "cluster": "prod", "read_at": at(0), "destinations": [],
        }))
        .unwrap()
    }
}

fn empty() -> DestinationCatalogue {
    let text = json!({
        "destination": "", "location": "memory:", "backups": [], "orphans": [],
        "stray_records": [],
    });
    serde_json::from_value(text).unwrap()
}

fn backup(manifest: &Manifest) -> Backup {
    let text = json!({
        "name": manifest.backup, "state": State::Verified,
        "manifest_key": manifest.object_name().key("prod"), "manifest_sha256": "00",
    });
    let backup: Backup = serde_json::from_value(text).unwrap();
    Backup { manifest: Some(manifest.clone()), ..backup }
}
