//! One endpoint of etcd: a scheme, a host and a port, and nothing secret.

use std::fmt;
use tonic::transport::Uri;

/// Where one member listens for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    is_tls: bool,
}

impl Endpoint {
    /// Reads `http://host:port`, `https://host:port`, or `host:port`, which is TLS if
    /// `tls_by_default`.
    ///
    /// # Errors
    /// What is wrong with it, without repeating credentials that may be in it.
    pub fn parse(text: &str, tls_by_default: bool) -> Result<Self, String> {
        let text = text.trim();
        if let Some((_, host)) = text.rsplit_once('@') {
            return Err(format!("the endpoint …@{host} carries credentials"));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None if tls_by_default => ("https".to_owned(), text),
            None => ("http".to_owned(), text),
        };
        if scheme != "http" && scheme != "https" {
            return Err(format!("the endpoint {text:?} is neither http nor https"));
        }
        let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
        let uri: Uri = url.parse().map_err(|_| format!("the endpoint {text:?} is not a URL"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(format!("the endpoint {text:?} has no host"));
        }
        // The parser leaves a port that is none, such as 99999, in the authority.
        let has_port = uri.authority().is_some_and(|a| a.as_str() != a.host());
        if has_port && uri.port_u16().is_none() {
            return Err(format!("the endpoint {text:?} has no valid port"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(format!("the endpoint {text:?} has a path; etcd has none"));
        }
        Ok(Endpoint { url, is_tls: scheme == "https" })
    }

    /// The URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_a_scheme_follows_the_certificates() {
        let plain = Endpoint::parse(" etcd-0:2379/ ", false).unwrap();
        assert_eq!(plain.url(), "http://etcd-0:2379");
        let tls = Endpoint::parse("[::1]:2379", true).unwrap();
        assert_eq!(tls.url(), "https://[::1]:2379");
        assert!(tls.is_tls() && !plain.is_tls());
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_its_secrets() {
        for bad in ["", "http://", "unix:///run/etcd", "http://a b:1", "http://h:1/v3", "h:99999"] {
            assert!(Endpoint::parse(bad, false).is_err(), "{bad}");
        }
        let message = Endpoint::parse("https://root:s3cret@h:2379", false).unwrap_err();
        assert_eq!(message, "the endpoint …@h:2379 carries credentials");
    }
}
