//! A small Google Cloud Storage in memory, to be scripted. Unlike fake-gcs-server it keeps count of
//! the bytes of a session, answers a question about one, and forgets one that is cancelled.

pub(crate) use crate::scripted::Reply;
use crate::scripted::{Request, Scripted, Store, ok, percent_decoded};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lifeboat_store::Summary;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A chunk but the last is a multiple of it, and so is what the store keeps of one.
const STEP: usize = 256 << 10;

#[derive(Clone, Debug, Default)]
pub(crate) struct Quirks {
    pub(crate) ignores_conditions: bool,
    /// Flips a bit of everything that it stores.
    pub(crate) alters: bool,
    /// Acknowledges objects and forgets them.
    pub(crate) forgets: bool,
    /// Answers a range with the whole object.
    pub(crate) ignores_ranges: bool,
    /// Keeps only the first so many bytes of each chunk that is not the last, once.
    pub(crate) keeps_of_chunk: Option<usize>,
    /// Drops what else is asked for with an object.
    pub(crate) ignores_metadata: bool,
    /// The one token that it takes.
    pub(crate) token: Option<String>,
    /// Its description of the bucket.
    pub(crate) bucket: Option<Value>,
    /// Copies so many bytes with each call.
    pub(crate) copies: Option<usize>,
}

/// A query, or headers.
type Words = BTreeMap<String, String>;

pub(crate) struct Object {
    bytes: Vec<u8>,
    generation: u64,
    description: Value,
}

#[derive(Default)]
pub(crate) struct State {
    quirks: Quirks,
    objects: BTreeMap<String, Object>,
    sessions: BTreeMap<String, Session>,
    generations: u64,
    /// Every request: what it was, its query and its headers.
    asked: Vec<(String, Words, Words)>,
}

struct Session {
    name: String,
    bytes: Vec<u8>,
    description: Value,
}

pub(crate) type FakeGcs = Scripted<State>;

/// A refusal in Google's words.
pub(crate) fn refusal(status: u16, reason: &str, message: &str) -> Reply {
    refusal_after(status, reason, message, None)
}

pub(crate) fn refusal_after(
    status: u16,
    reason: &str,
    message: &str,
    seconds: Option<u32>,
) -> Reply {
    let errors = [json!({"domain": "global", "reason": reason, "message": message})];
    let body = json!({"error": {"code": status, "message": message, "errors": errors}});
    let mut headers = vec![("x-guploader-uploadid", "REQ-1".to_owned())];
    headers.extend(seconds.map(|seconds| ("retry-after", seconds.to_string())));
    Reply::Answer(status, headers, body.to_string().into_bytes())
}

impl FakeGcs {
    pub(crate) async fn start(quirks: Quirks) -> Self {
        Scripted::serving(State { quirks, ..State::default() }).await
    }

    pub(crate) fn objects(&self) -> Vec<String> {
        self.look(|state| state.objects.keys().cloned().collect())
    }

    pub(crate) fn sessions(&self) -> usize {
        self.look(|state| state.sessions.len())
    }

    /// A query's or a header's value in each request of a kind.
    pub(crate) fn sent(&self, operation: &str, name: &str) -> Vec<Option<String>> {
        self.look(|state| {
            let those = state.asked.iter().filter(|(kind, ..)| kind == operation);
            those
                .map(|(_, query, headers)| query.get(name).or(headers.get(name)).cloned())
                .collect()
        })
    }

    pub(crate) fn quirk(&self, change: impl FnOnce(&mut Quirks)) {
        self.look(|state| change(&mut state.quirks));
    }
}

impl Store for State {
    fn operation(&self, request: &Request) -> &'static str {
        let has = |name: &str| request.query.contains_key(name);
        let range = request.headers.get("content-range").map_or("", String::as_str);
        match request.method.as_str() {
            "POST" if request.path == "/token" => "token",
            "POST" if request.path.contains("/rewriteTo/") => "copy",
            "POST" if request.query["uploadType"] == "resumable" => "begin",
            "POST" => "put",
            "PUT" if range.starts_with("bytes */") => "query",
            "PUT" if range.ends_with("/*") => "chunk",
            "PUT" => "last",
            "DELETE" if has("upload_id") => "cancel",
            "DELETE" => "delete",
            "GET" if has("alt") => "get",
            "GET" if request.path.ends_with("/o") => "list",
            "GET" if !request.path.contains("/o/") => "bucket",
            "GET" => "head",
            other => panic!("unexpected {other}"),
        }
    }

    fn act(&mut self, operation: &str, request: &Request) -> Reply {
        let asked = (operation.to_owned(), request.query.clone(), request.headers.clone());
        self.asked.push(asked);
        let given = request.headers.get("authorization");
        let wanted = self.quirks.token.as_ref().map(|token| format!("Bearer {token}"));
        if operation != "token" && wanted.is_some() && given != wanted.as_ref() {
            return refusal(401, "authError", "Invalid Credentials");
        }
        let name = percent_decoded(request.path.rsplit('/').next().unwrap());
        match operation {
            "token" => token(request),
            "head" => match self.objects.get(&name) {
                Some(object) => ok(vec![], document(&name, object)),
                None => absent(),
            },
            "get" => self.read(&name, request),
            "put" => self.put(request),
            "begin" => self.begin(request),
            "chunk" | "last" | "query" => self.chunk(request),
            "cancel" => match self.sessions.remove(&request.query["upload_id"]) {
                Some(_) => Reply::Answer(499, vec![], vec![]),
                None => absent(),
            },
            "delete" => self.delete(&name, request),
            "list" => self.list(request),
            "bucket" => ok(vec![], self.quirks.bucket.clone().unwrap_or_default().to_string()),
            "copy" => self.copy(request),
            other => panic!("{other}"),
        }
    }
}

