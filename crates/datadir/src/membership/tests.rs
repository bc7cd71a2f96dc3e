//! Ids against those of real tools, and the refusals of etcdutl.

use super::*;

const THREE: &str = "m1=http://127.0.0.1:27001,m2=http://127.0.0.1:27011,m3=http://127.0.0.1:27021";

fn refused(initial_cluster: &str) -> MembershipError {
    Membership::parse(initial_cluster, "tok1").unwrap_err()
}

#[test]
fn ids_are_those_of_etcdutl() {
    let three = Membership::parse(THREE, "tok1").unwrap();
    assert_eq!(three.cluster_id(), 0xd911_8660_e96a_ca6d);
    assert_eq!(three.member("m1").unwrap().id, 0x79b1_d09c_6343_68fc);
    assert_eq!(three.member("m2").unwrap().id, 0x1d6a_61a9_99d8_383e);
    assert_eq!(three.member("m3").unwrap().id_hex(), "e50556bb2acc3ccd");
    let order: Vec<&str> = three.members().iter().map(|m| m.name.as_str()).collect();
    assert_eq!(order, ["m2", "m1", "m3"]);

    let alone = Membership::parse("m1=http://127.0.0.1:27001", "tok1").unwrap();
    assert_eq!(alone.cluster_id(), 0x5f8e_039c_8a36_29ac);
    let default = Membership::parse("default=http://localhost:2380", "etcd-cluster").unwrap();
    assert_eq!(default.members()[0].id, 0x8e9e_05c5_2164_694d);
}

#[test]
fn another_token_gives_other_ids() {
    let (one, other) =
        (Membership::parse(THREE, "tok1").unwrap(), Membership::parse(THREE, "tok2").unwrap());
    assert_ne!(one.cluster_id(), other.cluster_id());
    assert!(one.members().iter().all(|m| other.members().iter().all(|o| o.id != m.id)));
}

#[test]
fn a_name_may_come_twice_and_urls_are_sorted() {
    let twice = Membership::parse("a=http://h:2,,a=http://h:1,", "t").unwrap();
    assert_eq!(twice.member("a").unwrap().peer_urls, ["http://h:1", "http://h:2"]);
    assert_eq!(twice.initial_cluster(), "a=http://h:1,a=http://h:2");
    assert_eq!(Membership::parse(&twice.initial_cluster(), "t"), Ok(twice));
}

#[test]
fn what_etcdutl_refuses_is_refused() {
    assert_eq!(refused(""), MembershipError::Empty);
    assert_eq!(refused(",,"), MembershipError::Empty);
    assert!(matches!(refused("m1"), MembershipError::Url { problem: UrlProblem::Scheme, .. }));
    assert!(matches!(refused("=http://h:1"), MembershipError::NoName { .. }));
    assert!(matches!(refused("a=http://h:1,a=http://h:1"), MembershipError::DuplicateUrl { .. }));
    assert!(matches!(refused("a=http://h:1,b=http://h:1"), MembershipError::DuplicateUrl { .. }));
    assert!(matches!(
        refused("a=http://h:1/x"),
        MembershipError::Url { problem: UrlProblem::Path, .. }
    ));
    let many: Vec<String> = (0..65).map(|i| format!("m{i}=http://h:{}", i + 1)).collect();
    assert_eq!(refused(&many.join(",")), MembershipError::TooMany { found: 65 });
    let without = Membership::new(vec![("a".to_owned(), Vec::new())], "t");
    assert_eq!(without, Err(MembershipError::NoUrl { name: "a".to_owned() }));
}

#[test]
fn advertised_urls_must_be_those_of_the_member() {
    let cluster = Membership::parse("a=http://h:2,a=http://h:1,b=http://h:3", "t").unwrap();
    let urls = |text: &str| vec![text.to_owned()];
    cluster.must_advertise("a", &urls("http://h:1,http://h:2")).unwrap();
    cluster.must_advertise("a", &["http://h:2".to_owned(), "http://h:1".to_owned()]).unwrap();
    let differ = cluster.must_advertise("a", &urls("http://h:1")).unwrap_err();
    assert!(matches!(differ, MembershipError::AdvertisedDiffer { .. }), "{differ}");
    let unknown = cluster.must_advertise("c", &urls("http://h:1")).unwrap_err();
    assert_eq!(unknown.to_string(), "the initial cluster has no member c; it has a, b");
}

#[test]
fn members_are_written_as_go_writes_them() {
    let odd = Membership::parse("a<&>=http://h:1", "t").unwrap();
    let id = odd.members()[0].id;
    let json = odd.members()[0].json();
    let name = "a\\u003c\\u0026\\u003e";
    assert_eq!(json, format!(r#"{{"id":{id},"peerURLs":["http://h:1"],"name":"{name}"}}"#));
    assert_eq!(odd.conf_state(), format!(r#"{{"voters":[{id}],"auto_leave":false}}"#));
}

#[test]
fn ids_that_raft_cannot_use_are_refused() {
    let member = |id, name: &str| Member { id, name: name.to_owned(), peer_urls: Vec::new() };
    let zero = check_ids(&[member(0, "a"), member(1, "b")]).unwrap_err();
    assert_eq!(zero, MembershipError::ZeroId { name: "a".to_owned() });
    let same = check_ids(&[member(7, "a"), member(7, "b")]).unwrap_err();
    assert!(matches!(same, MembershipError::SameId { id: 7, .. }));
}
