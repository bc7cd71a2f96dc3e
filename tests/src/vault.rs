//! The objects of a store, behind everybody's back: without Lifeboat, and without any front.
//!
//! Owns: looking at what a server really holds, and spoiling it as a disk or a hand would. A folder
//! is read as files; fake-gcs-server and Azurite are asked in their own words, in plain HTTP on
//! loopback. No crate of the product takes part: a mistake of theirs must not be repeated here.
//!
//! Does not: retry, page through more than a test makes, or speak to anything but a test server.

mod azure;
mod folder;
mod gcs;

pub use azure::{AzureVault, account_sas};
pub use folder::FolderVault;
pub use gcs::GcsVault;

use crate::wire::{self, Head, Request, Response};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// One bucket, container or folder.
///
/// Everything here panics when the server does not answer as it must: that is a failure of the
/// harness.
pub trait Vault: Debug + Send + Sync {
    /// Every object whose name begins so, with something that changes when its bytes change.
    fn objects(&self, prefix: &str) -> BTreeMap<String, String>;

    /// The bytes of an object.
    fn get(&self, name: &str) -> Option<Vec<u8>>;

    /// Puts an object there, over whatever is there.
    fn put(&self, name: &str, bytes: &[u8]);

    /// Takes an object away.
    fn remove(&self, name: &str);
}

/// Percent-encodes everything but what needs it nowhere; `/` too unless it is among `kept`.
pub(crate) fn encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte);
        match plain {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Percent-decoded, as far as it is well-formed.
pub(crate) fn decoded(text: &str) -> String {
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

/// One request to a server on loopback.
fn ask(port: u16, line: &str, headers: Vec<(String, String)>, body: &[u8]) -> Response {
    let mut all = vec![("host".to_owned(), format!("127.0.0.1:{port}"))];
    all.extend(headers);
    let head = Head { line: format!("{line} HTTP/1.1"), headers: all };
    let request = Request { head, body: body.to_vec() };
    wire::exchange(port, &request).unwrap_or_else(|e| panic!("{line} at port {port}: {e}"))
}

/// The answer, which must be a success.
fn granted(line: &str, response: Response) -> Response {
    let body = || String::from_utf8_lossy(&response.body).into_owned();
    assert!(response.is_success(), "{line}: {} {}", response.status, body());
    response
}
