//! One connection of a client: its requests, one after the other, and what becomes of each.
//!
//! Does not: decide; the script does.

use super::Shared;
use super::listing;
use super::script::{Call, Effect, Fault, Kind, Operation, Reply};
use super::wire::{self, Head, Request, Response};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// What a server gives an acknowledged write that it never made.
const ETAG: &str = "\"00000000000000000000000000000000\"";

/// Whether the connection goes on.
enum Next {
    GoOn,
    Close,
}

/// Serves until either side has had enough.
pub(super) fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let _ = stream.set_nodelay(true);
    // A client that goes away in the middle is no failure of the front.
    while let Ok(Next::GoOn) = one(stream, &mut reader, shared) {}
    let _ = stream.shutdown(Shutdown::Both);
}

fn one(
    mut stream: &TcpStream,
    reader: &mut BufReader<&TcpStream>,
    shared: &Shared,
) -> io::Result<Next> {
    let Some(head) = wire::read_head(reader)? else { return Ok(Next::Close) };
    let call = classify(&head);
    let is_part = call.operation == Operation::UploadPart;
    let fault = shared.script().next(call.clone());
    if head.get("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if let Some(Fault::CutUpload(bytes)) = &fault {
        // What is left unread makes the kernel reset the connection.
        reader.by_ref().take(*bytes as u64).read_to_end(&mut Vec::new())?;
        return Ok(Next::Close);
    }
    if is_part {
        let now = shared.parts_now.fetch_add(1, Ordering::SeqCst) + 1;
        shared.parts_max.fetch_max(now, Ordering::SeqCst);
    }
    let served = wire::read_request_body(reader, &head)
        .and_then(|body| answer(stream, &Request { head, body }, &call, fault, shared));
    if is_part {
        shared.parts_now.fetch_sub(1, Ordering::SeqCst);
    }
    served
}

fn answer(
    stream: &TcpStream,
    request: &Request,
    call: &Call,
    fault: Option<Fault>,
    shared: &Shared,
) -> io::Result<Next> {
    let method = request.head.method();
    let pass = || wire::exchange(shared.server_port, request);
    let act = |effect: Effect| if effect == Effect::After { pass().map(drop) } else { Ok(()) };
    let Some(fault) = fault else { return send(stream, method, &pass()?) };
    match fault {
        Fault::Answer(reply, effect) => {
            act(effect)?;
            send(stream, method, &of_reply(reply))
        }
        Fault::Close(effect) => act(effect).map(|()| Next::Close),
        Fault::Silence(effect) => {
            act(effect)?;
            // Until the client gives up or the front ends.
            (&mut &*stream).read_to_end(&mut Vec::new())?;
            Ok(Next::Close)
        }
        Fault::Late(pause) => {
            let response = pass()?;
            std::thread::sleep(pause);
            send(stream, method, &response)
        }
        Fault::Short(bytes) => {
            let response = pass()?;
            (&mut &*stream).write_all(&response.head(Some(response.body.len())))?;
            (&mut &*stream).write_all(&response.body[..bytes.min(response.body.len())])?;
            Ok(Next::Close)
        }
        Fault::Lost => send(stream, method, &acknowledgement(call)),
        Fault::Truncated(_) | Fault::Damaged(_) => {
            let response = pass()?;
            if response.is_success() {
                damage(&fault, request, shared)?;
            }
            send(stream, method, &response)
        }
        fault => send(stream, method, &falsified(pass()?, &fault)),
    }
}

fn send(mut stream: &TcpStream, method: &str, response: &Response) -> io::Result<Next> {
    // The length in an answer to HEAD is that of the object, as is 204's, which has none.
    let announced = match (method, response.status) {
        ("HEAD", _) | (_, 204 | 304) => None,
        _ => Some(response.body.len()),
    };
    stream.write_all(&response.head(announced))?;
    if announced.is_some() {
        stream.write_all(&response.body)?;
    }
    Ok(Next::GoOn)
}

fn of_reply(reply: Reply) -> Response {
    Response { status: reply.status, headers: reply.headers, body: reply.body.into_bytes() }
}

fn acknowledgement(call: &Call) -> Response {
    let mut response = Response { status: 200, headers: Vec::new(), body: Vec::new() };
    match call.operation {
        Operation::CompleteMultipartUpload => {
            let body = format!(
                "<CompleteMultipartUploadResult><ETag>{ETAG}</ETag></CompleteMultipartUploadResult>"
            );
            response.body = body.into_bytes();
        }
        Operation::DeleteObject | Operation::AbortMultipartUpload => response.status = 204,
        _ => response.set("etag", ETAG),
    }
    response
}

