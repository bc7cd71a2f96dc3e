//! A container of Azurite, by the Blob service's REST interface, signed with the account's key.
//!
//! The signature is that of "Authorize with Shared Key" in Microsoft's reference, version 2015 and
//! later, for paths that begin with the account's name.

use super::{Vault, ask, encoded, granted};
use crate::azure::{ACCOUNT, ACCOUNT_KEY};
use crate::fault_front::element;
use crate::s3::hmac;
use crate::wire::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::fmt;

const VERSION: &str = "2021-12-02";

/// The container.
#[derive(Clone)]
pub struct AzureVault {
    /// Where the server listens, on loopback.
    pub port: u16,
    /// The storage account.
    pub account: String,
    /// Its key, in base64.
    pub key: String,
    /// The container's name.
    pub container: String,
}

impl fmt::Debug for AzureVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AzureVault({}/{} at port {})", self.account, self.container, self.port)
    }
}

impl AzureVault {
    fn ask(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        more: &[(&str, &str)],
        body: &[u8],
    ) -> (String, Response) {
        let path = format!("/{}/{}{path}", self.account, self.container);
        let mut headers: Vec<(&str, String)> =
            more.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        headers.push(("x-ms-date", date()));
        headers.push(("x-ms-version", VERSION.to_owned()));
        headers.sort();
        let length = if body.is_empty() { String::new() } else { body.len().to_string() };
        let mut text = format!("{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n");
        for (name, value) in &headers {
            text.push_str(&format!("{name}:{value}\n"));
        }
        text.push_str(&format!("/{}{path}", self.account));
        let mut query = query.to_vec();
        query.sort_unstable();
        for (name, value) in &query {
            text.push_str(&format!("\n{name}:{value}"));
        }
        let key = STANDARD.decode(&self.key).unwrap_or_default();
        let signature = STANDARD.encode(hmac(&key, text.as_bytes()));
        headers.push(("authorization", format!("SharedKey {}:{signature}", self.account)));
        let pairs: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value, b""))).collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        let line = format!("{method} {path}{mark}{}", pairs.join("&"));
        let headers = headers.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        let response = ask(self.port, &line, headers, body);
        (line, response)
    }

    fn blob(name: &str) -> String {
        format!("/{}", encoded(name, b"/"))
    }
}

#[allow(clippy::disallowed_methods, reason = "a request says what time it is")]
fn date() -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl Vault for AzureVault {
    fn objects(&self, prefix: &str) -> BTreeMap<String, String> {
        let (mut found, mut marker) = (BTreeMap::new(), String::new());
        loop {
            let mut query = vec![("comp", "list"), ("restype", "container"), ("prefix", prefix)];
            query.retain(|(_, value)| !value.is_empty());
            let next = marker.clone();
            if !next.is_empty() {
                query.push(("marker", &next));
            }
            let (line, response) = self.ask("GET", "", &query, &[], b"");
            let text = String::from_utf8_lossy(&granted(&line, response).body).into_owned();
            for blob in text.split("<Blob>").skip(1) {
                let part = |name| unescaped(element(blob, name).unwrap_or_default());
                let tag = format!("{} {}", part("Content-Length"), part("Etag"));
                found.insert(part("Name"), tag);
            }
            match element(&text, "NextMarker").filter(|next| !next.is_empty()) {
                Some(next) => marker = next.to_owned(),
                None => return found,
            }
        }
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let (line, response) = self.ask("GET", &AzureVault::blob(name), &[], &[], b"");
        (response.status != 404).then(|| granted(&line, response).body)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let kind = [("x-ms-blob-type", "BlockBlob")];
        let (line, response) = self.ask("PUT", &AzureVault::blob(name), &[], &kind, bytes);
        let _ = granted(&line, response);
    }

    fn remove(&self, name: &str) {
        let (line, response) = self.ask("DELETE", &AzureVault::blob(name), &[], &[], b"");
        if response.status != 404 {
            let _ = granted(&line, response);
        }
    }
}

fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A shared access signature for all blobs of the account, which permits what these letters say.
#[must_use]
pub fn account_sas(permissions: &str) -> String {
    const VERSION: &str = "2020-12-06";
    const EXPIRY: &str = "2099-01-01T00:00:00Z";
    let text = format!("{ACCOUNT}\n{permissions}\nb\nsco\n\n{EXPIRY}\n\n\n{VERSION}\n\n");
    let key = STANDARD.decode(ACCOUNT_KEY).unwrap_or_default();
    let signature = STANDARD.encode(hmac(&key, text.as_bytes()));
    let (expiry, signature) = (encoded(EXPIRY, b""), encoded(&signature, b""));
    format!("sv={VERSION}&ss=b&srt=sco&sp={permissions}&se={expiry}&sig={signature}")
}
