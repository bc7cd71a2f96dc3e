//! Listings of Azure that cannot be trusted are errors.

use crate::fake_azure::{FakeAzure, Quirks, Reply, page};
use lifeboat_store::{AzureDestination, Destination, ErrorKind};

fn reply(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Answer(200, vec![], body.into())
}

async fn listed(pages: Vec<Reply>) -> ErrorKind {
    let (fake, dir) = (FakeAzure::start(Quirks::default()).await, tempfile::tempdir().unwrap());
    for page in pages {
        fake.fail("list", 1, false, page);
    }
    let destination = AzureDestination::open(fake.settings(&dir)).await.unwrap();
    let error = destination.list("prod/").await.unwrap_err();
    match error.kind() {
        ErrorKind::Listing { problem } => ErrorKind::Listing { problem: problem.clone() },
        ErrorKind::Transient { said } => ErrorKind::Transient { said: said.clone() },
        other => panic!("{other:?}"),
    }
}

async fn problem(pages: Vec<Reply>) -> String {
    match listed(pages).await {
        ErrorKind::Listing { problem } => problem,
        other => panic!("{other:?}"),
    }
}

const A: (&str, usize) = ("some/prefix/prod/a", 1);
const B: (&str, usize) = ("some/prefix/prod/b", 1);

#[tokio::test]
async fn f34_a_page_of_azure_has_to_say_whether_it_is_the_last() {
    let found = problem(vec![reply(page(&[A], None))]).await;
    assert!(found.contains("whether it is the last"), "{found}");
}

#[tokio::test]
async fn f34_a_marker_comes_once() {
    let pages = vec![
        reply(page(&[A], Some("m1"))),
        reply(page(&[], Some("m2"))),
        reply(page(&[B], Some("m1"))),
    ];
    let found = problem(pages).await;
    assert!(found.contains("marker came twice"), "{found}");
}

#[tokio::test]
async fn f34_a_blob_comes_once_and_under_the_prefix() {
    assert!(problem(vec![reply(page(&[A, A], Some("")))]).await.contains("twice"));
    let pages = vec![reply(page(&[A], Some("m1"))), reply(page(&[A], Some("")))];
    assert!(problem(pages).await.contains("twice"));
    let outside = [("some/prefix/production/a", 1)];
    assert!(problem(vec![reply(page(&outside, Some("")))]).await.contains("does not start with"));
}

/// Wherever a page breaks off, it is never a shorter listing.
#[tokio::test]
async fn f34_a_page_of_azure_that_breaks_off_is_no_listing() {
    let whole = page(&[A, B], Some(""));
    for cut in (1..whole.len()).step_by(97).chain([whole.len() - 1]) {
        let _ = listed(vec![reply(&whole.as_bytes()[..cut])]).await;
    }
}

#[tokio::test]
async fn f34_what_is_no_page_of_azure_is_no_listing() {
    for body in ["", "<html><body>log in</body></html>", "{}", "<EnumerationResults/>"] {
        let _ = listed(vec![reply(body)]).await;
    }
}
