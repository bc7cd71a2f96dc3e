//! The one table of exit codes. They are grouped by what the operator should do about them.
//!
//! Every program of the project ends with one of these, or with 128 + n when signal n ended it.
//! `docs/exit-codes.md` shows the same table; a test holds the two together.

use std::fmt;
use std::process::ExitCode;

macro_rules! exits {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal, $advice:literal;)+) => {
        /// Why a program ended, as its exit code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Exit { $($(#[doc = $doc])+ $name,)+ }

        impl Exit {
            /// Every code, in ascending order.
            pub const ALL: &'static [Exit] = &[$(Exit::$name),+];

            /// The number that the shell sees.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Exit::$name => $code),+ }
            }

            /// The word for it in logs and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Exit::$name => $text),+ }
            }

            /// What whoever called the program should do.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Exit::$name => $advice),+ }
            }
        }
    };
}

exits! {
    /// Everything that was promised is durable and was read back.
    Ok = 0, "ok", "nothing";
    /// Something that must not happen did.
    Bug = 1, "bug", "report it; do not retry";
    /// The command line is wrong. Nothing was touched.
    Usage = 2, "usage", "correct the command";
    /// The configuration is wrong. Nothing was touched.
    Config = 3, "config", "correct pipeline.toml";
    /// A dependency was not available and the budget of retries is spent.
    Transient = 10, "transient", "retry";
    /// A credential was refused or has expired.
    Credentials = 11, "credentials", "renew the credential; do not retry";
    /// Another run is at work on this cluster. Nothing was done.
    Busy = 12, "busy", "skip; the other run is at work";
    /// Bytes fail a check.
    Corrupt = 20, "corrupt", "look at it now; do not retry blindly";
    /// No identity opens the artifact.
    NoKey = 21, "no-key", "find the right identity";
    /// A signature, a lineage or an owner does not hold.
    Forged = 22, "forged", "look at it now: somebody may have tampered";
    /// The local disk is full, failing or not writable.
    LocalDisk = 30, "local-disk", "make room, or run elsewhere";
    /// Committed, with fewer copies than wanted.
    Partial = 40, "partial", "see to the destination; the next run writes there again";
    /// The newest verified backup is older than allowed.
    Stale = 41, "stale", "find out why backups stopped";
    /// A guard stopped a destructive act.
    Refused = 50, "refused", "a person decides";
    /// A format or version newer than this program knows.
    Unsupported = 60, "unsupported", "upgrade";
}

impl Exit {
    /// The exit that has this code, if the table knows it.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Exit> {
        Exit::ALL.iter().copied().find(|exit| i32::from(exit.code()) == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_ascending_and_below_the_signals() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert!(codes.windows(2).all(|w| w[0] < w[1]));
        assert!(codes.iter().all(|c| *c < 126));
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code().into()), Some(*exit));
        }
        assert_eq!(Exit::from_code(99), None);
    }

    #[test]
    fn the_documented_table_is_this_table() {
        let page = include_str!("../../../docs/exit-codes.md");
        for exit in Exit::ALL {
            let begins = format!("| {} | {} |", exit.code(), exit.name());
            let ends = format!("| {} |", exit.advice());
            let is_row = |line: &str| line.starts_with(&begins) && line.ends_with(&ends);
            assert!(page.lines().any(is_row), "docs/exit-codes.md has no row {begins} … {ends}");
        }
    }
}
