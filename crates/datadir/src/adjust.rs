//! What a restore changes, as its flags say, and whether that can be done to a snapshot.
//!
//! Which moves between versions are sound: all between 3.4, 3.5, 3.6 and 3.7 (each was tried with
//! real servers in both directions). A version outside of these is refused, for source and target,
//! because nobody here knows what its buckets mean.

use snapshot::{Alteration, Report};

use crate::error::BuildError;
use crate::version::Version;

/// Revision of an empty store.
pub(crate) const EMPTY_STORE_REVISION: i64 = 1;

/// A revision is not raised above this. etcd does not start again once its revision, a 63-bit number,
/// has overflown, so there has to be room for all the writes to come.
const RAISED_MAX: i64 = 1 << 61;

/// What a restore changes. The default changes nothing but what has to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adjustments {
    /// Raises the revision by this much. Needs `mark_compacted`.
    pub bump: Option<i64>,
    /// Marks everything up to the raised revision as compacted.
    pub mark_compacted: bool,
    /// Drops everything that was written after this revision.
    pub cut_at: Option<i64>,
    /// Keeps the alarms. A NOSPACE alarm would make the restored cluster refuse writes.
    pub keep_alarms: bool,
    /// Makes the database one of this version.
    pub target_version: Option<Version>,
    /// Turns authentication off. Users and roles stay.
    pub disable_auth: bool,
}

impl Adjustments {
    /// What they do to the history, for [`snapshot::Verifier::finish_altered`].
    #[must_use]
    pub fn alteration(&self) -> Alteration {
        Alteration { cut_at: self.cut_at, bump: self.bump }
    }

    /// Checks the flags against each other and against a verified snapshot, before anything is
    /// written. [`crate::build_database`] checks the same again as it reads.
    ///
    /// # Errors
    /// The flags that cannot be followed.
    pub fn check(&self, report: &Report) -> Result<(), BuildError> {
        self.check_flags()?;
        known_version("storageVersion", report.storage_version.as_deref())?;
        known_version("clusterVersion", report.cluster_version.as_deref())?;
        self.apply(report.revision, report.compact_revision).map(|_| ())
    }

    /// Checks the flags against each other.
    ///
    /// # Errors
    /// Those that cannot be followed together.
    pub fn check_flags(&self) -> Result<(), BuildError> {
        match (self.bump, self.mark_compacted) {
            (Some(_), false) => return Err(BuildError::BumpWithoutMark),
            (None, true) => return Err(BuildError::MarkWithoutBump),
            (Some(bump), true) if bump < 1 => {
                return Err(BuildError::Bump { revision: EMPTY_STORE_REVISION, bump });
            }
            _ => {}
        }
        match self.target_version {
            Some(version) if !version.is_known() => Err(BuildError::TargetVersion { version }),
            _ => Ok(()),
        }
    }

    /// The revision afterwards. `revision` and `compact` are those of a server that would be started
    /// from the snapshot as it is.
    pub(crate) fn apply(&self, revision: i64, compact: Option<i64>) -> Result<i64, BuildError> {
        let first = compact.unwrap_or(EMPTY_STORE_REVISION).max(EMPTY_STORE_REVISION);
        let end = match self.cut_at {
            Some(cut) if (first..=revision).contains(&cut) => cut,
            Some(cut) => return Err(BuildError::Cut { cut, first, last: revision }),
            None => revision,
        };
        match self.bump {
            None => Ok(end),
            Some(bump) => end
                .checked_add(bump)
                .filter(|raised| *raised <= RAISED_MAX)
                .ok_or(BuildError::Bump { revision: end, bump }),
        }
    }
}

/// The version, which has to be a known one if it is there at all.
pub(crate) fn known_version(
    key: &'static str,
    text: Option<&str>,
) -> Result<Option<Version>, BuildError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<Version>() {
        Ok(version) if version.is_known() || version < Version::KNOWN[0] => Ok(Some(version)),
        _ => Err(BuildError::SourceVersion { key, found: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjust(bump: Option<i64>, mark_compacted: bool, cut_at: Option<i64>) -> Adjustments {
        Adjustments { bump, mark_compacted, cut_at, ..Adjustments::default() }
    }

    #[test]
    fn bump_and_mark_go_together() {
        assert!(matches!(
            adjust(Some(1), false, None).check_flags(),
            Err(BuildError::BumpWithoutMark)
        ));
        assert!(matches!(adjust(None, true, None).check_flags(), Err(BuildError::MarkWithoutBump)));
        for bump in [0, -1] {
            let refused = adjust(Some(bump), true, None).check_flags();
            assert!(matches!(refused, Err(BuildError::Bump { .. })));
        }
        adjust(Some(1), true, None).check_flags().unwrap();
        adjust(None, false, None).check_flags().unwrap();
    }

    #[test]
    fn revisions_are_checked() {
        assert_eq!(adjust(Some(1_000), true, None).apply(158, Some(96)).unwrap(), 1_158);
        assert_eq!(adjust(Some(1_000), true, Some(100)).apply(158, Some(96)).unwrap(), 1_100);
        assert_eq!(adjust(None, false, Some(96)).apply(158, Some(96)).unwrap(), 96);
        for cut in [95, 159, 0, -1] {
            let refused = adjust(None, false, Some(cut)).apply(158, Some(96));
            assert!(matches!(refused, Err(BuildError::Cut { first: 96, last: 158, .. })), "{cut}");
        }
        for bump in [i64::MAX, i64::MAX - 1, RAISED_MAX] {
            let refused = adjust(Some(bump), true, None).apply(1, None);
            assert!(matches!(refused, Err(BuildError::Bump { .. })), "etcd would overflow: {bump}");
        }
        assert_eq!(adjust(Some(RAISED_MAX - 1), true, None).apply(1, None).unwrap(), RAISED_MAX);
    }

    #[test]
    fn unknown_versions_are_refused() {
        let target = |minor| Adjustments {
            target_version: Some(Version::new(3, minor)),
            ..Adjustments::default()
        };
        assert!(matches!(target(8).check_flags(), Err(BuildError::TargetVersion { .. })));
        (4..=7).for_each(|minor| target(minor).check_flags().unwrap());
        assert_eq!(
            known_version("storageVersion", Some("3.6.0")).unwrap(),
            Some(Version::new(3, 6))
        );
        for unknown in ["3.8.0", "4.0.0", "x"] {
            let refused = known_version("storageVersion", Some(unknown)).unwrap_err();
            assert_eq!(refused.class(), crate::ErrorClass::Unsupported);
        }
    }
}
