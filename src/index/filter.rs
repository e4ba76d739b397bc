use roaring::RoaringBitmap;

/// Which rows a search may return. The default admits every row.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    /// If present, only these rows.
    pub allow: Option<&'a RoaringBitmap>,
    /// None of these rows.
    pub deny: Vec<&'a RoaringBitmap>,
    /// None of these rows either: what the asking user has seen.
    pub seen: Seen<'a>,
}

/// Words of a sketch.
const WORDS: usize = 8;

/// Rows, ascending, with a sketch of them: most rows that are not among them are told from it at once.
#[derive(Debug, Clone, Default)]
pub struct Seen<'a> {
    rows: &'a [u32],
    /// The bit of every row, by its lowest bits; all set where there are too many rows to tell much.
    sketch: [u64; WORDS],
}

impl<'a> Seen<'a> {
    /// Of ascending rows. O(rows), up to a few hundred.
    pub fn of(rows: &'a [u32]) -> Self {
        let mut sketch = [0; WORDS];
        if rows.len() > 32 * WORDS {
            sketch = [u64::MAX; WORDS];
        } else {
            rows.iter().for_each(|&row| sketch[row as usize / 64 % WORDS] |= 1 << (row % 64));
        }
        Self { rows, sketch }
    }

    /// The rows.
    #[cfg(test)]
    pub(super) fn rows(&self) -> &'a [u32] {
        self.rows
    }

    /// Whether a row is among them. O(1) for most that are not, O(log) otherwise.
    #[inline]
    pub fn contains(&self, row: u32) -> bool {
        self.sketch[row as usize / 64 % WORDS] >> (row % 64) & 1 == 1 && self.rows.binary_search(&row).is_ok()
    }
}

impl Filter<'_> {
    /// Whether a row may be returned. O(log) of the sets.
    pub fn admits(&self, row: u32) -> bool {
        self.lists(row) && !self.has_seen(row)
    }

    /// Whether it may be by the allow and deny lists.
    pub(super) fn lists(&self, row: u32) -> bool {
        self.allow.is_none_or(|allow| allow.contains(row)) && !self.deny.iter().any(|deny| deny.contains(row))
    }

    /// Whether the user has it.
    pub(super) fn has_seen(&self, row: u32) -> bool {
        self.seen.contains(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sketch_loses_nobody(
            rows in prop_oneof![prop::collection::btree_set(0..3000u32, 0..40), prop::collection::btree_set(0..3000u32, 0..600)],
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let seen = Seen::of(&rows);
            for row in 0..3000 {
                prop_assert_eq!(seen.contains(row), rows.contains(&row));
            }
        }
    }
}
