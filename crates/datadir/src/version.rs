//! Versions of etcd, as far as a data directory depends on them: major and minor.
//!
//! Owns: which storage versions are known here (3.4 to 3.7). Whether a snapshot of one can be moved to
//! another is judged in `adjust`.

use std::fmt;
use std::str::FromStr;

/// A version of etcd without its patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no version of etcd; expected X.Y, such as 3.6")]
pub struct NotAVersion {
    /// The text.
    pub text: String,
}

// === impl Version ===

impl Version {
    /// The versions whose data directories are known here, ascending.
    pub const KNOWN: [Version; 4] =
        [Version::new(3, 4), Version::new(3, 5), Version::new(3, 6), Version::new(3, 7)];

    /// The first version that writes `meta/storageVersion`.
    pub(crate) const FIRST_WITH_STORAGE_VERSION: Version = Version::new(3, 6);

    /// The version X.Y.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Whether this is one of [`Version::KNOWN`].
    #[must_use]
    pub fn is_known(self) -> bool {
        Self::KNOWN.contains(&self)
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    /// Reads `X.Y` or `X.Y.Z`; what follows Z (`-rc.0`) is not looked at.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let mut parts = text.split('.');
        let mut number = || {
            let part = parts.next()?;
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { part.parse().ok() } else { None }
        };
        match (number(), number()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(NotAVersion { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!("3.6".parse(), Ok(Version::new(3, 6)));
        assert_eq!("3.10.2-rc.0".parse(), Ok(Version::new(3, 10)));
        assert!(Version::new(3, 10) > Version::new(3, 7));
        for wrong in ["", "3", "v3.6", "3.x", "3.", "+3.6", "3.99999999999"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }
}
