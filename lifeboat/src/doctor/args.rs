//! The arguments of `lifeboat doctor`. Those about etcd are those of `lifeboat-doctor`, which alone
//! understands them: they are passed on as they are.

use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

const ETCD_HEADING: &str = "How etcd is reached [default: [capture], ETCDCTL_…, kubeadm's files]";

pub(crate) const AFTER: &str = "\
It asks every member, reads the catalogue beside it, and changes nothing. The cases: healthy,
member-down, member-lagging, member-corrupt, no-space, membership-split, quorum-lost,
data-corruption, unreachable, and unproven. Each comes with how sure it is, whether to restore, and
the commands to type, in order.

Examples:
  lifeboat doctor
  lifeboat doctor --endpoints https://10.0.0.1:2379 --cacert ca.crt --cert c.crt --key c.key
  lifeboat doctor --replace-member cp-03

Exit codes: 0 healthy, or replaced; 10 quorum lost or nothing answers, 11 etcd refuses a certificate
or password, 20 a member holds other data than the rest, 40 it serves and something is wrong, 50
refused to replace a member.";

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// JSON on standard output, as described in docs/json.md
    #[arg(long, conflicts_with = "replace_member")]
    pub(crate) json: bool,
    /// Take this member (its name, or its id in hex) out of the cluster and add it anew, empty:
    /// shows what it will do, and asks
    #[arg(long, value_name = "NAME")]
    pub(crate) replace_member: Option<String>,
    /// Where the peers reach the new member [default: where they reached the old one]
    #[arg(long, value_name = "URL", requires = "replace_member")]
    pub(crate) peer_url: Option<String>,
    /// Do not ask
    #[arg(long, requires = "replace_member")]
    pub(crate) yes: bool,
    /// Replace the member although it is healthy
    #[arg(long, requires = "replace_member")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

/// Passed on.
#[derive(Debug, Args)]
#[command(next_help_heading = ETCD_HEADING)]
pub(crate) struct ConnectArgs {
    /// Where etcd is, separated by commas
    #[arg(long, value_name = "URL")]
    endpoints: Option<String>,
    /// The certificate authority of the servers
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The client's certificate
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The client's key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name to expect in the server's certificate, when it is not the endpoint's
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The user, where etcd's own authentication is on
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The file with that user's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl DoctorArgs {
    /// For `lifeboat-doctor`.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = self.connect.words();
        let mut say = |flag: &str, is_said: bool| {
            if is_said {
                words.push(format!("--{flag}").into());
            }
        };
        say("json", self.json);
        say("yes", self.yes);
        say("force", self.force);
        push(&mut words, "replace-member", self.replace_member.as_ref());
        push(&mut words, "peer-url", self.peer_url.as_ref());
        words
    }
}

impl ConnectArgs {
    fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        push(&mut words, "endpoints", self.endpoints.as_ref());
        push(&mut words, "cacert", self.cacert.as_ref());
        push(&mut words, "cert", self.cert.as_ref());
        push(&mut words, "key", self.key.as_ref());
        push(&mut words, "server-name", self.server_name.as_ref());
        push(&mut words, "user", self.user.as_ref());
        push(&mut words, "password-file", self.password_file.as_ref());
        words
    }
}

/// `--flag=value`, so that a value may begin with anything.
fn push(words: &mut Vec<OsString>, flag: &str, value: Option<impl Into<OsString>>) {
    if let Some(value) = value {
        let mut word = OsString::from(format!("--{flag}="));
        word.push(value.into());
        words.push(word);
    }
}
