//! A set of items, built once and used as a filter by many queries.

use roaring::RoaringBitmap;

/// Items to allow or deny, from [`Db::item_set`](crate::Db::item_set).
///
/// It belongs to the database that built it and stays valid as long as that is open: dense numbers are never reused. Items the database has not seen when the set is built
/// are not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemSet {
    /// The opening of a database whose dense numbers these are.
    pub(crate) opening: u64,
    pub(crate) items: RoaringBitmap,
}

impl ItemSet {
    /// How many known items it holds.
    pub fn len(&self) -> u64 {
        self.items.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
