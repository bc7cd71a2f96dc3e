//! Answers of an object store, through the SDK's own client and over a real connection.
//!
//! Held to: a listing is whole or an error; what it shows lies under the prefix, sorted and once;
//! whatever a store says, a request ends after a bounded number of answers.

use crate::choices::Choices;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use store::{
    Destination, Endpoint, ErrorKind, Keeping, S3Destination, S3Settings, Secret, StaticCredentials,
};

const PREFIX: &str = "some/prefix/";
const PAGES_MAX: usize = 6;
/// Requests after which one call is taken to ask for ever.
const REQUESTS_MAX: usize = 40;
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What became of a listing.
#[derive(Debug, PartialEq, Eq)]
pub enum ListVerdict {
    /// These keys, in this order.
    Keys(Vec<String>),
    /// The listing cannot be trusted.
    Untrusted(String),
    /// The store gave no answer that can be used.
    Failed(String),
}

/// The verdict on a listing that is answered with these bodies, each with status 200.
pub fn list_verdict(bodies: &[&[u8]]) -> ListVerdict {
    let answers = bodies.iter().map(|body| answer(200, &[], body)).collect();
    converse(answers, async |destination| match destination.list("prod/").await {
        Ok(objects) => {
            assert!(objects.is_sorted_by(|a, b| a.key < b.key));
            assert!(objects.iter().all(|object| object.key.starts_with("prod/")));
            ListVerdict::Keys(objects.into_iter().map(|object| object.key).collect())
        }
        Err(error) => match error.kind() {
            ErrorKind::Listing { problem } => ListVerdict::Untrusted(problem.clone()),
            _ => ListVerdict::Failed(error.to_string()),
        },
    })
}

/// Any bytes as the body of every answer; choices as pages of a listing, or as answers to a write.
pub fn s3_answers(input: &[u8]) {
    let Some(mut choices) = Choices::of(input) else {
        let _ = list_verdict(&[input; REQUESTS_MAX]);
        return;
    };
    if choices.one_in(4) { write_and_look(&mut choices) } else { pages(&mut choices) }
}

/// One page, as the store means it.
struct Page {
    truncated: Option<bool>,
    token: Option<u8>,
    keys: Vec<String>,
}

fn pages(choices: &mut Choices<'_>) {
    let pages: Vec<Page> = (0..PAGES_MAX).map(|_| chosen_page(choices)).collect();
    let mut bodies: Vec<String> = pages.iter().map(body).collect();
    let mut meant = &pages[..];
    if choices.one_in(3) {
        // A page breaks off; it is no page then.
        let at = choices.below(PAGES_MAX);
        let left = choices.below(bodies[at].len());
        while !bodies[at].is_char_boundary(left) || bodies[at].len() > left {
            bodies[at].pop();
        }
        meant = &pages[..at];
    }
    let bytes: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    let verdict = list_verdict(&bytes);
    let expected = expected(meant);
    match (&verdict, expected) {
        (ListVerdict::Keys(found), Some(keys)) => assert_eq!(*found, keys, "{bodies:#?}"),
        (ListVerdict::Keys(_), None) => panic!("taken for whole: {verdict:?} {bodies:#?}"),
        (_, Some(_)) => panic!("refused: {verdict:?} {bodies:#?}"),
        (_, None) => {}
    }
}

fn chosen_page(choices: &mut Choices<'_>) -> Page {
    const KEYS: [&str; 7] = [
        "some/prefix/prod/a",
        "some/prefix/prod/b",
        "some/prefix/prod/folder/",
        "some/prefix/prod/é",
        "some/prefix/prod/%2e%2e",
        "some/prefix/production/a",
        "elsewhere",
    ];
    let serial = choices.byte();
    let keys = (0..choices.below(4)).map(|number| match choices.byte() % 4 {
        0 => choices.of_slice(&KEYS).to_owned(),
        _ => format!("some/prefix/prod/{serial}-{number}"),
    });
    Page {
        keys: keys.collect(),
        truncated: choices.of_slice(&[Some(true), Some(true), Some(false), None]),
        token: choices.of_slice(&[Some(0), Some(1), Some(2), Some(serial), None]),
    }
}

/// What a listing of these pages must give; `None` if it must be refused.
fn expected(pages: &[Page]) -> Option<Vec<String>> {
    let mut keys: Vec<String> = Vec::new();
    let mut tokens = Vec::new();
    for page in pages {
        for key in &page.keys {
            let inner = key.strip_prefix(PREFIX)?;
            inner.strip_prefix("prod/")?;
            if store::check_key(inner).is_err() {
                continue;
            }
            if keys.iter().any(|key| key == inner) {
                return None;
            }
            keys.push(inner.to_owned());
        }
        match (page.truncated?, page.token) {
            (false, _) => {
                keys.sort();
                return Some(keys);
            }
            (true, None) => return None,
            (true, Some(token)) if tokens.contains(&token) => return None,
            (true, Some(token)) => tokens.push(token),
        }
    }
    None
}

