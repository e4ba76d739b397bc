//! External ids, and the catalogue that maps them to the dense numbers used inside.

use std::fmt;

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Serialize, Serializer};
use std::hash::BuildHasher;

use crate::error::{Error, Result};
pub use kithdb_storage::{IdKind, Side};

/// The longest string or byte id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The name an application gives a user or an item: an integer, a string or bytes.
///
/// Each side (users, items) uses one kind, fixed by its first insert. Ids order as integers numerically, then strings, then bytes; this
/// order breaks ties between equal scores.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An unsigned integer.
    Int(u64),
    /// A string of 1 to 512 bytes.
    Str(String),
    /// 1 to 512 bytes.
    Bytes(Vec<u8>),
}

impl Id {
    /// Which kind of id this is.
    pub fn kind(&self) -> IdKind {
        match self {
            Id::Int(_) => IdKind::U64,
            Id::Str(_) => IdKind::Str,
            Id::Bytes(_) => IdKind::Bytes,
        }
    }

    /// The bytes the id is stored and compared under: big-endian for integers, so that byte order is the order of ids of one kind.
    pub(crate) fn key(&self) -> Key<'_> {
        match self {
            Id::Int(n) => Key::Int(n.to_be_bytes()),
            Id::Str(s) => Key::Bytes(s.as_bytes()),
            Id::Bytes(b) => Key::Bytes(b),
        }
    }

    /// The id stored under `key`; `None` where the bytes do not form one of `kind`.
    fn from_key(kind: IdKind, key: &[u8]) -> Option<Self> {
        match kind {
            IdKind::U64 => Some(Id::Int(u64::from_be_bytes(key.try_into().ok()?))),
            IdKind::Str => Some(Id::Str(String::from_utf8(key.to_vec()).ok()?)),
            IdKind::Bytes => Some(Id::Bytes(key.to_vec())),
        }
    }

    /// Refuses ids that are empty or longer than [`MAX_ID_BYTES`].
    pub(crate) fn check(&self, side: Side) -> Result<()> {
        let length = match self {
            Id::Int(_) => 8,
            Id::Str(s) => s.len(),
            Id::Bytes(b) => b.len(),
        };
        if (1..=MAX_ID_BYTES).contains(&length) {
            return Ok(());
        }
        Err(Error::InvalidArgument {
            what: format!("{} id of {length} bytes", side_name(side)),
            remedy: format!("ids have 1 to {MAX_ID_BYTES} bytes"),
        })
    }

    /// Reads text as an id of `kind`: what a program does with ids that came from a file or the command line.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `kind` is [`IdKind::U64`] and the text is no such number.
    pub fn parse(text: &str, kind: IdKind) -> Result<Self> {
        match kind {
            IdKind::U64 => text.parse().map(Id::Int).map_err(|_| Error::InvalidArgument {
                what: format!("id {text:?}"),
                remedy: "ids here are whole numbers from 0 to 2^64-1".into(),
            }),
            IdKind::Str => Ok(Id::Str(text.to_owned())),
            IdKind::Bytes => Ok(Id::Bytes(text.as_bytes().to_vec())),
        }
    }
}

/// The bytes of an id, without an allocation.
pub(crate) enum Key<'a> {
    Int([u8; 8]),
    Bytes(&'a [u8]),
}

impl std::ops::Deref for Key<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Key::Int(bytes) => bytes,
            Key::Bytes(bytes) => bytes,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Int(n) => write!(f, "{n}"),
            Id::Str(s) => f.write_str(s),
            Id::Bytes(b) => b.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Id::Int(n) => serializer.serialize_u64(*n),
            other => serializer.collect_str(other),
        }
    }
}

macro_rules! id_from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Id {
            fn from(value: $type) -> Self {
                Id::$variant(value.into())
            }
        })*
    };
}
id_from!(u64 => Int, u32 => Int, &str => Str, String => Str, &String => Str, Vec<u8> => Bytes, &[u8] => Bytes);

impl From<&Id> for Id {
    fn from(id: &Id) -> Self {
        id.clone()
    }
}

/// How errors call a side.
pub(crate) fn side_name(side: Side) -> &'static str {
    match side {
        Side::User => "user",
        Side::Item => "item",
    }
}

/// How errors call a kind.
pub(crate) fn kind_name(kind: IdKind) -> &'static str {
    match kind {
        IdKind::U64 => "u64",
        IdKind::Str => "string",
        IdKind::Bytes => "bytes",
    }
}

