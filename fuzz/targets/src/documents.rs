//! Manifests, receipts, plans and `pipeline.toml`.
//!
//! Held to: what was accepted is written and read again as the same; a key that stands twice in
//! one object is refused wherever it stands; a refusal is one short line, and one of the
//! configuration says where.

use crate::choices::Choices;
use crate::scratch;
use catalogue::{Manifest, ManifestError, ObjectName};
use config::Pipeline;
use contract::{Failure, Plan, Receipt, RunDir, RunDirError};
use serde_json::{Map, Value, json};
use std::path::Path;
use trust::{SecretKey, Trust};

const CLUSTER: &str = "prod";
const CHANGES_MAX: usize = 4;
/// What a person reads in one go. A message must not repeat megabytes of what it is about.
const MESSAGE_BYTES_MAX: usize = 2_000;
/// Deeper than any reader has to follow.
const DEEP: usize = 100_000;

const BACKUP: &str = "20251120T010000Z-01kafcxn0000000000000000ab";
const RUN: &str = "01kafcxn0000000000000000ab";

/// Any bytes as a manifest, under the name that it gives itself.
pub fn manifest(input: &[u8]) {
    let Some(mut choices) = Choices::of(input) else {
        return one_manifest(input);
    };
    let text = damaged_json(&sound_manifest(), &mut choices);
    one_manifest(text.text.as_bytes());
    if text.has_twin {
        let read = Manifest::from_bytes(
            CLUSTER,
            &manifest_name(text.text.as_bytes()),
            text.text.as_bytes(),
            &Trust::default(),
        );
        assert!(read.is_err(), "a key stands twice: {}", text.text);
    }
}

/// Nothing passes where a signature is asked for that nobody made. Signed with that very key it passes
/// if and only if it does without.
fn never_believed(name: &ObjectName, bytes: &[u8]) {
    let key = SecretKey::from_seed(&[7; 32]);
    let trust = Trust { signers: vec![key.public()], unsigned_until: None };
    assert!(Manifest::from_bytes(CLUSTER, name, bytes, &trust).is_err(), "not signed");
    if let Ok(mut manifest) = Manifest::from_bytes(CLUSTER, name, bytes, &Trust::default()) {
        manifest.signature = None;
        manifest.signature = Some(manifest.signed_by(&key));
        let signed = manifest.to_bytes();
        assert_eq!(Manifest::from_bytes(CLUSTER, name, &signed, &trust).as_ref(), Ok(&manifest));
    }
}

/// The name that a manifest would have to be stored under, as far as it says so.
pub fn manifest_name(bytes: &[u8]) -> ObjectName {
    let value: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let text = |pointer: &str, other: &str| {
        let found = value.pointer(pointer).and_then(Value::as_str).unwrap_or(other);
        found.to_owned()
    };
    let backup = text("/backup", BACKUP).parse().or_else(|_| BACKUP.parse()).unwrap();
    let revision = value.pointer("/snapshot/revision").and_then(Value::as_i64).unwrap_or(5);
    ObjectName::Manifest { tier: text("/tier", "frequent"), backup, revision }
}

fn one_manifest(bytes: &[u8]) {
    let name = manifest_name(bytes);
    never_believed(&name, bytes);
    let manifest = match Manifest::from_bytes(CLUSTER, &name, bytes, &Trust::default()) {
        Ok(manifest) => manifest,
        Err(error) => {
            short(&error.to_string());
            if matches!(error, ManifestError::Newer { .. }) {
                assert!(!String::from_utf8_lossy(bytes).contains("\"version\":1,"));
            }
            return;
        }
    };
    let again = manifest.to_bytes();
    assert_eq!(
        Manifest::from_bytes(CLUSTER, &name, &again, &Trust::default()).as_ref(),
        Ok(&manifest)
    );
    let third = Manifest::from_bytes(CLUSTER, &name, &again, &Trust::default()).unwrap().to_bytes();
    assert_eq!(again, third, "the stored form is not stable");
    if ObjectName::parse(CLUSTER, &name.key(CLUSTER)).as_ref() == Some(&name) {
        // A listing can show this name, so what is made of it must stay in the folder.
        for key in [manifest.artifact_key(), name.key(CLUSTER)] {
            assert!(!key.split('/').any(|part| part.is_empty() || part.starts_with('.')), "{key}");
            assert!(!key.chars().any(char::is_control), "{key:?}");
        }
    }
}

