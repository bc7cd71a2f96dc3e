//! What needs no server.

use super::*;
use crate::EtcdVersion;

fn version() -> EtcdVersion {
    EtcdVersion { label: "3.6", etcd: "etcd".into(), etcdctl: "etcdctl".into(), etcdutl: None }
}

#[test]
fn a_plan_names_its_voters_but_not_its_learner() {
    let plan = ClusterSpec::new(&version()).members(3).learner().plan().unwrap();
    let names: Vec<&str> = plan.members().iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["m1", "m2", "m3", "m4"]);
    assert_eq!(plan.initial_cluster().split(',').count(), 3);
    assert!(!plan.initial_cluster().contains("m4"));
}

#[test]
fn members_have_ports_of_their_own() {
    let plan = ClusterSpec::new(&version()).members(3).plan().unwrap();
    let mut urls: Vec<&str> = Vec::new();
    for member in plan.members() {
        urls.extend([member.client_url.as_str(), member.peer_url.as_str()]);
    }
    urls.sort_unstable();
    urls.dedup();
    assert_eq!(urls.len(), 6);
    assert!(urls.iter().all(|url| url.starts_with("http://127.0.0.1:")), "{urls:?}");
}

#[test]
fn a_server_that_does_not_exist_is_named() {
    let error = ClusterSpec::new(&EtcdVersion { etcd: "/no/such/etcd".into(), ..version() })
        .start()
        .unwrap_err();
    assert!(error.to_string().contains("/no/such/etcd"), "{error:?}");
}
