//! What can be wrong with one endpoint, told apart.
//!
//! etcd's own refusals come as gRPC status, everything below as a chain of nested errors: gRPC,
//! HTTP/2, TLS, sockets. The chain is walked for the types that mean something (`rustls::Error`,
//! `io::Error`); texts decide only where the libraries keep their types to themselves.

use contract::Exit;
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use std::error::Error as StdError;
use std::io;
use std::time::Duration;
use tonic::Code;

/// Chains are four or five errors long.
const CHAIN_DEPTH_MAX: usize = 16;
/// A server's message is shown up to this length.
const MESSAGE_CHARS_MAX: usize = 300;

const CLOSED: &str = "the other side closed it";

/// What is wrong with one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody listens there.
    #[error("the connection was refused")]
    Refused,
    /// Its name leads nowhere.
    #[error("its name cannot be resolved")]
    Unresolvable,
    /// It does not answer in time.
    #[error("no answer to {request:?} within {}", seconds(*limit))]
    TimedOut {
        /// Which request.
        request: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// It broke off.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// TLS was spoken to a port without it.
    #[error("it is reached with https, but does not speak TLS")]
    NotTls,
    /// Plain HTTP/2 was spoken to a port with TLS.
    #[error("it is reached with http, but speaks TLS")]
    NotPlain,
    /// The authority is not the configured one.
    #[error("the server's certificate is not of a known authority")]
    UnknownAuthority,
    /// The server's certificate has ended.
    #[error("the server's certificate has expired ({0})")]
    Expired(String),
    /// The server's certificate has not begun.
    #[error("the server's certificate is not valid yet ({0})")]
    NotYetValid(String),
    /// The server's certificate does not name it.
    #[error("the server's certificate is for another name ({0})")]
    OtherName(String),
    /// No client certificate is configured.
    #[error("the server asks for a client certificate")]
    CertificateRequired,
    /// The client certificate is not accepted.
    #[error("the server refuses the client certificate ({0})")]
    CertificateRefused(String),
    /// Key and certificate are no pair.
    #[error("the client key does not belong to the client certificate")]
    OtherKey,
    /// There is nobody to trust.
    #[error("no authority is configured, and this machine has none of its own")]
    NoAuthorities,
    /// Anything else about TLS.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// User or password is wrong.
    #[error("user or password is wrong")]
    LoginRefused,
    /// Somebody has to log in.
    #[error("authentication is on, and no user is configured")]
    LoginMissing,
    /// Nobody can log in.
    #[error("authentication is off")]
    AuthenticationOff,
    /// The user may not do that.
    #[error("permission denied")]
    PermissionDenied,
    /// There is no leader to ask.
    #[error("the cluster has no quorum ({0})")]
    NoQuorum(String),
    /// A load balancer stands between.
    #[error(
        "the endpoint leads to several members: {expected:x} gave the status, {found:x} answers now"
    )]
    OtherMember {
        /// The member that gave the status.
        expected: u64,
        /// The member that answers now.
        found: u64,
    },
    /// A learner does not do that.
    #[error("the member is a learner")]
    Learner,
    /// The history is gone.
    #[error("the revision has been compacted")]
    Compacted,
    /// The member is not that far.
    #[error("the revision is not there yet")]
    FutureRevision,
    /// It is no etcd, or a very old one.
    #[error("etcd does not know the request")]
    Unimplemented,
    /// Anything else that etcd says.
    #[error("etcd answered {code}: {message}")]
    Answer {
        /// gRPC's code.
        code: String,
        /// What it says.
        message: String,
    },
}