/// Any bytes as a receipt of a run.
pub fn receipt(input: &[u8]) {
    with_json(input, &sound_receipt(), |text| read_receipt(text).map(|found| json!(found)));
}

/// Any bytes as the plan of a run.
pub fn plan(input: &[u8]) {
    with_json(input, &sound_plan(), |text| read_plan(text).map(|found| json!(found)));
}

/// Reads a receipt as a stage does, from a run directory.
///
/// # Errors
/// Those of [`RunDir::receipt`].
pub fn read_receipt(text: &[u8]) -> Result<Receipt, RunDirError> {
    scratch::file("plan.json", sound_plan().to_string().as_bytes());
    let path = scratch::file("receipts/01-verify.json", text);
    let (dir, _) = RunDir::open(path.parent().and_then(Path::parent).unwrap())?;
    Ok(dir.receipt(1, "verify")?.expect("the file was just written"))
}

/// Reads a plan as a stage does.
///
/// # Errors
/// Those of [`RunDir::open`].
pub fn read_plan(text: &[u8]) -> Result<Plan, RunDirError> {
    let path = scratch::file("plan.json", text);
    RunDir::open(path.parent().unwrap()).map(|(_, plan)| plan)
}

fn with_json(input: &[u8], sound: &Value, read: impl Fn(&[u8]) -> Result<Value, RunDirError>) {
    let made = Choices::of(input).map(|mut choices| damaged_json(sound, &mut choices));
    let text = made.as_ref().map_or(input, |made| made.text.as_bytes());
    match read(text) {
        Ok(first) => {
            assert!(!made.is_some_and(|made| made.has_twin), "a key stands twice");
            let second = read(first.to_string().as_bytes()).expect("what was written is read");
            // Facts of a foreign stage may hold fractions, which JSON readers round.
            assert!(second == first || first.to_string().contains('.'), "{first} became {second}");
        }
        Err(error) => short(&error.to_string()),
    }
}

/// Any bytes as a `pipeline.toml`; choices as lines of one.
pub fn pipeline(input: &[u8]) {
    let made = Choices::of(input).map(|mut choices| damaged_toml(&mut choices));
    let text = made.as_ref().map_or(input, |made| made.as_bytes());
    let path = scratch::file("pipeline.toml", text);
    match Pipeline::load(Some(&path)) {
        Ok(pipeline) => {
            let again = toml::to_string(&pipeline).expect("a pipeline can be written");
            let path = scratch::file("again.toml", again.as_bytes());
            let second = Pipeline::load(Some(&path)).unwrap_or_else(|e| panic!("{e}\n{again}"));
            assert_eq!(pipeline, second, "\n{again}");
        }
        Err(error) => {
            let message = error.to_string();
            short(&message);
            assert!(error.hint().is_some());
            assert!(!message.contains("environment variable"), "{message}");
            says_where(&error, &message, &path);
        }
    }
}

/// Reads a configuration as every program does.
///
/// # Errors
/// Those of [`Pipeline::load`].
pub fn load_pipeline(text: &[u8]) -> Result<Pipeline, config::Error> {
    Pipeline::load(Some(&scratch::file("pipeline.toml", text)))
}

