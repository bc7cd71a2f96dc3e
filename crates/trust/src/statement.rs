//! What a signature covers.

use serde_json::Value;

/// What stands before the document in the bytes that are signed, so that a signature made for another
/// purpose never fits.
pub const STATEMENT_PREFIX: &str = "lifeboat manifest 1\n";

/// Fields of the document that are not signed. `replicate` adds them, which has no key: who wrote it,
/// where copies were to go, and the signature itself.
pub const UNSIGNED_FIELDS: [&str; 3] = ["placed", "signature", "tool"];

/// The bytes that are signed: [`STATEMENT_PREFIX`], then the document without [`UNSIGNED_FIELDS`] as JSON
/// on one line, without spaces, the keys of each object in the order of their bytes. Fields that
/// this program does not know are in it. `jq -cjS 'del(.placed, .signature, .tool)'` makes the same.
#[must_use]
pub fn statement(document: Value) -> Vec<u8> {
    let mut signed = document;
    if let Value::Object(fields) = &mut signed {
        fields.retain(|name, _| !UNSIGNED_FIELDS.contains(&name.as_str()));
    }
    signed.sort_all_objects();
    let mut bytes = STATEMENT_PREFIX.as_bytes().to_vec();
    bytes.extend_from_slice(signed.to_string().as_bytes());
    bytes
}
