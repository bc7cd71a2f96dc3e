//! Whether a manifest is signed, by OpenSSL's word.
//!
//! What is signed is put together as docs/manifest.md says, with none of the product's crates.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose signatures hold.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    public: PathBuf,
    /// Where files for OpenSSL are made.
    scratch: PathBuf,
}

impl Signer {
    /// The one who signs with this secret key.
    ///
    /// # Panics
    /// When OpenSSL does not read the key, or is not there.
    pub(super) fn of(secret: &Path, scratch: &Path) -> Self {
        let public = scratch.join("signer.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["pkey", "-pubout", "-in"]).arg(secret).arg("-out").arg(&public);
        crate::run(&mut openssl).unwrap_or_else(|e| panic!("{e:?}"));
        Signer { public, scratch: scratch.to_path_buf() }
    }

    /// Whether this one signed the manifest as it is.
    ///
    /// # Panics
    /// When OpenSSL does not start.
    pub(super) fn has_signed(&self, manifest: &Value) -> bool {
        let mut signed = manifest.clone();
        let Some(fields) = signed.as_object_mut() else { return false };
        let signature = fields.remove("signature").unwrap_or_default();
        fields.retain(|name, _| !["placed", "tool"].contains(&name.as_str()));
        signed.sort_all_objects();
        let value = signature["value"].as_str().and_then(|value| STANDARD.decode(value).ok());
        let Some(value) = value else { return false };
        let files = ["statement", "value"].map(|name| self.scratch.join(name));
        let text = format!("lifeboat manifest 1\n{signed}");
        for (file, bytes) in files.iter().zip([text.as_bytes(), &value]) {
            durable::replace(file, bytes).unwrap_or_else(|e| panic!("{e:?}"));
        }
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(&self.public);
        openssl.arg("-in").arg(&files[0]).arg("-sigfile").arg(&files[1]);
        openssl.output().unwrap_or_else(|e| panic!("{e}")).status.success()
    }
}