/// `FILE:LINE:COLUMN`, or `FILE: KEY` for a key that is missing.
fn says_where(error: &config::Error, message: &str, path: &Path) {
    let config::Error::Wrong { origin, .. } = error else { return };
    let name = path.display().to_string();
    let place = origin.strip_prefix(&name).unwrap_or_else(|| panic!("{message}"));
    let numbers: Vec<&str> = place.split(':').skip(1).collect();
    let is_place =
        numbers.len() == 2 && numbers.iter().all(|n| n.parse::<u64>().is_ok_and(|n| n > 0));
    assert!(is_place || place.starts_with(": "), "{message}");
}

fn short(message: &str) {
    assert!(message.len() <= MESSAGE_BYTES_MAX, "{} bytes: {:.300}", message.len(), message);
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

// === JSON, sound and damaged ===

struct Text {
    text: String,
    /// Whether a key stands twice in one object of it.
    has_twin: bool,
}

fn damaged_json(sound: &Value, choices: &mut Choices<'_>) -> Text {
    let mut value = sound.clone();
    for _ in 0..CHANGES_MAX {
        if choices.is_done() {
            break;
        }
        change(&mut value, choices);
    }
    let mut text = value.to_string();
    let has_twin = choices.one_in(4) && twin(&mut text, choices);
    if choices.one_in(64) {
        text = format!("{}{}", "[".repeat(DEEP), text);
    }
    Text { text, has_twin }
}

/// Puts a key of an object into it a second time, with another value.
fn twin(text: &mut String, choices: &mut Choices<'_>) -> bool {
    let opened: Vec<usize> = text.match_indices("{\"").map(|(at, _)| at).collect();
    let Some(at) = opened.get(choices.below(opened.len().max(1))).copied() else { return false };
    let Some(key) = text[at + 2..].split('"').next().map(str::to_owned) else { return false };
    if key.contains('\\') {
        return false;
    }
    text.insert_str(at + 1, &format!("\"{key}\":0,"));
    // It may have been within a string, and then there is no second key.
    serde_json::from_str::<Value>(text).is_ok() && !text.contains("\\\"")
}

/// Replaces, adds or removes something at a place that the choices lead to.
fn change(place: &mut Value, choices: &mut Choices<'_>) {
    let stop = choices.one_in(3);
    match place {
        Value::Object(map) if !stop && !map.is_empty() => {
            let at = choices.below(map.len());
            change(map.values_mut().nth(at).unwrap(), choices);
        }
        Value::Array(list) if !stop && !list.is_empty() => {
            let at = choices.below(list.len());
            change(&mut list[at], choices);
        }
        other => alter(other, choices),
    }
}

fn alter(place: &mut Value, choices: &mut Choices<'_>) {
    match (choices.byte() % 3, place) {
        (0, Value::Object(map)) => {
            let at = choices.below(map.len().max(1));
            if let Some(key) = map.keys().nth(at).cloned() {
                map.remove(&key);
            }
        }
        (1, Value::Object(map)) => {
            map.insert(odd_text(choices), odd_value(choices));
        }
        (0, Value::Array(list)) => list.push(odd_value(choices)),
        (_, place) => *place = odd_value(choices),
    }
}

fn odd_value(choices: &mut Choices<'_>) -> Value {
    match choices.byte() % 9 {
        0 => Value::Null,
        1 => json!(choices.odd_number()),
        2 => json!(choices.odd_number().cast_signed()),
        3 => json!(choices.of_slice(&[1.5, 1e300, -0.0, 5e-324])),
        4 => Value::Array(Vec::new()),
        5 => Value::Object(Map::new()),
        6 => Value::Bool(choices.byte().is_multiple_of(2)),
        _ => Value::String(odd_text(choices)),
    }
}

fn odd_text(choices: &mut Choices<'_>) -> String {
    const TEXTS: [&str; 16] = [
        "",
        "..",
        "../../etc/passwd",
        "/absolute",
        "a/b",
        ".hidden",
        "nul\0inside",
        "line\nbreak",
        "\u{1b}[31mred",
        "\u{202e}turned",
        "рrod",
        "prod",
        "2025-11-20T01:00:00Z",
        "-009999-01-02T01:59:59Z",
        RUN,
        BACKUP,
    ];
    match choices.byte() % 8 {
        0 => String::from_utf8_lossy(choices.bytes(30)).into_owned(),
        1 => "x".repeat(10_000),
        _ => choices.of_slice(&TEXTS).to_owned(),
    }
}

fn sound_manifest() -> Value {
    json!({
        "version": 1, "backup": BACKUP, "cluster": CLUSTER, "tier": "frequent", "run": RUN,
        "taken_at": "2025-11-20T01:00:00Z", "tool": "lifeboat-replicate 0.1.0",
        "etcd": {
            "cluster_id": "cafe", "member_id": "1", "member_name": "a",
            "endpoint": "http://e:2379", "etcd_version": "3.6.0", "leader_id": "1",
            "raft_term": 2, "raft_index": 9, "raft_applied_index": 9, "db_bytes": 4096,
            "db_bytes_in_use": 4096, "revision_barrier": 5,
            "alarms": [{"member_id": "1", "alarm": "NOSPACE"}],
            "members": [{"id": "1", "name": "a", "peer_urls": ["http://e:2380"],
                "client_urls": [], "learner": false}],
            "hashkv": [
                {"member_id": "1", "member_name": "a", "hash": 7, "revision": 5,
                    "compact_revision": -1},
                {"member_id": "2", "member_name": "b", "missing": "no answer"}],
            "adopted": {"file": "old.db.gz", "wrapped": ["gzip"], "has_trailer": true,
                "time_from": "file-time"},
        },
        "snapshot": {
            "snapshot_bytes": 4128, "db_sha256": "00", "status_hash": 1, "revision": 5,
            "total_key_records": 9, "total_key_live": 4, "total_bytes": 4096, "free_bytes": 0,
            "page_bytes": 4096, "buckets": {"key": 8, "meta": 1}, "kubernetes": {"pods": 4},
            "encryption_at_rest": {"aescbc:v1:key1": 2}, "auth_enabled": true, "member_ids": ["1"],
            "hashkv": [{"member_id": "1", "member_name": "a", "agrees": true}],
        },
        "key_count_rules": {"total_key_live": "live keys"},
        "steps": [{"stage": "capture", "tool": "t", "output": {"bytes": 4128, "sha256": "00"}}],
        "recipients": ["age1xyz"],
        "artifact": {"file": format!("{BACKUP}.db.zst.age"), "bytes": 100, "sha256": "00"},
        "previous": {"backup": "b", "manifest_sha256": "00", "cluster_id": "cafe", "revision": 4},
    })
}

fn sound_receipt() -> Value {
    json!({
        "version": 1, "run": RUN, "step": 1, "stage": "verify", "tool": "lifeboat-verify 0.1.0",
        "started_at": "2025-11-20T01:00:00Z", "finished_at": "2025-11-20T01:00:01Z",
        "input": {"bytes": 4128, "crc64": "00"},
        "output": {"bytes": 4128, "crc64": "00", "sha256": "00"},
        "waited": {"input_ms": 1, "output_ms": 2},
        "facts": {"snapshot_bytes": 4128, "buckets": {"key": 8}, "hashkv": []},
    })
}

fn sound_plan() -> Value {
    json!({
        "version": 1, "run": RUN, "cluster": CLUSTER, "tier": "frequent",
        "started_at": "2025-11-20T01:00:00Z",
        "steps": [{"name": "capture"}, {"name": "verify"},
            {"name": "pack", "program": ["gzip", "-1"], "suffix": ".gz"}, {"name": "replicate"}],
        "input": {"file": "old.db.gz", "time_from": "given"},
        "previous": {"backup": "b", "manifest_sha256": "00", "cluster_id": "cafe", "revision": 4},
    })
}

// === TOML ===

/// The shipped configuration with lines changed: a value, a key, a section, twice, or not at all.
fn damaged_toml(choices: &mut Choices<'_>) -> String {
    let shipped = config::REFERENCE.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut lines: Vec<String> =
        shipped.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    for _ in 0..CHANGES_MAX {
        if choices.is_done() {
            break;
        }
        let at = choices.below(lines.len());
        match choices.byte() % 7 {
            0 => {
                lines.remove(at);
                if lines.is_empty() {
                    break;
                }
            }
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = choices.below(lines.len());
                lines.swap(at, other);
            }
            3 => lines[at] = String::from_utf8_lossy(choices.bytes(40)).into_owned(),
            4 => {
                let line = lines[at].split(" =").next().unwrap_or_default().to_owned();
                lines[at] = format!("{line} = {}", odd_toml(choices));
            }
            5 => lines[at].insert(0, '\t'),
            _ => {
                let key = choices.of_slice(&["x", "\"\"", "a.b", "[run]", "[[run]]", "[a.b.c]"]);
                lines.insert(
                    at,
                    if key.starts_with('[') { key.into() } else { format!("{key} = 1") },
                );
            }
        }
    }
    let end = choices.of_slice(&["\n", "\n", "\r\n"]);
    let begin = choices.of_slice(&["", "", "", "\u{feff}"]);
    format!("{begin}{}{end}", lines.join(end))
}

