//! A set of items, built once and used as a filter by many queries.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use crate::catalogue::Catalogue;
use crate::error::{Error, Result};
use crate::ids::Id;

/// Items to allow or deny, from [`Db::item_set`](crate::Db::item_set).
///
/// It belongs to the opening of a database that built it, and stays valid as long as that is open: numbers inside are never reused. Items that
/// nobody knew when it was built are remembered by their ids and looked for among what came since by every query, so that a deny list never lets through what came later.
/// The default set is empty, and everybody's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemSet {
    /// The opening of a database whose dense numbers these are.
    opening: u64,
    known: RoaringBitmap,
    /// How many items had a number when it was built: the others can only be among those that came later.
    n_items: u32,
    /// Ascending.
    unknown: Vec<Id>,
}

impl ItemSet {
    /// A set over the `items` known in one opening of a database.
    ///
    /// # Errors
    /// `WrongIdKind`.
    pub(crate) fn of(opening: u64, items: &Catalogue, ids: impl Iterator<Item = Id>) -> Result<Self> {
        let mut set = Self { opening, n_items: items.len(), ..Self::default() };
        for id in ids {
            match items.get(&id)? {
                Some(item) => drop(set.known.insert(item)),
                None => set.unknown.push(id),
            }
        }
        set.unknown.sort_unstable();
        set.unknown.dedup();
        Ok(set)
    }

    /// How many items it holds, those that nobody knew included.
    pub fn len(&self) -> u64 {
        self.known.len() + self.unknown.len() as u64
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids that nobody knew when it was built, in ascending order: misspelt, or not touched yet.
    pub fn unknown(&self) -> &[Id] {
        &self.unknown
    }

    /// The numbers of its items that are known by now. O(1) where no item has come since it was built, and O(min(n, m) log n) for n ids that were unknown
    /// and m items that came.
    ///
    /// # Errors
    /// `InvalidArgument` for a set of another database or another opening of this one; `WrongIdKind`.
    pub(crate) fn resolve(&self, opening: u64, items: &Catalogue) -> Result<Cow<'_, RoaringBitmap>> {
        if self.opening != opening && !self.is_empty() {
            return Err(Error::InvalidArgument {
                what: "an item set of another database".into(),
                remedy: "build it with item_set() of the database that is queried, after opening it".into(),
            });
        }
        let mut resolved = Cow::Borrowed(&self.known);
        let came = self.n_items.min(items.len())..items.len();
        // In the order of ids those of one kind stand together.
        for id in [self.unknown.first(), self.unknown.last()].into_iter().flatten().filter(|_| !came.is_empty()) {
            items.check_kind(id.kind())?;
        }
        if came.len() < self.unknown.len() {
            let is_of_it = |item: &u32| items.id(*item).is_some_and(|id| self.unknown.binary_search(&id).is_ok());
            for item in came.filter(is_of_it) {
                resolved.to_mut().insert(item);
            }
        } else if !came.is_empty() {
            for id in &self.unknown {
                if let Some(item) = items.get(id)? {
                    resolved.to_mut().insert(item);
                }
            }
        }
        Ok(resolved)
    }
}
