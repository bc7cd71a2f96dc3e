//! The faults of stores, on every kind of store on which they can occur: what `lifeboat` says and
//! returns, and what is then there, looked at without it.
//!
//! One rule for all: exit 0 or 40 means that what the store lists is whole; anything else means that
//! it lists nothing new. Each function plays its fault on all stores and complains of them together,
//! by name.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::cloud_scene::{Backend, CloudPlace, CloudScene};
use lifeboat_tests::fault_front::{Effect, Fault, Operation, Reply, Rule, Saying, Tamper};
use lifeboat_tests::site::Ran;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::toxics::Line;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use Operation::{Complete, Delete, Get, Head, List, Part, Put};

/// Places that are played at once.
const AT_ONCE: usize = 6;
/// A manifest is written in one request everywhere; a large artifact becomes an object by this.
const MAKES: [Operation; 2] = [Complete, Put];

/// A fault and what must come of it.
#[derive(Clone)]
struct Case {
    name: String,
    rules: Vec<Rule>,
    /// The exit code when this is the only destination.
    code: i32,
    /// Words of the messages.
    says: Vec<&'static str>,
    /// Settings of the destination.
    settings: &'static str,
    line: Line,
}

impl Case {
    fn new(name: &str, code: i32, rules: Vec<Rule>) -> Self {
        let settings = "timeout = \"20s\"\n";
        Case { name: name.into(), rules, code, says: Vec::new(), settings, line: Line::Sound }
    }

