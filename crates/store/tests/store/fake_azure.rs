//! A small Azure in memory, to be scripted. Its address is that of one account's.

use crate::azure_server::settings;
pub(crate) use crate::scripted::Reply;
use crate::scripted::{Request, Scripted, Store, ok};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lifeboat_store::{AzureCredentials, AzureDestination, AzureSettings, Summary};
use std::collections::BTreeMap;

/// Objects of one page.
const PAGE: usize = 7;

#[derive(Clone, Debug, Default)]
pub(crate) struct Quirks {
    /// Writes over what is there.
    pub(crate) ignores_conditions: bool,
    /// Flips a bit of everything that it stores.
    pub(crate) alters: bool,
    /// Acknowledges objects and forgets them.
    pub(crate) forgets: bool,
    /// Answers a range with the whole object.
    pub(crate) ignores_ranges: bool,
    /// Drops tags.
    pub(crate) ignores_tags: bool,
    /// What the container says of locks by version.
    pub(crate) locks: Option<bool>,
    /// Keeps tier, lock and encryption as asked, and says so.
    pub(crate) keeps: bool,
    /// The one signature that it accepts.
    pub(crate) signature: Option<String>,
}

pub(crate) fn refusal(status: u16, code: &str) -> Reply {
    refusal_with(status, code, "")
}

/// With further elements of XML.
pub(crate) fn refusal_with(status: u16, code: &str, more: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>scripted refusal\n\
         RequestId:REQ-1\nTime:now</Message>{more}</Error>"
    );
    let headers =
        vec![("x-ms-request-id", "REQ-1".to_owned()), ("x-ms-error-code", code.to_owned())];
    Reply::Answer(status, headers, body.into_bytes())
}

pub(crate) fn expired() -> Reply {
    let detail = "<AuthenticationErrorDetail>Signature not valid in the specified time frame: \
        Start [Thu, 01 Jan 2026 00:00:00 GMT] - Expiry [Thu, 01 Jan 2026 01:00:00 GMT] - Current \
        [Thu, 01 Jan 2026 02:00:00 GMT]</AuthenticationErrorDetail>";
    refusal_with(403, "AuthenticationFailed", detail)
}

#[derive(Clone, Default)]
struct Object {
    bytes: Vec<u8>,
    version: u64,
    /// What the request that made it asked for.
    headers: BTreeMap<String, String>,
}

#[derive(Default)]
pub(crate) struct State {
    quirks: Quirks,
    objects: BTreeMap<String, Object>,
    blocks: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    writes: u64,
    /// The path of the last object that was put, as it came.
    last_path: String,
    /// Every request: what it was, and its headers.
    asked: Vec<(String, BTreeMap<String, String>)>,
}

pub(crate) type FakeAzure = Scripted<State>;

impl FakeAzure {
    pub(crate) async fn start(quirks: Quirks) -> Self {
        Scripted::serving(State { quirks, ..State::default() }).await
    }

    pub(crate) fn objects(&self) -> Vec<String> {
        self.look(|state| state.objects.keys().cloned().collect())
    }

    pub(crate) fn accept(&self, signature: &str) {
        self.look(|state| state.quirks.signature = Some(signature.to_owned()));
    }

    /// A header of the last request of a kind.
    pub(crate) fn header(&self, operation: &str, name: &str) -> Option<String> {
        self.look(|state| {
            let last = state.asked.iter().rev().find(|(kind, _)| kind == operation)?;
            last.1.get(name).cloned()
        })
    }

    /// Settings for it, whose signature is in a file of `dir`.
    pub(crate) fn settings(&self, dir: &tempfile::TempDir) -> AzureSettings {
        let file = dir.path().join("sas");
        if !file.exists() {
            std::fs::write(&file, "sv=2020-12-06&sig=CANARY-ONE\n").unwrap();
        }
        let mut settings = settings(&self.url, AzureCredentials::SasFile(file));
        settings.attempts = 3;
        settings
    }
}

/// A server, a destination there, and the folder of its secret.
pub(crate) async fn fake_with(quirks: Quirks) -> (FakeAzure, AzureDestination, tempfile::TempDir) {
    let (fake, dir) = (FakeAzure::start(quirks).await, tempfile::tempdir().unwrap());
    let destination = AzureDestination::open(fake.settings(&dir)).await.unwrap();
    (fake, destination, dir)
}