impl Trouble {
    /// What an error of the client means.
    #[must_use]
    pub fn of(error: &etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => of_status(status),
            etcd_client::Error::TransportError(transport) => Self::of_chain(transport),
            other => Trouble::Lost(clipped(&other.to_string())),
        }
    }

    /// What a chain of errors means: the deepest cause that has a meaning here.
    #[must_use]
    pub fn of_chain(error: &(dyn StdError + 'static)) -> Self {
        chain(error).find_map(of_cause).unwrap_or_else(|| Trouble::Lost(clipped(&last_text(error))))
    }

    /// Whether a linearizable request failed only because there is no leader to ask.
    #[must_use]
    pub fn is_no_quorum(&self) -> bool {
        matches!(
            self,
            Trouble::NoQuorum(_)
                | Trouble::TimedOut { request: crate::connection::LINEARIZABLE_READ, .. }
        )
    }

    /// The exit code that it leads to when no other endpoint helps.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Trouble::Refused
            | Trouble::Unresolvable
            | Trouble::TimedOut { .. }
            | Trouble::Lost(_)
            | Trouble::NoQuorum(_)
            | Trouble::OtherMember { .. }
            | Trouble::Learner
            | Trouble::Compacted
            | Trouble::FutureRevision
            | Trouble::Answer { .. } => Exit::Transient,
            Trouble::NotTls | Trouble::NotPlain | Trouble::AuthenticationOff => Exit::Config,
            Trouble::UnknownAuthority
            | Trouble::Expired(_)
            | Trouble::NotYetValid(_)
            | Trouble::OtherName(_)
            | Trouble::CertificateRequired
            | Trouble::CertificateRefused(_)
            | Trouble::OtherKey
            | Trouble::NoAuthorities
            | Trouble::Tls(_)
            | Trouble::LoginRefused
            | Trouble::LoginMissing
            | Trouble::PermissionDenied => Exit::Credentials,
            Trouble::Unimplemented => Exit::Unsupported,
        }
    }

    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Trouble::Refused => "check that etcd runs there and that the port is its client port",
            Trouble::Unresolvable => "check the endpoint's name and this machine's DNS",
            Trouble::TimedOut { .. } => "check the network and the load of the member",
            Trouble::NotTls => "write http:// in the endpoint, or turn on TLS in etcd",
            Trouble::NotPlain => "write https:// in the endpoint and set ca_file",
            Trouble::UnknownAuthority => {
                "set ca_file (--cacert) to the authority of etcd's servers"
            }
            Trouble::Expired(_) => "renew the server's certificate (kubeadm certs renew)",
            Trouble::NotYetValid(_) => "check the clocks of both machines",
            Trouble::OtherName(_) => "set server_name (--server-name) to a name in the certificate",
            Trouble::CertificateRequired => "set cert_file and key_file (--cert, --key)",
            Trouble::CertificateRefused(_) => {
                "use a client certificate that etcd's --trusted-ca-file has signed and that is in date"
            }
            Trouble::OtherKey => "check that cert_file and key_file are a pair",
            Trouble::NoAuthorities => "set ca_file (--cacert) to the authority of etcd's servers",
            Trouble::LoginRefused => "check user and password_file (--user, --password-file)",
            Trouble::LoginMissing => "set user and password_file (--user, --password-file)",
            Trouble::AuthenticationOff => "take user out of the configuration",
            Trouble::PermissionDenied => {
                "a snapshot needs the root role: etcdctl user grant-role NAME root \
                 (without a configured user, NAME is the client certificate's CN)"
            }
            Trouble::NoQuorum(_) => {
                "run `etcdctl endpoint health --cluster` to see which members are down"
            }
            Trouble::OtherMember { .. } => "name each member's own address, not a load balancer's",
            Trouble::Unimplemented => "check that the endpoint is etcd 3.4 or later",
            Trouble::Lost(_) => "look at that member's log; check that the port is its client port",
            Trouble::Learner => "name the endpoint of a voting member",
            Trouble::Tls(_)
            | Trouble::Compacted
            | Trouble::FutureRevision
            | Trouble::Answer { .. } => return None,
        })
    }
}

fn of_status(status: &tonic::Status) -> Trouble {
    // A status with a source was made on this side, of whatever befell the connection.
    if let Some(source) = status.source() {
        return Trouble::of_chain(source);
    }
    let message = status.message();
    // etcd's texts are the same in every version, its codes are not: 3.4 answers an anonymous
    // request for a snapshot with "unknown".
    let says = |text: &str| message.contains(text);
    match status.code() {
        _ if says("permission denied") => Trouble::PermissionDenied,
        _ if says("user name is empty") || says("user name not found") => Trouble::LoginMissing,
        _ if says("invalid user ID or password") => Trouble::LoginRefused,
        _ if says("authentication is not enabled") => Trouble::AuthenticationOff,
        _ if says("not supported for learner") => Trouble::Learner,
        _ if says("has been compacted") => Trouble::Compacted,
        _ if says("is a future revision") => Trouble::FutureRevision,
        Code::PermissionDenied => Trouble::PermissionDenied,
        Code::Unauthenticated => Trouble::LoginRefused,
        Code::Unimplemented => Trouble::Unimplemented,
        Code::Unavailable | Code::DeadlineExceeded if message.starts_with("etcdserver:") => {
            Trouble::NoQuorum(clipped(message))
        }
        Code::Unavailable => Trouble::Lost(clipped(message)),
        code => Trouble::Answer { code: format!("{code:?}"), message: clipped(message) },
    }
}

