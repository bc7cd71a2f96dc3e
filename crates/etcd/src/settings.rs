//! What to connect to and how, put together from its sources.
//!
//! Order: the command line, then `[capture]` (with its `LIFEBOAT__…` variables), then etcdctl's
//! `ETCDCTL_…` variables, then kubeadm's certificates, and those only if nothing else was said.
//! Certificates are always verified; etcdctl's switches to do without are ignored, with a warning.
//!
//! Does not: connect. The files it reads are checked here, so that a wrong one is an error of
//! configuration and not of the network.

use crate::args::ConnectArgs;
use crate::connection::REQUEST_LIMIT;
use crate::endpoint::Endpoint;
use crate::error::Error;
use config::Capture;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where kubeadm puts the certificates of its etcd.
pub const KUBEADM_DIR: &str = "/etc/kubernetes/pki/etcd";
const KUBEADM_ENDPOINT: &str = "https://127.0.0.1:2379";
/// The clients that kubeadm makes certificates for, the least powerful first.
const KUBEADM_CLIENTS: [&str; 2] = ["healthcheck-client", "server"];
/// Certificates, keys and passwords are a few kilobytes; more than this is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// etcd's largest clusters have seven members; more than this is a mistake.
const ENDPOINTS_MAX: usize = 64;

/// Everything that is needed to connect.
#[derive(Clone)]
pub struct Settings {
    /// Where etcd is, each once.
    pub endpoints: Vec<Endpoint>,
    /// What the connections are secured with.
    pub tls: Tls,
    /// Who logs in, if anybody.
    pub login: Option<Login>,
    /// For one connection.
    pub connect_timeout: Duration,
    /// For one small request.
    pub request_timeout: Duration,
    /// Where certificates and key came from.
    pub files: Files,
}

/// For endpoints with `https`. Without an authority those of the machine count.
#[derive(Clone, Default)]
pub struct Tls {
    /// PEM.
    pub authority: Option<Vec<u8>>,
    /// Certificate and key, both PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name to expect in the servers' certificates, when it is not the endpoint's.
    pub server_name: Option<String>,
}

/// A user of etcd's own authentication.
#[derive(Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// Its password.
    pub password: Password,
}

/// A password. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// For the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a password)")
    }
}

/// The sources, the strongest first.
pub struct Sources<'a> {
    /// The command line.
    pub args: &'a ConnectArgs,
    /// `[capture]`.
    pub config: &'a Capture,
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// See [`KUBEADM_DIR`].
    pub kubeadm_dir: &'a Path,
}

/// The files that certificates and key are read from. The names are no secret.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The authority of the servers.
    pub authority: Option<PathBuf>,
    /// The client's certificate.
    pub certificate: Option<PathBuf>,
    /// The client's key.
    pub key: Option<PathBuf>,
}

impl Files {
    fn is_empty(&self) -> bool {
        self.authority.is_none() && self.certificate.is_none() && self.key.is_none()
    }
}

