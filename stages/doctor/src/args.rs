//! The command line, as it was typed. How etcd is reached is decided in `etcd::Settings`, just as
//! for a capture.

use clap::Parser;
use contract::StageArgs;
use etcd::ConnectArgs;

/// Looks at a cluster from outside and says which case it is, how sure that is, whether to restore,
/// and what to type.
///
/// It asks every member and changes nothing, unless a member is to be replaced. A setting comes
/// from the command line, else from [capture] of the configuration, else from etcdctl's ETCDCTL_…
/// variables, else from where kubeadm puts its certificates.
#[derive(Debug, Clone, Parser)]
#[command(name = "lifeboat-doctor", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("input", |input| input.hide(true)))]
#[command(mut_arg("output", |output| output.hide(true)))]
#[command(mut_arg("run_dir", |dir| dir.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) stage: StageArgs,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// JSON on standard output, as described in docs/json.md
    #[arg(long, conflicts_with = "replace_member")]
    pub(crate) json: bool,

    /// Take this member (its name, or its id in hex) out of the cluster and add it anew, empty.
    /// Shows what it will do, and asks.
    #[arg(long, value_name = "NAME")]
    pub(crate) replace_member: Option<String>,

    /// Where the peers reach the new member [default: where they reached the old one].
    #[arg(long, value_name = "URL", requires = "replace_member", value_delimiter = ',')]
    pub(crate) peer_url: Vec<String>,

    /// Do not ask.
    #[arg(long, requires = "replace_member")]
    pub(crate) yes: bool,

    /// Replace the member although it is healthy.
    #[arg(long, requires = "replace_member")]
    pub(crate) force: bool,

    /// The newest backup is told on standard input, as JSON, by `lifeboat doctor`.
    #[arg(long, hide = true, conflicts_with = "replace_member")]
    pub(crate) backup_from_stdin: bool,

    /// The configuration as commands that are shown must name it; empty if they need not.
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) shown_config: Option<String>,
}

const AFTER: &str = "\
Examples:
  lifeboat-doctor --endpoints https://10.0.0.1:2379,https://10.0.0.2:2379
  lifeboat-doctor --replace-member cp-03

Exit codes: 0 healthy, or replaced; 10 quorum lost or nothing answers, 11 etcd refuses a certificate
or password, 20 a member holds other data than the rest, 40 it serves and something is wrong, 50
refused to replace a member.";
