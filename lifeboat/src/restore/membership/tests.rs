//! Members of made-up manifests, and what the command line makes of them.

use super::super::made_up::manifest;
use super::*;

fn made() -> Membership {
    Membership::of(&manifest(0, 5).etcd.members).unwrap()
}

const ALL: &str = "cp-01=https://10.0.0.1:2380,cp-02=https://10.0.0.2:2380,\
                   cp-03=https://10.0.0.3:2380";

#[test]
fn voters_with_a_name_are_the_new_cluster_and_the_others_are_told() {
    let all = made();
    assert_eq!(all.initial_cluster(), ALL);
    assert!(!all.is_overridden);
    let left = all.left_out.join("; ");
    assert!(left.contains("cp-04, a learner") && left.contains("10.0.0.5:2380, which never"));
    assert_eq!(all.member(Some("cp-02"), "b").unwrap().unwrap().name, "cp-02");
    for (wanted, known) in [(None, 3), (Some("cp-04"), 3), (Some("cp-9"), 3)] {
        let names = match all.member(wanted, "b").unwrap_err() {
            Error::WhichMember { known, .. } | Error::UnknownMember { known, .. } => known,
            other => panic!("{other}"),
        };
        assert_eq!(names.len(), known);
    }
}

#[test]
fn an_only_member_needs_no_name_and_none_at_all_is_left_to_the_snapshot() {
    let mut members = manifest(0, 5).etcd.members;
    members.truncate(1);
    let one = Membership::of(&members).unwrap();
    assert_eq!(one.member(None, "b").unwrap().unwrap().name, "cp-01");
    let none = Membership::of(&[]).unwrap();
    assert_eq!(none.member(Some("m1"), "b").unwrap(), None);
    assert_eq!(none.initial_cluster(), "");
}

#[test]
fn the_command_line_wins() {
    let other = "cp-02=https://10.9.0.2:2380,cp-01=https://10.0.0.1:2380,cp-02=https://10.9.0.3:1";
    let all = made().with_initial_cluster(other).unwrap();
    assert!(all.is_overridden);
    assert_eq!(
        all.initial_cluster(),
        "cp-01=https://10.0.0.1:2380,cp-02=https://10.9.0.2:2380,cp-02=https://10.9.0.3:1"
    );
    let client = |name: &str| all.member(Some(name), "b").unwrap().unwrap().client_urls.clone();
    assert_eq!(client("cp-01"), ["https://10.0.0.1:2379"]);
    assert_eq!(client("cp-02"), ["https://10.9.0.2:2379", "https://10.9.0.3:2379"]);
    assert!(all.left_out.iter().any(|text| text == "cp-03, not in --initial-cluster"));

    let moved = made().with_addresses("cp-03", "https://[fd00::3]:2380").unwrap();
    let urls = &moved.member(Some("cp-03"), "b").unwrap().unwrap().client_urls;
    assert_eq!(urls[..], ["https://[fd00::3]:2379"]);
    assert!(
        moved.is_overridden && moved.initial_cluster().contains("cp-03=https://[fd00::3]:2380")
    );
    assert!(!made().with_addresses("cp-03", "https://10.0.0.3:2380").unwrap().is_overridden);
    assert!(made().with_addresses("cp-9", "https://10.0.0.3:2380").is_err());
}

/// A manifest lies in a bucket; what is in it becomes part of commands.
#[test]
fn odd_names_and_addresses_are_refused() {
    for (name, url) in [
        ("cp 01", "https://h:1"),
        ("cp\n01", "https://h:1"),
        ("a=b", "https://h:1"),
        ("a,b", "https://h:1"),
        ("a", "https://h:1,b=https://x:1"),
        ("a", "https://h:1 x"),
        ("a", ""),
        ("cp-02", "https://h:1"),
    ] {
        let mut members = manifest(0, 5).etcd.members;
        members[0].name = name.into();
        members[0].peer_urls = vec![url.into()];
        let refused = Membership::of(&members).unwrap_err();
        assert!(matches!(refused, Error::NoMembership(_)), "{name:?} {url:?}: {refused}");
    }
    for text in ["", "a", "a=", "=https://h:1", "a=h:1", "a=https://h:1,", "a b=https://h:1"] {
        assert!(made().with_initial_cluster(text).is_err(), "{text:?}");
    }
}
