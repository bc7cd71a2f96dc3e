//! A bucket of fake-gcs-server, by Google's JSON interface, without credentials.

use super::{Vault, ask, encoded, granted};
use serde_json::Value;
use std::collections::BTreeMap;

/// The bucket.
#[derive(Debug, Clone)]
pub struct GcsVault {
    /// Where the server listens, on loopback.
    pub port: u16,
    /// Its name.
    pub bucket: String,
}

impl GcsVault {
    fn object(&self, name: &str) -> String {
        format!("/storage/v1/b/{}/o/{}", self.bucket, encoded(name, b""))
    }
}

impl Vault for GcsVault {
    fn objects(&self, prefix: &str) -> BTreeMap<String, String> {
        let (mut found, mut token) = (BTreeMap::new(), String::new());
        loop {
            let (bucket, prefix) = (&self.bucket, encoded(prefix, b""));
            let next = encoded(&token, b"");
            let line = format!("GET /storage/v1/b/{bucket}/o?prefix={prefix}&pageToken={next}");
            let response = granted(&line, ask(self.port, &line, Vec::new(), b""));
            let page: Value = serde_json::from_slice(&response.body)
                .unwrap_or_else(|e| panic!("{line}: no JSON: {e}"));
            for item in page["items"].as_array().into_iter().flatten() {
                let name = item["name"].as_str().unwrap_or_default().to_owned();
                let tag = format!("{} {} {}", item["size"], item["md5Hash"], item["generation"]);
                found.insert(name, tag);
            }
            match page["nextPageToken"].as_str().filter(|token| !token.is_empty()) {
                Some(next) => token = next.to_owned(),
                None => return found,
            }
        }
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let line = format!("GET {}?alt=media", self.object(name));
        let response = ask(self.port, &line, Vec::new(), b"");
        (response.status != 404).then(|| granted(&line, response).body)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let (bucket, name) = (&self.bucket, encoded(name, b""));
        let line = format!("POST /upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}");
        let kind = vec![("content-type".to_owned(), "application/octet-stream".to_owned())];
        let _ = granted(&line, ask(self.port, &line, kind, bytes));
    }

    fn remove(&self, name: &str) {
        let line = format!("DELETE {}", self.object(name));
        let response = ask(self.port, &line, Vec::new(), b"");
        if response.status != 404 {
            let _ = granted(&line, response);
        }
    }
}