fn body(page: &Page) -> String {
    let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
    if let Some(truncated) = page.truncated {
        text.push_str(&format!("<IsTruncated>{truncated}</IsTruncated>"));
    }
    if let Some(token) = page.token {
        text.push_str(&format!("<NextContinuationToken>t{token}</NextContinuationToken>"));
    }
    for key in &page.keys {
        text.push_str(&format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"));
    }
    text + "</ListBucketResult>"
}

/// Answers of any status to a small write, a look, a read and a clean-up.
fn write_and_look(choices: &mut Choices<'_>) {
    const BODIES: [&str; 8] = [
        "",
        "<Error><Code>InternalError</Code><Message>x</Message></Error>",
        "<Error><Code>SlowDown</Code>",
        "<html>It works!</html>",
        "<CompleteMultipartUploadResult/>",
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>",
        "<ListMultipartUploadsResult><Upload><Key>some/prefix/prod/a</Key></Upload>\
         <IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
        "<!DOCTYPE a [<!ENTITY b \"bb\">]><Error><Code>&b;&b;</Code></Error>",
    ];
    const STATUSES: [u16; 12] = [200, 200, 204, 206, 301, 400, 403, 404, 409, 412, 416, 500];
    const HEADERS: [&str; 6] = [
        "x-amz-checksum-crc64nvme: AAAAAAAAAAA=",
        "content-range: bytes 0-9/18446744073709551615",
        "etag: \"\"",
        "last-modified: Thu, 01 Jan 1970 00:00:00 GMT",
        "x-amz-server-side-encryption: what",
        "location: http://127.0.0.1:1/",
    ];
    let one = |choices: &mut Choices<'_>| {
        let status = choices.of_slice(&STATUSES);
        let header = choices.of_slice(&HEADERS);
        let body = match choices.byte() % 4 {
            0 => choices.bytes(80).to_vec(),
            _ => choices.of_slice(&BODIES).into(),
        };
        answer(status, &[header], &body)
    };
    let call = choices.byte() % 5;
    let answers = (0..REQUESTS_MAX).map(|_| one(choices)).collect();
    converse(answers, async |destination| match call {
        0 => drop(
            destination
                .put_new("prod/a", b"0123456789".as_slice().into(), &Keeping::default())
                .await,
        ),
        1 => drop(destination.head("prod/a").await),
        2 => {
            if let Ok(bytes) = store::read_small(&*destination, "prod/a", 1_000).await {
                assert!(bytes.len() <= 1_000);
            }
        }
        3 => drop(destination.delete("prod/a").await),
        _ => {
            let before = jiff::Timestamp::UNIX_EPOCH;
            drop(destination.abort_stale_uploads("prod/", before).await);
        }
    });
}

// === a store that reads from a script ===

fn answer(status: u16, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("connection: close\r\n\r\n");
    [text.as_bytes(), body].concat()
}

/// Lets `call` talk to a store that gives these answers, and the last one from then on.
fn converse<T>(answers: Vec<Vec<u8>>, call: impl AsyncFnOnce(Box<dyn Destination>) -> T) -> T {
    static STORE: OnceLock<Store> = OnceLock::new();
    // One conversation at a time: the scripts of two would mix.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let store = STORE.get_or_init(Store::start);
    *store.script.lock().unwrap() = Script { answers, asked: 0 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let destination = S3Destination::open(settings(&store.url)).await.unwrap();
        call(Box::new(destination)).await
    });
    let asked = store.script.lock().unwrap().asked;
    assert!(asked <= REQUESTS_MAX, "{asked} requests");
    result
}

fn settings(url: &str) -> S3Settings {
    let mut settings = S3Settings::new("scripted", "backups");
    settings.prefix = PREFIX.into();
    settings.endpoint_url = Some(Endpoint::parse(url).unwrap());
    settings.path_style = true;
    settings.region = Some("us-east-1".into());
    settings.attempts = 1;
    settings.timeout = Duration::from_secs(10);
    settings.credentials = Some(StaticCredentials {
        access_key_id: Secret::new("CANARYACCESSKEY"),
        secret_access_key: Secret::new("canary-secret-key"),
        session_token: None,
    });
    settings
}

#[derive(Default)]
struct Script {
    answers: Vec<Vec<u8>>,
    asked: usize,
}

struct Store {
    url: String,
    script: Arc<Mutex<Script>>,
}

impl Store {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = script.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    // A client that went away is its own business.
                    let _ = serve(stream, &shared);
                });
            }
        });
        Store { url, script }
    }
}

fn serve(mut stream: TcpStream, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut block = [0; 4096];
    let is_head = loop {
        let length = stream.read(&mut block)?;
        if length == 0 || request.len() > REQUEST_BYTES_MAX {
            return Ok(());
        }
        request.extend_from_slice(&block[..length]);
        let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<usize>().ok())
        };
        if request.len() >= end + 4 + header("content-length:").unwrap_or(0) {
            break head.starts_with("head ");
        }
    };
    let answer = {
        let mut script = script.lock().unwrap();
        let at = script.asked.min(script.answers.len().saturating_sub(1));
        script.asked += 1;
        script.answers.get(at).cloned().unwrap_or_default()
    };
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    stream.write_all(if is_head { &answer[..end] } else { &answer })
}
