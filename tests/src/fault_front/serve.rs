//! One connection of a client: its requests, one after the other, and what becomes of each.
//!
//! Does not: decide; the script does.

use super::Shared;
use super::listing;
use super::protocol::{self, Protocol, Session};
use super::script::{Call, Effect, Fault, Operation, Reply, Saying};
use crate::wire::{self, Request, Response};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;

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
    if shared.protocol.asks_for_token(&head) {
        let body = wire::read_request_body(reader, &head)?;
        return send(stream, head.method(), &of_reply(protocol::token(&body)));
    }
    let call = shared.protocol.classify(&head, &shared.sessions());
    let is_part = call.operation == Operation::Part;
    let scripted = shared.script().next(call.clone());
    let fault = match shared.forbids(&call, &head) {
        true => Some(Fault::says(Saying::Denied)),
        false => scripted,
    };
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
        let answered = shared.parts_answered.load(Ordering::SeqCst);
        shared.parts_seen().push((call.part, answered));
    }
    let served = wire::read_request_body(reader, &head)
        .and_then(|body| answer(stream, &Request { head, body }, &call, fault, shared));
    if is_part {
        shared.parts_now.fetch_sub(1, Ordering::SeqCst);
        shared.parts_answered.fetch_add(1, Ordering::SeqCst);
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
    let pass = || passed(request, call, shared);
    let act = |effect: Effect| if effect == Effect::After { pass().map(drop) } else { Ok(()) };
    let Some(fault) = fault else { return send(stream, method, &pass()?) };
    match fault {
        Fault::Answer(reply, effect) => {
            act(effect)?;
            send(stream, method, &of_reply(reply))
        }
        Fault::Say(saying, effect) => {
            act(effect)?;
            send(stream, method, &of_reply(shared.protocol.say(saying, call.operation)))
        }
        Fault::ErrorInside => send(stream, method, &error_inside(shared.protocol, call)),
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
        Fault::Lost => send(stream, method, &lost(request, call, shared)?),
        Fault::Truncated(_) | Fault::Damaged(_) => {
            let response = pass()?;
            if response.is_success() {
                damage(&fault, call, shared)?;
            }
            send(stream, method, &response)
        }
        fault => send(stream, method, &falsified(shared.protocol, pass()?, &fault)),
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

/// The server's answer; where it names itself, it names the front.
fn passed(request: &Request, call: &Call, shared: &Shared) -> io::Result<Response> {
    if let Some(known) = shared.protocol.progress(&request.head, &shared.sessions()) {
        return Ok(known);
    }
    let mut response = wire::exchange(shared.server_port, request)?;
    shared.hide(&mut response);
    shared.protocol.note(&request.head, &response, &mut shared.sessions());
    if let Some(session) = shared.protocol.session_of(call, &response) {
        response.set("location", &format!("{}{session}", shared.known_as));
        let key = call.key.clone();
        shared.sessions().insert(session, Session { key, ..Session::default() });
    }
    Ok(response)
}

/// An acknowledgement of what is not done.
fn lost(request: &Request, call: &Call, shared: &Shared) -> io::Result<Response> {
    if let Some(response) = shared.protocol.acknowledgement(call, request) {
        return Ok(response);
    }
    let response = passed(request, call, shared)?;
    if response.is_success() {
        shared.vault()?.remove(&call.key);
    }
    Ok(response)
}

/// Success on the first line, and an error inside.
fn error_inside(protocol: Protocol, call: &Call) -> Response {
    let mut response = of_reply(protocol.say(Saying::Internal, call.operation));
    if protocol == Protocol::S3 {
        response.status = 200;
    }
    response
}

/// The server's answer with something wrong about it.
fn falsified(protocol: Protocol, mut response: Response, fault: &Fault) -> Response {
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
            response.body = listing::falsified(protocol, &text, *tamper).into_bytes();
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

/// Spoils an object that the server has just stored.
fn damage(fault: &Fault, call: &Call, shared: &Shared) -> io::Result<()> {
    let vault = shared.vault()?;
    let Some(mut bytes) = vault.get(&call.key) else { return Ok(()) };
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    match fault {
        // A store may as well keep more than there was.
        Fault::Truncated(kept) => bytes.resize(place(*kept), 0),
        Fault::Damaged(at) => {
            let last = bytes.len().saturating_sub(1);
            if let Some(byte) = bytes.get_mut(place(*at).min(last)) {
                *byte ^= 1;
            }
        }
        _ => {}
    }
    vault.put(&call.key, &bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_http_does() {
        let date = shifted(0);
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
}
