//! Free ports on loopback.
//!
//! A port that was free a moment ago may be taken by somebody quicker; whoever starts a server on it
//! tries again with another one.

use crate::error::Error;
use std::net::{Ipv4Addr, TcpListener};

/// As many ports as are wanted, all different.
pub(crate) fn free(count: usize) -> Result<Vec<u16>, Error> {
    let bound: Result<Vec<TcpListener>, _> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let bound = bound.map_err(Error::NoPort)?;
    bound.iter().map(|l| l.local_addr().map(|a| a.port()).map_err(Error::NoPort)).collect()
}

/// The URL of a port.
pub(crate) fn url(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Whether a URL leads to this machine and nowhere else.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Some(authority) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))
    else {
        return false;
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, _)| host),
        None => authority.split([':', '/']).next(),
    };
    // A name may lead anywhere; only an address says where it is.
    let address = host.and_then(|host| host.parse::<std::net::IpAddr>().ok());
    address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i20_only_an_address_on_loopback_is_on_loopback() {
        for url in
            ["http://127.0.0.1:2380", "https://127.8.0.1", "http://[::1]:1", "http://127.0.0.1/"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://10.0.0.1:2380",
            "http://localhost:2380",
            "http://127.0.0.1.example:2380",
            "http://user@10.0.0.1:2380",
            "http://127.0.0.1@10.0.0.1:2380",
            "unix://127.0.0.1",
            "127.0.0.1:2380",
            "http://0.0.0.0:2380",
            "http://",
            "http://[::1",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn free_ports_are_different() {
        let mut ports = free(9).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 9);
        assert!(ports.iter().all(|port| is_loopback(&url(*port))));
    }
}