fn odd_toml(choices: &mut Choices<'_>) -> String {
    const VALUES: [&str; 24] = [
        "0",
        "-1",
        "9223372036854775807",
        "1_000",
        "0x10",
        "1.5",
        "nan",
        "inf",
        "true",
        "\"\"",
        "\"500ms\"",
        "\"1s 1ns\"",
        "\"7304484d\"",
        "\"1mo\"",
        "\"-5m\"",
        "\"5M\"",
        "\"$HOME\"",
        "[]",
        "[\"capture\", \"verify\", \"replicate\"]",
        "{ a = 1 }",
        "{ a = 1,\n b = 2 }",
        "1979-05-27",
        "\"\\e[31m\"",
        "'''\nlong'''",
    ];
    match choices.byte() % 8 {
        0 => choices.odd_number().to_string(),
        1 => format!("\"{}\"", "x".repeat(5_000)),
        2 => format!("{}{}", "[".repeat(2_000), "]".repeat(2_000)),
        _ => choices.of_slice(&VALUES).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::STRUCTURED;
    use crate::model::Rng;

    /// A target that never reaches what it speaks of shows nothing.
    #[test]
    fn the_choices_reach_both_verdicts_and_keys_that_stand_twice() {
        let rng = &mut Rng(20_261_120);
        let (mut accepted, mut refused, mut twins) = (0, 0, 0);
        for _ in 0..2_000 {
            let length = rng.below(40);
            let input = rng.bytes(length);
            let made = damaged_json(&sound_manifest(), &mut Choices::new(&input));
            let bytes = made.text.as_bytes();
            twins += u32::from(made.has_twin);
            match Manifest::from_bytes(CLUSTER, &manifest_name(bytes), bytes, &Trust::default()) {
                Ok(_) => accepted += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(accepted > 100 && refused > 500 && twins > 50, "{accepted} {refused} {twins}");
    }

    #[test]
    fn without_a_choice_everything_is_sound() {
        let sound = [STRUCTURED];
        let as_bytes = |value: Value| value.to_string().into_bytes();
        let bytes = as_bytes(sound_manifest());
        Manifest::from_bytes(CLUSTER, &manifest_name(&bytes), &bytes, &Trust::default()).unwrap();
        read_receipt(&as_bytes(sound_receipt())).unwrap();
        read_plan(&as_bytes(sound_plan())).unwrap();
        load_pipeline(damaged_toml(&mut Choices::new(&[])).as_bytes()).unwrap();
        crate::verify(&crate::damaged_snapshot(&sound), 1 << 20, Default::default()).unwrap();
        for (_, target) in crate::TARGETS {
            target(&sound);
        }
    }
}
