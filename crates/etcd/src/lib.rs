//! The connection to a live etcd, and what is asked of it: the common part of the programs that
//! talk to one (`capture`, `doctor`).
//!
//! Owns: where the settings come from, one connection to one member and its requests, what can be
//! wrong with an endpoint, how long certificates hold, and what is known about etcd's versions.
//! Certificates are always verified; secrets cannot be printed.
//!
//! Does not: look at more than one member at a time, nor decide what follows from an answer.

mod alarm;
mod args;
pub mod certificates;
mod connection;
mod endpoint;
mod error;
mod probe;
mod settings;
mod trouble;
pub mod versions;

pub use alarm::alarm_of;
pub use args::ConnectArgs;
pub use connection::{
    Connection, HashKv, LINEARIZABLE_READ, Listed, REQUEST_LIMIT, Status, hex_id,
};
pub use endpoint::Endpoint;
pub use error::Error;
pub use settings::{Files, KUBEADM_DIR, Login, Password, Settings, Sources, Tls};
pub use trouble::{Trouble, seconds};

/// Sets the one provider of cryptography for every TLS client in the tree. It can be there already
/// only in a test.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
