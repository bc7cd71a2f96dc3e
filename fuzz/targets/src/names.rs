//! The names of backups, of their objects, and of runs.
//!
//! Held to: a name that is read is written as the same text; names sort as the times in them; a
//! name that a listing may show leads into its own folder and nowhere else.

use crate::choices::Choices;
use catalogue::{BackupName, Finding, ObjectName};
use contract::RunId;
use jiff::Timestamp;
use store::check_key;

/// Years that a name has room for; the clock of a machine shows no others.
const SECONDS_MAX: u64 = 253_402_207_200;

/// Any text as `CLUSTER KEY`, or as one of its parts.
pub fn object_names(input: &[u8]) {
    match Choices::of(input) {
        Some(choices) => made(choices),
        None => read(&String::from_utf8_lossy(input)),
    }
}

fn read(text: &str) {
    let (cluster, key) = text.split_once(' ').unwrap_or(("prod", text));
    if let Some(name) = ObjectName::parse(cluster, key) {
        assert_eq!(name.key(cluster), key, "another text for the same name");
        let inner = key.strip_prefix(cluster).unwrap();
        assert!(!inner.contains("/../") && !inner.contains("/./"), "{key}");
    }
    if let Ok(name) = text.parse::<BackupName>() {
        assert_eq!(name.as_str(), text);
        assert!(check_key(text).is_ok());
    }
    if let Ok(run) = text.parse::<RunId>() {
        assert_eq!(run.as_str(), text);
        assert!(text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
    }
    let _ = check_key(text);
}

fn made(mut choices: Choices<'_>) {
    let mut name = || {
        let second = choices.wide() % SECONDS_MAX;
        let at = Timestamp::from_second(second.cast_signed()).unwrap();
        let random = u128::from(choices.wide()) << 64 | u128::from(choices.wide());
        let run = RunId::new(at, random);
        (second, BackupName::new(at, &run), run)
    };
    let (one, other) = (name(), name());
    for (_, backup, run) in [&one, &other] {
        assert_eq!(run.as_str().parse::<RunId>().as_ref(), Ok(run));
        assert_eq!(backup.as_str().parse::<BackupName>().as_ref(), Ok(backup));
    }
    if one.0 != other.0 {
        assert_eq!(one.0 < other.0, one.1 < other.1, "{} {}", one.1, other.1);
        assert_eq!(one.0 < other.0, one.2 < other.2, "{} {}", one.2, other.2);
    }
    let revision = (choices.odd_number() >> 1).cast_signed();
    let backup = one.1;
    let suffix = choices.of_slice(&[".db", ".db.zst.age", ".json", ".db.gz"]).to_owned();
    let tier = choices.of_slice(&["frequent", "daily", "a.b", "a-b"]).to_owned();
    let finding = choices.of_slice(&Finding::ALL);
    let (of_tier, of_backup) = (tier.clone(), backup.clone());
    for name in [
        ObjectName::Manifest { tier: tier.clone(), backup: backup.clone(), revision },
        ObjectName::Artifact { tier, backup, suffix },
        ObjectName::Record { tier: of_tier, backup: of_backup, finding, drill: other.1 },
    ] {
        let key = name.key("prod");
        assert_eq!(ObjectName::parse("prod", &key).as_ref(), Some(&name), "{key}");
        assert_eq!(check_key(&key), Ok(()));
        assert_eq!(ObjectName::parse("pro", &key), None);
        assert_eq!(ObjectName::parse("prod-2", &key), None);
    }
}
