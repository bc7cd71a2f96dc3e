//! Which source wins, and what is refused.

use super::*;
use clap::Parser as _;
use contract::Failure;
use std::collections::BTreeMap;

#[derive(clap::Parser)]
struct Typed {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// The sources of one test.
struct Case {
    args: Vec<String>,
    config: Capture,
    variables: BTreeMap<String, String>,
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        Case {
            args: vec!["program".into()],
            config: Capture::default(),
            variables: BTreeMap::new(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    fn config(mut self, change: impl FnOnce(&mut Capture)) -> Self {
        change(&mut self.config);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    #[allow(clippy::disallowed_methods)]
    fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn settings(&self) -> Result<Settings, Error> {
        let args = Typed::try_parse_from(&self.args).unwrap();
        let sources = Sources {
            args: &args.connect,
            config: &self.config,
            variable: &|name| self.variables.get(name).cloned(),
            kubeadm_dir: self.dir.path(),
        };
        sources.settings()
    }

    fn urls(&self) -> Vec<String> {
        let settings = self.settings().unwrap();
        settings.endpoints.iter().map(ToString::to_string).collect()
    }

    fn login(&self) -> Option<(String, String)> {
        let login = self.settings().unwrap().login;
        login.map(|login| (login.user, login.password.expose().to_owned()))
    }

    fn problem(&self) -> String {
        let error = self.settings().err().unwrap();
        assert_eq!(error.exit(), contract::Exit::Config);
        error.to_string()
    }
}

/// A certificate that is one by its form, made for these tests, and its key.
fn pair() -> (Vec<u8>, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["etcd".to_owned()]).unwrap();
    (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes())
}

#[test]
fn endpoints_come_from_the_strongest_source() {
    let case = Case::new().variable("ETCDCTL_ENDPOINTS", "http://env-1:2379, env-2:2379");
    assert_eq!(case.urls(), ["http://env-1:2379", "http://env-2:2379"]);
    let case = case.config(|c| c.endpoints = vec!["config:2379".into()]);
    assert_eq!(case.urls(), ["http://config:2379"]);
    let case = case.args(&["--endpoints", "flag-1:2379,flag-2:2379,flag-1:2379"]);
    assert_eq!(case.urls(), ["http://flag-1:2379", "http://flag-2:2379"]);
}

#[test]
fn without_any_source_there_is_nothing_to_connect_to() {
    assert_eq!(Case::new().problem(), "no endpoint of etcd is configured");
    let empty = Case::new().variable("ETCDCTL_ENDPOINTS", "");
    assert_eq!(empty.problem(), "no endpoint of etcd is configured");
}

#[test]
fn kubeadm_counts_only_when_nothing_else_was_said() {
    let case = Case::new();
    let (certificate, key) = pair();
    case.file("ca.crt", &certificate);
    assert_eq!(case.urls(), ["https://127.0.0.1:2379"]);
    assert!(case.settings().unwrap().tls.identity.is_none());
    case.file("server.crt", &certificate);
    case.file("server.key", &key);
    let settings = case.settings().unwrap();
    assert_eq!(settings.tls.identity, Some((certificate.clone(), key.clone())));
    assert_eq!(settings.tls.authority, Some(certificate.clone()));
    let (other, other_key) = pair();
    case.file("healthcheck-client.crt", &other);
    case.file("healthcheck-client.key", &other_key);
    assert_eq!(case.settings().unwrap().tls.identity, Some((other, other_key)));

    let case = case.args(&["--endpoints", "http://elsewhere:2379"]);
    let settings = case.settings().unwrap();
    assert!(settings.tls.authority.is_none());
    assert_eq!(settings.endpoints[0].url(), "http://elsewhere:2379");
}

#[test]
fn certificates_come_from_the_strongest_source_each_by_itself() {
    let case = Case::new();
    let [(a, _), (b, _), (c, _)] = [pair(), pair(), pair()];
    let flag = case.file("a.crt", &a).display().to_string();
    let config = case.file("b.crt", &b);
    let variable = case.file("c.crt", &c).display().to_string();
    let authority = |case: &Case| case.settings().unwrap().tls.authority;
    let case =
        case.variable("ETCDCTL_ENDPOINTS", "etcd:2379").variable("ETCDCTL_CACERT", &variable);
    assert_eq!(authority(&case), Some(c));
    assert_eq!(case.urls(), ["https://etcd:2379"], "an authority makes https the default");
    let case = case.config(|capture| capture.ca_file = Some(config));
    assert_eq!(authority(&case), Some(b));
    let case = case.args(&["--cacert", &flag]);
    assert_eq!(authority(&case), Some(a));
}

#[test]
fn halves_and_contradictions_are_refused() {
    let case = Case::new();
    let (certificate, key) = pair();
    let certificate = case.file("c.crt", &certificate).display().to_string();
    let key = case.file("c.key", &key).display().to_string();
    let with = |args: &[&str]| Case::new().args(&["--endpoints", "https://etcd:1"]).args(args);
    assert!(with(&["--cert", &certificate]).problem().contains("belong together"));
    assert!(with(&["--key", &key]).problem().contains("belong together"));
    assert!(with(&["--cacert", &key]).problem().contains("no certificate"));
    assert!(
        with(&["--cert", &certificate, "--key", &certificate]).problem().contains("no private")
    );
    assert!(with(&["--cacert", "/not/there"]).problem().contains("cannot read /not/there"));
    let plain = Case::new().args(&["--endpoints", "http://etcd:1", "--cacert", &certificate]);
    assert!(plain.problem().contains("http://etcd:1 would not use them"));
    let many = vec!["e:1"; ENDPOINTS_MAX + 1].join(",");
    assert!(Case::new().args(&["--endpoints", &many]).problem().contains("at most"));
}

#[test]
fn a_login_comes_from_the_strongest_source() {
    let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
    let case = Case::new().args(&["--endpoints", "etcd:2379"]);
    let file = case.file("password", b"in a file: \xc3\xa4 \r\n");
    assert_eq!(case.login(), None);
    let case = case.variable("ETCDCTL_USER", "env:with:colon");
    assert_eq!(case.login(), pair("env", "with:colon"));
    let case = case.variable("ETCDCTL_PASSWORD", "apart");
    assert_eq!(case.login(), pair("env:with:colon", "apart"));
    let case = case.variable("ETCDCTL_USER", "env");
    let case = case.config(|c| c.user = Some("root".into()));
    assert!(case.problem().contains("\"root\" has no password"), "it is env's password");
    let case = case.config(|c| c.password_file = Some(file));
    assert_eq!(case.login(), pair("root", "in a file: ä "));
    let case = case.args(&["--user", "flag"]);
    assert_eq!(case.login(), pair("flag", "in a file: ä "));
}

#[test]
fn a_password_alone_belongs_to_the_configured_user() {
    let case = Case::new()
        .args(&["--endpoints", "etcd:2379", "--user", "root"])
        .variable("ETCDCTL_PASSWORD", "secret");
    assert_eq!(case.login(), Some(("root".into(), "secret".into())));
}

#[test]
fn passwords_are_neither_typed_nor_printed() {
    let typed = Case::new().args(&["--endpoints", "etcd:2379", "--user", "root:s3cret"]);
    assert!(!typed.problem().contains("s3cret"));
    let url = Case::new().args(&["--endpoints", "http://root:s3cret@etcd:2379"]);
    assert!(!url.problem().contains("s3cret"));
    assert_eq!(format!("{:?}", Password("s3cret".into())), "(a password)");
}

#[test]
fn a_password_file_must_hold_one_and_have_a_user() {
    let case = Case::new().args(&["--endpoints", "etcd:2379"]);
    let empty = case.file("empty", b"\n");
    let large = case.file("large", &vec![b'x'; 1 + usize::try_from(FILE_BYTES_MAX).unwrap()]);
    let case = case.config(|c| c.password_file = Some(empty));
    assert!(case.problem().contains("has no user"));
    let case = case.args(&["--user", "root"]);
    assert!(case.problem().contains("it is empty"));
    let case = case.config(|c| c.password_file = Some(large));
    assert!(case.problem().contains("larger than"));
}
