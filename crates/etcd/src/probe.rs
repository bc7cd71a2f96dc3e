//! Why a connection broke before etcd said anything: looked up after the fact.
//!
//! With TLS 1.3 a server refuses a client's certificate only after the client takes the handshake
//! for done, and the HTTP/2 layer then reports no more than "connection closed". Speaking TLS to
//! a port without it, or the other way round, ends as silently. One short blocking exchange with
//! the same certificates finds out, so that the message can name the cause.
//!
//! Does not: run when all is well, nor send anything but a TLS handshake and HTTP/2's greeting.

use crate::endpoint::Endpoint;
use crate::settings::{Settings, Tls};
use crate::trouble::Trouble;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Uri;

/// HTTP/2's connection preface and an empty SETTINGS frame (RFC 9113, 3.4 and 6.5).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const FRAME_HEADER_BYTES: usize = 9;
const FRAME_TYPE_SETTINGS: u8 = 4;

/// A better word for a connection that was lost at its beginning, where there is one.
pub(crate) async fn explain(
    endpoint: &Endpoint,
    settings: &Arc<Settings>,
    trouble: Trouble,
) -> Trouble {
    if !matches!(trouble, Trouble::Lost(_)) {
        return trouble;
    }
    let (endpoint, settings) = (endpoint.clone(), Arc::clone(settings));
    let probe = tokio::task::spawn_blocking(move || {
        let limit = settings.connect_timeout;
        if endpoint.is_tls() {
            of_tls(&endpoint, &settings.tls, limit)
        } else {
            of_plain(&endpoint, &settings.tls, limit)
        }
    });
    probe.await.ok().flatten().unwrap_or(trouble)
}

/// What is wrong with TLS: the server's alert, or that there is no TLS.
fn of_tls(endpoint: &Endpoint, tls: &Tls, limit: Duration) -> Option<Trouble> {
    match speak_tls(endpoint, tls, limit) {
        Ok(()) => None,
        Err(error) => match Trouble::of_chain(&error) {
            Trouble::Lost(_) if speaks_plain(endpoint, limit) => Some(Trouble::NotTls),
            Trouble::Lost(_) => None,
            // The probe does not know this machine's authorities.
            Trouble::UnknownAuthority if tls.authority.is_none() => None,
            other => Some(other),
        },
    }
}

/// Whether a port that was spoken to in plain speaks TLS.
fn of_plain(endpoint: &Endpoint, tls: &Tls, limit: Duration) -> Option<Trouble> {
    let speaks_tls = match speak_tls(endpoint, tls, limit) {
        Ok(()) => true,
        Err(error) => matches!(
            Trouble::of_chain(&error),
            Trouble::UnknownAuthority
                | Trouble::Expired(_)
                | Trouble::NotYetValid(_)
                | Trouble::OtherName(_)
                | Trouble::CertificateRequired
                | Trouble::CertificateRefused(_)
        ),
    };
    speaks_tls.then_some(Trouble::NotPlain)
}

fn speak_tls(endpoint: &Endpoint, tls: &Tls, limit: Duration) -> io::Result<()> {
    let mut socket = connect(endpoint, limit)?;
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => host_of(endpoint)?,
    };
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let config = Arc::new(config_of(tls).map_err(io::Error::other)?);
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = Stream::new(&mut session, &mut socket);
    stream.write_all(GREETING)?;
    stream.flush()?;
    let mut answer = [0; FRAME_HEADER_BYTES];
    stream.read_exact(&mut answer)
}

/// Without an authority of its own the probe trusts nobody; it gets as far as it needs to tell
/// whether there is TLS at all.
fn config_of(tls: &Tls) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = &tls.authority {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let identity = tls.identity.as_ref().and_then(|(certificate, key)| {
        let key = PrivateKeyDer::from_pem_slice(key).ok()?;
        let chain = CertificateDer::pem_slice_iter(certificate).flatten().collect();
        Some((chain, key))
    });
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

fn speaks_plain(endpoint: &Endpoint, limit: Duration) -> bool {
    let greet = || -> io::Result<u8> {
        let mut socket = connect(endpoint, limit)?;
        socket.write_all(GREETING)?;
        let mut header = [0; FRAME_HEADER_BYTES];
        socket.read_exact(&mut header)?;
        Ok(header[3])
    };
    greet().is_ok_and(|frame_type| frame_type == FRAME_TYPE_SETTINGS)
}

pub(crate) fn connect(endpoint: &Endpoint, limit: Duration) -> io::Result<TcpStream> {
    let uri = uri_of(endpoint)?;
    let port = uri.port_u16().unwrap_or(if endpoint.is_tls() { 443 } else { 80 });
    let mut addresses = (host_of(endpoint)?.as_str(), port).to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    let socket = TcpStream::connect_timeout(&address, limit)?;
    socket.set_read_timeout(Some(limit))?;
    socket.set_write_timeout(Some(limit))?;
    Ok(socket)
}

pub(crate) fn host_of(endpoint: &Endpoint) -> io::Result<String> {
    let uri = uri_of(endpoint)?;
    let host = uri.host().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn uri_of(endpoint: &Endpoint) -> io::Result<Uri> {
    endpoint.url().parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A server that takes connections one after the other and answers each with `answer`.
    fn serve(answer: &'static [u8]) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming().take(2) {
                let mut socket = socket.unwrap();
                let mut greeting = [0; 16];
                socket.read_exact(&mut greeting).unwrap();
                socket.write_all(answer).unwrap();
            }
        });
        Endpoint::parse(&format!("https://{address}"), true).unwrap()
    }

    #[test]
    fn f20_a_plain_server_is_told_from_one_that_only_hangs_up() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        let plain = serve(settings);
        assert_eq!(of_tls(&plain, &Tls::default(), LIMIT), Some(Trouble::NotTls));
        let mute = serve(b"");
        assert_eq!(of_tls(&mute, &Tls::default(), LIMIT), None);
    }
}
