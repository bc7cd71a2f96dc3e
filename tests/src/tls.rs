//! Throw-away certificate authorities.
//!
//! Invariants: every authority is new; its server certificate holds for 127.0.0.1 and localhost;
//! private keys are 0600. One certificate serves clients and peers, as kubeadm's do.
//! Does not: start anything with them; see `cluster`.

use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::fmt;
use std::path::{Path, PathBuf};

/// An authority, with a server and a client certificate, in files.
pub struct Certificates {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Whether a certificate still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// For a long time.
    Current,
    /// It ended years ago.
    Expired,
    /// It begins in a distant year.
    NotYet,
}

impl Validity {
    fn apply(self, params: &mut CertificateParams) {
        match self {
            Validity::Current => {}
            Validity::Expired => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            Validity::NotYet => params.not_before = rcgen::date_time_ymd(2200, 1, 1),
        }
    }
}

impl Certificates {
    /// Makes a new authority and its two certificates in `dir`.
    ///
    /// # Errors
    /// [`Error::Certificate`] or [`Error::File`]; `dir` must not hold one already.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        durable::create_private_dir(dir)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "lifeboat test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        durable::write_new(&dir.join("ca.crt"), params.self_signed(&key)?.pem().as_bytes())?;
        let certificates =
            Certificates { dir: dir.to_path_buf(), issuer: Issuer::new(params, key) };
        certificates.issue_server()?;
        certificates.issue_client("client", Validity::Current)?;
        Ok(certificates)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// What the servers show.
    #[must_use]
    pub fn server(&self) -> Identity {
        self.identity("server")
    }

    /// What the clients show.
    #[must_use]
    pub fn client(&self) -> Identity {
        self.identity("client")
    }

    /// Makes another client certificate, with `name` as its common name.
    ///
    /// # Errors
    /// [`Error::Certificate`] or [`Error::File`]; each name can be issued once.
    pub fn issue_client(&self, name: &str, validity: Validity) -> Result<Identity, Error> {
        let mut params = leaf(name, &[ExtendedKeyUsagePurpose::ClientAuth], Vec::new())?;
        validity.apply(&mut params);
        self.sign(name, &params)
    }

    /// Makes another server certificate, which holds for `host` only.
    ///
    /// # Errors
    /// [`Error::Certificate`] or [`Error::File`]; each name can be issued once.
    pub fn issue_server_for(
        &self,
        name: &str,
        host: &str,
        validity: Validity,
    ) -> Result<Identity, Error> {
        let usages = [ExtendedKeyUsagePurpose::ServerAuth];
        let mut params = leaf(name, &usages, vec![host.to_owned()])?;
        validity.apply(&mut params);
        self.sign(name, &params)
    }

    fn issue_server(&self) -> Result<Identity, Error> {
        // etcd also shows it as a client: to its peers, and to itself.
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.sign("server", &leaf("server", &usages, names)?)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Result<Identity, Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = self.identity(name);
        durable::write_new(&identity.certificate, certificate.pem().as_bytes())?;
        durable::write_new(&identity.key, key.serialize_pem().as_bytes())?;
        Ok(identity)
    }

    fn identity(&self, name: &str) -> Identity {
        let file = |ending| self.dir.join(format!("{name}.{ending}"));
        Identity { certificate: file("crt"), key: file("key") }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn leaf(
    name: &str,
    usages: &[ExtendedKeyUsagePurpose],
    subject_names: Vec<String>,
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(subject_names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = usages.to_vec();
    Ok(params)
}
