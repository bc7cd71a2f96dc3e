//! One POST, bounded in time, that follows nobody anywhere else.
//!
//! Invariant: no error shows more of a URL than its host, because the rest is a secret.

use crate::error::Error;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use url::Url;

/// What is sent.
pub(crate) struct Message {
    /// Its content type.
    pub(crate) kind: &'static str,
    /// Its body.
    pub(crate) text: String,
}

/// A client for some requests.
pub(crate) struct Client(ureq::Agent);

impl Client {
    /// `limit` is for one request, from the name of the host to the last byte of the answer.
    pub(crate) fn new(limit: Duration) -> Self {
        // Where no certificate can be read, no server is trusted, and that is what is told.
        let native = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> =
            native.iter().map(|der| Certificate::from_der(der.as_ref()).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            // The one provider of the tree.
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ));
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(limit))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(tls.build())
            .user_agent(concat!("lifeboat-notify/", env!("CARGO_PKG_VERSION")));
        Client(config.build().into())
    }

    /// Sends a message; an answer of 200 to 299 is a success, and nothing of it is read.
    pub(crate) fn post(&self, url: &Url, message: &Message) -> Result<(), Error> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = self.0.post(url.as_str()).header("content-type", message.kind);
        match request.send(message.text.as_bytes()) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                Err(Error::NotTold { host, why: format!("it answered {}", answer.status()) })
            }
            Err(e) => Err(Error::NotTold { host, why: without_secrets(&e.to_string(), url) }),
        }
    }
}

fn without_secrets(text: &str, url: &Url) -> String {
    let mut text = text.replace(url.as_str(), "its URL");
    for part in url.path().split('/').chain(url.query()).filter(|part| !part.is_empty()) {
        text = text.replace(part, "…");
    }
    contract::visible(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f54_i23_of_a_url_only_the_host_is_shown() {
        let url = Url::parse("https://hc.example/5f1c-secret/start?token=hunter2").unwrap();
        let text = format!("bad answer from {url}: /5f1c-secret/start token=hunter2 hc.example");
        let shown = without_secrets(&text, &url);
        assert!(!shown.contains("5f1c") && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("hc.example"), "{shown}");
    }
}
