//! A key of the customer's own, which goes with every request that touches an object's bytes.
//!
//! Does not: keep it anywhere but in memory, or show it.

use crate::ErrorKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::Read as _;
use std::path::Path;

/// The length of a key of AES-256.
const KEY_BYTES: usize = 32;
/// How much of the file is read: a key in base64 has 44 characters.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// The key, and what the store calls it.
#[derive(Clone)]
pub(super) struct CustomerKey {
    key: [u8; KEY_BYTES],
    /// Base64 of the SHA-256 of the key, which the store reports.
    pub(super) print: String,
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerKey({})", self.print)
    }
}

impl CustomerKey {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, ErrorKind> {
        let unusable = |why: String| ErrorKind::Config {
            said: format!("the key file {} cannot be used: {why}", path.display()),
            hint: "give a file of 32 bytes in base64",
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|e| unusable(e.to_string()))?;
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|e| unusable(e.to_string()))?;
        // The reason of the decoder would show a piece of the key.
        let key = BASE64.decode(text.trim()).map_err(|_| unusable("it is not base64".into()))?;
        let found = key.len();
        let key = key.try_into().map_err(|_| unusable(format!("it has {found} bytes")))?;
        Ok(CustomerKey { key, print: BASE64.encode(Sha256::digest(key)) })
    }

    /// For Google's own client.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.key
    }

    /// With the headers by which a request names the key of an object.
    pub(super) fn on(&self, request: RequestBuilder) -> RequestBuilder {
        self.with(request, "x-goog-encryption")
    }

    /// The same for the source of a copy.
    pub(super) fn on_source(&self, request: RequestBuilder) -> RequestBuilder {
        self.with(request, "x-goog-copy-source-encryption")
    }

    fn with(&self, request: RequestBuilder, stem: &str) -> RequestBuilder {
        let mut key = match HeaderValue::from_str(&BASE64.encode(self.key)) {
            Ok(key) => key,
            Err(never) => unreachable!("base64 in a header: {never}"),
        };
        key.set_sensitive(true);
        request
            .header(format!("{stem}-algorithm"), "AES256")
            .header(format!("{stem}-key"), key)
            .header(format!("{stem}-key-sha256"), &self.print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i23_a_key_is_32_bytes_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for bad in ["", "?", "AAAA"] {
            durable::replace(&path, bad.as_bytes()).unwrap();
            assert!(matches!(CustomerKey::read(&path), Err(ErrorKind::Config { .. })), "{bad:?}");
        }
        durable::replace(&path, format!("{}\n", BASE64.encode([7; 32])).as_bytes()).unwrap();
        let key = CustomerKey::read(&path).unwrap();
        assert_eq!(key.bytes(), [7; 32]);
        assert_eq!(key.print, BASE64.encode(Sha256::digest([7; 32])));
        assert!(!format!("{key:?}").contains(&BASE64.encode([7; 32])));
        let request = key.on(reqwest::Client::new().get("http://127.0.0.1/"));
        assert!(!format!("{request:?}").contains(&BASE64.encode([7; 32])), "{request:?}");
    }
}
