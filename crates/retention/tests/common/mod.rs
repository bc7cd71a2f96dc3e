//! The frozen catalogue that the golden cases and the guard cases look at.
//!
//! Owns: reading `history.txt`. Each test binary includes it and uses a part.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use jiff::Timestamp;
use lifeboat_retention::{Backup, State, Tier};

pub const OURS: u64 = 0xcdf8_1819_4e3a_8c32;
pub const OTHER: u64 = 0x0bad_cafe;

pub fn now() -> Timestamp {
    at("2026-11-20T13:00:00Z")
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn history() -> Vec<Backup> {
    let lines = include_str!("history.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(backup).collect()
}

/// One backup of our cluster, for cases that need only a few.
pub fn ours(id: &str, taken_at: &str, revision: i64, state: State) -> Backup {
    let (id, taken_at, tier) = (id.to_owned(), at(taken_at), Tier::Frequent);
    Backup { id, cluster_id: Some(OURS), is_adopted: false, taken_at, revision, state, tier }
}

fn backup(line: &str) -> Backup {
    let [id, taken_at, revision, cluster, state] =
        line.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
    Backup {
        id: id.to_owned(),
        cluster_id: match cluster {
            "ours" => Some(OURS),
            "other" => Some(OTHER),
            "unknown" => None,
            _ => panic!("cluster {cluster}"),
        },
        is_adopted: false,
        taken_at: at(taken_at),
        revision: revision.parse().unwrap(),
        state: match state {
            "proven" => State::Proven,
            "verified" => State::Verified,
            "unverified" => State::Unverified,
            "suspect" => State::Suspect,
            "broken" => State::Broken,
            _ => panic!("state {state}"),
        },
        tier: Tier::Frequent,
    }
}
