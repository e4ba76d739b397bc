//! Booleans by row.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::bulk::ascending;

/// The rows that are true, and those that are false. A copy is O(1); a change of a shared one copies a bitmap, an eighth of a byte a row at most.
#[derive(Clone, Default)]
pub(crate) struct Flags {
    yes: Arc<RoaringBitmap>,
    no: Arc<RoaringBitmap>,
}

impl Flags {
    /// Of rows, ascending, and their values. O(rows).
    pub(super) fn of(given: &[(u32, bool)]) -> Self {
        let rows = |value| given.iter().filter(move |(_, own)| *own == value).map(|&(row, _)| row);
        Self { yes: Arc::new(ascending(rows(true))), no: Arc::new(ascending(rows(false))) }
    }

    pub(crate) fn get(&self, row: u32) -> Option<bool> {
        if self.yes.contains(row) { Some(true) } else { self.no.contains(row).then_some(false) }
    }

    pub(super) fn set(&mut self, row: u32, value: Option<bool>) {
        for (rows, belongs) in [(&mut self.yes, value == Some(true)), (&mut self.no, value == Some(false))] {
            if rows.contains(row) != belongs {
                let rows = Arc::make_mut(rows);
                if belongs {
                    rows.insert(row)
                } else {
                    rows.remove(row)
                };
            }
        }
    }

    /// The rows of a value.
    pub(crate) fn rows(&self, value: bool) -> &Arc<RoaringBitmap> {
        if value { &self.yes } else { &self.no }
    }

    pub(super) fn bytes(&self) -> usize {
        self.yes.serialized_size() + self.no.serialized_size()
    }
}
