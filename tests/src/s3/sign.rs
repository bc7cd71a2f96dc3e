//! Signatures of Amazon's version 4, for requests without a body and without a query.
//!
//! Follows "Create a signed AWS API request" of the IAM user guide. Invariant: every header that
//! the request has so far is signed; none may be added afterwards.
//! Does not: sign what is not a test.

use super::{ACCESS_KEY, REGION, SECRET_KEY};
use crate::http::Request;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const BLOCK_BYTES: usize = 64;

/// Adds the headers that say who asks, at which time.
pub(super) fn sign(request: &mut Request, port: u16, now: Timestamp) {
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let empty = hex::encode(Sha256::digest(b""));
    request.header("x-amz-content-sha256", &empty);
    request.header("x-amz-date", &time);

    let host = format!("127.0.0.1:{port}");
    let mut headers: Vec<(&str, &str)> = vec![("host", &host)];
    headers.extend(request.headers.iter().map(|(name, value)| (*name, value.as_str())));
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut canonical = format!("{}\n{}\n\n", request.method, request.path);
    for (name, value) in &headers {
        // Writing to a string cannot fail.
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{names}\n{empty}");

    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let hash = hex::encode(Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in [day, REGION, "s3", "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    let signature = hex::encode(hmac(&key, to_sign.as_bytes()));
    let who = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}");
    let what = format!("SignedHeaders={names}, Signature={signature}");
    request.header("authorization", &format!("{who}, {what}"));
}

/// HMAC-SHA-256 (RFC 2104), for keys of at most one block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; BLOCK_BYTES];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 2 of RFC 4231.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let mac = hmac(b"Jefe", b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(mac), expected);
    }
}
