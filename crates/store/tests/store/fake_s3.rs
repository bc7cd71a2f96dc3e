//! A small S3 in memory, to be scripted.

pub(crate) use crate::scripted::Reply;
use crate::scripted::{Request, Scripted, Store, ok};
use base64::Engine as _;
use lifeboat_store::{Checksum, Summary};
use std::collections::BTreeMap;

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
pub(crate) struct State {
    quirks: Quirks,
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    begun: u32,
    /// The headers of the last request.
    last: BTreeMap<String, String>,
}

pub(crate) type FakeS3 = Scripted<State>;

impl FakeS3 {
    pub(crate) async fn start(quirks: Quirks) -> Self {
        Scripted::serving(State { quirks, ..State::default() }).await
    }

    pub(crate) fn uploads(&self) -> Vec<String> {
        self.look(|state| state.uploads.keys().cloned().collect())
    }

    pub(crate) fn objects(&self) -> Vec<String> {
        self.look(|state| state.objects.keys().cloned().collect())
    }

    /// A header of the last request that was acted on.
    pub(crate) fn header(&self, name: &str) -> String {
        self.look(|state| state.last.get(name).cloned().unwrap_or_default())
    }
}

impl Store for State {
    fn operation(&self, request: &Request) -> &'static str {
        let has = |name: &str| request.query.contains_key(name);
        match request.method.as_str() {
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

    fn act(&mut self, operation: &str, request: &Request) -> Reply {
        self.last.clone_from(&request.headers);
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
}

impl State {
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
            Some(Checksum::Part) => of("crc32c").is_some() || request.method == "POST",
            Some(Checksum::Full) => {
                let crc = Summary::of(bytes).crc64nvme.to_be_bytes();
                let whole = of("type").is_some_and(|t| t == "FULL_OBJECT");
                of("crc64nvme") == Some(&base64::engine::general_purpose::STANDARD.encode(crc))
                    && (whole || request.method != "POST")
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
