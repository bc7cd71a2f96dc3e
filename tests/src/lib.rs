//! End to end, against real servers: the harness that the tests of this package share.
//!
//! Owns: finding the servers in the cache, starting and ending them, filling them with known
//! objects, running the workspace's own binaries, and reporting what was skipped.
//! Everything listens on 127.0.0.1 only, every credential is explicit, every child is ended when
//! its handle is dropped, and every wait has a named limit.
//!
//! Does not: fetch anything (`tests/servers/get.sh` does), nor judge what the servers answer
//! (the files in `tests/tests` do).

pub mod azure;
pub mod binaries;
pub mod checker;
pub mod cloud_scene;
pub mod cluster;
pub mod copies_scene;
mod error;
pub mod fault_front;
pub mod gcs;
mod http;
pub mod load;
pub mod lying_etcd;
pub mod objects;
pub mod policy;
pub mod ports;
mod process;
pub mod restore_scene;
pub mod restored;
pub mod running;
pub mod s3;
pub mod servers;
pub mod site;
pub mod skips;
pub mod soak;
pub mod store_scene;
pub mod tls;
pub mod toxics;
pub mod vault;
mod wire;

pub use cluster::{Cluster, ClusterSpec};
pub use error::Error;
pub use fault_front::FaultFront;
pub use objects::LoadSpec;
pub use process::{Server, run, wait_until};
pub use running::Running;
pub use servers::{Etcd, EtcdVersion};
pub use skips::skip;
