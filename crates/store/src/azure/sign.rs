//! How a request says who asks: a shared access signature in its query, or a signature of its own
//! made with an account's key ("Authorize with Shared Key" in Microsoft's reference).
//!
//! The last policy before the wire, so that what it adds is in no request that anything else keeps
//! or prints, and each attempt is signed anew.

use super::credentials::Watched;
use super::entra::Chain;
use super::error::Trouble;
use crate::CredentialsProblem;
use azure_core::credentials::Secret;
use azure_core::hmac::hmac_sha256;
use azure_core::http::headers::Headers;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Method, Request, Url};
use azure_core::time::{Duration, OffsetDateTime, to_rfc7231};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a signature for the store's own use holds, and how far clocks may differ.
const COPY_HOURS: i64 = 6;
const SKEW_MINUTES: i64 = 15;
/// The version of the rules by which such a signature is made.
const SAS_VERSION: &str = "2020-12-06";

/// Who asks.
#[derive(Debug)]
pub(super) enum Signer {
    /// The SDK's own policy adds a token.
    Entra(Arc<Chain>),
    /// The query of a shared access signature.
    Sas(Watched),
    /// One of the account's keys.
    Key { account: String, key: Watched },
}

impl Signer {
    /// Whether another secret than that of a refused request may be had by asking again.
    pub(super) fn is_renewed(&self) -> bool {
        match self {
            Signer::Entra(_) => false,
            Signer::Sas(file) | Signer::Key { key: file, .. } => file.is_renewed(),
        }
    }

    fn sign(&self, request: &mut Request) -> azure_core::Result<()> {
        match self {
            Signer::Entra(_) => Ok(()),
            Signer::Sas(file) => {
                add_sas(request.url_mut(), file.current()?.reveal());
                Ok(())
            }
            Signer::Key { account, key } => {
                let key = key.current()?;
                request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
                let length = request.body().len().unwrap_or(0);
                let text =
                    to_sign(account, request.method(), request.url(), request.headers(), length);
                let signature = signature(&text, key.reveal())?;
                request.insert_header("authorization", format!("SharedKey {account}:{signature}"));
                Ok(())
            }
        }
    }

    /// A signature with which the store itself may read one object of the container, to copy it.
    /// `None` where the credentials are not of a kind that can give one.
    pub(super) fn to_read(
        &self,
        container: &str,
        name: &str,
    ) -> azure_core::Result<Option<String>> {
        match self {
            Signer::Entra(_) => Ok(None),
            Signer::Sas(file) => Ok(Some(file.current()?.reveal().to_owned())),
            Signer::Key { account, key } => {
                let key = key.current()?;
                let now = OffsetDateTime::now_utc();
                let object = format!("/blob/{account}/{container}/{name}");
                read_sas(&object, now, key.reveal()).map(Some)
            }
        }
    }
}

/// Adds a shared access signature to the query of an address.
pub(super) fn add_sas(url: &mut Url, sas: &str) {
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&{sas}"),
        _ => sas.to_owned(),
    };
    url.set_query(Some(&query));
}

fn signature(text: &str, key: &str) -> azure_core::Result<String> {
    hmac_sha256(text, &Secret::new(key.to_owned())).map_err(|_| {
        let said = "the account key is not base64".to_owned();
        Trouble::Credentials { problem: CredentialsProblem::Invalid, said }.into_sdk()
    })
}

/// The text over which the account's key signs.
fn to_sign(account: &str, method: Method, url: &Url, headers: &Headers, length: u64) -> String {
    let mut own = BTreeMap::new();
    let mut standard = BTreeMap::new();
    for (name, value) in headers.iter() {
        let (name, value) = (name.as_str().to_ascii_lowercase(), value.as_str().trim().to_owned());
        let is_own = name.starts_with("x-ms-");
        if is_own {
            own.insert(name, value)
        } else {
            standard.insert(name, value)
        };
    }
    let of = |name: &str| standard.get(name).map_or("", String::as_str);
    let length = if length == 0 { String::new() } else { length.to_string() };
    let lines = [
        method.as_ref(),
        of("content-encoding"),
        of("content-language"),
        &length,
        of("content-md5"),
        of("content-type"),
        // The date stands in x-ms-date.
        "",
        of("if-modified-since"),
        of("if-match"),
        of("if-none-match"),
        of("if-unmodified-since"),
        of("range"),
    ];
    let own: String = own.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    format!("{}\n{own}/{account}{}{}", lines.join("\n"), url.path(), query_to_sign(url))
}

