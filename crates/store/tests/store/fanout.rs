//! Fan-outs to destinations in memory.

use crate::memory::{Behaviour, Memory};
use bytes::Bytes;
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    AllFailed, ErrorKind, FanoutOptions, FanoutSender, Outcome, Summary, Target, Throttled, fanout,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const BLOCK: usize = 1_000;

fn options(ram_blocks: u64, spool_blocks: u64, dir: &std::path::Path) -> FanoutOptions {
    FanoutOptions {
        ram_bytes_max: ram_blocks * BLOCK as u64,
        spool_bytes_max: spool_blocks * BLOCK as u64,
        ..FanoutOptions::new(dir)
    }
}

fn targets(destinations: &[Arc<Memory>]) -> Vec<Target> {
    let target = |d: &Arc<Memory>| Target::new(d.clone(), "key");
    destinations.iter().map(target).collect()
}

fn send_all(mut sender: FanoutSender, bytes: &Bytes) -> Result<(), AllFailed> {
    for block in bytes.chunks(BLOCK) {
        sender.send(&bytes.slice_ref(block))?;
    }
    sender.finish(&Summary::of(bytes))
}

/// Runs a fan-out with the sender on a thread of its own.
async fn run(
    destinations: &[Arc<Memory>],
    options: FanoutOptions,
    bytes: &Bytes,
) -> (Result<(), AllFailed>, Vec<Outcome>) {
    run_targets(targets(destinations), options, bytes).await
}

async fn run_targets(
    targets: Vec<Target>,
    options: FanoutOptions,
    bytes: &Bytes,
) -> (Result<(), AllFailed>, Vec<Outcome>) {
    let (sender, run) = fanout(targets, options);
    let bytes = bytes.clone();
    let sent = tokio::task::spawn_blocking(move || send_all(sender, &bytes));
    let outcomes = run.run().await;
    (sent.await.unwrap(), outcomes)
}

fn is_kept(outcome: &Outcome, memory: &Memory, bytes: &Bytes) {
    let kept = outcome.result.as_ref().unwrap();
    assert_eq!(kept.stored.bytes, bytes.len() as u64);
    assert!(memory.get("key").unwrap() == *bytes);
}