/// One side's ids: external id to dense number and back.
///
/// Dense numbers count from 0 and are never reused; forgetting an id leaves its number unused for good. All ids of a side share one
/// kind, so comparing keys compares ids.
pub(crate) struct Catalogue {
    side: Side,
    kind: Option<IdKind>,
    keys: Vec<u8>,
    /// Where each id's key ends in `keys`; it starts where the one before ends.
    ends: Vec<u64>,
    forgotten: roaring::RoaringBitmap,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Catalogue {
    /// A side nobody has written to.
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            kind: None,
            keys: Vec::new(),
            ends: Vec::new(),
            forgotten: roaring::RoaringBitmap::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// A side whose kind is fixed.
    pub(crate) fn of_kind(side: Side, kind: IdKind) -> Self {
        Self { kind: Some(kind), ..Self::new(side) }
    }

    /// Rebuilds a side from what [`Self::encode`] gave. A key of no bytes is a forgotten id.
    pub(crate) fn decode(side: Side, kind: Option<IdKind>, keys: Vec<u8>, ends: Vec<u64>) -> Result<Self> {
        let ordered = ends.windows(2).all(|w| w[0] <= w[1]) && ends.last().copied().unwrap_or(0) == keys.len() as u64;
        if !ordered || ends.len() >= u32::MAX as usize || (kind.is_none() && !ends.is_empty()) {
            return Err(Error::Damaged { what: format!("the catalogue of {}s", side_name(side)) });
        }
        let mut catalogue = Self { kind, keys, ends, ..Self::new(side) };
        catalogue.index.reserve(catalogue.ends.len(), |_| 0);
        for dense in 0..catalogue.len() {
            match catalogue.raw(dense) {
                [] => drop(catalogue.forgotten.insert(dense)),
                key => {
                    let hash = catalogue.hasher.hash_one(key);
                    let (ends, keys, hasher) = (&catalogue.ends, &catalogue.keys, &catalogue.hasher);
                    catalogue.index.insert_unique(hash, dense, |&d| hasher.hash_one(slice(keys, ends, d)));
                }
            }
        }
        Ok(catalogue)
    }

    /// The keys back to back and where each ends, forgotten ones erased.
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<u64>) {
        let mut keys = Vec::with_capacity(self.keys.len());
        let ends = (0..self.len())
            .map(|dense| {
                if !self.forgotten.contains(dense) {
                    keys.extend_from_slice(self.raw(dense));
                }
                keys.len() as u64
            })
            .collect();
        (keys, ends)
    }

    /// The kind of this side's ids, once there is one.
    pub(crate) fn kind(&self) -> Option<IdKind> {
        self.kind
    }

    /// How many dense numbers have been given out.
    pub(crate) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// How many of them are in use.
    pub(crate) fn live(&self) -> u64 {
        self.ends.len() as u64 - self.forgotten.len()
    }

    /// Dense numbers no longer in use.
    pub(crate) fn forgotten(&self) -> &roaring::RoaringBitmap {
        &self.forgotten
    }

    /// The dense number of `id`; an error where `id` is of another kind than this side's.
    pub(crate) fn get(&self, id: &Id) -> Result<Option<u32>> {
        self.check_kind(id.kind())?;
        Ok(self.find(&id.key()))
    }

    /// The dense number stored under `key`.
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |&dense| self.raw(dense) == key).copied()
    }

    /// The id of `dense`, unless it was forgotten or never given out.
    pub(crate) fn id(&self, dense: u32) -> Option<Id> {
        (dense < self.len() && !self.forgotten.contains(dense)).then(|| Id::from_key(self.kind?, self.raw(dense)))?
    }

    /// Gives `key` the next dense number, which has to be `dense`.
    pub(crate) fn define(&mut self, dense: u32, kind: IdKind, key: &[u8]) -> Result<()> {
        if dense != self.len()
            || key.is_empty()
            || self.kind.is_some_and(|k| k != kind)
            || Id::from_key(kind, key).is_none()
        {
            return Err(Error::Damaged { what: format!("the log's definition of {} {dense}", side_name(self.side)) });
        }
        self.kind = Some(kind);
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len() as u64);
        let hash = self.hasher.hash_one(key);
        let (ends, keys, hasher) = (&self.ends, &self.keys, &self.hasher);
        self.index.insert_unique(hash, dense, |&d| hasher.hash_one(slice(keys, ends, d)));
        Ok(())
    }

    /// Takes the id of `dense` out of use; whoever comes back under it gets a new number.
    pub(crate) fn forget(&mut self, dense: u32) {
        if dense < self.len() && self.forgotten.insert(dense) {
            let hash = self.hasher.hash_one(self.raw(dense));
            if let Ok(entry) = self.index.find_entry(hash, |&d| d == dense) {
                entry.remove();
            }
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

    /// The rank of each dense number in the order of ids: what breaks ties between equal scores. `[len]`, O(n log n).
    pub(crate) fn ranks(&self) -> Vec<u32> {
        ranks(&self.keys, &self.ends)
    }

    /// Which of two numbers comes first in the order of ids.
    pub(crate) fn compare(&self, a: u32, b: u32) -> std::cmp::Ordering {
        self.raw(a).cmp(self.raw(b)).then(a.cmp(&b))
    }

    fn raw(&self, dense: u32) -> &[u8] {
        slice(&self.keys, &self.ends, dense)
    }
}

/// The rank of each dense number in the order of keys, those of equal keys by number. `[ends.len()]`, O(n log n).
pub(crate) fn ranks(keys: &[u8], ends: &[u64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..ends.len() as u32).collect();
    order.sort_by(|&a, &b| slice(keys, ends, a).cmp(slice(keys, ends, b)).then(a.cmp(&b)));
    let mut ranks = vec![0; order.len()];
    for (rank, &dense) in order.iter().enumerate() {
        ranks[dense as usize] = rank as u32;
    }
    ranks
}

/// The key of `dense`: `ends` ascends and ends at `keys.len()`, by construction and by [`Catalogue::decode`]'s check.
fn slice<'a>(keys: &'a [u8], ends: &[u64], dense: u32) -> &'a [u8] {
    let start = if dense == 0 { 0 } else { ends[dense as usize - 1] };
    &keys[start as usize..ends[dense as usize] as usize]
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
        users.forget(1);
        assert_eq!(users.get(&"alice".into()).unwrap(), None);
        users.define(3, IdKind::Str, b"alice").unwrap();
        let (keys, ends) = users.encode();
        let again = Catalogue::decode(Side::User, users.kind(), keys, ends).unwrap();
        assert_eq!(again.get(&"alice".into()).unwrap(), Some(3));
        assert_eq!(again.id(1), None);
        assert_eq!(again.id(2), Some("bob".into()));
        assert_eq!((again.len(), again.live()), (4, 3));
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
