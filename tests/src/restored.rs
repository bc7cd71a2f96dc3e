//! Two clusters restored from one snapshot, compared.
//!
//! Owns: random histories of a live etcd (`history`), restoring with etcd's own tool and with
//! ours under the same flags (`tools`), and everything that a cluster answers about what it holds
//! (`facts`), which is what must be the same.
//! Invariant: nothing of ours reads the answers; they come from a real etcd of its own version.
//!
//! Does not: decide which differences are allowed; the tests name those one by one.

pub mod facts;
pub mod history;
pub mod rows;
pub mod tools;

pub use facts::Facts;
pub use history::Past;
pub use tools::{Order, Tool};
