use roaring::RoaringBitmap;

/// Which rows a search may return. The default admits every row.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    /// If present, only these rows.
    pub allow: Option<&'a RoaringBitmap>,
    /// None of these rows.
    pub deny: Vec<&'a RoaringBitmap>,
    /// None of these rows either, ascending: what the asking user has seen.
    pub seen: &'a [u32],
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
        self.seen.binary_search(&row).is_ok()
    }
}
