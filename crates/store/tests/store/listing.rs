//! Listings that cannot be trusted are errors.

use crate::fake_s3::{FakeS3, Quirks, Reply};
use crate::servers;
use lifeboat_store::{Checksum, Destination, ErrorKind, S3Destination};

fn page(inner: &str) -> Reply {
    let body = format!("<ListBucketResult>{inner}</ListBucketResult>");
    Reply::Answer(200, vec![], body.into_bytes())
}

fn contents(keys: &[&str]) -> String {
    let one = |key: &&str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
    keys.iter().map(one).collect()
}

fn truncated(token: &str, keys: &[&str]) -> Reply {
    let token = format!("<NextContinuationToken>{token}</NextContinuationToken>");
    page(&format!("<IsTruncated>true</IsTruncated>{token}{}", contents(keys)))
}

async fn problem(pages: Vec<Reply>) -> String {
    let fake = FakeS3::start(Quirks::default()).await;
    for page in pages {
        fake.fail("list", 1, false, page);
    }
    let settings = servers::settings(&fake.url, Checksum::Full);
    let destination = S3Destination::open(settings).await.unwrap();
    let error = destination.list("prod/").await.unwrap_err();
    match error.kind() {
        ErrorKind::Listing { problem } => problem.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn f34_a_page_has_to_say_whether_it_is_the_last() {
    let found = problem(vec![page(&contents(&["some/prefix/prod/a"]))]).await;
    assert!(found.contains("whether it is the last"), "{found}");
}

#[tokio::test]
async fn f34_a_cut_listing_needs_a_token() {
    let found = problem(vec![page("<IsTruncated>true</IsTruncated>")]).await;
    assert!(found.contains("without a continuation token"), "{found}");
}

#[tokio::test]
async fn f34_a_token_comes_once() {
    let pages = vec![
        truncated("t1", &["some/prefix/prod/a"]),
        truncated("t2", &["some/prefix/prod/b"]),
        truncated("t1", &["some/prefix/prod/c"]),
    ];
    let found = problem(pages).await;
    assert!(found.contains("token came twice"), "{found}");
}

#[tokio::test]
async fn f34_an_object_comes_once_and_under_the_prefix() {
    let twice = truncated("t1", &["some/prefix/prod/a", "some/prefix/prod/a"]);
    assert!(problem(vec![twice]).await.contains("twice"));
    let outside = truncated("t1", &["some/prefix/production/a"]);
    assert!(problem(vec![outside]).await.contains("does not start with"));
}
