//! Whatever the members are: ids, texts and files fit each other.

use proptest::prelude::*;

use super::*;
use crate::snap::{self, snap_file};
use crate::wal::{self, wal_file};

fn names_and_urls() -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
    let name = "[a-zA-Z0-9<>&\"\\\\ü_.-]{1,12}";
    let members = prop::collection::btree_map(name, 1_usize..4, 1..9);
    (members, any::<u16>()).prop_map(|(members, seed)| {
        let mut number = u32::from(seed);
        let mut next_url = || {
            number += 1;
            let scheme = ["http", "https", "unix"][number as usize % 3];
            let host = ["10.0.0.1", "[::1]", "cp-1.example.org"][number as usize / 3 % 3];
            format!("{scheme}://{host}:{}", number % 60_000 + 1)
        };
        let with_urls = |(name, count)| (name, (0..count).map(|_| next_url()).collect());
        members.into_iter().map(with_urls).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_cluster_comes_back_from_its_text(members in names_and_urls(), token in "[ -~]{0,20}") {
        let cluster = Membership::new(members, &token).unwrap();
        let ascending = cluster.members().windows(2).all(|pair| pair[0].id < pair[1].id);
        prop_assert!(ascending && cluster.members()[0].id != 0);
        let parsed = Membership::parse(&cluster.initial_cluster(), &token).unwrap();
        prop_assert_eq!(&parsed, &cluster);
    }

    #[test]
    fn its_files_are_read_back(members in names_and_urls(), other in names_and_urls()) {
        let cluster = Membership::new(members, "t").unwrap();
        let other = Membership::new(other, "t").unwrap();
        snap::check(&snap_file(&cluster).1, &cluster).unwrap();
        prop_assert_eq!(snap::check(&snap_file(&cluster).1, &other).is_ok(), cluster == other);
        for member in cluster.members() {
            let log = wal_file(&cluster, member);
            prop_assert_eq!(wal::check_records(&log, &cluster, member), Ok(log.len()));
            let of_other = other.members()[0].clone();
            let is_same = cluster == other && *member == of_other;
            let read = wal::check_records(&log, &other, &of_other);
            prop_assert_eq!(read.is_ok(), is_same);
            let json: serde_json::Value = serde_json::from_str(&member.json()).unwrap();
            prop_assert_eq!(json["name"].as_str(), Some(member.name.as_str()));
            prop_assert_eq!(json["id"].as_u64(), Some(member.id));
        }
    }
}
