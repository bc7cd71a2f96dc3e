//! Where the summary of each page is: one word per page.
//!
//! Most pages that have no summary are the inside of a run or free, so their reason is a small
//! code. The few reasons with details have a table of their own, which is bounded.

use std::collections::HashMap;

use bbolt::Problem;

use crate::limits::PAGE_PROBLEMS_MAX;

/// Where the summary of a page is, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageEntry {
    Summary { position: u64 },
    NoRun(Problem),
}

/// A table of one word per page: positions in the log, and codes for pages that have none.
#[derive(Debug, Default)]
pub(crate) struct PageTable {
    words: Vec<u64>,
    /// Problems that need more than a code.
    problems: HashMap<u64, Problem>,
}

/// Codes of pages without a summary. Such pages are common, as the inside of runs and as free
/// pages.
const CODES: [Problem; 8] = [
    Problem::Short,
    Problem::WrongId,
    Problem::UnknownType,
    Problem::WrongType,
    Problem::RunBeyondFile,
    Problem::RunTooLong,
    Problem::TooManyOpenRuns,
    Problem::Damaged,
];
const FIRST_POSITION: u64 = 16;

// === impl PageTable ===

impl PageTable {
    pub(crate) fn set(&mut self, pgid: u64, entry: PageEntry) {
        let word = match entry {
            PageEntry::Summary { position } => position + FIRST_POSITION,
            PageEntry::NoRun(problem) => self.code(pgid, problem),
        };
        let Ok(at) = usize::try_from(pgid) else {
            return;
        };
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        if let Some(slot) = self.words.get_mut(at) {
            *slot = word;
        }
    }

    fn code(&mut self, pgid: u64, problem: Problem) -> u64 {
        if let Some(code) = CODES.iter().position(|known| *known == problem) {
            return code as u64;
        }
        if self.problems.len() < PAGE_PROBLEMS_MAX {
            self.problems.insert(pgid, problem);
        }
        CODES.len() as u64 - 1
    }

    pub(crate) fn get(&self, pgid: u64) -> PageEntry {
        let word = usize::try_from(pgid).ok().and_then(|at| self.words.get(at)).copied();
        let word = word.unwrap_or(0);
        if let Some(position) = word.checked_sub(FIRST_POSITION) {
            return PageEntry::Summary { position };
        }
        let code = usize::try_from(word).ok().and_then(|at| CODES.get(at));
        let coded = code.copied().unwrap_or(Problem::Damaged);
        PageEntry::NoRun(self.problems.get(&pgid).copied().unwrap_or(coded))
    }
}
