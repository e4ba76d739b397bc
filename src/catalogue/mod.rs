//! The catalogues that map external ids to the dense numbers used inside.

mod lookup;

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use kithdb_storage::Record;
use roaring::RoaringBitmap;

use crate::attributes::{self, Tables};
use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, Side, kind_name, side_name};
use crate::persistent::Pages;
use lookup::Lookup;

/// Ids a page holds.
const PAGE: usize = 128;

/// Both sides' ids, and what is said of whom they name. A copy is O(1) and stays as it is.
#[derive(Clone)]
pub(crate) struct Catalogues {
    pub(crate) users: Catalogue,
    pub(crate) items: Catalogue,
    pub(crate) attributes: Tables,
}

impl Catalogues {
    /// Those of a database nobody has written to.
    pub(crate) fn new() -> Self {
        let (users, items) = (Catalogue::new(Side::User), Catalogue::new(Side::Item));
        Self { users, items, attributes: Tables::default() }
    }

    /// Takes in the definitions and descriptions among `records`, and the users they forget.
    ///
    /// # Errors
    /// `Damaged` for a record that defines an id out of turn, names a number without one, or describes it in no known way; the records before it are taken
    /// in.
    pub(crate) fn apply<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<()> {
        for record in records {
            match record {
                Record::Define { side: Side::User, index, kind, bytes } => self.users.define(*index, *kind, bytes)?,
                Record::Define { side: Side::Item, index, kind, bytes } => self.items.define(*index, *kind, bytes)?,
                Record::ForgetUser { user } => {
                    self.users.check_defined(*user)?;
                    self.users.forget(*user);
                    self.attributes.users.clear(*user);
                }
                Record::Insert { user, item, .. } | Record::Remove { user, item } => {
                    self.users.check_defined(*user)?;
                    self.items.check_defined(*item)?;
                }
                Record::RetireItem { item } | Record::UnretireItem { item } => self.items.check_defined(*item)?,
                Record::Describe { side, index, bytes } => {
                    let catalogue = match side {
                        Side::User => &self.users,
                        Side::Item => &self.items,
                    };
                    catalogue.check_defined(*index)?;
                    let said = attributes::decode(bytes).ok_or_else(|| Error::Damaged {
                        what: format!("the log's description of {} {index}", side_name(*side)),
                    })?;
                    // Who was forgotten has none, whatever came after.
                    if !catalogue.forgotten.contains(*index) {
                        self.attributes.of_mut(*side).set(*index, &said)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One side's ids: external id to dense number and back.
///
/// Dense numbers count from 0 and are never reused; forgetting an id leaves its number unused for good. All ids of a side share one
/// kind, so comparing keys compares ids. A copy is O(1); a change of a shared catalogue copies a page of 128 keys and a bucket of the lookup.
#[derive(Clone)]
pub(crate) struct Catalogue {
    side: Side,
    kind: Option<IdKind>,
    pages: Pages<Page>,
    len: u32,
    forgotten: Arc<RoaringBitmap>,
    lookup: Lookup,
    hasher: DefaultHashBuilder,
}

/// The keys of [`PAGE`] numbers back to back, and where each ends.
#[derive(Clone)]
struct Page {
    len: usize,
    ends: [u32; PAGE],
    keys: Vec<u8>,
}

impl Page {
    fn new() -> Self {
        Self { len: 0, ends: [0; PAGE], keys: Vec::new() }
    }

    /// The key at a place of the page.
    fn key(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.keys[start as usize..self.ends[at] as usize]
    }

    fn push(&mut self, key: &[u8]) {
        self.keys.extend_from_slice(key);
        self.ends[self.len] = self.keys.len() as u32;
        self.len += 1;
    }
}

impl Catalogue {
    /// Bytes held in memory. O(ids / 128).
    pub(crate) fn bytes(&self) -> usize {
        let keys: usize = self.pages.iter().map(|page| size_of::<Page>() + page.keys.capacity()).sum();
        keys + self.lookup.bytes()
    }

    /// A side nobody has written to.
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            kind: None,
            pages: Pages::new(),
            len: 0,
            forgotten: Arc::default(),
            lookup: Lookup::with_capacity(0),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// A side whose kind is fixed.
    pub(crate) fn of_kind(side: Side, kind: IdKind) -> Self {
        Self { kind: Some(kind), ..Self::new(side) }
    }

    /// Rebuilds a side from what [`Self::encode`] gave. A key of no bytes is a forgotten id.
    pub(crate) fn decode(side: Side, kind: Option<IdKind>, keys: &[u8], ends: &[u64]) -> Result<Self> {
        let damaged = || Error::Damaged { what: format!("the catalogue of {}s", side_name(side)) };
        if ends.len() >= u32::MAX as usize || (kind.is_none() && !ends.is_empty()) {
            return Err(damaged());
        }
        let mut catalogue = Self { kind, lookup: Lookup::with_capacity(ends.len()), ..Self::new(side) };
        let mut start = 0;
        for ends in ends.chunks(PAGE) {
            let mut page = Page::new();
            for &end in ends {
                let key = usize::try_from(end).ok().and_then(|end| keys.get(start..end)).ok_or_else(damaged)?;
                start = end as usize;
                page.push(key);
            }
            catalogue.len += ends.len() as u32;
            catalogue.pages.push(page);
        }
        if start != keys.len() {
            return Err(damaged());
        }
        let mut forgotten = RoaringBitmap::new();
        for dense in 0..catalogue.len {
            match catalogue.raw(dense) {
                [] => drop(forgotten.insert(dense)),
                _ => catalogue.index(dense),
            }
        }
        catalogue.forgotten = Arc::new(forgotten);
        Ok(catalogue)
    }

    /// The keys back to back and where each ends, forgotten ones erased.
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<u64>) {
        let mut keys = Vec::with_capacity(self.pages.iter().map(|page| page.keys.len()).sum());
        let mut ends = Vec::with_capacity(self.len as usize);
        for (page, first) in self.pages.iter().zip((0..).step_by(PAGE)) {
            for (at, dense) in (0..page.len).zip(first..) {
                if !self.forgotten.contains(dense) {
                    keys.extend_from_slice(page.key(at));
                }
                ends.push(keys.len() as u64);
            }
        }
        (keys, ends)
    }

    /// The kind of this side's ids, once there is one.
    pub(crate) fn kind(&self) -> Option<IdKind> {
        self.kind
    }

    /// How many dense numbers have been given out.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// How many of them are in use.
    pub(crate) fn live(&self) -> u64 {
        u64::from(self.len) - self.forgotten.len()
    }

    /// Dense numbers no longer in use.
    pub(crate) fn forgotten(&self) -> &RoaringBitmap {
        &self.forgotten
    }

    /// The dense number of `id`; an error where `id` is of another kind than this side's.
    pub(crate) fn get(&self, id: &Id) -> Result<Option<u32>> {
        self.check_kind(id.kind())?;
        Ok(self.find(&id.key()))
    }

    /// The dense number stored under `key`.
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        self.lookup.find(hash(&self.hasher, key), |dense| is_same(self.raw(dense), key))
    }

    /// The id of `dense`, unless it was forgotten or never given out.
    pub(crate) fn id(&self, dense: u32) -> Option<Id> {
        (dense < self.len && !self.forgotten.contains(dense)).then(|| Id::from_key(self.kind?, self.raw(dense)))?
    }

    /// The text of `dense` in a catalogue of texts, unless it was forgotten or never given out.
    pub(crate) fn text(&self, dense: u32) -> Option<&str> {
        let is_live = dense < self.len && !self.forgotten.contains(dense);
        is_live.then(|| std::str::from_utf8(self.raw(dense)).ok())?
    }

    /// Refuses a number that was never given out: everything kept by number has as many places as there are ids.
    fn check_defined(&self, dense: u32) -> Result<()> {
        if dense < self.len {
            return Ok(());
        }
        Err(Error::Damaged { what: format!("the log, which names {} {dense} without an id", side_name(self.side)) })
    }

    /// Gives `key` the next dense number, which has to be `dense`.
    pub(crate) fn define(&mut self, dense: u32, kind: IdKind, key: &[u8]) -> Result<()> {
        if dense != self.len || self.kind.is_some_and(|k| k != kind) || !Id::is_key(kind, key) {
            return Err(Error::Damaged { what: format!("the log's definition of {} {dense}", side_name(self.side)) });
        }
        self.kind = Some(kind);
        let page = dense as usize / PAGE;
        if page == self.pages.len() {
            self.pages.push(Page::new());
        }
        if let Some(page) = self.pages.get_mut(page) {
            page.push(key);
        }
        self.len += 1;
        self.index(dense);
        Ok(())
    }

    /// Takes the id of `dense` out of use; whoever comes back under it gets a new number.
    pub(crate) fn forget(&mut self, dense: u32) {
        if dense < self.len && !self.forgotten.contains(dense) {
            Arc::make_mut(&mut self.forgotten).insert(dense);
            self.lookup.remove(hash(&self.hasher, self.raw(dense)), dense);
        }
    }

    /// Refuses ids of another kind than this side's.
    pub(crate) fn check_kind(&self, kind: IdKind) -> Result<()> {
        match self.kind {
            Some(stored) if stored != kind => Err(Error::WrongIdKind {
                side: side_name(self.side),
                given: kind_name(kind),
                stored: kind_name(stored),
            }),
            _ => Ok(()),
        }
    }

    /// The rank of each dense number in the order of ids, forgotten ones first: what breaks ties between equal scores. `[len]`, O(n log n).
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let (keys, ends) = self.encode();
        ranks(&keys, &ends)
    }

    /// Which of two numbers comes first in the order of ids.
    pub(crate) fn compare(&self, a: u32, b: u32) -> Ordering {
        self.raw(a).cmp(self.raw(b)).then(a.cmp(&b))
    }

    /// The key of a number that was given out; none of one that was not.
    fn raw(&self, dense: u32) -> &[u8] {
        raw(&self.pages, dense)
    }

    /// Has the number of a key found.
    fn index(&mut self, dense: u32) {
        let Self { pages, hasher, lookup, .. } = self;
        lookup.insert(dense, |dense| hash(hasher, raw(pages, dense)));
    }
}

fn raw(pages: &Pages<Page>, dense: u32) -> &[u8] {
    let at = dense as usize % PAGE;
    pages.get(dense as usize / PAGE).filter(|page| at < page.len).map_or(&[], |page| page.key(at))
}

fn hash(hasher: &DefaultHashBuilder, key: &[u8]) -> u32 {
    let hash = hasher.hash_one(key);
    (hash ^ hash >> 32) as u32
}

/// Whether two keys are the same; those of integers without a call.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    match (<[u8; 8]>::try_from(a), <[u8; 8]>::try_from(b)) {
        (Ok(a), Ok(b)) => u64::from_ne_bytes(a) == u64::from_ne_bytes(b),
        _ => a == b,
    }
}

/// The rank of each dense number in the order of keys, those of equal keys by number. `[ends.len()]`, O(n log n).
pub(crate) fn ranks(keys: &[u8], ends: &[u64]) -> Vec<u32> {
    // Ends ascend and end at `keys.len()`, as `Catalogue::encode` writes them.
    let key = |dense: u32| {
        let start = if dense == 0 { 0 } else { ends[dense as usize - 1] };
        &keys[start as usize..ends[dense as usize] as usize]
    };
    let mut order: Vec<u32> = (0..ends.len() as u32).collect();
    order.sort_by(|&a, &b| key(a).cmp(key(b)).then(a.cmp(&b)));
    let mut ranks = vec![0; order.len()];
    for (rank, &dense) in order.iter().enumerate() {
        ranks[dense as usize] = rank as u32;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_ids_come_back() {
        let mut users = Catalogue::new(Side::User);
        for (dense, name) in ["carol", "alice", "bob"].iter().enumerate() {
            users.define(dense as u32, IdKind::Str, name.as_bytes()).unwrap();
        }
        assert_eq!(users.get(&"alice".into()).unwrap(), Some(1));
        assert_eq!(users.get(&"dave".into()).unwrap(), None);
        assert_eq!(users.ranks(), [2, 0, 1]);
        let before = users.clone();
        users.forget(1);
        assert_eq!(users.get(&"alice".into()).unwrap(), None);
        users.define(3, IdKind::Str, b"alice").unwrap();
        let (keys, ends) = users.encode();
        let again = Catalogue::decode(Side::User, users.kind(), &keys, &ends).unwrap();
        assert_eq!(again.get(&"alice".into()).unwrap(), Some(3));
        assert_eq!(again.id(1), None);
        assert_eq!(again.id(2), Some("bob".into()));
        assert_eq!((again.len(), again.live()), (4, 3));
        // A copy keeps its moment.
        assert_eq!((before.len(), before.live(), before.get(&"alice".into()).unwrap()), (3, 3, Some(1)));
        assert_eq!((before.id(1), before.id(3)), (Some("alice".into()), None));
    }

    #[test]
    fn a_number_without_an_id_is_damage() {
        let mut catalogues = Catalogues::new();
        let define = |side, index| Record::Define { side, index, kind: IdKind::Str, bytes: b"a".to_vec() };
        catalogues.apply(&[define(Side::User, 0), define(Side::Item, 0)]).unwrap();
        let insert = |user, item| Record::Insert { user, item, weight: 1.0, time: None };
        catalogues.apply(&[insert(0, 0), Record::Remove { user: 0, item: 0 }, Record::RetireItem { item: 0 }]).unwrap();
        for stray in [
            insert(1, 0),
            insert(0, u32::MAX),
            Record::Remove { user: 1, item: 0 },
            Record::ForgetUser { user: 1 },
            Record::RetireItem { item: 1 },
            Record::UnretireItem { item: 9 },
            Record::Describe { side: Side::Item, index: 1, bytes: vec![1, b'a', 1] },
            Record::Describe { side: Side::Item, index: 0, bytes: vec![1, b'a', 9] },
        ] {
            assert!(matches!(catalogues.apply([&stray]), Err(Error::Damaged { .. })), "{stray:?}");
        }
    }

    #[test]
    fn many_ids_over_many_pages() {
        let mut items = Catalogue::new(Side::Item);
        let key = |n: u32| format!("item {}", n.wrapping_mul(2_654_435_761)).into_bytes();
        for n in 0..5_000 {
            assert_eq!(items.find(&key(n)), None);
            items.define(n, IdKind::Str, &key(n)).unwrap();
        }
        (0..5_000).step_by(7).for_each(|n| items.forget(n));
        let (keys, ends) = items.encode();
        let again = Catalogue::decode(Side::Item, items.kind(), &keys, &ends).unwrap();
        for n in 0..5_000 {
            let expected = (n % 7 != 0).then_some(n);
            assert_eq!((items.find(&key(n)), again.find(&key(n))), (expected, expected), "{n}");
        }
        for (keys, ends) in [(keys[1..].to_vec(), ends.clone()), (keys.clone(), ends[..4_999].to_vec())] {
            assert!(Catalogue::decode(Side::Item, items.kind(), &keys, &ends).is_err());
        }
        assert!(Catalogue::decode(Side::Item, items.kind(), b"abc", &[2, 1, 3]).is_err());
        assert!(Catalogue::decode(Side::Item, items.kind(), b"abc", &[1, u64::MAX]).is_err());
    }

    #[test]
    fn another_kind_is_refused_by_name() {
        let mut items = Catalogue::new(Side::Item);
        items.define(0, IdKind::U64, &7u64.to_be_bytes()).unwrap();
        let error = items.get(&"7".into()).unwrap_err().to_string();
        assert!(error.contains("string") && error.contains("u64") && error.contains("item"), "{error}");
        assert_eq!(items.get(&7u64.into()).unwrap(), Some(0));
    }

    #[test]
    fn integer_ids_rank_numerically() {
        let mut items = Catalogue::new(Side::Item);
        for (dense, n) in [10u64, 9, 300].into_iter().enumerate() {
            items.define(dense as u32, IdKind::U64, &n.to_be_bytes()).unwrap();
        }
        assert_eq!(items.ranks(), [1, 0, 2]);
    }
}
