//! A server whose certificate no system trusts.

use crate::servers;
use lifeboat_store::{Checksum, Destination, ErrorKind, GcsDestination, S3Destination, StoreError};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

/// Answers everything with 404; ends with the test process.
fn serve(listener: &TcpListener, config: &Arc<rustls::ServerConfig>) {
    for stream in listener.incoming() {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && matches!(tls.read(&mut byte), Ok(1)) {
            request.push(byte[0]);
        }
        let _ = tls.write_all(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = tls.flush();
    }
}

/// Its address, and its certificate as text.
pub(crate) fn private_server() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || serve(&listener, &Arc::new(config)));
    (url, made.cert.pem())
}

pub(crate) fn is_told(error: &StoreError) {
    assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(error.hint().unwrap().contains("ca_file"));
}

#[tokio::test]
async fn only_the_ca_file_makes_a_private_server_of_googles_language_trusted() {
    let (url, certificate) = private_server();
    let mut settings = servers::gcs_settings(&url);
    settings.attempts = 1;
    let stranger = GcsDestination::open(settings.clone()).await.unwrap();
    is_told(&stranger.head("key").await.unwrap_err());
    is_told(&stranger.read("key", None).await.err().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, certificate).unwrap();
    settings.ca_file = Some(path.clone());
    let trusted = GcsDestination::open(settings.clone()).await.unwrap();
    assert_eq!(trusted.head("key").await.unwrap(), None);
    let absent = trusted.read("key", None).await.err().unwrap();
    assert!(matches!(absent.kind(), ErrorKind::NotFound), "{absent}");
    std::fs::write(&path, "nonsense").unwrap();
    let error = GcsDestination::open(settings).await.err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error}");
}

#[tokio::test]
async fn only_the_ca_file_makes_a_private_server_trusted() {
    let (url, certificate) = private_server();

    let mut settings = servers::settings(&url, Checksum::Full);
    settings.attempts = 1;
    let stranger = S3Destination::open(settings.clone()).await.unwrap();
    let error = stranger.head("key").await.unwrap_err();
    is_told(&error);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, certificate).unwrap();
    settings.ca_file = Some(path.clone());
    let trusted = S3Destination::open(settings.clone()).await.unwrap();
    assert_eq!(trusted.head("key").await.unwrap(), None);

    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for bad in ["", "nonsense", broken] {
        std::fs::write(&path, bad).unwrap();
        let error = S3Destination::open(settings.clone()).await.err().expect(bad);
        assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error}");
    }
}
