//! The rows of the `key` bucket as a history: nothing missing, nothing twice.
//!
//! A write transaction takes the next main revision and counts its changes from sub revision 0, so
//! above the compact revision both are free of gaps. At and below the compact revision any row may be
//! gone. The row that `etcdutl snapshot restore --bump-revision` writes far ahead, with an empty
//! value, is no exception: the same restore marks everything up to it as compacted. So an empty
//! value above the compact revision is damage, and cannot hide that rows before it are missing.

use crate::error::VerifyError;
use crate::revision::Revision;
use crate::row::{RecordProblem, Row};

/// Revision of an empty store; the first write is one more.
const EMPTY_STORE_REVISION: i64 = 1;

/// Follows the rows in key order.
#[derive(Debug)]
pub(crate) struct History {
    /// Revision up to which rows may be missing.
    gaps_until: i64,
    previous: Option<Revision>,
    rows_with_unknown_fields: u64,
}

// === impl History ===

impl History {
    pub(crate) fn new(compact_revision: Option<i64>) -> Self {
        let gaps_until = compact_revision.unwrap_or(EMPTY_STORE_REVISION).max(EMPTY_STORE_REVISION);
        Self { gaps_until, previous: None, rows_with_unknown_fields: 0 }
    }

    /// Takes the next row, which stands on `page`.
    pub(crate) fn take(&mut self, page: u64, row: &Row) -> Result<(), VerifyError> {
        let revision = row.revision;
        let refused = |problem| Err(VerifyError::Record { page, revision, problem });
        if let Some(problem) = row.problem {
            return refused(problem);
        }
        if row.is_phantom && revision.main > self.gaps_until {
            return refused(RecordProblem::NoKey);
        }
        if let Some(previous) = self.previous
            && revision <= previous
        {
            return refused(RecordProblem::Order { previous });
        }
        if let Some(expected) = self.missing_before(row) {
            return refused(RecordProblem::Gap { expected });
        }
        self.previous = Some(revision);
        self.rows_with_unknown_fields += u64::from(row.has_unknown_fields);
        Ok(())
    }

    /// The revision that had to come instead of `row`, if rows are missing before it.
    fn missing_before(&self, row: &Row) -> Option<Revision> {
        let Revision { main, sub } = row.revision;
        if main <= self.gaps_until {
            return None;
        }
        let expected = match self.previous {
            Some(previous) if previous.main == main => {
                Revision { main, sub: previous.sub.saturating_add(1) }
            }
            previous => {
                let last = previous.map_or(0, |previous| previous.main).max(self.gaps_until);
                Revision { main: last.saturating_add(1), sub: 0 }
            }
        };
        (Revision { main, sub } != expected).then_some(expected)
    }

    /// Main revision of the last row, 0 without rows.
    pub(crate) fn last_main(&self) -> i64 {
        self.previous.map_or(0, |previous| previous.main)
    }

    pub(crate) fn rows_with_unknown_fields(&self) -> u64 {
        self.rows_with_unknown_fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(compact_revision: Option<i64>, rows: &[(i64, u32)]) -> Result<(), VerifyError> {
        let mut history = History::new(compact_revision);
        rows.iter().try_for_each(|(main, sub)| {
            let revision = Revision { main: *main, sub: *sub };
            // Main revisions from 1000 on stand for bumped ones in these cases.
            history.take(9, &Row { revision, is_phantom: *main == 1_000, ..Row::default() })
        })
    }

    fn problem(compact_revision: Option<i64>, rows: &[(i64, u32)]) -> RecordProblem {
        match follow(compact_revision, rows) {
            Err(VerifyError::Record { problem, page: 9, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sound_histories_are_accepted() {
        follow(None, &[]).unwrap();
        follow(None, &[(2, 0), (2, 1), (3, 0), (4, 0), (4, 1), (4, 2)]).unwrap();
        follow(Some(9), &[(2, 3), (7, 1), (9, 4), (10, 0), (10, 1), (11, 0)]).unwrap();
        follow(Some(9), &[(3, 1)]).unwrap();
        follow(Some(1_000), &[(2, 0), (1_000, 0), (1_001, 0)]).unwrap();
    }

    #[test]
    fn missing_rows_are_found() {
        let gap = |main, sub| RecordProblem::Gap { expected: Revision { main, sub } };
        assert_eq!(problem(None, &[(3, 0)]), gap(2, 0));
        assert_eq!(problem(None, &[(2, 0), (4, 0)]), gap(3, 0));
        assert_eq!(problem(None, &[(2, 1)]), gap(2, 0));
        assert_eq!(problem(None, &[(2, 0), (2, 2)]), gap(2, 1));
        assert_eq!(problem(None, &[(2, 0), (3, 1)]), gap(3, 0));
        assert_eq!(problem(Some(9), &[(4, 0), (11, 0)]), gap(10, 0));
        assert_eq!(problem(Some(1_000), &[(2, 0), (1_000, 0), (1_002, 0)]), gap(1_001, 0));
    }

    #[test]
    fn the_mark_of_a_restore_hides_no_missing_row() {
        assert_eq!(problem(None, &[(2, 0), (1_000, 0)]), RecordProblem::NoKey);
        assert_eq!(problem(Some(999), &[(2, 0), (1_000, 0)]), RecordProblem::NoKey);
    }

    #[test]
    fn a_revision_comes_once() {
        let previous = Revision { main: 2, sub: 0 };
        assert_eq!(problem(None, &[(2, 0), (2, 0)]), RecordProblem::Order { previous });
        assert_eq!(problem(Some(5), &[(2, 0), (2, 0)]), RecordProblem::Order { previous });
    }
}
