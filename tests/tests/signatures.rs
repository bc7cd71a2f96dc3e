//! Signed manifests: whose backups are believed, what somebody can do who can write to a destination
//! and has no key, and that nothing of it comes back, counts, or spreads.
//!
//! What is forged is put there behind Lifeboat's back. Signatures are also checked with other people's tools.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use base64::Engine;
use lifeboat_tests::checker::Place;
use lifeboat_tests::copies_scene::Copies;
use lifeboat_tests::skips::{or_skip, skip};
use lifeboat_tests::soak::stores::Stores;
use lifeboat_tests::soak::world::Kind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::process::Command;
use trust::SecretKey;

/// So many signed backups in destinations of these kinds, and the public key.
fn signed(test: &str, kinds: &[Kind], count: usize) -> Option<(Copies, String)> {
    let stores = Stores::start(test);
    let kinds: Vec<Kind> = kinds.iter().map(|kind| stores.or(*kind)).collect();
    let mut copies = or_skip(test, Copies::with(&kinds, 0, stores))?;
    let key = copies.world.sign();
    for _ in 0..count {
        let report = copies.world.site.lifeboat(&["run", "--json"]).code(0).json();
        copies.backups.insert(0, report["backup"].as_str().unwrap().to_owned());
    }
    Some((copies, key))
}

fn place_of(copies: &Copies, at: usize) -> Place {
    copies.world.destinations[at].place.clone()
}

/// The key of a backup's manifest.
fn manifest_key(place: &Place, backup: &str) -> String {
    let of_it = |key: &String| key.contains(&format!("{backup}-0")) && key.ends_with(".json");
    place.keys().into_iter().find(of_it).unwrap_or_else(|| panic!("no manifest of {backup}"))
}

fn manifest(place: &Place, backup: &str) -> Value {
    serde_json::from_slice(&place.get(&manifest_key(place, backup)).unwrap()).unwrap()
}

fn artifact_key(place: &Place, backup: &str) -> String {
    let of_it = |key: &String| key.contains(&format!("{backup}.db"));
    place.keys().into_iter().find(of_it).unwrap_or_else(|| panic!("no artifact of {backup}"))
}

