//! Encryption with a key of the customer's own (SSE-C): read from a file when the destination is
//! opened, and sent with every request that writes, reads or describes an object.
//!
//! One interceptor adds it, so that no request can be forgotten. The store forgets the key after
//! each of them; who loses it loses the copies.
//!
//! Does not: encrypt anything. The store does, and could keep what it is given.

use crate::{Endpoint, ErrorKind, S3Settings, Secret, Sse};
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What S3 calls the only cipher that it has for this.
const ALGORITHM: &str = "AES256";
const KEY_BYTES: usize = 32;
/// A key has 44 characters, and perhaps a line end.
const FILE_BYTES_MAX: u64 = 1 << 10;
/// The requests about the bytes of an object.
const OPERATIONS: [&str; 8] = [
    "HeadObject",
    "GetObject",
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "CopyObject",
    "UploadPartCopy",
];

/// A key, in the three words that S3 wants.
#[derive(Debug, Clone)]
pub(super) struct CustomerKey {
    file: PathBuf,
    key: Secret,
    md5: String,
}

impl CustomerKey {
    /// The key that the settings name, if they do.
    pub(super) fn of(settings: &S3Settings) -> Result<Option<Self>, ErrorKind> {
        let Some(Sse::Customer { key_file }) = &settings.sse else {
            return Ok(None);
        };
        Endpoint::must_be_private(settings.endpoint_url.as_ref())?;
        CustomerKey::read(key_file).map(Some)
    }

    fn read(file: &Path) -> Result<Self, ErrorKind> {
        let unusable = |why: &str| {
            let said = format!("the key file {} cannot be used: {why}", file.display());
            ErrorKind::Config { said, hint: "make one: head -c 32 /dev/urandom | base64" }
        };
        let mut text = String::new();
        let opened = std::fs::File::open(file).map_err(|e| unusable(&e.to_string()))?;
        let read = opened.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|e| unusable(&e.to_string()))?;
        let key = BASE64.decode(text.trim()).map_err(|_| unusable("it is not base64"))?;
        if key.len() != KEY_BYTES {
            return Err(unusable(&format!("it has {} bytes, not {KEY_BYTES}", key.len())));
        }
        let md5 = BASE64.encode(Md5::digest(&key));
        Ok(CustomerKey { file: file.to_path_buf(), key: Secret::new(BASE64.encode(key)), md5 })
    }

    /// Whether the store means this key.
    pub(super) fn has_md5(&self, md5: &str) -> bool {
        self.md5 == md5
    }

    /// The kind of encryption that it is.
    pub(super) fn sse(&self) -> Sse {
        Sse::Customer { key_file: self.file.clone() }
    }

    /// The three headers, as `x-amz-` and this say them.
    pub(super) fn headers(&self, prefix: &'static str) -> [(String, String); 3] {
        let name = |end: &str| format!("x-amz-{prefix}server-side-encryption-customer-{end}");
        [
            (name("algorithm"), ALGORITHM.to_owned()),
            (name("key"), self.key.reveal().to_owned()),
            (name("key-md5"), self.md5.clone()),
        ]
    }
}

impl Intercept for CustomerKey {
    fn name(&self) -> &'static str {
        "CustomerKey"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map(Metadata::name).unwrap_or_default();
        if OPERATIONS.contains(&operation) {
            let headers = context.request_mut().headers_mut();
            for (name, value) in self.headers("") {
                headers.insert(name, value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_holds_32_bytes_in_base64_and_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = BASE64.encode([7_u8; 32]);
        durable::write_new(&path, format!("{key}\n").as_bytes()).unwrap();
        let read = CustomerKey::read(&path).unwrap();
        assert!(!format!("{read:?}").contains(&key));
        let [algorithm, secret, md5] = read.headers("").map(|(_, value)| value);
        assert_eq!((algorithm.as_str(), secret), ("AES256", key));
        assert!(read.has_md5(&md5));
        for bad in ["", "not base64!", &BASE64.encode([7_u8; 31])] {
            durable::replace(&path, bad.as_bytes()).unwrap();
            let refused = CustomerKey::read(&path).unwrap_err().to_string();
            assert!(refused.contains("key file"), "{refused}");
        }
    }
}