fn absent() -> Reply {
    refusal(404, "notFound", "No such object")
}

/// The refresh token of a file decides which access token there is for it.
fn token(request: &Request) -> Reply {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let token = format!("access-{}", asked["refresh_token"].as_str().unwrap());
    let body = json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"});
    ok(vec![("content-type", "application/json".into())], body.to_string())
}

fn crc(bytes: &[u8]) -> String {
    BASE64.encode(Summary::of(bytes).crc32c.to_be_bytes())
}

fn document(name: &str, object: &Object) -> String {
    let mut document = json!({
        "kind": "storage#object",
        "name": name,
        "size": object.bytes.len().to_string(),
        "generation": object.generation.to_string(),
        "crc32c": crc(&object.bytes),
        "etag": format!("E{}", object.generation),
        "storageClass": "STANDARD",
    });
    for key in ["storageClass", "metadata", "retention", "kmsKeyName", "customerEncryption"] {
        if let Some(value) = object.description.get(key) {
            document[key] = value.clone();
        }
    }
    document.to_string()
}

/// The description and the bytes of a request with two parts.
fn parts(request: &Request) -> (Value, Vec<u8>) {
    let boundary = request.headers["content-type"].split_once("boundary=").unwrap().1;
    let find = |bytes: &[u8], what: &[u8]| {
        bytes.windows(what.len()).position(|window| window == what).unwrap()
    };
    let body = &request.body;
    let first = find(body, b"\r\n\r\n") + 4;
    let separator = format!("\r\n--{boundary}");
    let end = first + find(&body[first..], separator.as_bytes());
    let second = end + find(&body[end..], b"\r\n\r\n") + 4;
    let last = body.len() - format!("{separator}--\r\n").len();
    (serde_json::from_slice(&body[first..end]).unwrap(), body[second..last].to_vec())
}

impl State {
    fn is_taken(&self, request: &Request, name: &str) -> bool {
        let conditional = request.query.get("ifGenerationMatch").is_some_and(|g| g == "0");
        conditional && !self.quirks.ignores_conditions && self.objects.contains_key(name)
    }

    /// What was asked for with an object, in its description or beside it.
    fn described(request: &Request, mut description: Value) -> Value {
        if let Some(key) = request.query.get("kmsKeyName") {
            description["kmsKeyName"] = json!(format!("{key}/cryptoKeyVersions/1"));
        }
        if let Some(print) = request.headers.get("x-goog-encryption-key-sha256") {
            description["customerEncryption"] =
                json!({"encryptionAlgorithm": "AES256", "keySha256": print});
        }
        description
    }

    fn store(&mut self, name: &str, mut bytes: Vec<u8>, description: Value) -> Reply {
        if let (true, Some(byte)) = (self.quirks.alters, bytes.first_mut()) {
            *byte ^= 1;
        }
        let ignores = self.quirks.ignores_metadata;
        let description = if ignores { json!({}) } else { description };
        self.generations += 1;
        let object = Object { bytes, generation: self.generations, description };
        let answer = ok(vec![], document(name, &object));
        if !self.quirks.forgets {
            self.objects.insert(name.to_owned(), object);
        }
        answer
    }

    fn put(&mut self, request: &Request) -> Reply {
        let (description, bytes) = parts(request);
        let description = State::described(request, description);
        let name = request.query["name"].clone();
        if description["crc32c"] != crc(&bytes) {
            let message = "Provided CRC32C \"A\" doesn't match calculated CRC32C \"B\".";
            return refusal(400, "invalid", message);
        }
        if self.is_taken(request, &name) {
            return taken();
        }
        self.store(&name, bytes, description)
    }

    fn begin(&mut self, request: &Request) -> Reply {
        let name = request.query["name"].clone();
        if self.is_taken(request, &name) {
            return taken();
        }
        let id = format!("session-{}", self.sessions.len() + 1);
        let description = serde_json::from_slice(&request.body).unwrap();
        let description = State::described(request, description);
        self.sessions.insert(id.clone(), Session { name, bytes: vec![], description });
        // The name that a proxy in front would give, without our port.
        let location = format!("http://127.0.0.1/upload/session?upload_id={id}");
        ok(vec![("location", location)], "")
    }

