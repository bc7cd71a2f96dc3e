//! A scripted server: a store in memory that speaks HTTP and can be told to misbehave: which
//! request, how often, before or after it took effect. What it stores is the business of a [`Store`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How long a late answer takes.
const LATE: Duration = Duration::from_millis(300);

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, extra headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection is closed without an answer.
    Lost,
    /// There is never an answer.
    Silence,
    /// The true answer, but late.
    Late,
    /// The true answer, of which so many bytes of the body are sent before the end.
    Cut(usize),
}

#[derive(Clone, Debug)]
struct Fault {
    operation: &'static str,
    /// How often; each time counts down.
    times: u32,
    /// Whether the request takes effect nevertheless.
    effective: bool,
    reply: Reply,
}

/// What a server does with a request, and what it calls it.
pub(crate) trait Store: Send + 'static {
    fn operation(&self, request: &Request) -> &'static str;
    fn act(&mut self, operation: &str, request: &Request) -> Reply;
}

struct Script<S> {
    store: S,
    faults: Vec<Fault>,
    seen: Vec<String>,
}

pub(crate) struct Scripted<S> {
    pub(crate) url: String,
    script: Arc<Mutex<Script<S>>>,
    task: tokio::task::JoinHandle<()>,
}

impl<S> Drop for Scripted<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<S: Store> Scripted<S> {
    pub(crate) async fn serving(store: S) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script { store, faults: Vec::new(), seen: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let shared = script.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Scripted { url, script, task }
    }

    pub(crate) fn fail(&self, operation: &'static str, times: u32, effective: bool, reply: Reply) {
        let fault = Fault { operation, times, effective, reply };
        self.lock().faults.push(fault);
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.lock().seen.iter().filter(|o| *o == operation).count()
    }

    /// Looks into the store behind the crate's back.
    pub(crate) fn look<T>(&self, what: impl FnOnce(&mut S) -> T) -> T {
        what(&mut self.lock().store)
    }

    fn lock(&self) -> MutexGuard<'_, Script<S>> {
        self.script.lock().unwrap()
    }
}

pub(crate) struct Request {
    pub(crate) method: String,
    /// As it came.
    pub(crate) path: String,
    /// Without its first segment, and decoded.
    pub(crate) key: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

async fn serve<S: Store>(stream: TcpStream, script: Arc<Mutex<Script<S>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = receive(&mut stream).await {
        let ((reply, pause), is_head) = (answer(&script, &request), request.method == "HEAD");
        tokio::time::sleep(pause).await;
        match reply {
            Reply::Lost => return,
            Reply::Silence => std::future::pending().await,
            Reply::Cut(_) | Reply::Late => unreachable!("resolved by answer"),
            Reply::Answer(status, headers, body) => {
                let cut =
                    headers.iter().find(|(n, _)| *n == "cut").map(|(_, v)| v.parse().unwrap());
                let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
                let length = headers.iter().any(|(n, _)| *n == "content-length");
                if !length {
                    head += &format!("content-length: {}\r\n", body.len());
                }
                for (name, value) in headers.iter().filter(|(n, _)| *n != "cut") {
                    head += &format!("{name}: {value}\r\n");
                }
                head += "\r\n";
                let sent = if is_head { 0 } else { cut.unwrap_or(body.len()) };
                let mut bytes = head.into_bytes();
                bytes.extend_from_slice(&body[..sent]);
                if stream.get_mut().write_all(&bytes).await.is_err() || cut.is_some() {
                    return;
                }
            }
        }
    }
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    if headers.get("expect").is_some_and(|e| e.contains("100")) {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    // A proxy is asked for whole addresses.
    let is_whole = target.starts_with("http://");
    let address = if is_whole { target } else { format!("http://fake{target}") };
    let url = url::Url::parse(&address).unwrap();
    let query = url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    let path = url.path().trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    let (key, path) = (percent_decoded(path), url.path().to_owned());
    Some(Request { method, path, key, query, headers, body })
}

pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn answer<S: Store>(script: &Mutex<Script<S>>, request: &Request) -> (Reply, Duration) {
    let Script { store, faults, seen } = &mut *script.lock().unwrap();
    let operation = store.operation(request);
    seen.push(operation.to_owned());
    let hit = faults.iter_mut().find(|f| f.operation == operation && f.times > 0);
    let fault = hit.map(|f| {
        f.times -= 1;
        f.clone()
    });
    let reply = match fault {
        None => store.act(operation, request),
        Some(Fault { reply: Reply::Late, .. }) => return (store.act(operation, request), LATE),
        Some(Fault { reply: Reply::Cut(bytes), .. }) => match store.act(operation, request) {
            Reply::Answer(status, mut headers, body) => {
                headers.push(("content-length", body.len().to_string()));
                headers.push(("cut", bytes.min(body.len()).to_string()));
                Reply::Answer(status, headers, body)
            }
            other => other,
        },
        Some(fault) => {
            if fault.effective {
                store.act(operation, request);
            }
            fault.reply
        }
    };
    (reply, Duration::ZERO)
}

pub(crate) fn ok(headers: Vec<(&'static str, String)>, body: impl Into<Vec<u8>>) -> Reply {
    Reply::Answer(200, headers, body.into())
}
