//! HTTP/1.1 as far as clients of object stores and their servers on loopback speak it.
//!
//! Owns: reading and writing one message at a time, with bodies of a known length, in chunks, or
//! until the end of the connection. What is read is passed on as it was, so that signatures hold.
//! Invariants: heads and bodies have limits, and every wait for the server has one.
//! Does not: speak TLS, pipeline, or pool connections to the server.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const HEAD_BYTES_MAX: u64 = 64 << 10;
const BODY_BYTES_MAX: u64 = 256 << 20;
/// A server on loopback that says nothing for so long is dead. Less than what a site may take to come to rest.
const SERVER_LIMIT: Duration = Duration::from_secs(40);

pub(crate) type Headers = Vec<(String, String)>;

/// The first line and the headers of a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) headers: Headers,
}

/// A request whose body may not have been read yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Head {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// Path and query.
    pub(crate) fn target(&self) -> (&str, &str) {
        let target = self.line.split(' ').nth(1).unwrap_or_default();
        target.split_once('?').unwrap_or((target, ""))
    }

    fn length(&self) -> io::Result<Option<u64>> {
        let length = self.get("content-length").map(|text| text.trim().parse::<u64>());
        match length.transpose().map_err(broken)? {
            Some(bytes) if bytes > BODY_BYTES_MAX => Err(broken("the body is too long")),
            length => Ok(length),
        }
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked"))
    }
}

impl Response {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// The head, announcing a body of so many bytes; `None` leaves what the server announced.
    pub(crate) fn head(&self, announced: Option<usize>) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Answer\r\n", self.status);
        let hop = ["connection", "transfer-encoding", "keep-alive"];
        for (name, value) in &self.headers {
            let own = announced.is_some() && name.eq_ignore_ascii_case("content-length");
            if !own && !hop.iter().any(|h| name.eq_ignore_ascii_case(h)) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if let Some(bytes) = announced {
            text.push_str(&format!("content-length: {bytes}\r\n"));
        }
        (text + "\r\n").into_bytes()
    }
}

fn broken(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.to_string())
}

/// The next head; `None` when the other side has nothing more to say.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut reader = reader.take(HEAD_BYTES_MAX);
    let mut line = || -> io::Result<Option<String>> {
        let mut line = String::new();
        match reader.read_line(&mut line)? {
            0 => Ok(None),
            _ => Ok(Some(line.trim_end().to_owned())),
        }
    };
    let Some(first) = line()? else { return Ok(None) };
    let mut head = Head { line: first, headers: Vec::new() };
    loop {
        match line()? {
            None => return Err(broken("the head ends early")),
            Some(text) if text.is_empty() => return Ok(Some(head)),
            Some(text) => {
                let (name, value) = text.split_once(':').ok_or_else(|| broken("a bad header"))?;
                head.headers.push((name.to_owned(), value.trim().to_owned()));
            }
        }
    }
}

/// The body of a request.
pub(crate) fn read_request_body(reader: &mut impl BufRead, head: &Head) -> io::Result<Vec<u8>> {
    match head.length()? {
        _ if head.is_chunked() => read_chunks(reader),
        Some(bytes) => read_exactly(reader, bytes),
        None => Ok(Vec::new()),
    }
}

fn read_exactly(reader: &mut impl BufRead, bytes: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    match reader.take(bytes).read_to_end(&mut body)? as u64 == bytes {
        true => Ok(body),
        false => Err(broken("the body ends early")),
    }
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.take(HEAD_BYTES_MAX).read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let bytes = u64::from_str_radix(size, 16).map_err(broken)?;
        if body.len() as u64 + bytes > BODY_BYTES_MAX {
            return Err(broken("the body is too long"));
        }
        if bytes == 0 {
            // Trailers, up to an empty line.
            loop {
                let mut line = String::new();
                if reader.take(HEAD_BYTES_MAX).read_line(&mut line)? == 0 || line == "\r\n" {
                    return Ok(body);
                }
            }
        }
        body.extend(read_exactly(reader, bytes)?);
        read_exactly(reader, 2)?;
    }
}

/// Sends a request to the server and reads its answer, on a connection of its own.
pub(crate) fn exchange(port: u16, request: &Request) -> io::Result<Response> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SERVER_LIMIT))?;
    stream.set_write_timeout(Some(SERVER_LIMIT))?;
    let mut text = format!("{}\r\n", request.head.line);
    for (name, value) in &request.head.headers {
        // The body is passed on in one piece, and the connection is for it alone.
        let hop = ["connection", "transfer-encoding", "content-length", "expect"];
        if !hop.iter().any(|h| name.eq_ignore_ascii_case(h)) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let length = request.body.len();
    text.push_str(&format!("content-length: {length}\r\nconnection: close\r\n\r\n"));
    (&stream).write_all(text.as_bytes())?;
    (&stream).write_all(&request.body)?;
    let mut reader = BufReader::new(&stream);
    read_response(&mut reader, request.head.method())
}

fn read_response(reader: &mut impl BufRead, method: &str) -> io::Result<Response> {
    let (head, status) = loop {
        let head = read_head(reader)?.ok_or_else(|| broken("no answer"))?;
        let status: u16 =
            head.line.split(' ').nth(1).unwrap_or_default().parse().map_err(broken)?;
        if status >= 200 {
            break (head, status);
        }
    };
    let body = match head.length()? {
        _ if method == "HEAD" || matches!(status, 204 | 304) => Vec::new(),
        _ if head.is_chunked() => read_chunks(reader)?,
        Some(bytes) => read_exactly(reader, bytes)?,
        None => {
            let mut body = Vec::new();
            reader.take(BODY_BYTES_MAX).read_to_end(&mut body)?;
            body
        }
    };
    Ok(Response { status, headers: head.headers, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_trailers_become_one_body() {
        let text = "PUT /b/k?x=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\nNEXT";
        let mut reader = text.as_bytes();
        let head = read_head(&mut reader).unwrap().unwrap();
        assert_eq!((head.method(), head.target()), ("PUT", ("/b/k", "x=1")));
        assert_eq!(read_request_body(&mut reader, &head).unwrap(), b"abcde");
        assert_eq!(reader, b"NEXT");
    }

    #[test]
    fn an_answer_after_a_continue_is_the_answer() {
        let mut text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nrest".as_bytes();
        let answer = read_response(&mut text, "GET").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"rest"[..]));
        let mut head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".as_bytes();
        assert!(read_response(&mut head, "HEAD").unwrap().body.is_empty());
    }

    #[test]
    fn what_ends_early_is_an_error() {
        let head = Head {
            line: "PUT / HTTP/1.1".into(),
            headers: vec![("content-length".into(), "5".into())],
        };
        assert!(read_request_body(&mut &b"abcd"[..], &head).is_err());
        assert!(read_head(&mut &b"GET / HTTP/1.1\r\na: b\r\n"[..]).is_err());
        assert!(read_head(&mut &b""[..]).unwrap().is_none());
    }
}