/// The errors of a chain, from the outermost inwards.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| next(*error)).take(CHAIN_DEPTH_MAX)
}

fn next<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    // The source of an `io::Error` is the source of what it wraps, so that what it wraps (here
    // rustls's error) would be skipped.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn last_text(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

fn of_cause(error: &(dyn StdError + 'static)) -> Option<Trouble> {
    if let Some(tls) = error.downcast_ref::<TlsError>() {
        return Some(of_tls(tls));
    }
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => return Some(Trouble::Refused),
        // Here the libraries' own texts are for programmers.
        Some(io::ErrorKind::UnexpectedEof) => return Some(Trouble::Lost(CLOSED.to_owned())),
        _ => {}
    }
    match error.to_string().as_str() {
        "dns error" => Some(Trouble::Unresolvable),
        "no native certs found" => Some(Trouble::NoAuthorities),
        _ => None,
    }
}

fn of_tls(error: &TlsError) -> Trouble {
    match error {
        TlsError::InvalidCertificate(problem) => of_certificate(problem),
        TlsError::AlertReceived(alert) => of_alert(*alert),
        TlsError::InvalidMessage(_) => Trouble::NotTls,
        TlsError::InconsistentKeys(_) => Trouble::OtherKey,
        other => Trouble::Tls(clipped(&other.to_string())),
    }
}

fn of_certificate(problem: &CertificateError) -> Trouble {
    let text = clipped(&problem.to_string());
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Trouble::Expired(text)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Trouble::NotYetValid(text)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Trouble::OtherName(text)
        }
        // A signature that does not hold is that of an authority of the same name, re-created.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Trouble::UnknownAuthority
        }
        _ => Trouble::Tls(format!("the server's certificate: {text}")),
    }
}

fn of_alert(alert: AlertDescription) -> Trouble {
    match alert {
        AlertDescription::CertificateRequired => Trouble::CertificateRequired,
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => Trouble::CertificateRefused(format!("{alert:?}")),
        other => Trouble::Tls(format!("the server sent the alert {other:?}")),
    }
}

/// What a server says, without control characters and not too long.
fn clipped(text: &str) -> String {
    let mut clipped: String =
        text.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect();
    if clipped.len() < text.len() && text.chars().count() > MESSAGE_CHARS_MAX {
        clipped.push('…');
    }
    clipped
}

/// A duration for people.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn f20_a_tls_error_is_found_inside_an_io_error() {
        let tls = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let outer = Outer(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert_eq!(Trouble::of_chain(&outer), Trouble::UnknownAuthority);
    }

    #[test]
    fn an_unknown_chain_shows_its_deepest_text() {
        let outer = Outer(io::Error::other("broken pipe"));
        assert_eq!(Trouble::of_chain(&outer), Trouble::Lost("broken pipe".into()));
    }

    #[test]
    fn answers_of_etcd_are_told_apart() {
        let of = |code, text: &str| {
            Trouble::of(&etcd_client::Error::GRpcStatus(tonic::Status::new(code, text)))
        };
        assert_eq!(of(Code::Unknown, "auth: user name is empty"), Trouble::LoginMissing);
        assert_eq!(
            of(Code::PermissionDenied, "etcdserver: permission denied"),
            Trouble::PermissionDenied
        );
        assert_eq!(
            of(
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password"
            ),
            Trouble::LoginRefused
        );
        assert_eq!(
            of(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            Trouble::Compacted
        );
        assert!(of(Code::Unavailable, "etcdserver: no leader").is_no_quorum());
        assert!(!of(Code::Unavailable, "transport is closing").is_no_quorum());
    }

    #[test]
    fn a_message_is_clipped_and_holds_no_control_characters() {
        let long = format!("\u{1b}[31m{}", "x".repeat(1000));
        let shown = clipped(&long);
        assert_eq!(shown.chars().count(), MESSAGE_CHARS_MAX + 1);
        assert!(!shown.contains('\u{1b}'));
    }
}