    fn says(mut self, words: &[&'static str]) -> Self {
        self.says.extend(words);
        self
    }

    fn settings(mut self, settings: &'static str) -> Self {
        self.settings = settings;
        self
    }

    fn line(mut self, line: Line) -> Self {
        self.line = line;
        self
    }

    /// Gives the first thing that is not as it must be.
    fn run(&self, place: &CloudPlace<'_>) -> Result<(), String> {
        place.configure("\"all\"", &[place.destination(self.settings)], "");
        place.front().script(self.rules.clone());
        place.front().toxic(self.line);
        let ran = place.replicate();
        self.judge(place, &ran)
            .map_err(|why| format!("{}: {why}\n{ran:#?}\n{:#?}", place.name, place.front().seen()))
    }

    fn judge(&self, place: &CloudPlace<'_>, ran: &Ran) -> Result<(), String> {
        if ran.code != self.code {
            return Err(format!("exit {} instead of {}", ran.code, self.code));
        }
        let named = format!("destination {:?}", place.backend.name());
        let words = self.says.iter().copied().chain((self.code != 0).then_some(named.as_str()));
        if let Some(missing) = words.into_iter().find(|words| !ran.stderr.contains(*words)) {
            return Err(format!("{missing:?} is not said"));
        }
        place.holds(usize::from(self.code == 0))
    }
}

/// Runs something on each store and with each item, some at once, and complains of all together.
fn each<T: Clone + Send>(
    backends: &[Backend],
    items: &[T],
    play: impl Fn(Backend, T) -> Result<(), String> + Sync,
) {
    let all = backends.iter().flat_map(|b| items.iter().map(|item| (*b, item.clone())));
    let (queue, problems) = (Mutex::new(all.collect::<Vec<_>>()), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((backend, item)) = next() {
                    let told = play(backend, item).map_err(|why| format!("{backend:?}: {why}"));
                    problems.lock().unwrap().extend(told.err());
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{} failed\n{}", problems.len(), problems.join("\n\n"));
}

fn run_all(scene: &CloudScene, backends: &[Backend], cases: &[Case]) {
    each(backends, cases, |backend, case| case.run(&scene.place(backend, &case.name)));
}

fn on(operation: Operation, fault: Fault) -> Rule {
    Rule::on(operation, fault)
}

fn always(saying: Saying) -> impl Fn(Operation) -> Rule {
    move |operation| on(operation, Fault::says(saying))
}

#[test]
fn f23_f24_f25_i01_i03_every_cloud_weathers_what_passes_and_gives_up_on_what_stays() {
    let test = "f23_f24_f25_i01_i03_every_cloud_weathers_what_passes_and_gives_up_on_what_stays";
    let Some(scene) = or_skip(test, CloudScene::large(test)) else { return };
    let throttled = Fault::slow_down(1);
    let internal = Fault::says(Saying::Internal);
    let cases = [
        Case::new("a-part-is-cut", 0, vec![on(Part, Fault::CutUpload(200_000)).times(2)]),
        Case::new("a-part-is-lost", 0, vec![on(Part, Fault::Close(Effect::Before)).times(2)]),
        Case::new("its-answer-is-lost", 0, vec![on(Part, Fault::Close(Effect::After)).once()]),
        Case::new("throttled", 0, vec![on(Part, throttled.clone()).times(2)]),
        Case::new(
            "an-error-to-each",
            0,
            [Operation::Begin, Part, Complete, Head, Get, Put]
                .map(|operation| on(operation, internal.clone()).once())
                .into(),
        ),
        Case::new(
            "a-download-is-short",
            0,
            vec![on(Get, Fault::Short(3_000_000)).artifacts().once()],
        ),
        Case::new("a-storm", 10, vec![on(Part, Fault::says(Saying::Unavailable))])
            .says(&["next: try again later"]),
        Case::new("a-storm-of-429", 10, vec![on(Part, throttled)]).says(&["next: "]),
        Case::new("every-part-is-cut", 10, vec![on(Part, Fault::CutUpload(1_000))])
            .says(&["only 0 of 1 destinations"]),
        Case::new("a-black-hole", 10, vec![on(Part, Fault::Silence(Effect::Before))])
            .says(&["no progress for", "next: check the network"])
            .settings("timeout = \"2s\"\n"),
        Case::new("a-stalled-complete", 10, vec![on(Complete, Fault::Silence(Effect::Before))])
            .says(&["possibly the whole object"])
            .settings("timeout = \"2s\"\n"),
        Case::new("a-narrow-line", 0, Vec::new())
            .line(Line::Narrow { bytes_per_second: 8_000_000 }),
        Case::new("a-line-that-swallows", 10, Vec::new())
            .line(Line::BlackHole { after_bytes: 3_000_000 })
            .settings("timeout = \"2s\"\n"),
        Case::new("a-line-that-breaks", 10, Vec::new()).line(Line::Cut { after_bytes: 3_000_000 }),
    ];
    run_all(&scene, &scene.clouds(), &cases);
}

/// No manifest of ours is there, and the answers to both kinds of writes are lost or wrong.
#[test]
fn f26_f27_f28_i04_every_cloud_is_looked_at_when_an_answer_is_lost_or_wrong() {
    let test = "f26_f27_f28_i04_every_cloud_is_looked_at_when_an_answer_is_lost_or_wrong";
    let Some(scene) = or_skip(test, CloudScene::large(test)) else { return };
    let both = |fault: Fault| MAKES.map(|operation| on(operation, fault.clone()));
    let after = |saying| Fault::Say(saying, Effect::After);
    let cases = [
        Case::new("a-lost-answer", 0, both(Fault::Close(Effect::After)).map(Rule::once).into()),
        Case::new("an-error-although-done", 0, both(after(Saying::Internal)).into()),
        Case::new("a-412-of-our-own", 0, both(after(Saying::Taken)).into()),
        Case::new("a-conflict", 0, both(Fault::says(Saying::Conflict)).map(|r| r.times(2)).into()),
        Case::new("conflict-for-ever", 10, vec![on(Complete, Fault::says(Saying::Conflict))]),
        Case::new("an-error-inside", 0, vec![on(Complete, Fault::ErrorInside).times(2)]),
        Case::new("an-error-inside-for-ever", 10, vec![on(Complete, Fault::ErrorInside)]),
    ];
    run_all(&scene, &scene.clouds(), &cases);
}

#[test]
fn f28_i04_another_object_under_the_key_stays_as_it_is_on_every_store() {
    let test = "f28_i04_another_object_under_the_key_stays_as_it_is_on_every_store";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    each(&scene.backends(), &[".age", ".json"], |backend, ending| {
        let place = scene.place(backend, &format!("taken{ending}").replace('.', "-"));
        let _ = place.replicate().code(0);
        let name = place.objects(ending).remove(0);
        place.vault.put(&name, b"theirs");
        if backend != Backend::Directory {
            // The look before the write does not see it, so only the condition can save it.
            let unseen = [Head, Get].map(|o| always(Saying::Absent)(o).named(ending).times(2));
            place.front().script(unseen.into());
        }
        let ran = place.replicate();
        let said = ran.stderr.contains("the key is taken by another object");
        let left = place.vault.get(&name).unwrap_or_default();
        match (ran.code, said, left.as_slice()) {
            (50, true, b"theirs") => Ok(()),
            _ => Err(format!("{ran:#?}")),
        }
    });
}

#[test]
fn f29_f30_f31_f40_every_cloud_that_refuses_is_told_with_what_to_do() {
    let test = "f29_f30_f31_f40_every_cloud_that_refuses_is_told_with_what_to_do";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    let all = |saying| [Head, Get, Put].map(always(saying)).to_vec();
    let expired = ["credentials", "expired", "next: renew the credentials"];
    let grant = ["permission", "was refused", "next: grant the permission"];
    let cases = [
        Case::new("expired", 11, vec![always(Saying::Expired)(Put)]).says(&expired[..1]),
        Case::new("expired-at-once", 11, all(Saying::Expired)).says(&expired[..1]),
        Case::new("unknown", 11, all(Saying::Unknown)).says(&["credentials", "next: "]),
        Case::new("no-put", 11, vec![always(Saying::Denied)(Put)]).says(&grant),
        Case::new("no-get", 11, vec![always(Saying::Denied)(Get)]).says(&grant),
        Case::new("no-bucket", 3, vec![always(Saying::NoBucket)(Put)])
            .says(&["there is no bucket", "next: create the bucket"]),
    ];
    run_all(&scene, &scene.clouds(), &cases);
    // A token of Google's says nothing of clocks.
    let clouds = scene.clouds().into_iter().filter(|b| *b != Backend::Gcs).collect::<Vec<_>>();
    // An answer to HEAD has no body, so that Azure cannot say why.
    let skewed = [Get, Put].map(always(Saying::Skewed)).to_vec();
    let skewed = Case::new("skewed", 11, skewed).says(&["clock", "next: set this machine"]);
    run_all(&scene, &clouds, &[skewed]);
}

/// Acknowledged and not done: only reading back can tell, and no such copy counts.
#[test]
fn f32_i01_i17_every_cloud_that_lies_about_a_write_is_found_out() {
    let test = "f32_i01_i17_every_cloud_that_lies_about_a_write_is_found_out";
    let Some(scene) = or_skip(test, CloudScene::large(test)) else { return };
    let lies = [
        ("lost", Fault::Lost),
        ("truncated", Fault::Truncated(90)),
        ("empty", Fault::Truncated(0)),
        ("damaged", Fault::Damaged(u64::MAX)),
    ];
    let all = MAKES.map(|whose| lies.clone().map(|(name, lie)| (whose, name, lie))).concat();
    each(&scene.clouds(), &all, |backend, (whose, name, lie)| {
        let place = scene.place(backend, &format!("{name}-{whose:?}").to_lowercase());
        place.front().script(vec![on(whose, lie.clone())]);
        let alone = place.replicate();
        let place = scene.place(backend, &format!("beside-{name}-{whose:?}").to_lowercase());
        let both = [place.beside("other"), place.destination("timeout = \"20s\"\n")];
        place.configure("1", &both, "");
        place.front().script(vec![on(whose, lie)]);
        let beside = place.replicate();
        let named = beside.stderr.contains(&format!("destination {:?}", backend.name()));
        place.front().calm();
        let listed = place.lifeboat(&["list", "--json"]).json();
        let copies = listed["backups"][0]["copies"].clone();
        let right = alone.code == 20 && beside.code == 40 && named;
        match right && copies == serde_json::json!({ "other": "verified" }) {
            true => Ok(()),
            false => Err(format!("{name} {whose:?}: {alone:#?}\n{beside:#?}\n{copies}")),
        }
    });
}

#[test]
fn f35_every_cloud_that_does_not_show_an_object_yet_is_asked_again() {
    let test = "f35_every_cloud_that_does_not_show_an_object_yet_is_asked_again";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    let absent = always(Saying::Absent);
    let cases = [
        Case::new("get-later", 0, vec![absent(Get).artifacts().times(3)]),
        Case::new("manifest-later", 0, vec![absent(Get).manifests().times(3)]),
        Case::new("never", 20, vec![absent(Get).artifacts()]).says(&["there is no such object"]),
    ];
    run_all(&scene, &scene.clouds(), &cases);
}

#[test]
fn f36_f59_one_store_of_several_that_is_down_costs_a_copy_and_no_backup() {
    let test = "f36_f59_one_store_of_several_that_is_down_costs_a_copy_and_no_backup";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    let ways =
        [("down", "\"all\"", 10), ("down", "1", 40), ("nowhere", "1", 40), ("nowhere", "2", 10)];
    each(&scene.clouds(), &ways, |backend, (how, require, code)| {
        let place = scene.place(backend, &format!("{how}-{}", require.trim_matches('"')));
        let down = match how {
            "down" => {
                place.front().script(Rule::all(&Fault::Close(Effect::Before)));
                place.destination("timeout = \"2s\"\n")
            }
            // Nobody listens on the first port of all.
            _ => place.destination_at(backend.name(), "http://127.0.0.1:1", "timeout = \"2s\"\n"),
        };
        place.configure(require, &[place.beside("other"), down], "");
        let ran = place.replicate();
        let named = ran.stderr.contains(&format!("destination {:?}", backend.name()));
        match ran.code == code && named && place.holds(0).is_ok() {
            true => Ok(()),
            false => Err(format!("{how} {require}: {ran:#?}")),
        }
    });
    // All of them, and a directory, at once.
    let places: Vec<_> = scene.backends().iter().map(|b| scene.place(*b, "together")).collect();
    let all: Vec<String> = places.iter().map(|place| place.destination("")).collect();
    places[0].configure("\"all\"", &all, "");
    let ran = places[0].replicate().code(0);
    for place in &places {
        assert_eq!(place.holds(1), Ok(()), "{}: {ran:?}", place.name);
    }
}

/// Parts on their way at once: after a storm that met all of them, new ones wait for those.
const PARTS: usize = 8;

#[test]
fn f24_i24_a_throttled_store_gets_new_parts_only_when_most_of_the_old_have_arrived() {
    let test = "f24_i24_a_throttled_store_gets_new_parts_only_when_most_of_the_old_have_arrived";
    let noise = (PARTS + 1) * lifeboat_tests::store_scene::PART_BYTES;
    let Some(scene) = or_skip(test, CloudScene::with(test, noise)) else { return };
    // Google's takes one chunk after the other.
    let clouds: Vec<Backend> = scene.clouds().into_iter().filter(|b| *b != Backend::Gcs).collect();
    each(&clouds, &[()], |backend, ()| {
        let place = scene.place(backend, "pace");
        let many = place.destination(&format!("parts_in_flight = {PARTS}\n"));
        place.configure("\"all\"", &[many], "");
        // Those that are refused are the first ones, and all of them are there before any comes again.
        let storm = on(Part, Fault::slow_down(3)).times(u32::try_from(PARTS).unwrap());
        // After that they arrive one by one.
        let late = |n: u64| Fault::Late(Duration::from_millis(200 * n));
        let slow = (1..=PARTS as u64).map(|n| on(Part, late(n)).once());
        place.front().script([storm].into_iter().chain(slow).collect());
        let ran = place.replicate();
        // As many may be under way as have arrived since, and one: with the fourth there are four left.
        let answered = place.front().parts_answered_before(PARTS + 1);
        let waited = answered.is_some_and(|all| all > PARTS + PARTS / 4);
        let most = place.front().parts_in_flight_max();
        let whole = place.holds(1);
        match ran.code == 0 && waited && (2..=PARTS).contains(&most) && whole.is_ok() {
            true => Ok(()),
            false => Err(format!("{answered:?} answered, {most} at once, {whole:?}: {ran:#?}")),
        }
    });
}

/// Everything but the newest goes.
const GREEDY: &str = "[prune]\nlast = 1\nmin_keep = 1\nmax_fraction = 1.0\n";

#[test]
fn f34_i02_no_store_is_pruned_on_the_word_of_a_listing_that_lies() {
    let test = "f34_i02_no_store_is_pruned_on_the_word_of_a_listing_that_lies";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    each(&scene.clouds(), &[()], |backend, ()| {
        let place = scene.place(backend, "listing");
        let both = [place.destination(""), place.beside("other")];
        place.configure("\"all\"", &both, "");
        for _ in 0..3 {
            let ran = place.lifeboat(&["run"]);
            if ran.code != 0 {
                return Err(format!("{ran:#?}"));
            }
        }
        place.configure("\"all\"", &both, GREEDY);
        let refuses = |lie: Tamper, verb: &str, holds: usize| {
            place.front().script(vec![on(List, Fault::Listing(lie))]);
            let ran = place.lifeboat(&[verb]);
            let deleted = place.front().count(Delete);
            match ran.code == 50 && deleted == 0 && place.holds(holds).is_ok() {
                true => Ok(()),
                false => Err(format!("{lie:?}: {deleted} deleted, {ran:#?}")),
            }
        };
        for lie in [Tamper::Loop, Tamper::Twice, Tamper::Torn] {
            refuses(lie, "prune", 3)?;
        }
        // Google's listing does not say that it is whole, so that a cut one is a shorter one.
        let (told, untold) = match backend {
            Backend::Gcs => (None, vec![Tamper::Stale, Tamper::Cut]),
            _ => (Some(Tamper::Cut), vec![Tamper::Stale]),
        };
        told.map_or(Ok(()), |lie| refuses(lie, "prune", 3))?;
        // What no listing tells shows when it lacks what was stored and read back a moment ago.
        for (number, lie) in untold.into_iter().enumerate() {
            refuses(lie, "run", 4 + number)?;
        }
        place.front().calm();
        let ran = place.lifeboat(&["prune"]);
        let left = place.holds(1);
        (ran.code == 0 && left.is_ok()).then_some(()).ok_or(format!("{left:?} {ran:#?}"))
    });
}

/// Whether it is locked is not known then, and a store that keeps versions would not refuse.
#[test]
fn f38_i18_what_cannot_be_looked_at_is_not_removed_and_the_others_are() {
    let test = "f38_i18_what_cannot_be_looked_at_is_not_removed";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    each(&scene.clouds(), &[()], |backend, ()| {
        let place = scene.place(backend, "blind");
        for _ in 0..3 {
            let _ = place.lifeboat(&["run"]).code(0);
        }
        let oldest = place.objects(".json").remove(0);
        let (_, name) = oldest.trim_end_matches(".json").rsplit_once('/').unwrap();
        place.configure("\"all\"", &[place.destination("")], GREEDY);
        place.front().script(vec![
            on(Head, Fault::says(Saying::Denied)).named(name),
            on(Head, Fault::says(Saying::Denied)).named(name).artifacts(),
        ]);
        let ran = place.lifeboat(&["prune"]);
        let left = place.objects(".json");
        let is_told = ran.stderr.contains("1 of 2 backups could not be removed");
        place.front().calm();
        let whole = place.holds(2);
        match ran.code == 11 && is_told && left.contains(&oldest) && whole.is_ok() {
            true => Ok(()),
            false => Err(format!("{left:#?} {whole:?} {ran:#?}")),
        }
    });
}

/// What a store keeps is told as kept, and not as a permission that is missing; and it is no failure.
#[test]
fn f38_i18_what_google_or_azure_keeps_stays_and_the_others_are_removed() {
    let test = "f38_i18_what_google_or_azure_keeps_stays";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    let clouds: Vec<Backend> = scene.clouds().into_iter().filter(|b| *b != Backend::S3).collect();
    each(&clouds, &[()], |backend, ()| {
        let place = scene.place(backend, "kept");
        for _ in 0..3 {
            let _ = place.lifeboat(&["run"]).code(0);
        }
        let oldest = place.objects(".json").remove(0);
        let (_, name) = oldest.trim_end_matches(".json").rsplit_once('/').unwrap();
        place.configure("\"all\"", &[place.destination("")], GREEDY);
        place.front().script(vec![on(Delete, Fault::says(Saying::Kept)).named(name)]);
        let ran = place.lifeboat(&["prune"]);
        place.front().calm();
        let (left, whole) = (place.objects(".json"), place.holds(2));
        match ran.code == 0 && ran.stderr.contains("it is locked") && whole.is_ok() {
            true if left.contains(&oldest) => Ok(()),
            _ => Err(format!("{left:#?} {whole:?} {ran:#?}")),
        }
    });
}

/// What a bucket does against loss, by the words of its own store; and a lock that cannot be.
#[test]
fn f33_check_tells_of_every_cloud_what_its_bucket_does_against_loss() {
    let test = "f33_check_tells_of_every_cloud_what_its_bucket_does_against_loss";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    each(&scene.clouds(), &[()], |backend, ()| {
        let place = scene.place(backend, "protection");
        let rows = |ran: &Ran| {
            let json = ran.json();
            let parts = json["parts"].as_array().cloned().unwrap_or_default();
            let all = parts.iter().flat_map(|p| p["capabilities"].as_array().cloned());
            let of = |name: &str| {
                let mut cells = all.clone().flatten().filter(|c| c["name"] == name);
                cells.next().and_then(|c| c["has"].as_str().map(str::to_owned))
            };
            ["lock", "versions"].map(|name| of(name).unwrap_or_default())
        };
        let told = |reply: Reply| {
            let fault = Fault::Answer(reply, Effect::Before);
            place.front().script(vec![on(Operation::Other, fault)]);
        };
        let ran = place.lifeboat(&["check", "--json"]);
        // s3s-fs knows neither question; the others say that there is nothing.
        let bare = match backend {
            Backend::S3 => ["unknown", "unknown"],
            Backend::Azure => ["unknown", "no"],
            _ => ["no", "no"],
        };
        if (ran.code, rows(&ran)) != (0, bare.map(str::to_owned)) {
            return Err(format!("{:?} {ran:#?}", rows(&ran)));
        }
        let (yes, no) = match backend {
            Backend::S3 => return Ok(()),
            Backend::Gcs => {
                let body = |text: &str| Reply {
                    status: 200,
                    headers: vec![("content-type".into(), "application/json".into())],
                    body: text.into(),
                };
                let all = "{\"versioning\":{\"enabled\":true},\
                           \"objectRetention\":{\"mode\":\"Enabled\"}}";
                (body(all), body("{}"))
            }
            _ => {
                let header = "x-ms-immutable-storage-with-versioning-enabled";
                let bare = Reply { status: 200, headers: Vec::new(), body: String::new() };
                (bare.clone().header(header, "true"), bare.header(header, "false"))
            }
        };
        told(yes);
        let ran = place.lifeboat(&["check", "--json"]);
        if rows(&ran) != ["yes", "yes"].map(str::to_owned) {
            return Err(format!("{:?} {ran:#?}", rows(&ran)));
        }
        let lock = "lock = \"governance\"\nlock_for = \"1h\"\n";
        place.configure("\"all\"", &[place.destination(lock)], "");
        told(no);
        let ran = place.lifeboat(&["check"]);
        let is_told = ran.stdout.contains("nothing can be locked in this bucket");
        (ran.code == 3 && is_told).then_some(()).ok_or(format!("{ran:#?}"))
    });
}

/// What is spoilt at rest is never handed out, whichever store it lies on.
#[test]
fn f44_f45_f46_f47_i01_what_is_spoilt_at_rest_is_found_on_every_store() {
    let test = "f44_f45_f46_f47_i01_what_is_spoilt_at_rest_is_found_on_every_store";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    let flipped = |bytes: &[u8], at: usize| {
        let mut other = bytes.to_vec();
        other[at] ^= 1;
        other
    };
    each(&scene.backends(), &[()], |backend, ()| {
        let place = scene.place(backend, "rest");
        let _ = place.replicate().code(0);
        let [artifact, manifest] = [".age", ".json"].map(|end| place.objects(end).remove(0));
        let (bytes, record) =
            (place.vault.get(&artifact).unwrap(), place.vault.get(&manifest).unwrap());
        let out = format!("out-{}", place.name);
        let fetched = |from: &[&str]| {
            let ran = place.lifeboat(&[&["fetch", "latest", "-o", &out], from].concat());
            (ran, scene.store.site.path(&out).exists())
        };
        let last = bytes.len() - 1;
        let spoilt = [
            flipped(&bytes, 0),
            flipped(&bytes, last / 2),
            flipped(&bytes, last),
            bytes[..last].to_vec(),
            bytes[..last / 2].to_vec(),
            Vec::new(),
            [bytes.as_slice(), b"x"].concat(),
            [bytes.as_slice(), &bytes].concat(),
        ];
        for (number, other) in spoilt.iter().enumerate() {
            place.vault.put(&artifact, other);
            let (ran, exists) = fetched(&[]);
            if ran.code != 20 || exists {
                return Err(format!("spoilt {number}: {ran:#?}"));
            }
        }
        place.vault.remove(&artifact);
        let (ran, exists) = fetched(&[]);
        if ran.code != 20 || exists {
            return Err(format!("no artifact: {ran:#?}"));
        }
        place.vault.put(&artifact, &bytes);
        place.vault.remove(&manifest);
        let listed = place.lifeboat(&["list", "--json"]).json();
        let orphans = listed["orphans"].as_array().map_or(0, Vec::len);
        if orphans != 1 || listed["backups"].as_array().is_none_or(|all| !all.is_empty()) {
            return Err(format!("no manifest: {listed}"));
        }
        place.vault.put(&manifest, &record);
        let other = format!("other-{}.txt", place.name);
        let made = place.lifeboat(&["keygen", &other]).code;
        let stranger = format!("[decrypt]\nidentities_files = [\"{other}\"]\n");
        let config = scene.store.site.path(&format!("{}.toml", place.name));
        let text = std::fs::read_to_string(&config).unwrap();
        let own = "[decrypt]\nidentities_files = [\"keys/identity.txt\"]\n";
        scene
            .store
            .site
            .write(&format!("{}.toml", place.name), text.replace(own, &stranger).as_bytes());
        let (ran, exists) = fetched(&[]);
        if made != 0 || ran.code != 21 || exists {
            return Err(format!("no key: {ran:#?}"));
        }
        scene.store.site.write(&format!("{}.toml", place.name), text.as_bytes());
        let (ran, exists) = fetched(&[]);
        (ran.code == 0 && exists).then_some(()).ok_or(format!("whole again: {ran:#?}"))
    });
}

/// Whatever goes wrong together: a claim is true, and what is not claimed is not listed, unless
/// the store also refused to take it back.
#[test]
fn i01_i02_i04_faults_at_random_never_make_a_claim_false_on_any_cloud() {
    const SEEDS: u64 = 10;
    let test = "i01_i02_i04_faults_at_random_never_make_a_claim_false_on_any_cloud";
    let Some(scene) = or_skip(test, CloudScene::large(test)) else { return };
    let seeds: Vec<u64> = (1..=SEEDS).collect();
    each(&scene.clouds(), &seeds, |backend, seed| at_random(&scene, backend, seed));
}

fn at_random(scene: &CloudScene, backend: Backend, seed: u64) -> Result<(), String> {
    let place = scene.place(backend, &format!("seed-{seed}"));
    let both = [place.beside("other"), place.destination("timeout = \"10s\"\n")];
    place.configure(if seed.is_multiple_of(2) { "\"all\"" } else { "1" }, &both, "");
    place.front().random(seed, 0.2);
    let ran = place.replicate();
    let seen = place.front().seen();
    let refused = seen.iter().any(|(call, fault)| call.operation == Delete && fault.is_some());
    let listed = place.objects(".json").len();
    let problem = match ran.code {
        0 => place.holds(1).err(),
        // Not everything that cannot be read back is known to be bad, so it may have stayed.
        40 if listed == 0 => None,
        40 => place.lists_only_whole().err().filter(|_| !refused),
        10 | 11 | 20 | 50 if refused => None,
        10 | 11 | 20 | 50 => (listed > 0).then(|| "a backup".to_owned()),
        code => Some(format!("exit {code}")),
    };
    match problem {
        None => Ok(()),
        Some(why) => Err(format!("seed {seed}: {why}\n{ran:#?}\n{seen:#?}")),
    }
}
