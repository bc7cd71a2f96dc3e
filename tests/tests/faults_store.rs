//! Every fault of a store, through a front before a real server: what `lifeboat-replicate` says
//! and returns, what is then in the bucket, and how often was tried.
//!
//! One rule for all: exit 0 or 40 means that what the bucket lists is whole; anything else means
//! that it lists nothing new.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::fault_front::{Effect, Fault, Kind, Operation, Reply, Rule};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::store_scene::{Place, StoreScene, files};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use Operation::{Abort, Begin, Complete, Delete, Get, Head, ListUploads, Part, Put};

/// More parts than the artifact has.
const PARTS_MAX: usize = 5;
/// How often the SDK sends one request: the first time and four times more.
const ATTEMPTS: usize = 5;
/// A part or an end that fails is tried so often anew before a destination's 20 s without progress are
/// over: the pauses double from a quarter of a second, at the least.
const ROUNDS_MAX: usize = 7;

/// A fault and what must come of it.
struct Case {
    name: &'static str,
    rules: Vec<Rule>,
    /// The exit code when this is the only destination.
    code: i32,
    /// Words of the messages.
    says: Vec<&'static str>,
    /// An operation and how often it may be seen.
    seen: Option<(Operation, std::ops::RangeInclusive<usize>)>,
    /// How many parts have to be sent again.
    resent: Option<usize>,
    /// Settings of the destination.
    settings: &'static str,
    /// Whether nobody can know what became of the manifest: the artifact stays, so that one which
    /// comes late is never without it.
    unsure: bool,
}

impl Case {
    fn new(name: &'static str, code: i32, rules: Vec<Rule>) -> Self {
        let settings = "timeout = \"20s\"\n";
        Case {
            name,
            rules,
            code,
            says: Vec::new(),
            seen: None,
            resent: None,
            settings,
            unsure: false,
        }
    }

