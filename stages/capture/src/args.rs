//! The command line, as it was typed. What it means together with the configuration and the
//! environment is decided in `settings`.

use clap::Parser;
use config::MemberChoice;
use contract::StageArgs;
use etcd::ConnectArgs;

/// Captures a snapshot from a live etcd.
///
/// A setting comes from the command line, else from [capture] of the configuration, else from
/// etcdctl's ETCDCTL_… variables, else from where kubeadm puts its certificates.
#[derive(Debug, Clone, Parser)]
#[command(name = "lifeboat-capture", version, max_term_width = 100, after_help = AFTER)]
#[command(mut_arg("input", |input| input.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) stage: StageArgs,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Which member gives the snapshot: follower, leader, rotate, or its name, id or endpoint.
    #[arg(long, value_name = "MEMBER")]
    pub(crate) member: Option<MemberChoice>,

    /// Ask this member only when no other is fit: its id in hex. Can be given several times, for
    /// further attempts.
    #[arg(long, value_name = "ID", value_parser = member_id)]
    pub(crate) avoid_member: Vec<u64>,

    /// Connect, look and ask for the first bytes, but capture nothing. Prints one JSON object.
    #[arg(long)]
    pub(crate) check: bool,
}

const AFTER: &str = "\
Examples:
  lifeboat-capture --endpoints http://127.0.0.1:2379 -o snapshot.db
  lifeboat-capture --check -c pipeline.toml       can the next backup be captured?

Exit codes: 0 captured, 3 a setting is wrong, 10 etcd did not answer or the stream broke, 11 a
certificate or password was refused.";

fn member_id(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| "expected the id of a member, in hex".to_owned())
}