/// The server's answer with something wrong about it.
fn falsified(mut response: Response, fault: &Fault) -> Response {
    match fault {
        Fault::Less(bytes) => response.body.truncate(*bytes),
        Fault::Longer(bytes) => {
            let more = response.body[..(*bytes).min(response.body.len())].to_vec();
            response.body.extend(more);
        }
        Fault::Altered(at) => {
            let last = response.body.len().saturating_sub(1);
            if let Some(byte) = response.body.get_mut(*at.min(&last)) {
                *byte ^= 1;
            }
        }
        Fault::Date(seconds) => response.set("date", &shifted(*seconds)),
        Fault::Listing(tamper) if response.is_success() => {
            let text = String::from_utf8_lossy(&response.body).into_owned();
            response.body = listing::falsified(&text, *tamper).into_bytes();
        }
        _ => {}
    }
    response
}

/// The time of day, so many seconds away, as HTTP writes it.
#[allow(clippy::disallowed_methods, reason = "a server has a clock of its own")]
fn shifted(seconds: i64) -> String {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Spoils the file of an object that the server has just stored.
#[allow(clippy::disallowed_methods, reason = "damage is done without care")]
fn damage(fault: &Fault, request: &Request, shared: &Shared) -> io::Result<()> {
    let Some(root) = &shared.root else {
        return Err(io::Error::other("this server keeps no files that could be damaged"));
    };
    let path: PathBuf = root.join(decoded(request.head.target().0).trim_start_matches('/'));
    let file = File::options().read(true).write(true).open(path)?;
    match fault {
        Fault::Truncated(bytes) => file.set_len(*bytes),
        Fault::Damaged(at) => {
            let at = (*at).min(file.metadata()?.len().saturating_sub(1));
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[byte[0] ^ 1], at)
        }
        _ => Ok(()),
    }
}

fn classify(head: &Head) -> Call {
    let (path, query) = head.target();
    let value = |name: &str| {
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(n, _)| *n == name).map(|(_, value)| decoded(value))
    };
    let has = |name: &str| value(name).is_some();
    let path = decoded(path);
    let (_, key) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let operation = match head.method() {
        "HEAD" if !key.is_empty() => Operation::HeadObject,
        "GET" if has("list-type") => Operation::ListObjectsV2,
        "GET" if has("uploads") => Operation::ListMultipartUploads,
        "GET" if !key.is_empty() => Operation::GetObject,
        "POST" if has("uploads") => Operation::CreateMultipartUpload,
        "POST" if has("uploadId") => Operation::CompleteMultipartUpload,
        "PUT" if has("partNumber") => Operation::UploadPart,
        "PUT" if !key.is_empty() => Operation::PutObject,
        "DELETE" if has("uploadId") => Operation::AbortMultipartUpload,
        "DELETE" if !key.is_empty() => Operation::DeleteObject,
        _ => Operation::Other,
    };
    let kind = match key {
        "" => Kind::None,
        key if key.ends_with(".json") => Kind::Manifest,
        _ => Kind::Artifact,
    };
    let key = if key.is_empty() { value("prefix").unwrap_or_default() } else { key.to_owned() };
    let part = value("partNumber").and_then(|n| n.parse().ok()).unwrap_or(0);
    Call { operation, kind, key, part }
}

/// Percent-decoded, as far as it is well-formed.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_its_name() {
        let of = |line: &str| {
            let call = classify(&Head { line: line.to_owned(), headers: Vec::new() });
            (call.operation, call.kind, call.key, call.part)
        };
        let (manifest, artifact) = (Kind::Manifest, Kind::Artifact);
        let key = |name: &str| name.to_owned();
        for (line, wanted) in [
            (
                "PUT /b/p/a.json?x-id=PutObject H",
                (Operation::PutObject, manifest, key("p/a.json"), 0),
            ),
            ("PUT /b/a?partNumber=3&uploadId=u H", (Operation::UploadPart, artifact, key("a"), 3)),
            ("POST /b/a?uploads H", (Operation::CreateMultipartUpload, artifact, key("a"), 0)),
            ("POST /b/a?uploadId=u H", (Operation::CompleteMultipartUpload, artifact, key("a"), 0)),
            ("DELETE /b/a?uploadId=u H", (Operation::AbortMultipartUpload, artifact, key("a"), 0)),
            ("DELETE /b/a H", (Operation::DeleteObject, artifact, key("a"), 0)),
            ("HEAD /b/a H", (Operation::HeadObject, artifact, key("a"), 0)),
            ("GET /b/a H", (Operation::GetObject, artifact, key("a"), 0)),
            (
                "GET /b?list-type=2&prefix=p%2Fdemo%2F H",
                (Operation::ListObjectsV2, Kind::None, key("p/demo/"), 0),
            ),
            (
                "GET /b/?uploads&prefix=p H",
                (Operation::ListMultipartUploads, Kind::None, key("p"), 0),
            ),
            ("PUT /b H", (Operation::Other, Kind::None, key(""), 0)),
        ] {
            assert_eq!(of(line), wanted, "{line}");
        }
    }

    #[test]
    fn times_are_written_as_http_does() {
        let date = shifted(0);
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
}
