//! What a probe finds out about stores that lack something.

use crate::fake_s3::{FakeS3, Quirks, Reply, refusal};
use crate::servers;
use jiff::Timestamp;
use lifeboat_store::{
    Checksum, Destination, FileDestination, FileSettings, Keeping, Probe, S3Destination, Trial,
    Verdict, probe,
};

const ALWAYS: u32 = u32::MAX;
const FOLDER: &str = "demo/lifeboat-check";

fn now() -> Timestamp {
    "2026-11-20T16:00:00Z".parse().unwrap()
}

async fn try_out(destination: &dyn Destination, name: &str) -> Probe {
    probe(destination, FOLDER, name, &Keeping::default(), &now).await
}

async fn fake(quirks: Quirks, checksum: Checksum) -> (FakeS3, S3Destination) {
    let fake = FakeS3::start(quirks).await;
    let mut settings = servers::settings(&fake.url, checksum);
    settings.attempts = 1;
    (fake, S3Destination::open(settings).await.unwrap())
}

fn weak(probe: &Probe) -> Vec<Trial> {
    let weak = |(trial, verdict): &(Trial, Verdict)| {
        matches!(verdict, Verdict::Weak { .. }).then_some(*trial)
    };
    probe.trials.iter().filter_map(weak).collect()
}

fn failed(probe: &Probe) -> Vec<Trial> {
    let failed = |(trial, verdict): &(Trial, Verdict)| {
        matches!(verdict, Verdict::Failed(_)).then_some(*trial)
    };
    probe.trials.iter().filter_map(failed).collect()
}

#[tokio::test]
async fn a_store_that_does_everything_passes_and_keeps_nothing() {
    for checksum in [Checksum::Full, Checksum::Part, Checksum::None] {
        let wants = (checksum == Checksum::Full).then_some(checksum);
        let (fake, destination) = fake(Quirks { wants, ..Quirks::default() }, checksum).await;
        let probe = try_out(&destination, "a").await;
        let expected = match checksum {
            // The fake verifies only what it wants.
            Checksum::Part => vec![Trial::Checksum],
            Checksum::Full | Checksum::None => vec![],
        };
        assert_eq!((weak(&probe), failed(&probe)), (expected, vec![]), "{probe:?}");
        assert!(fake.objects().is_empty() && fake.uploads().is_empty(), "{:?}", fake.objects());
        assert_eq!(probe.left, None);
    }
}

#[tokio::test]
async fn f33_a_store_that_ignores_conditions_or_checksums_is_told() {
    let quirks = Quirks { ignores_conditions: true, ..Quirks::default() };
    let (fake, destination) = fake(quirks, Checksum::Full).await;
    let probe = try_out(&destination, "a").await;
    assert_eq!(weak(&probe), [Trial::Condition, Trial::Checksum], "{probe:?}");
    assert_eq!(failed(&probe), [], "{probe:?}");
    assert!(fake.objects().is_empty(), "{:?}", fake.objects());
}

#[tokio::test]
async fn f32_f33_a_store_that_alters_forgets_or_ignores_ranges_fails() {
    for (quirks, expected) in [
        (Quirks { alters: true, ..Quirks::default() }, vec![Trial::Read]),
        (Quirks { ignores_ranges: true, ..Quirks::default() }, vec![Trial::Range]),
        (
            Quirks { forgets: true, ..Quirks::default() },
            vec![Trial::Settings, Trial::Read, Trial::Condition],
        ),
    ] {
        let (_fake, destination) = fake(quirks, Checksum::Full).await;
        let probe = try_out(&destination, "a").await;
        let found = failed(&probe);
        assert!(expected.iter().any(|trial| found.contains(trial)), "{quirks:?}: {probe:?}");
    }
}

#[tokio::test]
async fn f30_a_writer_that_may_not_delete_leaves_one_object_for_ever() {
    let wants = Some(Checksum::Full);
    let (fake, destination) = fake(Quirks { wants, ..Quirks::default() }, Checksum::Full).await;
    fake.fail("delete", ALWAYS, false, refusal(403, "AccessDenied"));
    let id = |n: u32| format!("01m7x1rk6900000000000000{n:02}");
    let first = format!("demo/lifeboat-check/{}", id(0));
    for name in [id(0), id(1), id(2)] {
        let name = name.as_str();
        let probe = try_out(&destination, name).await;
        assert_eq!((weak(&probe), failed(&probe)), (vec![], vec![]), "{name}: {probe:?}");
        assert_eq!(probe.left.as_deref(), Some(first.as_str()));
        assert_eq!(fake.objects().len(), 1, "{:?}", fake.objects());
    }
}

#[tokio::test]
async fn f30_every_refusal_is_named_with_what_was_tried() {
    for (operation, trial) in [
        ("list", Trial::List),
        ("put", Trial::Write),
        ("get", Trial::Read),
        ("begin", Trial::Parts),
    ] {
        let wants = Some(Checksum::Full);
        let (fake, destination) = fake(Quirks { wants, ..Quirks::default() }, Checksum::Full).await;
        fake.fail(operation, ALWAYS, false, refusal(403, "AccessDenied"));
        let probe = try_out(&destination, "a").await;
        assert!(failed(&probe).contains(&trial), "{operation}: {probe:?}");
    }
    let (fake, destination) = fake(Quirks::default(), Checksum::None).await;
    fake.fail("abort", ALWAYS, false, refusal(403, "AccessDenied"));
    let probe = try_out(&destination, "a").await;
    assert_eq!((weak(&probe), failed(&probe)), (vec![Trial::Parts], vec![]), "{probe:?}");
}

#[tokio::test]
async fn f40_the_clock_is_read_from_any_answer() {
    let (fake, destination) = fake(Quirks::default(), Checksum::Full).await;
    let date = vec![("date", "Fri, 20 Nov 2026 16:05:00 GMT".to_owned())];
    let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>".into();
    fake.fail("list", ALWAYS, false, Reply::Answer(403, date.clone(), body));
    fake.fail("head", ALWAYS, false, Reply::Answer(403, date, Vec::new()));
    let probe = try_out(&destination, "a").await;
    assert_eq!(failed(&probe), [Trial::List], "{probe:?}");
    assert_eq!(probe.clock_ahead_seconds, Some(300));
}

#[tokio::test]
async fn a_directory_passes_and_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = FileSettings { name: "site-a".into(), path: dir.path().to_path_buf() };
    let destination = FileDestination::open(settings).unwrap();
    let probe = try_out(&destination, "a").await;
    assert_eq!((weak(&probe), failed(&probe)), (vec![], vec![]), "{probe:?}");
    assert!(destination.list("").await.unwrap().is_empty());
    // The file's own time is the clock of whoever serves the file system.
    assert!(probe.clock_ahead_seconds.is_some(), "{probe:?}");
}