impl Store for State {
    fn operation(&self, request: &Request) -> &'static str {
        let comp = request.query.get("comp").map(String::as_str);
        let copies = request.headers.contains_key("x-ms-copy-source");
        match (request.method.as_str(), comp) {
            ("HEAD", None) => "head",
            ("GET", Some("list")) => "list",
            ("GET", Some("tags")) => "tags",
            ("GET", None) if request.query.contains_key("restype") => "container",
            ("GET", None) => "get",
            ("PUT", Some("block")) if copies => "copy",
            ("PUT", Some("block")) => "block",
            ("PUT", Some("blocklist")) => "commit",
            ("PUT", None) => "put",
            ("DELETE", None) => "delete",
            other => panic!("unexpected {other:?}"),
        }
    }

    fn act(&mut self, operation: &str, request: &Request) -> Reply {
        self.asked.push((operation.into(), request.headers.clone()));
        let signature = request.query.get("sig");
        if self.quirks.signature.is_some() && self.quirks.signature.as_ref() != signature {
            return expired();
        }
        match operation {
            "head" | "get" => self.read(request),
            "put" => self.put(request),
            "block" => self.block(request),
            "copy" => self.copy(request),
            "commit" => self.commit(request),
            "delete" => match self.objects.remove(&request.key) {
                Some(_) => Reply::Answer(202, vec![], vec![]),
                None => refusal(404, "BlobNotFound"),
            },
            "list" => self.list(request),
            "tags" => self.tags(request),
            "container" => {
                let name = "x-ms-immutable-storage-with-versioning-enabled";
                ok(self.quirks.locks.iter().map(|on| (name, on.to_string())).collect(), "")
            }
            other => panic!("{other}"),
        }
    }
}

impl State {
    pub(crate) fn last_path(&self) -> String {
        self.last_path.clone()
    }

