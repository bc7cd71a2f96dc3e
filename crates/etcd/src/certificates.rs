//! How long the certificates hold: the client's, the authority's, and what each endpoint shows.
//!
//! The endpoints' are seen in a handshake of their own that is always broken off as soon as the
//! certificate is there: nothing is believed and nothing is sent, so that an expired or unknown
//! one can be looked at too.

use crate::endpoint::Endpoint;
use crate::probe;
use crate::settings::{Settings, Tls};
use contract::{Exit, Finding};
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A certificate that ends sooner than this should be renewed now.
pub const WARN_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 86_400;

/// One certificate that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, for people.
    pub what: &'static str,
    /// The server that shows it; empty for one of this machine.
    pub about: String,
    /// When it ends.
    pub ends: Timestamp,
}

/// The certificates of this machine and of `endpoints`, those that cannot be seen left out.
pub async fn seen(settings: &Arc<Settings>, endpoints: Vec<Endpoint>) -> Vec<Certificate> {
    let mut certificates = own(&settings.tls);
    let mut looks = tokio::task::JoinSet::new();
    for (position, endpoint) in endpoints.into_iter().filter(Endpoint::is_tls).enumerate() {
        let settings = Arc::clone(settings);
        looks.spawn_blocking(move || (position, of_server(&endpoint, &settings)));
    }
    let mut seen = looks.join_all().await;
    seen.sort_by_key(|(position, _)| *position);
    certificates.extend(seen.into_iter().filter_map(|(_, certificate)| certificate));
    certificates
}

fn own(tls: &Tls) -> Vec<Certificate> {
    let client = tls.identity.as_ref().and_then(|(chain, _)| ends(chain).into_iter().next());
    // Of a bundle the newest counts: the older ones are there until the last server is renewed.
    let authority = tls.authority.as_ref().and_then(|bundle| ends(bundle).into_iter().max());
    let known = [("client certificate", client), ("authority (ca_file)", authority)];
    let own = known
        .into_iter()
        .filter_map(|(what, ends)| Some(Certificate { what, about: String::new(), ends: ends? }));
    own.collect()
}

fn of_server(endpoint: &Endpoint, settings: &Settings) -> Option<Certificate> {
    let shown = shown_by(endpoint, &settings.tls, settings.connect_timeout)?;
    let ends = end_of(&shown)?;
    Some(Certificate { what: "server certificate", about: endpoint.to_string(), ends })
}

/// What there is to say about one of them.
#[must_use]
pub fn judge(certificate: &Certificate, now: Timestamp) -> Finding {
    let Certificate { what, about, ends } = certificate;
    let left = ends.as_second() - now.as_second();
    let date = ends.strftime("%Y-%m-%d");
    let next = match about.as_str() {
        "" => "renew it (kubeadm certs renew)",
        _ => "renew that member's server certificate (kubeadm certs renew)",
    };
    let finding = match left / DAY_SECONDS {
        _ if left <= 0 => {
            let finding =
                Finding::bad(*what, format!("the {what} expired on {date}"), Exit::Credentials);
            finding.next(next)
        }
        days if days < WARN_DAYS => {
            let detail = format!("the {what} expires in {days} days, on {date}");
            Finding::warning(*what, detail, next)
        }
        _ => Finding::good(*what, format!("{what} until {date}")),
    };
    finding.about(about)
}

/// When each certificate of a PEM text ends.
fn ends(pem: &[u8]) -> Vec<Timestamp> {
    CertificateDer::pem_slice_iter(pem).flatten().filter_map(|der| end_of(&der)).collect()
}

fn end_of(der: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// The certificate that a server shows, if it shows one.
fn shown_by(endpoint: &Endpoint, tls: &Tls, limit: Duration) -> Option<CertificateDer<'static>> {
    let mut socket = probe::connect(endpoint, limit).ok()?;
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => probe::host_of(endpoint).ok()?,
    };
    let onlooker = Arc::new(Onlooker::default());
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(onlooker.clone())
        .with_no_client_auth();
    config.alpn_protocols.push(b"h2".to_vec());
    let name = ServerName::try_from(name).ok()?;
    let mut session = ClientConnection::new(Arc::new(config), name).ok()?;
    // It always ends with an error: the onlooker accepts nothing.
    let _ = session.complete_io(&mut socket);
    onlooker.seen.lock().ok()?.take()
}

/// Remembers the certificate and refuses it, whatever it is.
#[derive(Debug, Default)]
struct Onlooker {
    seen: Mutex<Option<CertificateDer<'static>>>,
}

fn refused<T>() -> Result<T, rustls::Error> {
    Err(rustls::Error::General("this handshake only looks".to_owned()))
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(end_entity.clone().into_owned());
        }
        refused()
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refused()
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refused()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = CryptoProvider::get_default();
        provider
            .map(|p| p.signature_verification_algorithms.supported_schemes())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Level;

    #[test]
    fn the_last_thirty_days_are_a_warning() {
        let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        for (end, level) in [
            ("2026-11-19T23:59:59Z", Level::Failed),
            ("2026-11-20T00:00:00Z", Level::Failed),
            ("2026-11-21T00:00:00Z", Level::Warning),
            ("2026-12-19T23:59:59Z", Level::Warning),
            ("2026-12-20T00:00:00Z", Level::Ok),
        ] {
            let ends = end.parse().unwrap();
            let certificate = Certificate { what: "client certificate", about: "".into(), ends };
            let finding = judge(&certificate, now);
            assert_eq!(finding.level, level, "{end}: {finding:?}");
            assert_eq!(finding.next.is_some(), level != Level::Ok, "{end}");
        }
    }

    #[test]
    fn of_an_authority_that_is_being_renewed_the_newer_one_counts() {
        let authority = |year| {
            let mut params = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().pem()
        };
        let bundle = format!("{}{}", authority(2020), authority(2090)).into_bytes();
        assert_eq!(ends(&bundle).len(), 2);
        let tls = Tls { authority: Some(bundle), ..Tls::default() };
        let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let own = own(&tls);
        assert_eq!((own.len(), judge(&own[0], now).level), (1, Level::Ok), "{own:?}");
    }
}
