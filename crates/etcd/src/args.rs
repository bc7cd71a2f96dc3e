//! How etcd is reached, as it was typed. What it means together with the configuration and the
//! environment is decided in `settings`.

use std::path::PathBuf;

/// Options of every program that talks to etcd.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConnectArgs {
    /// Where etcd is, separated by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub endpoints: Vec<String>,

    /// The certificate authority of the servers.
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,

    /// The client's certificate.
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// The client's key.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// The name to expect in the server's certificate, when it is not the endpoint's.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,

    /// The user, where etcd's own authentication is on.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// The file with that user's password.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}
