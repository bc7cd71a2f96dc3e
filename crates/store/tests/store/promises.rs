//! What this crate promises, over stores that go wrong: whatever `put_new`, an upload with its
//! read-back, or a fan-out claims is so, and nothing that was there is ever written over.
//!
//! Thousands of seeds are played at once, because they spend their time waiting. A failure names
//! its seed; `FAULT_SEED` plays one alone.

use bytes::Bytes;
use futures::{StreamExt, stream};
use lifeboat_store::conformance::noise;
use lifeboat_store::faults::{Effect, Fault, FaultStore, MemoryDestination, Refusal, Rule};
use lifeboat_store::{
    Acknowledged, Destination, ErrorKind, FanoutOptions, FileDestination, FileSettings, Keeping,
    Operation, ReadBackOptions, Result, Summary, Target, fanout, read_back,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How many seeds are played.
const SEEDS: u64 = 3_000;
/// One in so many has a directory among its stores; their disk is slow.
const DIRECTORY_EVERY: u64 = 20;
/// How long a store may say nothing.
const STALL: Duration = Duration::from_secs(1);
/// How long whoever writes waits at all. Giving up is no claim.
const PATIENCE: Duration = Duration::from_secs(5);
const BLOCK: usize = 700;

/// A store that goes wrong, and what it really holds.
struct Liar {
    store: FaultStore,
    memory: MemoryDestination,
    directory: Option<tempfile::TempDir>,
}

impl Liar {
    fn new(name: &str, on_disk: bool) -> Self {
        let memory = MemoryDestination::new(name);
        let directory = on_disk.then(|| tempfile::tempdir().unwrap());
        let wrapped: Arc<dyn Destination> = match &directory {
            Some(dir) => {
                let settings = FileSettings { name: name.into(), path: dir.path().into() };
                Arc::new(FileDestination::open(settings).unwrap())
            }
            None => Arc::new(memory.clone()),
        };
        Liar { store: FaultStore::new(wrapped), memory, directory }
    }

    fn holds(&self, key: &str) -> Option<Bytes> {
        match &self.directory {
            Some(dir) => std::fs::read(dir.path().join(key)).ok().map(Bytes::from),
            None => self.memory.get(key),
        }
    }
}

/// What one seed came to.
#[derive(Default)]
struct Account {
    wrong: Vec<String>,
    claims: usize,
    tries: usize,
    lies: usize,
}

fn full() -> ReadBackOptions {
    ReadBackOptions { stall_timeout: STALL, ..ReadBackOptions::default() }
}

async fn in_time<T>(call: impl Future<Output = Result<T>>) -> Option<Result<T>> {
    tokio::time::timeout(PATIENCE, call).await.ok()
}

/// A small object; gives whether it was stored, and whether it was proved.
async fn put(liar: &Liar, key: &str, bytes: &Bytes) -> (bool, bool) {
    let put = in_time(liar.store.put_new(key, bytes.clone(), &Keeping::default())).await;
    let Some(Ok(_)) = put else { return (false, false) };
    (true, read_back(&liar.store, key, &Summary::of(bytes), &full()).await.is_ok())
}

/// A large one, in blocks.
async fn upload(liar: &Liar, key: &str, bytes: &Bytes) -> (bool, bool) {
    let summary = Summary::of(bytes);
    let keeping = Keeping::default();
    let uploaded = in_time(async {
        let mut upload = liar.store.create(key, &keeping, Acknowledged::default()).await?;
        for block in bytes.chunks(BLOCK) {
            upload.write(bytes.slice_ref(block)).await?;
        }
        upload.complete(&summary).await
    });
    let Some(Ok(_)) = uploaded.await else { return (false, false) };
    (true, read_back(&liar.store, key, &summary, &full()).await.is_ok())
}

async fn fan_out(liars: &[Liar], bytes: &Bytes, stall_timeout: Duration) -> Vec<bool> {
    let target = |liar: &Liar| Target {
        stall_timeout,
        ..Target::new(Arc::new(liar.store.clone()), "run/fan")
    };
    let options = FanoutOptions { spool_bytes_max: 0, ..FanoutOptions::new(PathBuf::from("/")) };
    let (mut sender, run) = fanout(liars.iter().map(target).collect(), options);
    // Everything fits into memory, so that this never waits.
    for block in bytes.chunks(BLOCK) {
        // When all have failed, their outcomes say so.
        let _ = sender.send(&bytes.slice_ref(block));
    }
    let _ = sender.finish(&Summary::of(bytes));
    run.run().await.iter().map(|outcome| outcome.result.is_ok()).collect()
}

impl Account {
    fn judge(&mut self, liar: &Liar, key: &str, bytes: &Bytes, (stored, proved): (bool, bool)) {
        self.tries += 1;
        self.claims += usize::from(proved);
        let holds = liar.holds(key).as_ref() == Some(bytes);
        let lied = liar.store.spoilt().contains(key);
        self.lies += usize::from(stored && lied && !holds);
        if proved && !holds {
            self.wrong.push(format!("{key} was proved, and is not there"));
        }
        if stored && !lied && !holds {
            self.wrong.push(format!("{key} was stored, and is not there"));
        }
        let written = liar.memory.history(key).iter().flatten().count();
        if !lied && written > 1 {
            self.wrong.push(format!("{key} was written {written} times"));
        }
    }
}

async fn play(seed: u64) -> Account {
    let on_disk = |at: usize| at == 2 && seed.is_multiple_of(DIRECTORY_EVERY);
    let liars: Vec<Liar> =
        ["a", "b", "c"].iter().enumerate().map(|(n, name)| Liar::new(name, on_disk(n))).collect();
    let (small, large) = (noise(60), noise(4_500));
    let theirs = Bytes::from_static(b"theirs");
    liars[0].memory.put_new("taken", theirs.clone(), &Keeping::default()).await.unwrap();
    liars[1].memory.put_new("same", small.clone(), &Keeping::default()).await.unwrap();
    for (liar, number) in liars.iter().zip(0..) {
        // Every eighth seed is calm: whatever works must go on working.
        let probability = f64::from(u32::try_from(seed % 8).unwrap()) * 0.05;
        liar.store.random(seed * 3 + number, probability);
    }
    let (one, two, taken, same, big, fan) = tokio::join!(
        put(&liars[0], "run/one.json", &small),
        put(&liars[2], "run/two.json", &small),
        put(&liars[0], "taken", &small),
        put(&liars[1], "same", &small),
        upload(&liars[1], "run/big", &large),
        // Where nothing goes wrong, nothing is given up for being slow on a machine that is.
        fan_out(&liars, &large, if seed.is_multiple_of(8) { STALL * 60 } else { STALL }),
    );
    let mut account = Account::default();
    account.judge(&liars[0], "run/one.json", &small, one);
    account.judge(&liars[2], "run/two.json", &small, two);
    account.judge(&liars[1], "same", &small, same);
    account.judge(&liars[1], "run/big", &large, big);
    for (liar, kept) in liars.iter().zip(fan) {
        account.judge(liar, "run/fan", &large, (kept, kept));
    }
    let passed_for_ours = taken.1 || (taken.0 && !liars[0].store.spoilt().contains("taken"));
    if passed_for_ours || liars[0].memory.history("taken") != [Some(theirs)] {
        account.wrong.push("what was there was written over, or passed for ours".into());
    }
    if seed.is_multiple_of(8) && account.claims < account.tries {
        account.wrong.push("a store with which nothing went wrong did not take everything".into());
    }
    account
}

#[tokio::test(flavor = "multi_thread")]
async fn i01_i03_i04_i17_f26_f28_f32_f35_what_is_claimed_is_so_for_thousands_of_seeds() {
    let seeds = match std::env::var("FAULT_SEED") {
        Ok(seed) => seed.parse().unwrap()..=seed.parse().unwrap(),
        Err(_) => 1..=SEEDS,
    };
    let spawned = seeds.map(|seed| async move { (seed, tokio::spawn(play(seed)).await.unwrap()) });
    let mut played = stream::iter(spawned).buffer_unordered(usize::try_from(SEEDS).unwrap());
    let (mut wrong, mut claims, mut tries, mut lies) = (Vec::new(), 0, 0, 0);
    while let Some((seed, account)) = played.next().await {
        let told = account.wrong.iter().map(|why| format!("FAULT_SEED={seed}: {why}"));
        wrong.extend(told);
        (claims, tries) = (claims + account.claims, tries + account.tries);
        lies += account.lies;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It would prove nothing if hardly anything was claimed, or nobody lied.
    println!("{claims} claims of {tries} tries, {lies} lies");
    assert!(claims > tries / 4 && (lies > 0 || tries < 100), "{claims} of {tries}, {lies} lies");
}

/// Two writers of other bytes under one key: one of them at most is told that it has it.
#[tokio::test(flavor = "multi_thread")]
async fn i04_f28_of_two_writers_under_one_key_one_has_it_at_most() {
    let race = |seed: u64| async move {
        let liar = Liar::new("a", false);
        liar.store.random(seed, 0.15);
        let (ours, theirs) = (noise(50), noise(2_000));
        let (a, b) = tokio::join!(put(&liar, "key", &ours), upload(&liar, "key", &theirs));
        let holds = liar.memory.get("key");
        let is_right = match (a.1, b.1) {
            (true, true) => false,
            (true, false) => holds == Some(ours),
            (false, true) => holds == Some(theirs),
            (false, false) => true,
        };
        assert!(is_right, "seed {seed}: {a:?}, {b:?}\n{:#?}", liar.store.seen());
        a.1 || b.1
    };
    let claimed = stream::iter(1..=1_000).map(|seed| tokio::spawn(race(seed)));
    let claimed = claimed.buffer_unordered(1_000).filter(|won| {
        let won = *won.as_ref().unwrap();
        async move { won }
    });
    let claimed = claimed.count().await;
    assert!(claimed > 300, "{claimed} of 1000");
}

/// One rule, one call, one outcome: a success, or the kind of an error.
async fn outcome(rules: Vec<Rule>, large: bool) -> (String, Liar) {
    let liar = Liar::new("a", false);
    liar.store.script(rules);
    let (bytes, keeping) = (noise(3_000), Keeping::default());
    let written = async {
        if !large {
            return liar.store.put_new("key", bytes.clone(), &keeping).await;
        }
        let mut upload = liar.store.create("key", &keeping, Acknowledged::default()).await?;
        upload.write(bytes.clone()).await?;
        upload.complete(&Summary::of(&bytes)).await
    };
    let proved = match written.await {
        Ok(_) => read_back(&liar.store, "key", &Summary::of(&bytes), &full()).await.map(drop),
        Err(e) => Err(e),
    };
    let told = match proved {
        Ok(()) => "proved".to_owned(),
        Err(e) => {
            let kind = format!("{:?}", e.kind());
            kind.split([' ', '{', '(']).next().unwrap().to_owned()
        }
    };
    (told, liar)
}

#[tokio::test]
async fn f26_f28_f29_f30_f32_f35_each_fault_of_a_write_has_its_outcome() {
    let refuse = |refusal, effect| Fault::Refuse(refusal, effect);
    let (before, after) = (Effect::Before, Effect::After);
    for (large, write) in [(false, Operation::Put), (true, Operation::Complete)] {
        let once = |fault| vec![Rule::on(write, fault).under("k").once()];
        let always = |fault| vec![Rule::on(write, fault)];
        let cases = [
            ("a lost answer", once(refuse(Refusal::Reset, after)), "proved"),
            ("a 412 of our own", once(refuse(Refusal::Taken, after)), "proved"),
            ("a passing 409", once(refuse(Refusal::Conflict, before)), "proved"),
            ("409 for ever", always(refuse(Refusal::Conflict, before)), "Conflict"),
            ("503", always(refuse(Refusal::Unavailable, before)), "Transient"),
            ("429", always(refuse(Refusal::Throttled, before)), "Transient"),
            ("denied", always(refuse(Refusal::Denied, before)), "Denied"),
            ("expired", always(refuse(Refusal::Expired, before)), "Credentials"),
            ("a 412 without an object", always(refuse(Refusal::Taken, before)), "AlreadyExists"),
            ("dropped", always(Fault::Lost), "NotFound"),
            ("cut", always(Fault::Short(9)), "Corrupt"),
            ("altered", always(Fault::Altered(9)), "Corrupt"),
            ("late", always(Fault::Late(Duration::from_millis(1))), "proved"),
            (
                "not seen yet",
                vec![Rule::on(Operation::Head, Fault::Stale).after(1).once()],
                "proved",
            ),
        ];
        let played = cases.map(|(name, rules, expected)| async move {
            (name, expected, outcome(rules, large).await)
        });
        for (name, expected, (told, liar)) in futures::future::join_all(played).await {
            assert_eq!(told, expected, "{name}, {write:?}: {:#?}", liar.store.seen());
            assert_eq!(told == "proved", liar.holds("key") == Some(noise(3_000)), "{name}");
        }
    }
}

#[tokio::test]
async fn f25_f34_f45_each_fault_of_a_reading_is_told() {
    let liar = Liar::new("a", false);
    let bytes = noise(3_000);
    for key in ["p/1", "p/2"] {
        liar.memory.put_new(key, bytes.clone(), &Keeping::default()).await.unwrap();
    }
    let summary = Summary::of(&bytes);
    for fault in [Fault::Less(10), Fault::Altered(2_999)] {
        liar.store.script(vec![Rule::on(Operation::Read, fault)]);
        let error = read_back(&liar.store, "p/1", &summary, &full()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{fault:?}: {error}");
    }
    liar.store.script(vec![Rule::on(Operation::Read, Fault::Short(10))]);
    let error = read_back(&liar.store, "p/1", &summary, &full()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    let quick = ReadBackOptions { stall_timeout: Duration::from_millis(50), ..full() };
    for operation in [Operation::Head, Operation::Read] {
        liar.store.script(vec![Rule::on(operation, Fault::Silence(Effect::After))]);
        let error = read_back(&liar.store, "p/1", &summary, &quick).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Stalled { .. }), "{operation:?}: {error}");
    }
    for (fault, left) in [(Fault::Stale, 1), (Fault::Cut, 1)] {
        liar.store.script(vec![Rule::on(Operation::List, fault).under("p/")]);
        assert_eq!(liar.store.list("p/").await.unwrap().len(), left, "{fault:?}");
    }
    let untrusted = Fault::Refuse(Refusal::Untrusted, Effect::Before);
    liar.store.script(vec![Rule::on(Operation::List, untrusted)]);
    let error = liar.store.list("p/").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Listing { .. }), "{error}");
    liar.store.script(vec![Rule::on(Operation::Delete, Fault::Lost)]);
    liar.store.delete("p/1").await.unwrap();
    liar.store.calm();
    assert!(liar.store.head("p/1").await.unwrap().is_some());
}