    fn says(mut self, words: &[&'static str]) -> Self {
        self.says.extend(words);
        self
    }

    fn seen(mut self, operation: Operation, times: std::ops::RangeInclusive<usize>) -> Self {
        self.seen = Some((operation, times));
        self
    }

    fn resent(mut self, parts: usize) -> Self {
        self.resent = Some(parts);
        self
    }

    fn unsure(mut self) -> Self {
        self.unsure = true;
        self
    }

    fn settings(mut self, settings: &'static str) -> Self {
        self.settings = settings;
        self
    }

    /// Gives the first thing that is not as it must be.
    fn run(&self, scene: &StoreScene) -> Result<(), String> {
        let place = scene.place(self.name);
        place.configure("\"all\"", &[place.bucket(self.settings)], "");
        place.front.script(self.rules.clone());
        let ran = place.replicate();
        self.judge(&place, &ran)
            .map_err(|why| format!("{}: {why}\n{ran:#?}\n{:#?}", self.name, place.front.seen()))
    }

    fn judge(&self, place: &Place<'_>, ran: &Ran) -> Result<(), String> {
        if ran.code != self.code {
            return Err(format!("exit {} instead of {}", ran.code, self.code));
        }
        if let Some(missing) = self.says.iter().find(|words| !ran.stderr.contains(**words)) {
            return Err(format!("{missing:?} is not said"));
        }
        match (self.unsure, place.objects("").as_slice()) {
            (true, [orphan]) if orphan.extension().is_some_and(|e| e == "age") => {}
            _ => place.holds(usize::from(self.code == 0))?,
        }
        if let Some(resent) = self.resent.filter(|resent| *resent != parts_resent(place)) {
            return Err(format!("{} parts were sent again, not {resent}", parts_resent(place)));
        }
        match &self.seen {
            Some((operation, times)) if !times.contains(&place.front.count(*operation)) => {
                Err(format!("{operation:?} was seen {} times", place.front.count(*operation)))
            }
            _ => Ok(()),
        }
    }
}

/// How many parts there are depends on how etcd has laid out its file.
fn parts_resent(place: &Place<'_>) -> usize {
    let seen = place.front.seen();
    let parts: Vec<u32> =
        seen.iter().filter(|(c, _)| c.operation == Part).map(|(c, _)| c.part).collect();
    let distinct: BTreeSet<u32> = parts.iter().copied().collect();
    parts.len() - distinct.len()
}

/// Runs all cases, some at once, and complains of all that went wrong together.
fn run_all(scene: &StoreScene, cases: Vec<Case>) {
    const AT_ONCE: usize = 6;
    let (queue, problems) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = next() {
                    problems.lock().unwrap().extend(case.run(scene).err());
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

fn on(operation: Operation, fault: Fault) -> Rule {
    Rule::on(operation, fault)
}

/// A part or an answer that is lost on the way is sent again, a bounded number of times.
#[test]
fn f23_f24_f25_what_passes_is_weathered_and_what_stays_is_exit_10() {
    let test = "f23_f24_f25_what_passes_is_weathered_and_what_stays_is_exit_10";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let error = |status, code| Fault::refuse(status, code);
    let mut cases = vec![
        Case::new("a-part-is-cut", 0, vec![on(Part, Fault::CutUpload(200_000)).times(2)]).resent(2),
        Case::new("a-part-is-lost", 0, vec![on(Part, Fault::Close(Effect::Before)).times(2)])
            .resent(2),
        Case::new("its-answer-is-lost", 0, vec![on(Part, Fault::Close(Effect::After)).once()])
            .resent(1),
        Case::new("a-503", 0, vec![on(Part, Fault::slow_down(1)).times(2)]).resent(2),
        Case::new("a-429", 0, vec![on(Part, error(429, "TooManyRequests")).times(2)]).resent(2),
        Case::new(
            "a-500-to-each",
            0,
            vec![
                on(Begin, error(500, "InternalError")).once(),
                on(Part, error(500, "InternalError")).once(),
                on(Complete, error(500, "InternalError")).once(),
                on(Head, error(503, "ServiceUnavailable")).once(),
                on(Get, error(500, "InternalError")).once(),
                on(Put, error(500, "InternalError")).once(),
            ],
        ),
        Case::new(
            "a-download-is-short",
            0,
            vec![on(Get, Fault::Short(3_000_000)).artifacts().times(2)],
        ),
        Case::new("a-storm-of-503", 10, vec![on(Part, error(503, "SlowDown"))])
            .says(&["destination \"s3s\"", "503 SlowDown", "next: try again later"])
            .seen(Part, 1..=PARTS_MAX * ATTEMPTS * ROUNDS_MAX),
        Case::new("every-part-is-cut", 10, vec![on(Part, Fault::CutUpload(1_000))])
            .says(&["only 0 of 1 destinations"])
            .seen(Part, 1..=PARTS_MAX * ATTEMPTS * ROUNDS_MAX),
    ];
    cases.push(
        Case::new("a-black-hole", 10, vec![on(Part, Fault::Silence(Effect::Before))])
            .says(&["no progress for 2 s", "next: check the network"])
            .settings("timeout = \"2s\"\n")
            .seen(Abort, 1..=1),
    );
    // Until now the upload was left in the store.
    cases.push(
        Case::new("a-stalled-complete", 10, vec![on(Complete, Fault::Silence(Effect::Before))])
            .says(&["no progress for 2 s", "possibly the whole object"])
            .settings("timeout = \"2s\"\n")
            .seen(Abort, 1..=1),
    );
    run_all(&scene, cases);
    assert_eq!(scene.unfinished(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn f25_i24_a_small_object_and_a_black_hole() {
    let test = "f25_i24_a_small_object_and_a_black_hole";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let short = "timeout = \"2s\"\n";
    let silent = |operation| on(operation, Fault::Silence(Effect::Before));
    let cases = vec![
        Case::new("hole-head", 10, vec![silent(Head)]).says(&["no progress for 2 s"]),
        Case::new("hole-put", 10, vec![silent(Put)]).says(&["no progress for 2 s"]),
        Case::new("hole-get", 10, vec![silent(Get)]).says(&["cannot read back"]),
        Case::new("hole-manifest", 10, vec![silent(Put).manifests()])
            .unsure()
            .says(&["no progress for 2 s"]),
        Case::new("hole-manifest-read", 10, vec![silent(Get).manifests()])
            .says(&["no progress for 2 s"]),
    ];
    run_all(&scene, cases.into_iter().map(|case| case.settings(short)).collect());
    let late = Fault::Late(Duration::from_millis(300));
    let slow = [Head, Put, Get].map(|o| on(o, late.clone())).to_vec();
    run_all(&scene, vec![Case::new("a-slow-store", 0, slow)]);
}

/// The store has acted, and only its answer is lost or replaced: what is there decides.
#[test]
fn f26_f27_f28_an_answer_that_is_lost_or_wrong_is_resolved_by_looking() {
    let test = "f26_f27_f28_an_answer_that_is_lost_or_wrong_is_resolved_by_looking";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let after = |operation, status, code| on(operation, Fault::refuse_after(status, code));
    let before = |operation, status, code| on(operation, Fault::refuse(status, code));
    let complete = Complete;
    let cases = vec![
        Case::new("complete-lost", 0, vec![on(complete, Fault::Close(Effect::After)).once()]),
        Case::new("complete-500", 0, vec![after(complete, 500, "InternalError")])
            .seen(complete, 1..=ATTEMPTS * ROUNDS_MAX),
        Case::new(
            "manifest-lost",
            0,
            vec![on(Put, Fault::Close(Effect::After)).manifests().once()],
        ),
        Case::new("manifest-500", 0, vec![after(Put, 500, "InternalError").manifests()]),
        Case::new("complete-error-in-200", 0, vec![before(complete, 200, "InternalError").once()]),
        Case::new("complete-error-in-200-always", 10, vec![before(complete, 200, "InternalError")])
            .says(&["InternalError"])
            .seen(complete, 1..=ATTEMPTS * ROUNDS_MAX),
        Case::new("error-in-200-although-done", 0, vec![after(complete, 200, "InternalError")]),
        Case::new(
            "conflict",
            0,
            vec![
                before(complete, 409, "ConditionalRequestConflict").times(2),
                before(Put, 409, "ConditionalRequestConflict").times(2),
            ],
        ),
        Case::new("conflict-always", 10, vec![before(complete, 409, "ConditionalRequestConflict")])
            .says(&["another writer is at work"])
            .seen(complete, 1..=4),
        Case::new(
            "412-of-our-own",
            0,
            vec![
                after(complete, 412, "PreconditionFailed"),
                after(Put, 412, "PreconditionFailed").manifests(),
            ],
        ),
    ];
    run_all(&scene, cases);
    assert_eq!(scene.unfinished(), Vec::<std::path::PathBuf>::new());
}

/// Another writer has taken the key: neither object is touched, and nothing is claimed.
#[test]
fn f28_i04_another_object_under_the_key_stays_as_it_is() {
    let test = "f28_i04_another_object_under_the_key_stays_as_it_is";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let place = scene.place("taken");
    let _ = place.replicate().code(0);
    let [artifact, manifest] = [".age", ".json"].map(|ending| place.objects(ending).remove(0));
    for (path, kind) in [(artifact, Kind::Artifact), (manifest, Kind::Manifest)] {
        let ours = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"theirs").unwrap();
        // The look before the write does not see it, so only the condition can save it.
        let absent = on(Head, Fault::refuse(404, "NoSuchKey")).times(2);
        let absent = match kind {
            Kind::Manifest => absent.manifests(),
            _ => absent.artifacts(),
        };
        place.front.script(vec![absent]);
        let ran = place.replicate().code(50).said("the key is taken by another object");
        let _ = ran.said("next: keys are never reused");
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(place.front.count(Delete), 0, "{:?}", place.front.seen());
        std::fs::write(&path, ours).unwrap();
    }
    place.holds(1).unwrap();
}

#[test]
fn f29_a_token_that_is_renewed_on_disk_is_used_and_one_that_is_not_has_expired() {
    let test = "f29_a_token_that_is_renewed_on_disk_is_used_and_one_that_is_not_has_expired";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let expired = |operation| {
        let reply = Reply::error(400, "ExpiredToken");
        on(operation, Fault::Answer(reply, Effect::Before))
    };
    let cases = [Part, Complete, Put].map(|operation| {
        let name = match operation {
            Part => "expired-part",
            Complete => "expired-complete",
            _ => "expired-manifest",
        };
        Case::new(name, 11, vec![expired(operation)])
            .says(&["credentials have expired", "ExpiredToken", "next: renew the credentials"])
            // Nobody renewed the file, so asking again would be of no use.
            .seen(operation, 1..=3)
    });
    run_all(&scene, cases.into());

    for operation in [Part, Complete, Head, Get, Put] {
        let place = scene.place(&format!("renewed-{operation:?}"));
        // The first one comes late, so that the file is new before it is refused.
        let renewal = format!("cat {0}.new > {0}", place.credentials_file());
        let new = std::fs::read(scene.site.path(&place.credentials_file())).unwrap();
        let text = [new.as_slice(), b"# renewed\n"].concat();
        scene.site.write(&format!("{}.new", place.credentials_file()), &text);
        place.front.script_with(vec![expired(operation).after(1).times(2)], {
            let (site, command) = (scene.site.path(""), renewal);
            move |call, fault| {
                if call.operation == operation && fault.is_some() {
                    let mut shell = std::process::Command::new("sh");
                    let done = shell.args(["-c", &command]).current_dir(&site).status();
                    assert!(done.unwrap().success());
                }
            }
        });
        let ran = place.replicate().code(0);
        assert!(place.holds(1).is_ok(), "{operation:?}: {ran:?}");
    }
}

/// Each permission that is missing is named; what a writer need not have is not asked of it.
#[test]
fn f30_each_permission_that_is_missing_is_named() {
    let test = "f30_each_permission_that_is_missing_is_named";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let denied = |operation| on(operation, Fault::refuse(403, "AccessDenied"));
    let next = "next: grant the permission named above";
    let cases = vec![
        Case::new("no-put", 11, vec![denied(Put)])
            .says(&["permission s3:PutObject was refused", next]),
        Case::new("no-begin", 11, vec![denied(Begin)])
            .says(&["permission s3:PutObject was refused", next]),
        Case::new("no-part", 11, vec![denied(Part)])
            .says(&["permission s3:PutObject was refused", next]),
        Case::new("no-complete", 11, vec![denied(Complete)])
            .says(&["permission s3:PutObject was refused", next]),
        Case::new("no-head", 11, vec![denied(Head), denied(Get)])
            .says(&["permission s3:GetObject", "s3:ListBucket", next])
            .seen(Part, 0..=0),
        Case::new("no-get", 11, vec![denied(Get)])
            .says(&["permission s3:GetObject was refused", next]),
        // A writer that can neither delete nor look for dead uploads is as it should be.
        Case::new("a-mere-writer", 0, vec![denied(Delete), denied(ListUploads)]),
    ];
    run_all(&scene, cases);

    // Without the permission to abort, what stays behind is named.
    let place = scene.place("no-abort");
    place.front.script(vec![on(Part, Fault::refuse(403, "AccessDenied")), denied(Abort)]);
    let ran = place.replicate().code(11).said("left behind: the unfinished upload");
    let _ = ran.said("s3:AbortMultipartUpload");
    place.holds(0).unwrap();

    // Without the permission to delete, what was not committed stays as an orphan, and is told.
    let place = scene.place("no-delete");
    place
        .front
        .script(vec![on(Put, Fault::refuse(403, "AccessDenied")).manifests(), denied(Delete)]);
    let _ = place.replicate().code(11).said("permission s3:DeleteObject").said("orphan");
    assert!(place.objects(".json").is_empty());
    let list = place.lifeboat(&["list", "--json"]).code(0).json();
    assert_eq!(list["orphans"].as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn f31_f29_f40_wrong_settings_clocks_and_keys_have_their_codes() {
    let test = "f31_f29_f40_wrong_settings_clocks_and_keys_have_their_codes";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let redirect =
        Reply::error(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-3");
    let elsewhere = Fault::Answer(redirect, Effect::Before);
    let skewed = Reply::error_with(
        403,
        "RequestTimeTooSkewed",
        "<RequestTime>20260101T000000Z</RequestTime><ServerTime>2026-01-01T01:00:00Z</ServerTime>",
    );
    let skewed = Fault::Answer(skewed, Effect::Before);
    let error = |status, code| Fault::refuse(status, code);
    let key = "next: correct the access key and its secret";
    let times = ["20260101T000000Z", "2026-01-01T01:00:00Z", "clock", "next: set this machine's"];
    let both = |fault: &Fault| [Head, Get].map(|o| on(o, fault.clone())).to_vec();
    let cases = vec![
        Case::new("wrong-region-head", 3, vec![on(Head, elsewhere.clone())])
            .says(&["the bucket is in region eu-west-3", "next: correct region or endpoint"]),
        Case::new("wrong-region-put", 3, vec![on(Put, elsewhere)])
            .says(&["the bucket is in region eu-west-3", "next: correct region or endpoint"]),
        Case::new("no-bucket", 3, vec![on(Put, error(404, "NoSuchBucket"))])
            .says(&["there is no bucket \"backups\"", "next: create the bucket"]),
        Case::new("skew-put", 11, vec![on(Put, skewed.clone())]).says(&times),
        Case::new("skew-head", 11, both(&skewed)).says(&times),
        Case::new("unknown-key", 11, both(&error(403, "InvalidAccessKeyId"))).says(&[key]),
        Case::new("wrong-secret", 11, both(&error(403, "SignatureDoesNotMatch"))).says(&[key]),
        Case::new("expired-at-once", 11, both(&error(400, "ExpiredToken")))
            .says(&["credentials have expired"]),
    ];
    run_all(&scene, cases);
}

/// Acknowledged and not done: only reading back can tell, and no such copy counts.
#[test]
fn f32_i17_i01_a_store_that_lies_about_a_write_is_found_out() {
    let test = "f32_i17_i01_a_store_that_lies_about_a_write_is_found_out";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let lies = [
        ("lost", Fault::Lost),
        ("truncated", Fault::Truncated(5_000_000)),
        ("empty", Fault::Truncated(0)),
        ("damaged-head", Fault::Damaged(0)),
        ("damaged-tail", Fault::Damaged(u64::MAX)),
    ];
    for whose in [Complete, Put] {
        thread::scope(|scope| {
            for (name, lie) in &lies {
                let scene = &scene;
                scope.spawn(move || a_lie(scene, &format!("{name}-{whose:?}"), whose, lie));
            }
        });
    }
}

fn a_lie(scene: &StoreScene, name: &str, whose: Operation, lie: &Fault) {
    let alone = scene.place(&format!("alone-{name}"));
    alone.front.script(vec![on(whose, lie.clone())]);
    let ran = alone.replicate();
    assert_eq!(ran.code, 20, "{name}: {ran:?}");
    let _ = ran.said("only 0 of 1 destinations hold a proved copy");
    assert_eq!(alone.holds(0), Ok(()), "{name}");

    let beside = scene.place(&format!("beside-{name}"));
    let both = [beside.disk("disk"), beside.bucket("timeout = \"20s\"\n")];
    beside.configure("1", &both, "");
    beside.front.script(vec![on(whose, lie.clone())]);
    let ran = beside.replicate();
    assert_eq!(ran.code, 40, "{name}: {ran:?}");
    let _ = ran.said("destination disk holds a proved copy").said("destination \"s3s\"");
    assert_eq!(beside.holds(0), Ok(()), "{name}");
    assert_eq!(files(&beside.disk_dir("disk")).len(), 2, "{name}");
    beside.front.calm();
    let list = beside.lifeboat(&["list", "--json"]).code(0).json();
    let copies = &list["backups"][0]["copies"];
    assert_eq!(*copies, serde_json::json!({ "disk": "verified" }), "{name}");
}

/// Some stores take a moment to show what they have taken.
#[test]
fn f35_an_object_that_is_not_there_yet_is_looked_for_again() {
    let test = "f35_an_object_that_is_not_there_yet_is_looked_for_again";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    let absent = |operation| on(operation, Fault::refuse(404, "NoSuchKey"));
    let cases = vec![
        // The first two looks at the artifact are before it is written.
        Case::new("head-later", 0, vec![absent(Head).artifacts().after(2).times(3)]),
        Case::new("get-later", 0, vec![absent(Get).artifacts().times(3)]),
        Case::new("manifest-later", 0, vec![absent(Get).manifests().times(3)]),
        Case::new("never", 20, vec![absent(Get).artifacts()])
            .says(&["there is no such object"])
            .seen(Get, 4..=4),
    ];
    run_all(&scene, cases);
}

#[test]
fn f36_one_of_several_that_is_down_costs_a_copy_and_no_backup() {
    let test = "f36_one_of_several_that_is_down_costs_a_copy_and_no_backup";
    let Some(scene) = or_skip(test, StoreScene::small()) else { return };
    for (require, code) in [("\"all\"", 10), ("3", 10), ("2", 40), ("\"majority\"", 40)] {
        let place = scene.place(&format!("down-{}", require.trim_matches('"')));
        let all = [place.disk("one"), place.disk("two"), place.bucket("timeout = \"2s\"\n")];
        place.configure(require, &all, "");
        place.front.script(Rule::all(&Fault::Close(Effect::Before)));
        let ran = place.replicate().code(code).said("destination \"s3s\"");
        let stored = files(&place.disk_dir("one")).len();
        assert_eq!(stored, if code == 40 { 2 } else { 0 }, "{require}: {ran:?}");
        place.holds(0).unwrap();
    }
    let place = scene.place("up");
    place.configure("\"all\"", &[place.disk("one"), place.bucket("")], "");
    let _ = place.replicate().code(0);
    place.holds(1).unwrap();
}

/// Whatever goes wrong together: a claim is true, and what is not claimed is not listed, unless
/// the store also refused to take it back.
#[test]
fn i01_i02_faults_at_random_never_make_a_claim_false() {
    const SEEDS: u64 = 24;
    let test = "i01_i02_faults_at_random_never_make_a_claim_false";
    let Some(scene) = or_skip(test, StoreScene::large()) else { return };
    let next = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed > SEEDS {
                        return;
                    }
                    at_random(&scene, seed);
                }
            });
        }
    });
}

fn at_random(scene: &StoreScene, seed: u64) {
    let place = scene.place(&format!("seed-{seed}"));
    let both = [place.disk("disk"), place.bucket("timeout = \"10s\"\n")];
    let require = ["\"all\"", "1"][usize::try_from(seed % 2).unwrap()];
    place.configure(require, &both, "");
    place.front.random(seed, 0.2);
    let ran = place.replicate();
    let seen = place.front.seen();
    let spoilt =
        |operation| seen.iter().any(|(call, fault)| call.operation == operation && fault.is_some());
    let refused = spoilt(Delete);
    let on_disk = files(&place.disk_dir("disk")).len();
    let problem = match ran.code {
        0 => place.holds(1).err(),
        // Not everything that cannot be read back is known to be bad, so it may have stayed.
        40 if place.objects(".json").is_empty() => None,
        40 => place.holds(1).err().filter(|_| !refused),
        10 | 11 | 20 | 50 if refused => None,
        // Nobody knows what became of a manifest that was not answered: it stays whole.
        10 | 11 | 20 | 50 if spoilt(Put) && !place.objects(".json").is_empty() => {
            place.holds(1).err()
        }
        10 | 11 | 20 | 50 => (!place.objects(".json").is_empty()).then(|| "a backup".to_owned()),
        code => Some(format!("exit {code}")),
    };
    let wanted = if matches!(ran.code, 0 | 40) { 2 } else { 0 };
    let problem = problem.or((on_disk != wanted).then(|| format!("{on_disk} files on disk")));
    assert!(problem.is_none(), "seed {seed}: {problem:?}\n{ran:#?}\n{seen:#?}");
}