fn kind(outcome: &Outcome) -> &ErrorKind {
    outcome.result.as_ref().unwrap_err().kind()
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_outcomes_come_as_they_are_and_stragglers_can_be_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Some(Arc::new(Semaphore::new(0)));
    let stuck = Behaviour { gate, ..Behaviour::default() };
    let all = [Memory::new("stuck", stuck), Memory::new("fast", Behaviour::default())];
    let bytes = noise(20 * BLOCK);
    let (sender, run) = fanout(targets(&all), options(8, 1_000, dir.path()));
    let breaker = sender.breaker();
    let source = bytes.clone();
    let sent = tokio::task::spawn_blocking(move || send_all(sender, &source));
    let mut outcomes = run.start();
    is_kept(&outcomes.next().await.unwrap(), &all[1], &bytes);
    sent.await.unwrap().unwrap();
    breaker.give_up_stragglers(Duration::from_secs(7));
    let given_up = outcomes.next().await.unwrap();
    assert!(matches!(kind(&given_up), ErrorKind::GivenUp { .. }), "{given_up:?}");
    assert_eq!(all[0].get("key"), None);
    assert!(outcomes.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_i02_what_appears_while_it_is_given_up_is_known_as_ours() {
    let dir = tempfile::tempdir().unwrap();
    let late = Behaviour { completes_after: Some(Duration::from_secs(2)), ..Default::default() };
    let all = [Memory::new("late", late), Memory::new("fast", Behaviour::default())];
    let bytes = noise(20 * BLOCK);
    let (sender, run) = fanout(targets(&all), options(8, 1_000, dir.path()));
    let breaker = sender.breaker();
    let source = bytes.clone();
    let sent = tokio::task::spawn_blocking(move || send_all(sender, &source));
    let acknowledged = run.acknowledged();
    let mut outcomes = run.start();
    is_kept(&outcomes.next().await.unwrap(), &all[1], &bytes);
    sent.await.unwrap().unwrap();
    while acknowledged[0].bytes() < bytes.len() as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // From the last byte to the completion it is some instructions.
    tokio::time::sleep(Duration::from_millis(500)).await;
    breaker.give_up_stragglers(Duration::ZERO);
    let given_up = outcomes.next().await.unwrap();
    assert!(matches!(kind(&given_up), ErrorKind::GivenUp { .. }), "{given_up:?}");
    assert!(given_up.made && all[0].get("key").is_some(), "{given_up:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_destination_gets_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let all = ["a", "b", "c"].map(|n| Memory::new(n, Behaviour::default()));
    let bytes = noise(100 * BLOCK + 17);
    let (sent, outcomes) = run(&all, options(8, 1_000, dir.path()), &bytes).await;
    sent.unwrap();
    for (outcome, memory) in outcomes.iter().zip(&all) {
        is_kept(outcome, memory, &bytes);
    }
    let names: Vec<_> = outcomes.iter().map(|o| o.destination.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_one_that_fails_is_given_up_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let all = [
        Memory::new("good", Behaviour::default()),
        Memory::new("fails", Behaviour { fails_at: Some(2), ..Behaviour::default() }),
        Memory::new("refuses", Behaviour { refuses: true, ..Behaviour::default() }),
        Memory::new("alters", Behaviour { alters: true, ..Behaviour::default() }),
    ];
    let bytes = noise(50 * BLOCK);
    let (sent, outcomes) = run(&all, options(4, 1_000, dir.path()), &bytes).await;
    sent.unwrap();
    is_kept(&outcomes[0], &all[0], &bytes);
    assert!(matches!(kind(&outcomes[1]), ErrorKind::NotFound));
    assert!(all[1].is_clean());
    assert!(matches!(kind(&outcomes[2]), ErrorKind::NotFound));
    assert!(matches!(kind(&outcomes[3]), ErrorKind::Corrupt { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_fail_the_sender_learns_it() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |n| Behaviour { fails_at: Some(n), ..Behaviour::default() };
    let all = [Memory::new("a", fails(3)), Memory::new("b", fails(5))];
    let (mut sender, run) = fanout(targets(&all), options(4, 4, dir.path()));
    let sending = tokio::task::spawn_blocking(move || {
        let block = noise(BLOCK);
        loop {
            if let Err(e) = sender.send(&block) {
                return e;
            }
        }
    });
    let outcomes = run.run().await;
    assert_eq!(sending.await.unwrap(), AllFailed::NobodyLeft);
    assert!(outcomes.iter().all(|o| o.result.is_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn i02_a_sender_that_is_dropped_completes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let all = [
        Memory::new("good", Behaviour::default()),
        Memory::new("blocked", Behaviour { gate: Some(gate), ..Behaviour::default() }),
    ];
    let (mut sender, run) = fanout(targets(&all), options(4, 100, dir.path()));
    let running = tokio::spawn(run.run());
    tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            sender.send(&noise(BLOCK)).unwrap();
        }
    })
    .await
    .unwrap();
    for (outcome, memory) in running.await.unwrap().iter().zip(&all) {
        assert!(matches!(kind(outcome), ErrorKind::SourceBroke), "{outcome:?}");
        assert!(memory.is_clean());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_of_another_length_completes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let all = [Memory::new("good", Behaviour::default())];
    let (mut sender, run) = fanout(targets(&all), options(4, 4, dir.path()));
    let running = tokio::spawn(run.run());
    let finished = tokio::task::spawn_blocking(move || {
        sender.send(&noise(BLOCK)).unwrap();
        sender.finish(&Summary::of(b"another"))
    });
    let error = finished.await.unwrap().unwrap_err();
    assert_eq!(error, AllFailed::WrongLength { summary_bytes: 7, sent_bytes: 1_000 });
    assert!(matches!(kind(&running.await.unwrap()[0]), ErrorKind::SourceBroke));
    assert!(all[0].is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_one_holds_nobody_up_and_catches_up_from_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let slow = Behaviour { gate: Some(gate.clone()), ..Behaviour::default() };
    let all = [Memory::new("fast", Behaviour::default()), Memory::new("slow", slow)];
    let bytes = noise(300 * BLOCK + 1);
    let (sender, run) = fanout(targets(&all), options(4, 400, dir.path()));
    let acknowledged = run.acknowledged();
    let running = tokio::spawn(run.run());
    let source = bytes.clone();
    // The source ends while the slow one has not taken a single block.
    tokio::task::spawn_blocking(move || send_all(sender, &source)).await.unwrap().unwrap();
    assert_eq!(acknowledged[1].bytes(), 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the spool has a name");
    gate.add_permits(1_000);
    let outcomes = running.await.unwrap();
    for (outcome, memory) in outcomes.iter().zip(&all) {
        is_kept(outcome, memory, &bytes);
    }
    assert_eq!(acknowledged[1].bytes(), bytes.len() as u64);
    let lag = outcomes[1].lag;
    // Before its first write ended it may have taken one read of the spool, an eighth of it.
    assert!(lag.spooled_bytes >= 240 * BLOCK as u64, "{lag:?}");
    assert!(lag.behind_bytes_max >= 250 * BLOCK as u64, "{lag:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn i24_one_that_lags_beyond_the_spool_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Behaviour { gate: Some(Arc::new(Semaphore::new(0))), ..Behaviour::default() };
    let all = [Memory::new("fast", Behaviour::default()), Memory::new("slow", slow)];
    let bytes = noise(300 * BLOCK);
    let (sent, outcomes) = run(&all, options(4, 20, dir.path()), &bytes).await;
    sent.unwrap();
    is_kept(&outcomes[0], &all[0], &bytes);
    match kind(&outcomes[1]) {
        ErrorKind::Lagging { behind_bytes, buffer_bytes_max, spool_error: None } => {
            assert!(*behind_bytes >= 20 * BLOCK as u64 && *behind_bytes <= *buffer_bytes_max);
        }
        other => panic!("{other:?}"),
    }
    assert!(all[1].is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_spool_directory_only_the_laggard_suffers() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Behaviour { gate: Some(Arc::new(Semaphore::new(0))), ..Behaviour::default() };
    let all = [Memory::new("fast", Behaviour::default()), Memory::new("slow", slow)];
    let bytes = noise(100 * BLOCK);
    let missing = dir.path().join("missing");
    let (sent, outcomes) = run(&all, options(4, 1_000, &missing), &bytes).await;
    sent.unwrap();
    is_kept(&outcomes[0], &all[0], &bytes);
    let fits = matches!(kind(&outcomes[1]), ErrorKind::Lagging { spool_error: Some(_), .. });
    assert!(fits, "{:?}", outcomes[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_faster_than_everybody_waits_and_loses_nobody() {
    let dir = tempfile::tempdir().unwrap();
    for count in [1, 3] {
        let gates: Vec<_> = (0..count).map(|_| Arc::new(Semaphore::new(0))).collect();
        let slow = |g: &Arc<Semaphore>| Behaviour { gate: Some(g.clone()), ..Default::default() };
        let all: Vec<_> = gates.iter().map(|g| Memory::new("slow", slow(g))).collect();
        let bytes = noise(200 * BLOCK);
        let (sender, run) = fanout(targets(&all), options(4, 20, dir.path()));
        let acknowledged = run.acknowledged();
        let running = tokio::spawn(run.run());
        let source = bytes.clone();
        let sent = tokio::task::spawn_blocking(move || send_all(sender, &source));
        // In turns, so that nobody gets far ahead of the others.
        while !running.is_finished() {
            for (gate, acknowledged) in gates.iter().zip(&acknowledged) {
                gate.add_permits(1);
                while gate.available_permits() > 0 && acknowledged.bytes() < bytes.len() as u64 {
                    tokio::task::yield_now().await;
                }
            }
            tokio::task::yield_now().await;
        }
        sent.await.unwrap().unwrap();
        for (outcome, memory) in running.await.unwrap().iter().zip(&all) {
            is_kept(outcome, memory, &bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_i24_one_that_makes_no_progress_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let hole = Behaviour { swallows: true, ..Behaviour::default() };
    let all = [Memory::new("good", Behaviour::default()), Memory::new("hole", hole)];
    let bytes = noise(20 * BLOCK);
    let mut targets = targets(&all);
    targets.iter_mut().for_each(|target| target.stall_timeout = Duration::from_millis(50));
    let (sent, outcomes) = run_targets(targets, options(4, 100, dir.path()), &bytes).await;
    sent.unwrap();
    is_kept(&outcomes[0], &all[0], &bytes);
    assert!(matches!(kind(&outcomes[1]), ErrorKind::Stalled { .. }), "{:?}", outcomes[1]);
    assert!(all[1].is_clean());
}

/// The call that completes owned the upload, and one that never came back left it in the store.
#[tokio::test(flavor = "multi_thread")]
async fn f25_an_upload_that_stalls_while_it_is_completed_is_aborted() {
    let dir = tempfile::tempdir().unwrap();
    let hole = Behaviour { never_completes: true, ..Behaviour::default() };
    let all = [Memory::new("hole", hole)];
    let mut targets = targets(&all);
    targets[0].stall_timeout = Duration::from_millis(50);
    let (_, outcomes) = run_targets(targets, options(4, 100, dir.path()), &noise(BLOCK)).await;
    assert!(matches!(kind(&outcomes[0]), ErrorKind::Stalled { .. }), "{:?}", outcomes[0]);
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert_eq!(error.left_behind(), Some("possibly the whole object"));
    assert!(all[0].is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_spares_the_others_and_is_not_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let bad = Behaviour { panics: true, ..Behaviour::default() };
    let all = [Memory::new("good", Behaviour::default()), Memory::new("bad", bad)];
    let bytes = noise(20 * BLOCK);
    let (sender, run) = fanout(targets(&all), options(4, 100, dir.path()));
    let source = bytes.clone();
    let sent = tokio::task::spawn_blocking(move || send_all(sender, &source));
    assert!(tokio::spawn(run.run()).await.unwrap_err().is_panic());
    sent.await.unwrap().unwrap();
    assert!(all[0].get("key").unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_dropped_releases_the_sender() {
    let dir = tempfile::tempdir().unwrap();
    let all = [Memory::new("a", Behaviour::default())];
    let (sender, run) = fanout(targets(&all), options(2, 2, dir.path()));
    let sent = tokio::task::spawn_blocking(move || send_all(sender, &noise(50 * BLOCK)));
    drop(run);
    assert_eq!(sent.await.unwrap(), Err(AllFailed::NobodyLeft));
}

/// Three destinations of changing speed over a log so small that it spools, wraps, drains
/// and spools again. The memory destination asserts that what came is what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_speeds_the_bytes_are_right() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..60 {
        let dawdler = |n: u64| Behaviour { dawdles: Some(seed * 3 + n), ..Behaviour::default() };
        let all = [0, 1, 2].map(|n| Memory::new("dawdler", dawdler(n)));
        let bytes = noise(150 * BLOCK + seed as usize);
        let (sent, outcomes) =
            run(&all, options(1 + seed % 5, seed % 17, dir.path()), &bytes).await;
        for (outcome, memory) in outcomes.iter().zip(&all) {
            match &outcome.result {
                Ok(_) => is_kept(outcome, memory, &bytes),
                Err(e) => assert!(matches!(e.kind(), ErrorKind::Lagging { .. }), "{seed}: {e}"),
            }
        }
        assert!(outcomes.iter().any(|o| o.result.is_ok()), "seed {seed}");
        assert_eq!(sent, Ok(()), "seed {seed}");
    }
}

/// What goes slowly because it may not go faster is not stalled: a second's worth of bytes at a time,
/// with a limit of less than the whole takes.
#[tokio::test(flavor = "multi_thread")]
async fn f25_a_destination_at_its_own_limit_has_not_stalled() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::new("slow", Behaviour::default());
    let rate = 64 << 10;
    let bytes = noise(4 * rate);
    let mut target = Target::new(Arc::new(Throttled::new(memory.clone(), rate as u64)), "key");
    target.stall_timeout = Duration::from_millis(2_500);
    let (sender, run) = fanout(vec![target], options(1_000, 0, dir.path()));
    let sent = bytes.clone();
    let sending = tokio::task::spawn_blocking(move || {
        let mut sender = sender;
        // All in one block: the store confirms nothing before the whole of it is through.
        sender.send(&sent)?;
        sender.finish(&Summary::of(&sent))
    });
    let outcomes = run.run().await;
    sending.await.unwrap().unwrap();
    is_kept(&outcomes[0], &memory, &bytes);
}