    fn chunk(&mut self, request: &Request) -> Reply {
        let id = &request.query["upload_id"];
        let Some(session) = self.sessions.get_mut(id) else { return absent() };
        let range = request.headers["content-range"].strip_prefix("bytes ").unwrap();
        let (part, whole) = range.split_once('/').unwrap();
        if let Some((first, last)) = part.split_once('-') {
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(first, session.bytes.len(), "a gap or bytes sent twice");
            assert_eq!(last + 1 - first, request.body.len());
            let mut kept = request.body.as_slice();
            if whole == "*" {
                assert_eq!(kept.len() % STEP, 0, "a chunk that is not the last");
                if let Some(some) = self.quirks.keeps_of_chunk.take() {
                    kept = &kept[..some];
                }
            }
            session.bytes.extend_from_slice(kept);
        }
        if whole.parse() != Ok(session.bytes.len()) {
            let has = session.bytes.len().checked_sub(1);
            let range = has.map(|last| ("range", format!("bytes=0-{last}")));
            return Reply::Answer(308, range.into_iter().collect(), vec![]);
        }
        let Session { name, bytes, description } = self.sessions.remove(id).unwrap();
        let given = request.headers.get("x-goog-hash").map(|hash| hash.replace("crc32c=", ""));
        if given.is_some_and(|given| given != crc(&bytes)) {
            return refusal(400, "invalid", "Provided CRC32C \"A\" doesn't match calculated");
        }
        if !self.quirks.ignores_conditions && self.objects.contains_key(&name) {
            return taken();
        }
        self.store(&name, bytes, description)
    }

    fn read(&mut self, name: &str, request: &Request) -> Reply {
        let Some(object) = self.objects.get(name) else { return absent() };
        let generation = object.generation.to_string();
        if request.query.get("generation").is_some_and(|wanted| *wanted != generation) {
            return absent();
        }
        let length = object.bytes.len();
        let mut headers = vec![
            ("x-goog-generation", generation),
            ("x-goog-stored-content-length", length.to_string()),
            ("x-goog-hash", format!("crc32c={}", crc(&object.bytes))),
        ];
        let range = request.headers.get("range").map(|r| {
            let (start, end) = r.trim_start_matches("bytes=").split_once('-').unwrap();
            (start.parse::<usize>().unwrap(), end.parse::<usize>().unwrap())
        });
        match range.filter(|_| !self.quirks.ignores_ranges) {
            Some((start, _)) if start >= length => refusal(416, "requestedRangeNotSatisfiable", ""),
            Some((start, end)) => {
                let end = end.min(length - 1);
                headers.push(("content-range", format!("bytes {start}-{end}/{length}")));
                Reply::Answer(206, headers, object.bytes[start..=end].to_vec())
            }
            None => ok(headers, object.bytes.clone()),
        }
    }

    fn delete(&mut self, name: &str, request: &Request) -> Reply {
        let Some(object) = self.objects.get(name) else { return absent() };
        let condition = request.query.get("ifGenerationMatch");
        if condition.is_some_and(|wanted| *wanted != object.generation.to_string()) {
            return taken();
        }
        self.objects.remove(name);
        Reply::Answer(204, vec![], vec![])
    }

    fn list(&mut self, request: &Request) -> Reply {
        const PAGE: usize = 7;
        let prefix = request.query.get("prefix").cloned().unwrap_or_default();
        let after = request.query.get("pageToken").cloned().unwrap_or_default();
        let mut found: Vec<_> = self
            .objects
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && **name > after)
            .collect();
        let is_cut = found.len() > PAGE;
        found.truncate(PAGE);
        let mut page = json!({"kind": "storage#objects"});
        if let (true, Some((last, _))) = (is_cut, found.last()) {
            page["nextPageToken"] = json!(last);
        }
        let items: Vec<Value> = found
            .iter()
            .map(|(name, object)| serde_json::from_str(&document(name, object)).unwrap())
            .collect();
        // As Google does where there is nothing.
        if !items.is_empty() {
            page["items"] = json!(items);
        }
        ok(vec![], page.to_string())
    }

    fn copy(&mut self, request: &Request) -> Reply {
        let (from, to) = request.path.split_once("/rewriteTo/").unwrap();
        let name = |path: &str| percent_decoded(path.rsplit('/').next().unwrap());
        let (from, to) = (name(from), name(to));
        let Some(object) = self.objects.get(&from) else { return absent() };
        let bytes = object.bytes.clone();
        if self.is_taken(request, &to) {
            return taken();
        }
        let done: usize =
            request.query.get("rewriteToken").map_or(0, |token| token.parse().unwrap());
        let until = (done + self.quirks.copies.unwrap_or(bytes.len())).min(bytes.len());
        if until < bytes.len() {
            let total = until.to_string();
            let body = json!({"done": false, "rewriteToken": total, "totalBytesRewritten": total});
            return ok(vec![], body.to_string());
        }
        let description = serde_json::from_slice(&request.body).unwrap();
        let Reply::Answer(_, _, made) = self.store(&to, bytes, description) else { unreachable!() };
        let resource: Value = serde_json::from_slice(&made).unwrap();
        ok(vec![], json!({"done": true, "resource": resource}).to_string())
    }
}

fn taken() -> Reply {
    let message = "At least one of the pre-conditions you specified did not hold.";
    refusal(412, "conditionNotMet", message)
}
