//! A small S3 in memory that can be told to misbehave: which request, how often, before or
//! after it took effect.

use base64::Engine as _;
use lifeboat_store::{Checksum, Summary};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How long a late answer takes.
const LATE: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quirks {
    pub(crate) ignores_conditions: bool,
    /// Flips a bit of everything that it stores.
    pub(crate) alters: bool,
    /// Acknowledges objects and forgets them.
    pub(crate) forgets: bool,
    /// Answers a range with the whole object.
    pub(crate) ignores_ranges: bool,
    /// Tells the checksum of an object.
    pub(crate) tells_checksum: bool,
    /// Which checksums a write must have; anything else is refused.
    pub(crate) wants: Option<Checksum>,
}

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
pub(crate) struct Fault {
    pub(crate) operation: &'static str,
    /// How often; each time counts down.
    pub(crate) times: u32,
    /// Whether the request takes effect nevertheless.
    pub(crate) effective: bool,
    pub(crate) reply: Reply,
}

pub(crate) fn refusal(status: u16, code: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>scripted\nrefusal</Message></Error>"
    );
    Reply::Answer(status, vec![("x-amz-request-id", "REQ-1".into())], body.into_bytes())
}

#[derive(Clone, Default)]
struct Object {
    bytes: Vec<u8>,
    crc64nvme: Option<String>,
}

#[derive(Default)]
struct State {
    quirks: Quirks,
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    begun: u32,
    faults: Vec<Fault>,
    seen: Vec<String>,
}

pub(crate) struct FakeS3 {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeS3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeS3 {
    pub(crate) async fn start(quirks: Quirks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { quirks, ..State::default() }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        FakeS3 { url, state, task }
    }

    pub(crate) fn fail(&self, operation: &'static str, times: u32, effective: bool, reply: Reply) {
        let fault = Fault { operation, times, effective, reply };
        self.state.lock().unwrap().faults.push(fault);
    }

    pub(crate) fn uploads(&self) -> Vec<String> {
        self.state.lock().unwrap().uploads.keys().cloned().collect()
    }

