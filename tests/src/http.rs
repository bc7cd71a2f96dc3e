//! One request to a loopback port: enough to ask a test server whether it is there.
//!
//! Invariants: one connection each, every wait and the answer's size have limits.
//! Does not: speak TLS, sign, or follow anything.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const IO_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What to ask.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Request { method: "GET", path: path.to_owned(), headers: Vec::new() }
    }

    pub(crate) fn put(path: &str) -> Self {
        Request { method: "PUT", path: path.to_owned(), headers: Vec::new() }
    }

    pub(crate) fn header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
    }

    fn text(&self, port: u16) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + &format!("host: 127.0.0.1:{port}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    }
}

/// Sends the request and reads the answer until the server closes.
pub(crate) fn send(port: u16, request: &Request) -> Result<Answer, String> {
    let text = exchange(port, &request.text(port)).map_err(|e| e.to_string())?;
    parse(&text).ok_or_else(|| format!("no HTTP answer: {text}"))
}

fn exchange(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(IO_LIMIT))?;
    stream.set_write_timeout(Some(IO_LIMIT))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse("HTTP/1.1 200 OK\r\na: b\r\n\r\nyes").unwrap();
        assert_eq!(answer, Answer { status: 200, body: "yes".into() });
        assert_eq!(parse("not HTTP"), None);
    }
}
