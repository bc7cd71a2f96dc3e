//! A key of the customer's own, with which the store encrypts and which it does not keep: it
//! travels with every request that reads or writes the content or the properties of a blob.
//!
//! Does not: belong to a listing, a deletion or tags, which need none.

use crate::{ErrorKind, Secret};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// AES-256.
const KEY_BYTES: usize = 32;
/// The largest key file.
const FILE_BYTES_MAX: u64 = 4 << 10;

#[derive(Debug, Clone)]
pub(super) struct CustomerKey {
    key: Secret,
    /// Where it came from.
    pub(super) file: PathBuf,
    /// What the store reports of it.
    pub(super) sha256: String,
}

impl CustomerKey {
    pub(super) fn read(path: &Path) -> Result<Self, ErrorKind> {
        let unusable = |why: &str| {
            let said = format!("the key file {} cannot be used: {why}", path.display());
            ErrorKind::Config { said, hint: "give a file with 32 bytes in base64" }
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|e| unusable(&e.to_string()))?;
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|e| unusable(&e.to_string()))?;
        let key = text.trim();
        match BASE64.decode(key) {
            Ok(bytes) if bytes.len() == KEY_BYTES => Ok(CustomerKey {
                key: Secret::new(key),
                file: path.to_owned(),
                sha256: BASE64.encode(Sha256::digest(&bytes)),
            }),
            _ => Err(unusable("it does not hold 32 bytes in base64")),
        }
    }

    /// The headers that a request about the content of a blob carries; `x-ms-source-…` for the
    /// source of a copy.
    pub(super) fn headers(&self) -> [(&'static str, &str); 3] {
        [
            ("x-ms-encryption-key", self.key.reveal()),
            ("x-ms-encryption-key-sha256", &self.sha256),
            ("x-ms-encryption-algorithm", "AES256"),
        ]
    }

    pub(super) fn key(&self) -> String {
        self.key.reveal().to_owned()
    }
}

#[async_trait::async_trait]
impl Policy for CustomerKey {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let is_beside =
            |(name, value): (Cow<'_, str>, Cow<'_, str>)| name == "restype" || value == "tags";
        let is_about_content = !request.url().query_pairs().any(is_beside);
        if request.method() != Method::Delete && is_about_content {
            for (name, value) in self.headers() {
                request.insert_header(name, value.to_owned());
            }
        }
        next[0].send(context, request, &next[1..]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_base64_and_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        durable::write_new(&path, format!("{}\n", BASE64.encode([7u8; 32])).as_bytes()).unwrap();
        let key = CustomerKey::read(&path).unwrap();
        assert_eq!(key.sha256, BASE64.encode(Sha256::digest([7u8; 32])));
        assert!(!format!("{key:?}").contains(&BASE64.encode([7u8; 32])), "{key:?}");
        for bad in ["CANARY", "", &BASE64.encode([7u8; 16])] {
            durable::replace(&path, bad.as_bytes()).unwrap();
            let error = CustomerKey::read(&path).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
        }
    }
}