    pub(crate) fn objects(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.state.lock().unwrap().seen.iter().filter(|o| *o == operation).count()
    }
}

struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn operation(&self) -> &'static str {
        let has = |name: &str| self.query.contains_key(name);
        match self.method.as_str() {
            "HEAD" => "head",
            "GET" if has("list-type") => "list",
            "GET" if has("uploads") => "list-uploads",
            "GET" => "get",
            "POST" if has("uploads") => "begin",
            "POST" if has("uploadId") => "complete",
            "PUT" if has("partNumber") => "part",
            "PUT" => "put",
            "DELETE" if has("uploadId") => "abort",
            "DELETE" => "delete",
            other => panic!("unexpected {other}"),
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = receive(&mut stream).await {
        let ((reply, pause), is_head) = (answer(&state, &request), request.method == "HEAD");
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
    let url = url::Url::parse(&format!("http://fake{target}")).unwrap();
    let query = url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    let path = url.path().trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    Some(Request { method, key: percent_decoded(path), query, headers, body })
}

fn percent_decoded(text: &str) -> String {
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

fn answer(state: &Mutex<State>, request: &Request) -> (Reply, Duration) {
    let mut state = state.lock().unwrap();
    let operation = request.operation();
    state.seen.push(operation.to_owned());
    let hit = state.faults.iter_mut().find(|f| f.operation == operation && f.times > 0);
    let fault = hit.map(|f| {
        f.times -= 1;
        f.clone()
    });
    let reply = match fault {
        None => state.act(operation, request),
        Some(Fault { reply: Reply::Late, .. }) => return (state.act(operation, request), LATE),
        Some(Fault { reply: Reply::Cut(bytes), .. }) => match state.act(operation, request) {
            Reply::Answer(status, mut headers, body) => {
                headers.push(("content-length", body.len().to_string()));
                headers.push(("cut", bytes.min(body.len()).to_string()));
                Reply::Answer(status, headers, body)
            }
            other => other,
        },
        Some(fault) => {
            if fault.effective {
                state.act(operation, request);
            }
            fault.reply
        }
    };
    (reply, Duration::ZERO)
}

fn ok(headers: Vec<(&'static str, String)>, body: impl Into<Vec<u8>>) -> Reply {
    Reply::Answer(200, headers, body.into())
}

impl State {
    fn act(&mut self, operation: &str, request: &Request) -> Reply {
        match operation {
            "head" | "get" => self.read(request),
            "put" => self.put(request),
            "begin" => self.begin(),
            "part" => self.part(request),
            "complete" => self.complete(request),
            "abort" => self.abort(request),
            "delete" => {
                self.objects.remove(&request.key);
                Reply::Answer(204, vec![], vec![])
            }
            "list" => self.list(request),
            "list-uploads" => ok(
                vec![],
                "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
            ),
            other => panic!("{other}"),
        }
    }

    fn read(&mut self, request: &Request) -> Reply {
        let Some(object) = self.objects.get(&request.key) else {
            return refusal(404, "NoSuchKey");
        };
        let etag = format!("\"{}\"", object.bytes.len());
        if request.headers.get("if-match").is_some_and(|wanted| *wanted != etag) {
            return refusal(412, "PreconditionFailed");
        }
        let mut headers = vec![("etag", etag)];
        let range = request.headers.get("range").map(|r| {
            let (start, end) = r.trim_start_matches("bytes=").split_once('-').unwrap();
            (start.parse::<usize>().unwrap(), end.parse::<usize>().unwrap())
        });
        let length = object.bytes.len();
        match range.filter(|_| !self.quirks.ignores_ranges) {
            Some((start, _)) if start >= length => refusal(416, "InvalidRange"),
            Some((start, end)) => {
                let body = object.bytes[start..(end + 1).min(length)].to_vec();
                Reply::Answer(206, headers, body)
            }
            None => {
                if let (true, Some(crc)) = (self.quirks.tells_checksum, &object.crc64nvme) {
                    headers.push(("x-amz-checksum-crc64nvme", crc.clone()));
                    headers.push(("x-amz-checksum-type", "FULL_OBJECT".into()));
                }
                ok(headers, object.bytes.clone())
            }
        }
    }

    fn is_refused(&self, request: &Request) -> bool {
        let conditional = request.headers.get("if-none-match").is_some_and(|v| v == "*");
        conditional && !self.quirks.ignores_conditions && self.objects.contains_key(&request.key)
    }

    /// Whether a write has exactly the checksums that are wanted, and right ones.
    fn has_checksums(&self, request: &Request, bytes: &[u8]) -> bool {
        let of = |name: &str| request.headers.get(&format!("x-amz-checksum-{name}"));
        let none = !request.headers.keys().any(|h| h.starts_with("x-amz-checksum-"));
        match self.quirks.wants {
            None => true,
            Some(Checksum::None) => none,
            Some(Checksum::Part) => of("crc32c").is_some() || request.operation() == "complete",
            Some(Checksum::Full) => {
                let crc = Summary::of(bytes).crc64nvme.to_be_bytes();
                let whole = of("type").is_some_and(|t| t == "FULL_OBJECT");
                of("crc64nvme") == Some(&base64::engine::general_purpose::STANDARD.encode(crc))
                    && (whole || request.operation() != "complete")
            }
        }
    }

    fn put(&mut self, request: &Request) -> Reply {
        if !self.has_checksums(request, &request.body) {
            return refusal(400, "BadDigest");
        }
        if self.is_refused(request) {
            return refusal(412, "PreconditionFailed");
        }
        self.store(request, request.body.clone());
        ok(vec![("etag", "\"put\"".into())], "")
    }

    fn store(&mut self, request: &Request, mut bytes: Vec<u8>) {
        if self.quirks.forgets {
            return;
        }
        if let (true, Some(byte)) = (self.quirks.alters, bytes.first_mut()) {
            *byte ^= 1;
        }
        let crc64nvme = request.headers.get("x-amz-checksum-crc64nvme").cloned();
        if let Some(crc) = &crc64nvme {
            let crc = base64::engine::general_purpose::STANDARD.decode(crc).unwrap();
            assert_eq!(crc.len(), 8);
        }
        self.objects.insert(request.key.clone(), Object { bytes, crc64nvme });
    }

    fn begin(&mut self) -> Reply {
        self.begun += 1;
        let id = format!("upload-{}", self.begun);
        self.uploads.insert(id.clone(), BTreeMap::new());
        ok(
            vec![],
            format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ),
        )
    }

    fn part(&mut self, request: &Request) -> Reply {
        if !self.has_checksums(request, &request.body) {
            return refusal(400, "BadDigest");
        }
        let number: u32 = request.query["partNumber"].parse().unwrap();
        match self.uploads.get_mut(&request.query["uploadId"]) {
            Some(parts) => {
                parts.insert(number, request.body.clone());
                ok(vec![("etag", format!("\"part-{number}\""))], "")
            }
            None => refusal(404, "NoSuchUpload"),
        }
    }

    fn complete(&mut self, request: &Request) -> Reply {
        let id = &request.query["uploadId"];
        let Some(parts) = self.uploads.get(id) else { return refusal(404, "NoSuchUpload") };
        if self.is_refused(request) {
            return refusal(412, "PreconditionFailed");
        }
        let bytes: Vec<u8> = parts.values().flatten().copied().collect();
        if !self.has_checksums(request, &bytes) {
            return refusal(400, "BadDigest");
        }
        assert_eq!(request.headers["x-amz-mp-object-size"], bytes.len().to_string());
        self.uploads.remove(id);
        self.store(request, bytes);
        ok(
            vec![],
            "<CompleteMultipartUploadResult><ETag>\"mp\"</ETag></CompleteMultipartUploadResult>",
        )
    }

    fn abort(&mut self, request: &Request) -> Reply {
        match self.uploads.remove(&request.query["uploadId"]) {
            Some(_) => Reply::Answer(204, vec![], vec![]),
            None => refusal(404, "NoSuchUpload"),
        }
    }

    fn list(&mut self, request: &Request) -> Reply {
        const PAGE: usize = 7;
        let prefix = request.query.get("prefix").cloned().unwrap_or_default();
        let after = request.query.get("continuation-token").cloned().unwrap_or_default();
        let keys: Vec<_> = self.objects.iter().filter(|(k, _)| k.starts_with(&prefix)).collect();
        let mut keys: Vec<_> = keys.into_iter().filter(|(k, _)| **k > after).collect();
        let truncated = keys.len() > PAGE;
        keys.truncate(PAGE);
        let mut body = format!("<ListBucketResult><IsTruncated>{truncated}</IsTruncated>");
        if let (true, Some((last, _))) = (truncated, keys.last()) {
            let last = last.replace('&', "&amp;");
            body += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
        }
        for (key, object) in keys {
            let (key, size) = (key.replace('&', "&amp;"), object.bytes.len());
            body += &format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>");
        }
        ok(vec![], body + "</ListBucketResult>")
    }
}