    fn describe(&self, object: &Object) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("etag", format!("\"{}\"", object.version)),
            ("x-ms-blob-type", "BlockBlob".to_owned()),
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        ];
        for name in [
            "x-ms-access-tier",
            "x-ms-immutability-policy-mode",
            "x-ms-immutability-policy-until-date",
            "x-ms-encryption-scope",
            "x-ms-encryption-key-sha256",
        ] {
            if let (true, Some(value)) = (self.quirks.keeps, object.headers.get(name)) {
                headers.push((name, value.clone()));
            }
        }
        headers
    }

    fn read(&self, request: &Request) -> Reply {
        let Some(object) = self.objects.get(&request.key) else {
            return refusal(404, "BlobNotFound");
        };
        let mut headers = self.describe(object);
        let etag = &headers[0].1;
        if request.headers.get("if-match").is_some_and(|wanted| wanted != etag) {
            return refusal(412, "ConditionNotMet");
        }
        let range = request.headers.get("range").map(|r| {
            let (start, end) = r.trim_start_matches("bytes=").split_once('-').unwrap();
            (start.parse::<usize>().unwrap(), end.parse::<usize>().unwrap())
        });
        let length = object.bytes.len();
        match range.filter(|_| !self.quirks.ignores_ranges) {
            Some((start, _)) if start >= length => refusal(416, "InvalidRange"),
            Some((start, end)) => {
                let end = (end + 1).min(length);
                let part = format!("bytes {start}-{}/{length}", end - 1);
                headers.push(("content-range", part));
                Reply::Answer(206, headers, object.bytes[start..end].to_vec())
            }
            None => ok(headers, object.bytes.clone()),
        }
    }

    fn tags(&self, request: &Request) -> Reply {
        let Some(object) = self.objects.get(&request.key) else {
            return refusal(404, "BlobNotFound");
        };
        let given = object.headers.get("x-ms-tags").filter(|_| !self.quirks.ignores_tags);
        let pairs = given.map(|text| url::form_urlencoded::parse(text.as_bytes()));
        let mut body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Tags><TagSet>".to_owned();
        for (key, value) in pairs.into_iter().flatten() {
            body += &format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        }
        ok(vec![("content-type", "application/xml".into())], body + "</TagSet></Tags>")
    }

    fn is_taken(&self, request: &Request) -> bool {
        let conditional = request.headers.get("if-none-match").is_some_and(|v| v == "*");
        conditional && !self.quirks.ignores_conditions && self.objects.contains_key(&request.key)
    }

    /// Whether a body came with its own checksum.
    fn is_whole(request: &Request) -> bool {
        let crc = Summary::of(&request.body).crc64nvme.to_le_bytes();
        request.headers.get("x-ms-content-crc64") == Some(&BASE64.encode(crc))
    }

    fn put(&mut self, request: &Request) -> Reply {
        assert_eq!(request.headers["x-ms-blob-type"], "BlockBlob");
        self.last_path.clone_from(&request.path);
        if !State::is_whole(request) {
            return refusal(400, "Crc64Mismatch");
        }
        if self.is_taken(request) {
            return refusal(409, "BlobAlreadyExists");
        }
        self.store(request, request.body.clone())
    }

    fn store(&mut self, request: &Request, mut bytes: Vec<u8>) -> Reply {
        self.blocks.remove(&request.key);
        self.writes += 1;
        let version = self.writes;
        if let (true, Some(byte)) = (self.quirks.alters, bytes.first_mut()) {
            *byte ^= 1;
        }
        if !self.quirks.forgets {
            let headers = request.headers.clone();
            self.objects.insert(request.key.clone(), Object { bytes, version, headers });
        }
        Reply::Answer(201, vec![("etag", format!("\"{version}\""))], vec![])
    }

    fn block(&mut self, request: &Request) -> Reply {
        if !State::is_whole(request) {
            return refusal(400, "Crc64Mismatch");
        }
        self.keep_block(request, request.body.clone())
    }

    fn keep_block(&mut self, request: &Request, bytes: Vec<u8>) -> Reply {
        let blocks = self.blocks.entry(request.key.clone()).or_default();
        let id = request.query["blockid"].clone();
        if blocks.keys().any(|other| other.len() != id.len()) {
            return refusal(400, "InvalidBlobOrBlock");
        }
        blocks.insert(id, bytes);
        Reply::Answer(201, vec![], vec![])
    }

    /// The source is an object of the same server.
    fn copy(&mut self, request: &Request) -> Reply {
        let source = url::Url::parse(&request.headers["x-ms-copy-source"]).unwrap();
        let (_, name) = source.path()[1..].split_once('/').unwrap();
        let Some(object) = self.objects.get(name) else {
            return refusal(404, "CannotVerifyCopySource");
        };
        let range = request.headers["x-ms-source-range"].trim_start_matches("bytes=");
        let (start, end) = range.split_once('-').unwrap();
        let bytes = object.bytes[start.parse().unwrap()..=end.parse().unwrap()].to_vec();
        self.keep_block(request, bytes)
    }

    fn commit(&mut self, request: &Request) -> Reply {
        if self.is_taken(request) {
            return refusal(409, "BlobAlreadyExists");
        }
        let text = String::from_utf8(request.body.clone()).unwrap();
        let ids = text.split("<Latest>").skip(1).map(|rest| rest.split_once('<').unwrap().0);
        let staged = self.blocks.get(&request.key).cloned().unwrap_or_default();
        let blocks: Option<Vec<Vec<u8>>> = ids.map(|id| staged.get(id).cloned()).collect();
        match blocks {
            Some(blocks) => self.store(request, blocks.concat()),
            None => refusal(400, "InvalidBlockList"),
        }
    }

    fn list(&self, request: &Request) -> Reply {
        let of = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let (prefix, after) = (of("prefix"), of("marker"));
        let keys: Vec<_> = self.objects.iter().filter(|(k, _)| k.starts_with(&prefix)).collect();
        let mut keys: Vec<_> = keys.into_iter().filter(|(k, _)| **k > after).collect();
        let is_last = keys.len() <= PAGE;
        keys.truncate(PAGE);
        let next = keys.last().filter(|_| !is_last).map(|(key, _)| key.as_str());
        let blobs: Vec<_> = keys.iter().map(|(k, o)| (k.as_str(), o.bytes.len())).collect();
        ok(vec![], page(&blobs, Some(next.unwrap_or_default())))
    }
}

/// A page of a listing; without a marker it does not say whether it is the last.
pub(crate) fn page(blobs: &[(&str, usize)], next: Option<&str>) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let mut body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults \
        ServiceEndpoint=\"http://fake/\" ContainerName=\"backups\"><Blobs>"
        .to_owned();
    for (name, bytes) in blobs {
        body += &format!(
            "<Blob><Name>{}</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT\
             </Last-Modified><Etag>0x1</Etag><Content-Length>{bytes}</Content-Length><BlobType>\
             BlockBlob</BlobType><AccessTier>Hot</AccessTier><AccessTierInferred>true\
             </AccessTierInferred></Properties></Blob>",
            escaped(name)
        );
    }
    body += "</Blobs>";
    if let Some(next) = next {
        body += &format!("<NextMarker>{}</NextMarker>", escaped(next));
    }
    body + "</EnumerationResults>"
}
