//! External ids: the names applications give users and items.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
pub use kithdb_storage::{IdKind, Side};

/// The longest string or byte id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The name an application gives a user or an item: an integer, a string or bytes.
///
/// Made from `u64`, `u32`, `usize`, and from `i64` and `i32` that are not negative, from `&str`, `String`, `Vec<u8>` and `&[u8]`.
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
    /// A negative integer, which is nobody's id: kept so that the call it is passed to refuses it by name.
    Negative(i64),
}

impl Id {
    /// Which kind of id this is.
    pub fn kind(&self) -> IdKind {
        match self {
            Id::Int(_) | Id::Negative(_) => IdKind::U64,
            Id::Str(_) => IdKind::Str,
            Id::Bytes(_) => IdKind::Bytes,
        }
    }

    /// The text of a string id.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Id::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer id.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Id::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes the id is stored and compared under: big-endian for integers, so that byte order is the order of ids of one kind.
    pub(crate) fn key(&self) -> Key<'_> {
        match self {
            Id::Int(n) => Key::Int(n.to_be_bytes()),
            Id::Str(s) => Key::Bytes(s.as_bytes()),
            Id::Bytes(b) => Key::Bytes(b),
            // No id is stored under no bytes.
            Id::Negative(_) => Key::Bytes(&[]),
        }
    }

    /// The id stored under `key`; `None` where the bytes do not form one of `kind`.
    pub(crate) fn from_key(kind: IdKind, key: &[u8]) -> Option<Self> {
        match kind {
            IdKind::U64 => Some(Id::Int(u64::from_be_bytes(key.try_into().ok()?))),
            IdKind::Str => Some(Id::Str(String::from_utf8(key.to_vec()).ok()?)),
            IdKind::Bytes => Some(Id::Bytes(key.to_vec())),
        }
    }

    /// Whether `key` is the key of an id of `kind`.
    pub(crate) fn is_key(kind: IdKind, key: &[u8]) -> bool {
        match kind {
            IdKind::U64 => key.len() == 8,
            IdKind::Str => !key.is_empty() && std::str::from_utf8(key).is_ok(),
            IdKind::Bytes => !key.is_empty(),
        }
    }

    /// Refuses ids that are negative, empty or longer than [`MAX_ID_BYTES`].
    pub(crate) fn check(&self, side: Side) -> Result<()> {
        let length = match self {
            Id::Int(_) => 8,
            Id::Str(s) => s.len(),
            Id::Bytes(b) => b.len(),
            Id::Negative(n) => {
                return Err(Error::InvalidArgument {
                    what: format!("{} id {n}", side_name(side)),
                    remedy: "integer ids are from 0 to 2^64-1; pass negative numbers as text".into(),
                });
            }
        };
        if (1..=MAX_ID_BYTES).contains(&length) {
            return Ok(());
        }
        Err(Error::InvalidArgument {
            what: format!("{} id of {length} bytes", side_name(side)),
            remedy: format!("ids have 1 to {MAX_ID_BYTES} bytes"),
        })
    }

    /// Reads text as an id of `kind`, as `Display` writes it: what a program does with ids that came from a file or the command line.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `kind` is [`IdKind::U64`] and the text is no such number, and when it is [`IdKind::Bytes`] and the text is
    /// not of two hexadecimal digits a byte.
    pub fn parse(text: &str, kind: IdKind) -> Result<Self> {
        match kind {
            IdKind::U64 => text.parse().map(Id::Int).map_err(|_| Error::InvalidArgument {
                what: format!("id {text:?}"),
                remedy: "ids here are whole numbers from 0 to 2^64-1".into(),
            }),
            IdKind::Str => Ok(Id::Str(text.to_owned())),
            IdKind::Bytes => from_hexadecimal(text).map(Id::Bytes).ok_or_else(|| Error::InvalidArgument {
                what: format!("id {text:?}"),
                remedy: "ids here are bytes, written as two hexadecimal digits each".into(),
            }),
        }
    }
}

/// Bytes of two hexadecimal digits each.
fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
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
            Id::Negative(n) => write!(f, "{n}"),
            Id::Str(s) => f.write_str(s),
            Id::Bytes(b) => b.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Id::Int(n) => serializer.serialize_u64(*n),
            Id::Negative(n) => serializer.serialize_i64(*n),
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

/// Every `usize` there is fits.
impl From<usize> for Id {
    fn from(n: usize) -> Self {
        Id::Int(n as u64)
    }
}

/// Negative ones become [`Id::Negative`], which every insert refuses and nobody is found by.
impl From<i64> for Id {
    fn from(n: i64) -> Self {
        u64::try_from(n).map_or(Id::Negative(n), Id::Int)
    }
}

/// As from an `i64`.
impl From<i32> for Id {
    fn from(n: i32) -> Self {
        i64::from(n).into()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_type_are_the_same_id() {
        let ids = [Id::from(7u64), Id::from(7u32), Id::from(7usize), Id::from(7i64), Id::from(7i32), Id::from(7)];
        assert!(ids.iter().all(|id| *id == Id::Int(7)), "{ids:?}");
        assert_eq!((Id::from(i64::MAX), Id::from(0i64)), (Id::Int(i64::MAX as u64), Id::Int(0)));
    }

    #[test]
    fn ids_give_back_what_they_were_made_of() {
        assert_eq!((Id::from("kettle").as_str(), Id::from("kettle").as_u64()), (Some("kettle"), None));
        assert_eq!((Id::from(7u64).as_str(), Id::from(7u64).as_u64()), (None, Some(7)));
        assert_eq!((Id::from(-7).as_u64(), Id::from(vec![107u8]).as_str()), (None, None));
    }

    #[test]
    fn what_is_written_of_an_id_is_read_as_that_id() {
        for id in
            [Id::from(u64::MAX), Id::from("grün"), Id::from(vec![0u8, 0xab, 0xff]), Id::from(b"kettle".as_slice())]
        {
            assert_eq!(Id::parse(&id.to_string(), id.kind()).unwrap(), id);
        }
        assert_eq!(Id::parse("ABff", IdKind::Bytes).unwrap(), Id::Bytes(vec![0xab, 0xff]));
        for text in ["abc", "zz", "0x00", "+1"] {
            let error = Id::parse(text, IdKind::Bytes).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("hexadecimal"), "{error}");
        }
    }

    #[test]
    fn a_negative_integer_is_refused_by_name() {
        for id in [Id::from(-5i32), Id::from(-5i64)] {
            let error = id.check(Side::User).unwrap_err().to_string();
            assert!(error.contains("user id -5") && error.contains("as text"), "{error}");
            assert_eq!((id.kind(), id.key().len()), (IdKind::U64, 0));
        }
        assert!(Id::from(i64::MIN).check(Side::Item).unwrap_err().to_string().contains("-9223372036854775808"));
    }
}
