//! Peer URLs, by the rules of etcd.
//!
//! `http` and `https` need a host and a port and have no path; `unix` and `unixs` name a socket. The
//! text is kept as it was written but for the scheme, which Go turns to lower case: ids are hashes
//! of these texts. What Go would rewrite in other ways (escapes, characters outside ASCII, user
//! names, queries) is refused here, because it would lead to other ids than `etcdutl` gives.
//!
//! Does not: resolve names, or compare addresses.

/// Longest URL, in bytes: far above a host name (253) with scheme and port.
pub const URL_BYTES_MAX: usize = 1_024;

/// Why a text is no peer URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// Another scheme, or none.
    #[error("the scheme must be http, https, unix or unixs")]
    Scheme,
    /// No host, no port, or a port that is no number.
    #[error("it does not have the form host:port")]
    HostPort,
    /// A path behind the port.
    #[error("it must not contain a path")]
    Path,
    /// A user name, query, fragment, escape, blank or character outside ASCII.
    #[error("it contains characters that have no place in a peer URL")]
    Characters,
    /// Longer than [`URL_BYTES_MAX`].
    #[error("it is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
}

/// The URL as etcd writes it: blanks around it gone, scheme in lower case.
pub(crate) fn parse(text: &str) -> Result<String, UrlProblem> {
    let text = text.trim();
    if text.len() > URL_BYTES_MAX {
        return Err(UrlProblem::TooLong);
    }
    let (scheme, rest) = text.split_once(':').ok_or(UrlProblem::Scheme)?;
    let scheme = scheme.to_ascii_lowercase();
    if !rest.bytes().all(is_plain) {
        return Err(UrlProblem::Characters);
    }
    match scheme.as_str() {
        "http" | "https" => check_address(rest)?,
        "unix" | "unixs" if rest.trim_start_matches('/').is_empty() => {
            return Err(UrlProblem::HostPort);
        }
        "unix" | "unixs" => {}
        _ => return Err(UrlProblem::Scheme),
    }
    Ok(format!("{scheme}:{rest}"))
}

/// Characters that Go's `URL.String` leaves as they are, in a host as well as in a path.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/[]".contains(&byte)
}

/// `//host:port`, with an IPv6 address in brackets.
fn check_address(rest: &str) -> Result<(), UrlProblem> {
    let authority = rest.strip_prefix("//").ok_or(UrlProblem::HostPort)?;
    let (host_port, path) = match authority.split_once('/') {
        Some((host_port, path)) => (host_port, Some(path)),
        None => (authority, None),
    };
    let (host, port) = host_port.rsplit_once(':').ok_or(UrlProblem::HostPort)?;
    let is_bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let inner = if is_bracketed { host.get(1..host.len() - 1).unwrap_or("") } else { host };
    let is_host =
        !inner.is_empty() && !inner.contains(['[', ']']) && (is_bracketed || !inner.contains(':'));
    let is_port = port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_host || !is_port {
        return Err(UrlProblem::HostPort);
    }
    if path.is_some() { Err(UrlProblem::Path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_as_written() {
        for (text, kept) in [
            ("http://127.0.0.1:2380", "http://127.0.0.1:2380"),
            (" https://cp-01.example.org:2380 ", "https://cp-01.example.org:2380"),
            ("HTTPS://Cp-01:2380", "https://Cp-01:2380"),
            ("http://[::1]:2380", "http://[::1]:2380"),
            ("unix://localhost:27001", "unix://localhost:27001"),
            ("unixs:///run/etcd.sock", "unixs:///run/etcd.sock"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(kept), "{text}");
        }
    }

    #[test]
    fn what_etcd_refuses_is_refused() {
        for (text, problem) in [
            ("", UrlProblem::Scheme),
            ("localhost:2380", UrlProblem::Scheme),
            ("ftp://h:1", UrlProblem::Scheme),
            ("http://h", UrlProblem::HostPort),
            ("http:h:1", UrlProblem::HostPort),
            ("http://:2380x", UrlProblem::HostPort),
            ("http://h:123456", UrlProblem::HostPort),
            ("http://::1:2380", UrlProblem::HostPort),
            ("http://h:1/", UrlProblem::Path),
            ("http://h:1/x", UrlProblem::Path),
            ("unix://", UrlProblem::HostPort),
            ("http://u@h:1", UrlProblem::Characters),
            ("http://h:1?x", UrlProblem::Characters),
            ("http://h%41:1", UrlProblem::Characters),
            ("http://h\u{e4}:1", UrlProblem::Characters),
        ] {
            assert_eq!(parse(text), Err(problem), "{text}");
        }
        assert_eq!(parse(&format!("http://{}:1", "h".repeat(2_000))), Err(UrlProblem::TooLong));
    }
}
