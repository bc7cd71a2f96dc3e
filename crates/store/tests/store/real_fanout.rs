//! One source to a directory and real servers at once.

use crate::servers;
use lifeboat_store::conformance::noise;
use lifeboat_store::{
    AllFailed, Checksum, Destination, DestinationSettings, ErrorKind, FanoutOptions, FileSettings,
    Outcome, S3Settings, Summary, Target, fanout, open,
};
use std::sync::Arc;

const BYTES: usize = (23 << 20) + 7;
const BLOCK: usize = 1 << 20;

async fn everywhere(disk: &std::path::Path, urls: &[&str]) -> Vec<Arc<dyn Destination>> {
    let file = FileSettings { name: "disk".into(), path: disk.into() };
    let mut all = vec![open(DestinationSettings::File(file)).await.unwrap()];
    for url in urls {
        let settings = S3Settings { attempts: 2, ..servers::settings(url, Checksum::Part) };
        all.push(open(DestinationSettings::S3(Box::new(settings))).await.unwrap());
    }
    all
}

async fn send(
    all: &[Arc<dyn Destination>],
    scratch: &std::path::Path,
    whole: bool,
) -> (Result<(), AllFailed>, Vec<Outcome>) {
    let target = |d: &Arc<dyn Destination>| Target::new(d.clone(), "prod/x");
    let targets = all.iter().map(target).collect();
    let (mut sender, run) = fanout(targets, FanoutOptions::new(scratch));
    let sending = tokio::task::spawn_blocking(move || {
        let bytes = noise(BYTES);
        for block in bytes.chunks(BLOCK) {
            sender.send(&bytes.slice_ref(block))?;
        }
        if whole { sender.finish(&Summary::of(&bytes)) } else { Ok(()) }
    });
    let outcomes = run.run().await;
    (sending.await.unwrap(), outcomes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_and_two_servers_get_the_same_object_and_a_dead_one_does_not_matter() {
    let name = "a_directory_and_two_servers_get_the_same_object";
    let Some(moto) = servers::moto(name).await else { return };
    let Some(s3s_fs) = servers::s3s_fs(name).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    let all = everywhere(&disk, &[&moto.url, &s3s_fs.url, "http://127.0.0.1:9"]).await;
    let (sent, outcomes) = send(&all, dir.path(), true).await;
    sent.unwrap();
    for outcome in &outcomes[..3] {
        assert_eq!(outcome.result.as_ref().unwrap().stored.bytes, BYTES as u64);
    }
    let error = outcomes[3].result.as_ref().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    let again = send(&all[..3], dir.path(), true).await.1;
    for outcome in again {
        let error = outcome.result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::AlreadyExists), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_breaks_off_leaves_nothing_anywhere() {
    let name = "a_source_that_breaks_off_leaves_nothing_anywhere";
    let Some(moto) = servers::moto(name).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let all = everywhere(&dir.path().join("disk"), &[&moto.url]).await;
    let (sent, outcomes) = send(&all, dir.path(), false).await;
    sent.unwrap();
    for (outcome, destination) in outcomes.iter().zip(&all) {
        let error = outcome.result.as_ref().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SourceBroke), "{error}");
        assert_eq!(error.left_behind(), None);
        assert!(destination.list("").await.unwrap().is_empty());
    }
    let client = servers::client(&moto.url);
    let listed = client.list_multipart_uploads().bucket("backups").send().await.unwrap();
    assert!(listed.uploads().is_empty());
}
