//! An HTTP client for one destination: its certificate authorities, its proxy, its time limits.
//!
//! Owns what the stores that are spoken to in plain HTTP have in common, and what a failed exchange
//! means. A redirection is never followed: it would take the credentials elsewhere.
//! Does not: retry, sign, or know any store's language.

use crate::error::innermost;
use crate::{Endpoint, ErrorKind};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::path::Path;
use std::time::Duration;

/// Limit of setting up a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest CA file; the bundle of a whole operating system has 0.3 MB.
const CA_FILE_BYTES_MAX: u64 = 4 << 20;

/// A client that trusts the certificates of `ca_file` alone, if there is one, and goes through
/// `proxy`, or else through what the environment names. `silence` is how long nothing may come, so
/// no shorter than the slowest request takes to send; the limit of a whole request is set on it.
pub(crate) fn client(
    ca_file: Option<&Path>,
    proxy: Option<&Endpoint>,
    silence: Duration,
) -> Result<reqwest::Client, ErrorKind> {
    // Another one may be installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(silence)
        .redirect(reqwest::redirect::Policy::none())
        // A connection for each request: none waits in the window of another.
        .http1_only();
    if let Some(path) = ca_file {
        let pem = certificates(path)?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem);
        builder = builder.tls_certs_only(roots.map_err(|e| unusable(path, &innermost(&e)))?);
    }
    if let Some(proxy) = proxy {
        let proxy = reqwest::Proxy::all(proxy.as_str()).map_err(|e| config(innermost(&e)))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|e| config(innermost(&e)))
}

/// The certificates of a CA file, each of which was parsed: some clients panic over a bad one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<u8>, ErrorKind> {
    let read = |e: std::io::Error| unusable(path, &e.to_string());
    let bytes = std::fs::metadata(path).map_err(read)?.len();
    if bytes > CA_FILE_BYTES_MAX {
        return Err(unusable(path, &format!("it has {bytes} bytes")));
    }
    let pem = std::fs::read(path).map_err(read)?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| unusable(path, &e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(path, &e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable(path, "it contains no certificate"));
    }
    Ok(pem)
}

pub(crate) fn unusable(path: &Path, why: &str) -> ErrorKind {
    let said = format!("the CA file {} cannot be used: {why}", path.display());
    ErrorKind::Config { said, hint: "give a file of PEM certificates" }
}

fn config(said: String) -> ErrorKind {
    ErrorKind::Config { said, hint: "correct endpoint, proxy or ca_file" }
}

/// What it means that there was no answer, or only half of one. Whether the proxy is not there or does
/// not get through, it is the one that was asked.
pub(crate) fn failure(e: &reqwest::Error, proxy: Option<&Endpoint>) -> ErrorKind {
    let cause = innermost(e);
    // A certificate does not get better by waiting. rustls says "invalid peer certificate: …".
    if cause.contains("certificate") {
        let said = format!("the server's certificate is not trusted: {cause}");
        return ErrorKind::Config { said, hint: "name its authority in ca_file" };
    }
    let by = proxy.map(|proxy| format!(" by the proxy {}", proxy.as_str())).unwrap_or_default();
    let said = match (e.is_connect(), e.is_timeout()) {
        (true, true) => format!("no connection within the time limit{by}: {cause}"),
        (true, false) => format!("no connection{by}: {cause}"),
        (false, true) => "no answer within the time limit".to_owned(),
        (false, false) if e.is_builder() => {
            return config(format!("the request could not be made: {cause}"));
        }
        (false, false) => cause,
    };
    ErrorKind::Transient { said }
}