/// Puts an object there as a request does: s3s-fs notes the checksum of what came in a request, and
/// there is none of what a hand put there.
fn put(place: &Place, key: &str, bytes: &[u8]) {
    place.put(key, bytes);
    let (Some(bucket), None) = (place.folder.parent(), &place.far) else { return };
    let prefix = place.folder.file_name().unwrap_or_default().to_string_lossy();
    let object = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{prefix}/{key}"));
    let name = bucket.file_name().unwrap_or_default().as_encoded_bytes();
    let bucket_name = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(name);
    let note = format!(".bucket-{bucket_name}.object-{object}.internal.json");
    let note = bucket.with_file_name(note);
    if note.exists() {
        durable::remove_file(&note).unwrap();
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap()
}

fn sign(mut manifest: Value, key: &SecretKey) -> Value {
    manifest["signature"] = serde_json::to_value(key.sign(manifest.clone())).unwrap();
    manifest
}

/// A backup that is newer than all others, by somebody who has everything but the key: a manifest of
/// the right form, with an artifact that it describes, under a name of its own.
fn stranger(place: &Place, backup: &str) -> (String, Value, String, Vec<u8>) {
    let name = "20991231T235959Z-6gzwnvm6000000000000000000";
    let (mut made, artifact) =
        (manifest(place, backup), b"what they would like you to restore".to_vec());
    made["backup"] = json!(name);
    made["taken_at"] = json!("2099-12-31T23:59:59Z");
    made["run"] = json!("6gzwnvm6000000000000000000");
    made["artifact"] = json!({
        "file": format!("{name}.db.zst.age"),
        "bytes": artifact.len(),
        "sha256": hex::encode(Sha256::digest(&artifact)),
    });
    let renamed = |key: String| key.replace(backup, name);
    (renamed(manifest_key(place, backup)), made, renamed(artifact_key(place, backup)), artifact)
}

/// Everything that a backup of a signed pipeline is good for works as it does without; the secret key
/// is where `encrypt` is, and nowhere else.
#[test]
fn i14_a_signed_backup_comes_back_where_nobody_can_sign() {
    let Some((mut copies, key)) = signed("signed", &[Kind::Directory, Kind::Bucket], 2) else {
        return;
    };
    let site = &mut copies.world.site;
    let shown = site.lifeboat(&["show", "latest"]).code(0).stdout;
    assert!(shown.contains(&format!("signed by    {key}")), "{shown}");
    let check = site.lifeboat(&["check"]).stdout;
    assert!(check.contains(&key), "{check}");
    assert_eq!(site.lifeboat(&["status", "--json"]).code(0).json()["forged"], 0);

    // A machine that restores, syncs and scrubs has no secret.
    std::fs::rename(site.path("keys/signing.pem"), site.path("away")).unwrap();
    let _ = site.lifeboat(&["run"]).code(3).said("cannot read the signing key keys/signing.pem");
    site.unset("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE");
    let _ = site.lifeboat(&["run"]).code(3).said("there is no key to sign with");
    let _ = site.lifeboat(&["fetch", "latest", "-o", "back.db"]).code(0);
    let _ = site.lifeboat(&["sync"]).code(0);
    let _ = site.lifeboat(&["scrub"]).code(0);
    let _ = copies.must_be_level("signed");
}

/// Nobody has to take our word for it: OpenSSL and jq check the same signature.
#[test]
fn i14_i25_other_tools_make_the_key_and_check_the_signature() {
    let test = "i14_i25_other_tools_make_the_key_and_check_the_signature";
    for tool in ["openssl", "jq"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return skip(test, &format!("{tool} is not on this machine"));
        }
    }
    let Some((mut copies, _)) = signed(test, &[Kind::Directory], 0) else { return };
    let home = copies.world.site.path("");
    let shell = |script: &str| {
        let script = format!("set -eu\n{script}");
        let mut command = Command::new("bash");
        let ran = command.args(["-c", &script]).current_dir(&home).output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{script}\n{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let public = shell(
        "openssl genpkey -algorithm ed25519 -out keys/other.pem && chmod 600 keys/other.pem\n\
         openssl pkey -in keys/other.pem -pubout -outform DER | tail -c 32 | base64 -w0",
    );
    let site = &mut copies.world.site;
    let of_other = "keys/other.pem is ed25519:";
    site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/other.pem");
    let _ = site.lifeboat(&["run"]).code(3).said(of_other).said("[trust] signers does not list");
    site.set("LIFEBOAT__TRUST__SIGNERS", &format!("[\"ed25519:{public}\"]"));
    let run = site.lifeboat(&["run", "--json"]).code(0).json();
    let place = copies.world.destinations[0].place.clone();
    let path = place.get(&manifest_key(&place, run["backup"].as_str().unwrap())).unwrap();
    copies.world.site.write("m.json", &path);
    // As docs/manifest.md says it.
    let checked = shell(
        "{ printf 'lifeboat manifest 1\\n'; jq -cjS 'del(.placed, .signature, .tool)' m.json; } > signed\n\
         jq -r .signature.value m.json | base64 -d > value\n\
         openssl pkey -in keys/other.pem -pubout -out public.pem\n\
         openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in signed -sigfile value",
    );
    assert!(checked.contains("Verified Successfully"), "{checked}");
}

/// A copy that was changed is told, is not read, and is made good from a copy that was not.
#[test]
fn f48_i14_a_changed_manifest_is_forged_on_every_store_and_made_good_from_a_sibling() {
    let test = "f48_i14_a_changed_manifest_is_forged_on_every_store_and_made_good_from_a_sibling";
    let kinds = [Kind::Directory, Kind::Bucket, Kind::Gcs, Kind::Azure];
    let Some((mut copies, _)) = signed(test, &kinds, 2) else { return };
    let backup = copies.backups[0].clone();
    let other = SecretKey::from_seed(&[9; 32]);
    for at in 0..kinds.len() {
        let place = place_of(&copies, at);
        let (key, right) = (manifest_key(&place, &backup), manifest(&place, &backup));
        let changed = |pointer: &str, to: Value| {
            let mut made = right.clone();
            *made.pointer_mut(pointer).unwrap() = to;
            made
        };
        let unsigned = || {
            let mut made = right.clone();
            made.as_object_mut().unwrap().remove("signature");
            made
        };
        let forgeries = [
            ("changed", changed("/artifact/sha256", json!("00".repeat(32)))),
            ("changed", changed("/etcd/members", json!([]))),
            ("changed", changed("/signature/value", json!("AAAA"))),
            ("does not list", sign(unsigned(), &other)),
            ("nobody signed", unsigned()),
            ("is none", changed("/signature", json!("trust me"))),
            // The manifest of the backup before, signed and all.
            ("for another place", manifest(&place, &copies.backups[1])),
        ];
        // All of them in one place, and some of them everywhere.
        let count = if at == 0 { forgeries.len() } else { 2 };
        for (says, forged) in forgeries.into_iter().take(count) {
            let what = format!("{:?}: {says}", copies.world.destinations[at].kind);
            put(&place, &key, &bytes(&forged));
            let site = &copies.world.site;
            let name = format!("place_{at}");
            let status = site.lifeboat(&["status"]).code(22).stdout;
            assert!(
                status.contains("FORGED") && status.contains("1 copy forged"),
                "{what}: {status}"
            );
            let show = site.lifeboat(&["show", &backup, "--json"]).code(0).json();
            let copy =
                show["copies"].as_array().unwrap().iter().find(|c| c["destination"] == *name);
            assert_eq!(copy.unwrap()["state"], "forged", "{what}");
            let problem = copy.unwrap()["problem"].as_str().unwrap();
            assert!(problem.contains(says), "{what}: {problem}");
            // Not even who asks for this very one.
            let asked = ["fetch", backup.as_str(), "--from", name.as_str(), "-o", "no.db"];
            let _ = site.lifeboat(&asked).code(22).said("forged");
            assert!(!site.path("no.db").exists(), "{what}");
            let stage = ["--destination", name.as_str(), "--manifest", key.as_str(), "-o", "no.db"];
            let _ = site.program("lifeboat-fetch", &stage).code(22).said("is unusable");
            // The others give it.
            let _ = site.lifeboat(&["fetch", &backup, "-o", "back.db"]).code(0);
            durable::remove_file(&site.path("back.db")).unwrap();

            let report = site.lifeboat(&["sync", "--json"]).code(22).json();
            let [copied] = report["copies"].as_array().unwrap().as_slice() else {
                panic!("{what}: {report:#}")
            };
            assert_eq!((&copied["result"], &copied["why"]), (&json!("replaced"), &json!("forged")));
            let kept = copied["quarantined"][0].as_str().unwrap();
            assert_eq!(place.get(kept), Some(bytes(&forged)), "{what}: the evidence is kept");
            let _ = site.lifeboat(&["sync"]).code(0);
            let _ = site.lifeboat(&["status"]).code(0);
        }
    }
    let _ = copies.must_be_level("made good");
}

/// A backup that only the one knows who brought it never is the newest one, never counts, is spread
/// nowhere, and stands in the way of nothing.
#[test]
fn f48_i14_a_backup_that_somebody_brought_is_used_for_nothing_on_any_store() {
    let test = "f48_i14_a_backup_that_somebody_brought_is_used_for_nothing_on_any_store";
    let kinds = [Kind::Directory, Kind::Bucket, Kind::Gcs, Kind::Azure];
    let Some((mut copies, _)) = signed(test, &kinds, 1) else { return };
    let other = SecretKey::from_seed(&[9; 32]);
    for at in 0..kinds.len() {
        let place = place_of(&copies, at);
        let before: Vec<Vec<String>> =
            (0..kinds.len()).map(|n| place_of(&copies, n).keys()).collect();
        let newest = copies.world.site.lifeboat(&["status", "--json"]).code(0).json();
        let newest = newest["newest"].as_str().unwrap().to_owned();
        let (key, made, artifact_key, artifact) = stranger(&place, &newest);
        put(&place, &artifact_key, &artifact);
        put(&place, &key, &bytes(&sign(made, &other)));
        let site = &copies.world.site;
        let what = format!("{:?}", kinds[at]);
        let status = site.lifeboat(&["status", "--json"]).code(22).json();
        assert_eq!(status["newest"], newest.as_str(), "{what}");
        let _ = site.lifeboat(&["fetch", "latest", "-o", "back.db"]).code(0).said(&newest);
        durable::remove_file(&site.path("back.db")).unwrap();
        let _ = site.lifeboat(&["fetch", "20991231", "-o", "no.db"]).code(22).said("does not list");
        let _ =
            site.lifeboat(&["restore", "20991231", "--member", "a", "--data-dir", "no"]).code(22);
        let report = site.lifeboat(&["sync", "--json"]).code(22).json();
        assert_eq!(report["copies"], json!([]), "{what}");
        assert_eq!(report["remarks"][0]["kind"], "forged", "{what}");
        let scrub = site.lifeboat(&["scrub", "--json"]).code(22).json();
        assert_eq!(scrub["repairs"], json!([]), "{what}");
        // A run makes its backup, says what it saw, and repairs nothing of it.
        let run = site.lifeboat(&["run", "--json"]).code(0).said("it is forged");
        let backup = run.json()["backup"].as_str().unwrap().to_owned();
        let _ = site.lifeboat(&["fetch", "latest", "-o", "back.db"]).code(0).said(&backup);
        durable::remove_file(&site.path("back.db")).unwrap();
        for (n, before) in before.iter().enumerate() {
            let mut now = place_of(&copies, n).keys();
            let is_ours = |key: &String| {
                before.contains(key) || key.contains(&backup) || key.contains("-checked-")
            };
            now.retain(|key| !is_ours(key));
            let theirs = if n == at { vec![key.clone(), artifact_key.clone()] } else { vec![] };
            now.sort();
            let mut expected = theirs;
            expected.sort();
            assert_eq!(now, expected, "{what}: place {n}");
        }
        assert!(
            place.get(&key).is_some(),
            "{what}: nobody removes it who does not know what it is"
        );
        place.remove(&key);
        place.remove(&artifact_key);
        let _ = copies.world.site.lifeboat(&["status"]).code(0);
    }
    let _ = copies.must_be_level("in spite of them");
}

/// Names and bytes that stand for nothing keep nobody from anything: not from reading, restoring, pruning,
/// scrubbing, nor from noticing that something is gone.
#[test]
fn f48_f49_i24_what_somebody_puts_there_stands_in_nobodys_way() {
    let kinds = [Kind::Directory, Kind::Directory];
    let Some((copies, key)) = signed("in_the_way", &kinds, 4) else { return };
    let (newest, oldest) = (copies.backups[0].as_str(), copies.backups[3].as_str());
    let (site, far) = (&copies.world.site, place_of(&copies, 0));
    let junk = |name: &str, bytes: &[u8]| {
        let key = format!("demo/frequent/{name}.json");
        put(&far, &key, bytes);
        key
    };
    let ahead = "29991231T235959Z-6gzwnvm6000000000000000000-00000000000000000009";
    let highest = "20200101T000000Z-01dxf6dt00000000000000000a-09000000000000000000";
    let large = format!(
        "{{\"version\":1,\"signature\":{{\"key\":\"{key}\",\"value\":\"AA==\"}},\"a\":\"{}\"}}",
        "x".repeat(900_000)
    );
    let mut twin = manifest_key(&far, oldest);
    twin.replace_range(twin.len() - 6..twin.len() - 5, "9");
    let twin_bytes = far.get(&manifest_key(&far, oldest)).unwrap();
    put(&far, &twin, &twin_bytes);
    let all = [
        twin,
        junk(ahead, b"x"),
        junk(highest, b"{}"),
        junk(&ahead.replace("2999", "2998"), large.as_bytes()),
        junk(&ahead.replace("2999", "2997"), "[".repeat(3 << 20).as_bytes()),
    ];

    let status = site.lifeboat(&["status", "--json"]).code(22).json();
    assert_eq!(status["newest"], newest);
    let restore = ["restore", "latest", "--member", "m1", "--data-dir", "back", "--json"];
    let urls = ["--initial-advertise-peer-urls", "http://127.0.0.1:2380"];
    let restored = site.lifeboat(&[&restore[..], &urls[..]].concat()).code(0);
    assert!(!restored.stdout.contains("09000000000000000000"), "{}", restored.stdout);
    let scrub = site.lifeboat(&["scrub", "--newest", "1", "--json"]).code(22).json();
    let read = scrub["copies"].as_array().unwrap().iter().filter(|c| c["backup"] == newest);
    assert_eq!(read.filter(|copy| copy["result"] == "whole").count(), 2, "{scrub:#}");
    // Pruning goes on, and leaves alone what it does not know.
    let policy = [("LAST", "2"), ("MIN_KEEP", "1"), ("MAX_FRACTION", "1.0")];
    let mut prune = site.command("lifeboat");
    for (name, value) in policy {
        prune.env(format!("LIFEBOAT__PRUNE__{name}"), value);
    }
    let pruned = prune.args(["prune"]).output().unwrap();
    assert!(pruned.status.success(), "{}", String::from_utf8_lossy(&pruned.stderr));
    let keys = far.keys();
    assert!(all.iter().all(|key| keys.contains(key)), "{keys:?}");
    assert!(!keys.contains(&manifest_key_of(&all[0], oldest)), "the oldest is pruned");

    // An old state that is put back is noticed, whatever lies beside it.
    for at in 0..2 {
        let place = place_of(&copies, at);
        let of_it = place.keys().into_iter().filter(|key| key.contains(newest));
        of_it.for_each(|key| place.remove(&key));
    }
    let status = site.lifeboat(&["status", "--json"]).code(22).json();
    assert_eq!(status["vanished"], newest);
}

/// Of a twin's key, that of the true manifest: they differ in the last digits.
fn manifest_key_of(twin: &str, backup: &str) -> String {
    let end = twin.find(backup).unwrap() + backup.len();
    twin[..end].to_owned()
}

/// What is not signed may be changed by whoever can write there; a copy elsewhere is repaired all the same, and
/// most of the copies say what its manifest is.
#[test]
fn f45_f48_words_that_are_not_signed_keep_no_copy_from_being_repaired() {
    let kinds = [Kind::Directory, Kind::Directory, Kind::Directory];
    let Some((copies, _)) = signed("blank", &kinds, 1) else { return };
    let backup = copies.backups[0].as_str();
    let (first, second) = (place_of(&copies, 0), place_of(&copies, 1));
    let (key, artifact) = (manifest_key(&first, backup), artifact_key(&second, backup));
    let (right, whole) = (first.get(&key).unwrap(), second.get(&artifact).unwrap());
    put(&first, &key, &[&right[..], b" \n"].concat());
    let mut rotten = whole.clone();
    rotten[9] ^= 1;
    put(&second, &artifact, &rotten);
    let site = &copies.world.site;
    let _ = site.lifeboat(&["scrub"]).code(0);
    assert!(second.get(&artifact).unwrap() == whole, "it is still rotten");
    // A copy that is missing gets what most have, and not what the nearest has.
    second.remove(&key);
    second.remove(&artifact);
    let _ = site.lifeboat(&["sync"]).code(0);
    assert!(second.get(&key).unwrap() == right, "it got other words");
    let _ = site.lifeboat(&["status"]).code(0);
}

/// Far more bytes than belong there are neither read nor kept: that would take days.
#[test]
fn f48_i24_a_copy_that_grew_beyond_all_bounds_is_told_and_not_read() {
    let Some((copies, _)) = signed("grown", &[Kind::Directory, Kind::Directory], 1) else { return };
    let key = artifact_key(&place_of(&copies, 0), &copies.backups[0]);
    let path = copies.world.destinations[0].place.folder.join(&key);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 42).unwrap();
    let site = &copies.world.site;
    let _ = site.lifeboat(&["sync"]).code(40).said("far more than belong there");
    let _ = site.lifeboat(&["run"]).code(0);
    assert_eq!(path.metadata().unwrap().len(), 1 << 42);
}

/// Where two destinations tell two stories and one of them is signed, that one is believed: who can write
/// to one destination cannot make a backup doubtful everywhere.
#[test]
fn f47_f48_i14_words_that_are_not_signed_make_no_backup_doubtful() {
    let Some((copies, _)) = signed("words", &[Kind::Directory, Kind::Directory], 1) else { return };
    let backup = copies.backups[0].as_str();
    let place = place_of(&copies, 0);
    let mut other = manifest(&place, backup);
    other["placed"]["destinations"]["place_1"]["location"] = json!("file:elsewhere");
    other["tool"] = json!("another 1.0");
    place.put(&manifest_key(&place, backup), &bytes(&other));
    let site = &copies.world.site;
    let _ = site.lifeboat(&["status"]).code(0);
    let _ = site.lifeboat(&["sync"]).code(0);
    let _ = site.lifeboat(&["fetch", backup, "--from", "place_0", "-o", "back.db"]).code(0);
}

/// What a signature says is made of the receipts; whoever changes one of them afterwards commits nothing.
#[test]
fn f48_f52_nothing_is_committed_whose_signature_does_not_hold() {
    let Some((mut copies, _)) = signed("receipts", &[Kind::Directory], 0) else { return };
    let site = &mut copies.world.site;
    let steps = [
        ("lifeboat-capture", None, Some("0")),
        ("lifeboat-verify", Some("0"), Some("1")),
        ("lifeboat-compress", Some("1"), Some("2")),
        ("lifeboat-encrypt", Some("2"), Some("3")),
    ];
    let _ = site.lifeboat(&["plan", "--run-dir", "run"]).code(0);
    for (program, input, output) in steps {
        let mut arguments = vec!["--run-dir", "run"];
        arguments.extend(input.iter().flat_map(|input| ["--input", input]));
        arguments.extend(output.iter().flat_map(|output| ["--output", output]));
        let _ = site.program(program, &arguments).code(0);
    }
    let path = "run/receipts/01-verify.json";
    let whole = std::fs::read(site.path(path)).unwrap();
    let mut receipt: Value = serde_json::from_slice(&whole).unwrap();
    receipt["facts"]["total_key_live"] = json!(0);
    site.write(path, &bytes(&receipt));
    let replicate = ["--run-dir", "run", "--input", "3"];
    let _ =
        site.program("lifeboat-replicate", &replicate).code(22).said("changed after it was signed");
    site.write(path, &whole);
    // Nor what this stage's configuration does not believe, or nobody asked it to believe.
    let right = site.lifeboat(&["keygen-signing", "keys/second.pem"]).code(0).stdout;
    site.set("LIFEBOAT__TRUST__SIGNERS", &format!("[{:?}]", right.trim()));
    let _ = site.program("lifeboat-replicate", &replicate).code(3).said("the run was planned for");
    site.unset("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE");
    site.set("LIFEBOAT__TRUST__SIGNERS", "[]");
    let _ = site.program("lifeboat-replicate", &replicate).code(3).said("the run was planned for");
    assert_eq!(place_of(&copies, 0).keys(), Vec::<String>::new());
}

/// Older backups that nobody signed are forged, unless a date lets them in; a key that was given up keeps
/// signing for what it signed.
#[test]
fn i14_signing_begins_and_keys_change_without_losing_the_past() {
    let Some(mut copies) =
        or_skip("rotation", Copies::with(&[Kind::Directory], 1, Stores::default()))
    else {
        return;
    };
    let old = copies.backups[0].clone();
    let key = copies.world.sign();
    let site = &mut copies.world.site;
    let _ = site.lifeboat(&["status"]).code(22);
    let _ = site.lifeboat(&["fetch", &old, "-o", "no.db"]).code(22).said("[trust] unsigned_until");
    let run = site.lifeboat(&["run", "--json"]).code(0).said("nobody signed it").json();
    let first = run["backup"].as_str().unwrap().to_owned();
    site.set("LIFEBOAT__TRUST__UNSIGNED_UNTIL", run["started_at"].as_str().unwrap());
    let _ = site.lifeboat(&["status"]).code(0);
    let _ = site.lifeboat(&["fetch", &old, "-o", "old.db"]).code(0);

    let next = site.lifeboat(&["keygen-signing", "keys/next.pem"]).code(0).stdout;
    let next = next.trim();
    site.set("LIFEBOAT__TRUST__SIGNERS", &format!("[{next:?}, {key:?}]"));
    site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/next.pem");
    let _ = site.lifeboat(&["run"]).code(0);
    let _ = site.lifeboat(&["status"]).code(0);
    // A stolen key is taken out: what it signed is not believed any more.
    site.set("LIFEBOAT__TRUST__SIGNERS", &format!("[{next:?}]"));
    let _ = site.lifeboat(&["status"]).code(22);
    let _ = site.lifeboat(&["fetch", &first, "-o", "no.db"]).code(22).said(&key);
    let _ = site.lifeboat(&["fetch", "latest", "-o", "back.db"]).code(0);
}

/// Where a date lets unsigned backups in, a signature that is taken away is missed all the same, if another
/// destination has it; and it comes back.
#[test]
fn f48_i14_a_signature_that_was_taken_away_comes_back() {
    let Some((mut copies, _)) = signed("stripped", &[Kind::Directory, Kind::Bucket], 1) else {
        return;
    };
    let backup = copies.backups[0].clone();
    let at_0 = place_of(&copies, 0);
    let taken_at = manifest(&at_0, &backup)["taken_at"].as_str().unwrap().to_owned();
    let taken_at: jiff::Timestamp = taken_at.parse().unwrap();
    let until = (taken_at + jiff::SignedDuration::from_secs(1)).to_string();
    copies.world.site.set("LIFEBOAT__TRUST__UNSIGNED_UNTIL", &until);
    let (key, right) = (manifest_key(&at_0, &backup), manifest(&at_0, &backup));
    let mut stripped = right.clone();
    stripped.as_object_mut().unwrap().remove("signature");
    stripped["artifact"]["sha256"] = json!("00".repeat(32));
    put(&at_0, &key, &bytes(&stripped));
    let site = &copies.world.site;
    let _ = site.lifeboat(&["status"]).code(22);
    let _ = site.lifeboat(&["fetch", "latest", "-o", "back.db"]).code(0).said(&backup);
    let report = site.lifeboat(&["sync", "--json"]).code(22).json();
    assert_eq!(report["copies"][0]["result"], "replaced", "{report:#}");
    assert_eq!(manifest(&at_0, &backup), right);
    let _ = site.lifeboat(&["sync"]).code(0);
    let _ = site.lifeboat(&["status"]).code(0);
}

/// An old state that somebody put back is whole and signed; that the newest backup is gone is noticed by who made it.
#[test]
fn f48_i14_a_past_that_somebody_put_back_is_noticed() {
    let Some((copies, _)) = signed("rolled_back", &[Kind::Directory, Kind::Bucket], 2) else {
        return;
    };
    let (newest, older) = (&copies.backups[0], &copies.backups[1]);
    for at in 0..2 {
        let place = place_of(&copies, at);
        let of_it = place.keys().into_iter().filter(|key| key.contains(newest.as_str()));
        of_it.for_each(|key| place.remove(&key));
    }
    let site = &copies.world.site;
    let status = site.lifeboat(&["status"]).code(22).stdout;
    assert!(status.contains("ROLLED BACK") && status.contains(newest.as_str()), "{status}");
    let json = site.lifeboat(&["status", "--json"]).code(22).json();
    assert_eq!((&json["vanished"], &json["newest"]), (&json!(newest), &json!(older)));
    let _ = site.lifeboat(&["run"]).code(0).said("is in no destination");
    let _ = site.lifeboat(&["status"]).code(0);
}

/// A key that cannot sign is found before a byte flows, and by `check`.
#[test]
fn f48_f53_a_key_that_cannot_be_used_is_a_mistake_in_the_configuration() {
    let Some((mut copies, key)) = signed("keys", &[Kind::Directory], 0) else { return };
    let site = &mut copies.world.site;
    let _ = site.lifeboat(&["keygen-signing", "keys/signing.pem"]).code(2).said("exists");
    for (content, says) in [
        ("", "cannot be used"),
        ("AGE-SECRET-KEY-1QQQQ", "cannot be used"),
        ("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", "cannot be used"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "cannot be used"),
    ] {
        site.write("keys/bad.pem", content.as_bytes());
        site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/bad.pem");
        let ran = site.lifeboat(&["run"]).code(3).said(says).said("openssl genpkey");
        assert!(!ran.stderr.contains("QQQQ") && !ran.stderr.contains("MC4="), "{}", ran.stderr);
        let check = site.lifeboat(&["check"]).code(3);
        assert!(check.stdout.contains(says), "{}", check.stdout);
    }
    site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/signing.pem");
    for (signers, says) in [
        ("[\"ed25519:AAAA\"]", "32 bytes in base64"),
        ("[\"age1qqqq\"]", "32 bytes in base64"),
        ("[\"ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]", "everybody can sign"),
        ("[]", "nobody checks the signatures"),
    ] {
        site.set("LIFEBOAT__TRUST__SIGNERS", signers);
        let _ = site.lifeboat(&["status"]).code(3).said(says);
    }
    let secret = std::fs::read_to_string(site.path("keys/signing.pem")).unwrap();
    let line = secret.lines().nth(1).unwrap();
    for (name, value) in [
        ("LIFEBOAT__TRUST__SIGNERS", format!("[{secret:?}]")),
        ("LIFEBOAT__TRUST__SIGNERS", format!("[{line:?}]")),
        ("LIFEBOAT__TRUST__SIGNERS", line.to_owned()),
        ("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", format!("{secret:?}")),
        ("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", line.to_owned()),
    ] {
        site.set("LIFEBOAT__TRUST__SIGNERS", &format!("[{key:?}]"));
        site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/signing.pem");
        site.set(name, &value);
        for verb in ["status", "run", "check"] {
            let ran = site.lifeboat(&[verb]).code(3);
            let told = ran.stderr + &ran.stdout;
            assert!(!told.contains(&line[20..]), "the secret is not repeated: {told}");
        }
    }
    site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/signing.pem");
    site.set("LIFEBOAT__TRUST__SIGNERS", &key);
    site.set("LIFEBOAT__TRUST__UNSIGNED_UNTIL", "2090-01-01T00:00:00Z");
    let _ = site.lifeboat(&["run"]).code(3).said("lies ahead");
    site.unset("LIFEBOAT__TRUST__UNSIGNED_UNTIL");
    site.set("LIFEBOAT__STAGES", "[\"capture\", \"verify\", \"compress\", \"replicate\"]");
    let _ = site.lifeboat(&["status"]).code(3).said("no backup of this pipeline would be believed");
    assert_eq!(place_of(&copies, 0).keys(), Vec::<String>::new());
}
