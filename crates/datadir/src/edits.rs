//! What changes in one of the small buckets.

use std::collections::BTreeMap;

/// Rows to set (`Some`) or to drop (`None`), by key.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    pub(crate) rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Whether all rows that are not set are dropped.
    pub(crate) clears: bool,
}

// === impl Edits ===

impl Edits {
    /// Drops every row.
    pub(crate) fn clear() -> Self {
        Self { rows: BTreeMap::new(), clears: true }
    }

    pub(crate) fn set(&mut self, key: &[u8], value: impl Into<Vec<u8>>) {
        self.rows.insert(key.to_vec(), Some(value.into()));
    }

    pub(crate) fn drop_row(&mut self, key: &[u8]) {
        self.rows.insert(key.to_vec(), None);
    }
}
