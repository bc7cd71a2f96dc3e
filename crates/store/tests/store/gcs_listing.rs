//! Listings of Google's that cannot be trusted are errors.

use crate::fake_gcs::{FakeGcs, Quirks, Reply};
use crate::servers;
use lifeboat_store::{Destination, ErrorKind, GcsDestination};
use serde_json::{Value, json};

fn page(inner: &Value) -> Reply {
    Reply::Answer(200, vec![], inner.to_string().into_bytes())
}

fn of(token: Option<&str>, names: &[&str]) -> Value {
    let items: Vec<Value> = names.iter().map(|n| json!({"name": n, "size": "1"})).collect();
    let mut page = json!({"kind": "storage#objects", "items": items});
    if let Some(token) = token {
        page["nextPageToken"] = json!(token);
    }
    page
}

async fn listed(pages: Vec<Reply>) -> Result<usize, ErrorKind> {
    let fake = FakeGcs::start(Quirks::default()).await;
    for page in pages {
        fake.fail("list", 1, false, page);
    }
    // Whatever comes after the script.
    fake.fail("list", u32::MAX, false, Reply::Answer(418, vec![], vec![]));
    let mut settings = servers::gcs_settings(&fake.url);
    settings.attempts = 1;
    let destination = GcsDestination::open(settings).await.unwrap();
    match destination.list("prod/").await {
        Ok(all) => Ok(all.len()),
        Err(e) => {
            let problem = e.to_string();
            match e.kind() {
                ErrorKind::Listing { problem } => {
                    Err(ErrorKind::Listing { problem: problem.clone() })
                }
                _ => Err(ErrorKind::Transient { said: problem }),
            }
        }
    }
}

async fn problem(pages: Vec<Reply>) -> String {
    match listed(pages).await {
        Err(ErrorKind::Listing { problem }) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn f34_pages_make_a_listing_even_if_one_is_empty() {
    let empty = json!({"kind": "storage#objects", "nextPageToken": "t2"});
    let pages = vec![
        page(&of(Some("t1"), &["some/prefix/prod/a"])),
        page(&empty),
        page(&of(None, &["some/prefix/prod/b", "some/prefix/prod/folder/"])),
    ];
    assert_eq!(listed(pages).await.unwrap(), 2);
    assert_eq!(listed(vec![page(&json!({"kind": "storage#objects"}))]).await.unwrap(), 0);
}

#[tokio::test]
async fn f34_what_is_no_page_of_a_listing_is_no_empty_listing() {
    for other in [json!({}), json!({"items": []}), json!({"kind": "storage#bucket"})] {
        assert!(problem(vec![page(&other)]).await.contains("not a page"), "{other}");
    }
}

#[tokio::test]
async fn f34_a_page_that_breaks_off_is_no_shorter_page() {
    let whole = of(None, &["some/prefix/prod/a", "some/prefix/prod/b"]).to_string();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        let cut = Reply::Answer(200, vec![], whole.as_bytes()[..length].to_vec());
        assert!(listed(vec![cut]).await.is_err(), "{length}");
    }
    for wrong in [json!(null), json!("x"), json!([{"name": 5}])] {
        let page = page(&json!({"kind": "storage#objects", "items": wrong}));
        assert!(listed(vec![page]).await.is_err(), "{wrong}");
    }
    let web = Reply::Answer(200, vec![], b"<html><body>log in</body></html>".to_vec());
    assert!(listed(vec![web]).await.is_err());
}

#[tokio::test]
async fn f34_a_token_comes_once() {
    let pages = vec![
        page(&of(Some("t1"), &["some/prefix/prod/a"])),
        page(&of(Some("t2"), &["some/prefix/prod/b"])),
        page(&of(Some("t1"), &["some/prefix/prod/c"])),
    ];
    assert!(problem(pages).await.contains("came twice"));
    assert!(problem(vec![page(&of(Some(""), &[]))]).await.contains("is empty"));
}

#[tokio::test]
async fn f34_an_object_comes_once_and_whole_and_under_the_prefix() {
    let twice = of(None, &["some/prefix/prod/a", "some/prefix/prod/a"]);
    assert!(problem(vec![page(&twice)]).await.contains("twice"));
    let outside = of(None, &["some/prefix/production/a"]);
    assert!(problem(vec![page(&outside)]).await.contains("does not start with"));
    let item = |item: Value| json!({"kind": "storage#objects", "items": [item]});
    let nameless = item(json!({"size": "1"}));
    assert!(problem(vec![page(&nameless)]).await.contains("without a name"));
    let endless = item(json!({"name": "some/prefix/prod/a"}));
    assert!(problem(vec![page(&endless)]).await.contains("no length"));
}