impl Sources<'_> {
    /// Puts the settings together.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::SettingFile`] or [`Error::NoEndpoints`].
    pub fn settings(&self) -> Result<Settings, Error> {
        self.warn_of_ignored();
        let mut files = self.tls_files();
        let mut endpoints = self.endpoints();
        if endpoints.is_empty() && files.is_empty() {
            files = self.kubeadm_files();
            if !files.is_empty() {
                endpoints.push(KUBEADM_ENDPOINT.to_owned());
            }
        }
        if endpoints.is_empty() {
            return Err(Error::NoEndpoints);
        }
        Ok(Settings {
            endpoints: parse_endpoints(&endpoints, &files)?,
            tls: self.tls(&files)?,
            login: self.login()?,
            connect_timeout: self.config.connect_timeout.get(),
            request_timeout: REQUEST_LIMIT,
            files,
        })
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn warn_of_ignored(&self) {
        const NAME: &str = "ETCDCTL_INSECURE_SKIP_TLS_VERIFY";
        if self.variable(NAME).is_some_and(|value| value != "false" && value != "0") {
            tracing::warn!("{NAME} is ignored: the server's certificate is always verified");
        }
    }

    fn endpoints(&self) -> Vec<String> {
        if !self.args.endpoints.is_empty() {
            return self.args.endpoints.clone();
        }
        if !self.config.endpoints.is_empty() {
            return self.config.endpoints.clone();
        }
        let list = self.variable("ETCDCTL_ENDPOINTS").unwrap_or_default();
        let parts = list.split(',').map(str::trim).filter(|p| !p.is_empty());
        parts.map(str::to_owned).collect()
    }

    fn tls_files(&self) -> Files {
        let pick = |flag: &Option<PathBuf>, key: &Option<PathBuf>, variable: &str| {
            let said = flag.clone().or_else(|| key.clone());
            said.or_else(|| self.variable(variable).map(PathBuf::from))
        };
        let (args, config) = (self.args, self.config);
        Files {
            authority: pick(&args.cacert, &config.ca_file, "ETCDCTL_CACERT"),
            certificate: pick(&args.cert, &config.cert_file, "ETCDCTL_CERT"),
            key: pick(&args.key, &config.key_file, "ETCDCTL_KEY"),
        }
    }

    fn kubeadm_files(&self) -> Files {
        let file = |name: String| Some(self.kubeadm_dir.join(name)).filter(|path| path.exists());
        let Some(authority) = file("ca.crt".into()) else {
            return Files::default();
        };
        let pairs = KUBEADM_CLIENTS.iter().filter_map(|client| {
            Some((file(format!("{client}.crt"))?, file(format!("{client}.key"))?))
        });
        let (certificate, key) = pairs.map(|(c, k)| (Some(c), Some(k))).next().unwrap_or_default();
        Files { authority: Some(authority), certificate, key }
    }

    fn tls(&self, files: &Files) -> Result<Tls, Error> {
        let identity = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => {
                Some((read_certificates(certificate)?, read_key(key)?))
            }
            (None, None) => None,
            _ => {
                return Err(Error::setting(
                    "a client certificate and its key belong together",
                    "set both cert_file and key_file (--cert, --key), or neither",
                ));
            }
        };
        let args_name = self.args.server_name.clone();
        Ok(Tls {
            authority: files.authority.as_deref().map(read_certificates).transpose()?,
            identity,
            server_name: args_name.or_else(|| self.config.server_name.clone()),
        })
    }

    fn login(&self) -> Result<Option<Login>, Error> {
        if self.args.user.as_deref().is_some_and(|user| user.contains(':')) {
            return Err(Error::setting(
                "--user takes a name only: others on this machine can read a command line",
                "put the password into a file and name it with --password-file",
            ));
        }
        let said = self.args.user.clone().or_else(|| self.config.user.clone());
        let (env_user, env_password) = self.environment_login();
        let file = self.args.password_file.as_ref().or(self.config.password_file.as_ref());
        let Some(user) = said.clone().or_else(|| env_user.clone()) else {
            return match file {
                Some(path) => Err(Error::setting(
                    format!("the password file {} has no user", path.display()),
                    "set user (--user)",
                )),
                None => Ok(None),
            };
        };
        // The password that ETCDCTL_USER carries is only that user's.
        let fallback = if said.is_none() || env_user.is_none() || said == env_user {
            env_password
        } else {
            None
        };
        let password = match file {
            Some(path) => Some(read_password(path)?),
            None => fallback,
        };
        match password {
            Some(password) => Ok(Some(Login { user, password })),
            None => Err(Error::setting(
                format!("the user {user:?} has no password"),
                "set password_file (--password-file) or ETCDCTL_PASSWORD",
            )),
        }
    }

    /// `ETCDCTL_USER`, which may be `name:password`, and `ETCDCTL_PASSWORD`.
    fn environment_login(&self) -> (Option<String>, Option<Password>) {
        let separate = self.variable("ETCDCTL_PASSWORD");
        let (user, joined) = match self.variable("ETCDCTL_USER") {
            None => (None, None),
            // etcdctl takes the whole text as the name when the password is separate.
            Some(user) if separate.is_some() => (Some(user), None),
            Some(text) => match text.split_once(':') {
                Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
                None => (Some(text), None),
            },
        };
        (user, separate.or(joined).map(Password))
    }
}

fn parse_endpoints(texts: &[String], files: &Files) -> Result<Vec<Endpoint>, Error> {
    if texts.len() > ENDPOINTS_MAX {
        return Err(Error::setting(
            format!("{} endpoints; at most {ENDPOINTS_MAX} make sense", texts.len()),
            "name the members of one cluster only",
        ));
    }
    let has_files = !files.is_empty();
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(texts.len());
    for text in texts {
        let endpoint = Endpoint::parse(text, has_files)
            .map_err(|problem| Error::setting(problem, "write it like https://10.0.0.1:2379"))?;
        if has_files && !endpoint.is_tls() {
            return Err(Error::setting(
                format!("certificates are configured, but {endpoint} would not use them"),
                "write https://, or take the certificates out",
            ));
        }
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    Ok(endpoints)
}

fn read_certificates(path: &Path) -> Result<Vec<u8>, Error> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(
        certificates.map_err(|e| wrong_file(path, &format!("it is not PEM: {e}")))?,
    );
    match usable {
        0 => Err(wrong_file(path, "there is no certificate in it")),
        _ => Ok(text),
    }
}

fn read_key(path: &Path) -> Result<Vec<u8>, Error> {
    let text = read(path)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(wrong_file(
            path,
            "there is no private key in it that can be used (PKCS#8, PKCS#1 or SEC1, \
             without a passphrase)",
        )),
    }
}

/// The file's text, without the one line end that an editor leaves behind.
fn read_password(path: &Path) -> Result<Password, Error> {
    let text = String::from_utf8(read(path)?)
        .map_err(|_| wrong_file(path, "the password is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let password = line.strip_suffix('\r').unwrap_or(line);
    if password.is_empty() {
        return Err(wrong_file(path, "it is empty"));
    }
    Ok(Password(password.to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::SettingFile { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong_file(path, &format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn wrong_file(path: &Path, problem: &str) -> Error {
    Error::setting(
        format!("{} cannot be used: {problem}", path.display()),
        "check that the setting names the right file",
    )
}

#[cfg(test)]
mod tests;