fn query_to_sign(url: &Url) -> String {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        parameters.entry(name.to_ascii_lowercase()).or_default().push(value.into_owned());
    }
    let mut text = String::new();
    for (name, mut values) in parameters {
        values.sort_unstable();
        text += &format!("\n{name}:{}", values.join(","));
    }
    text
}

/// A service SAS that lets one blob be read for some hours.
fn read_sas(object: &str, now: OffsetDateTime, key: &str) -> azure_core::Result<String> {
    let start = sas_time(now - Duration::minutes(SKEW_MINUTES));
    let expiry = sas_time(now + Duration::hours(COPY_HOURS));
    // Permissions, start, expiry, object, identifier, address, protocol, version, kind, snapshot,
    // encryption scope, and five headers of the answer.
    let text = format!("r\n{start}\n{expiry}\n{object}\n\n\n\n{SAS_VERSION}\nb\n\n\n\n\n\n\n");
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("sv", SAS_VERSION).append_pair("sr", "b").append_pair("sp", "r");
    query.append_pair("st", &start).append_pair("se", &expiry);
    Ok(query.append_pair("sig", &signature(&text, key)?).finish())
}

/// ISO 8601 to the second.
fn sas_time(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    format!("{date}T{:02}:{:02}:{:02}Z", clock.hour(), clock.minute(), clock.second())
}

/// Signs each attempt.
#[derive(Debug)]
pub(super) struct Sign(pub(super) Arc<Signer>);

#[async_trait::async_trait]
impl Policy for Sign {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        self.0.sign(request)?;
        next[0].send(context, request, &next[1..]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key that every emulator knows.
    const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    fn headers(pairs: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        pairs.iter().for_each(|(name, value)| headers.insert(*name, *value));
        headers
    }

    /// The example of Microsoft's page "Authorize with Shared Key".
    #[test]
    fn the_text_to_sign_is_that_of_the_reference() {
        let url = Url::parse(
            "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20",
        );
        let headers = headers(&[
            ("x-ms-version", "2015-02-21"),
            ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"),
        ]);
        let text = to_sign("myaccount", Method::Get, &url.unwrap(), &headers, 0);
        let expected = "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n\
            x-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\n\
            timeout:20";
        assert_eq!(text, expected);
        // printf '%s' "$text" | openssl dgst -sha256 -mac HMAC -macopt hexkey:… | base64
        assert_eq!(signature(&text, KEY).unwrap(), "1u9lui2jDxj0+fpbHjQ5m5NnastJRSYM+PSmfi8TXx4=");
    }

    #[test]
    fn the_text_to_sign_holds_what_a_write_depends_on() {
        let url = Url::parse("https://a.blob.core.windows.net/c/k?comp=block&blockid=QQ%3D%3D");
        let headers = headers(&[
            ("if-none-match", "*"),
            ("content-type", "x/y"),
            ("range", "bytes=0-1"),
            ("x-ms-b", " 2 "),
            ("x-ms-a", "1"),
        ]);
        let text = to_sign("a", Method::Put, &url.unwrap(), &headers, 3);
        let expected = "PUT\n\n\n3\n\nx/y\n\n\n\n*\n\nbytes=0-1\nx-ms-a:1\nx-ms-b:2\n\
            /a/c/k\nblockid:QQ==\ncomp:block";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_key_that_is_no_key_is_not_repeated() {
        let error = signature("text", "CANARY!").unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("not base64") && !shown.contains("CANARY"), "{shown}");
    }

    #[test]
    fn a_signature_for_the_store_lets_one_object_be_read() {
        let at = OffsetDateTime::from_unix_timestamp(1_750_000_000).unwrap();
        let sas = read_sas("/blob/a/c/k", at, KEY).unwrap();
        assert!(sas.starts_with("sv=2020-12-06&sr=b&sp=r&st=2025-06-15T14%3A51%3A40Z"), "{sas}");
        assert!(
            sas.contains(
                "se=2025-06-15T21%3A06%3A40Z&sig=oiNERDmzbH4AoCsLwLGxyuvHhfS%2FOy6v5YTPQYA7Whs%3D"
            ),
            "{sas}"
        );
    }

    #[test]
    fn a_signature_is_added_to_what_a_query_has() {
        let mut url = Url::parse("https://h/c?comp=list").unwrap();
        add_sas(&mut url, "sv=1&sig=a%2Bb");
        assert_eq!(url.as_str(), "https://h/c?comp=list&sv=1&sig=a%2Bb");
        let mut bare = Url::parse("https://h/c").unwrap();
        add_sas(&mut bare, "sv=1");
        assert_eq!(bare.as_str(), "https://h/c?sv=1");
    }
}
