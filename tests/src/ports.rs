//! Free loopback ports.
//!
//! Invariant: a port handed out was free a moment ago, and this process hands it out only once.
//! Ports come from below the range that Linux uses for outgoing connections: a stopped member
//! must find its port free when it starts again, and any connection could have taken one above.
//! Does not: hold the port; another process may be quicker, so that servers are started again
//! with other ports when theirs are taken.

use crate::Error;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const FIRST: u16 = 10_000;
/// Linux gives out 32768 and above to connections.
const END: u16 = 32_768;
const ATTEMPTS_MAX: u32 = 1_000;

static HANDED_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port on which nobody listens.
pub fn free_port() -> Result<u16, Error> {
    let mut guard = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let handed_out = guard.get_or_insert_default();
    for attempt in 0..ATTEMPTS_MAX {
        let port = candidate(attempt);
        if handed_out.contains(&port) {
            continue;
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            handed_out.insert(port);
            return Ok(port);
        }
    }
    Err(Error::Io {
        verb: "find a free port on",
        path: Path::new("127.0.0.1").to_path_buf(),
        source: std::io::ErrorKind::AddrInUse.into(),
    })
}

/// Tests run in many processes at once; each must look in another order.
fn candidate(attempt: u32) -> u16 {
    let random = RandomState::new().hash_one((std::process::id(), attempt));
    let offset = random % u64::from(END - FIRST);
    FIRST + u16::try_from(offset).unwrap_or_default()
}
