//! The records of the log and their bytes (FORMAT.md, "Records").

use crate::error::{Error, Result};

/// Bytes an external id may have.
pub const MAX_ID: usize = 512;

/// Bytes of what one record says of a user or an item.
pub const MAX_DESCRIPTION: usize = 4096;

/// One side of the bipartite graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Side {
    /// Those who interact.
    User = 0,
    /// What they interact with.
    Item = 1,
}

/// How the bytes of an external id are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum IdKind {
    /// An unsigned integer: eight bytes, big-endian.
    U64 = 0,
    /// UTF-8 text.
    Str = 1,
    /// Any bytes.
    Bytes = 2,
}

/// One entry of the log. Users and items are dense `u32` indices; `u32::MAX` is reserved.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Ties a dense index to an external id.
    Define {
        /// Whose id it is.
        side: Side,
        /// The dense index.
        index: u32,
        /// How to read the bytes.
        kind: IdKind,
        /// The external id: 1 to [`MAX_ID`] bytes; exactly 8 for [`IdKind::U64`].
        bytes: Vec<u8>,
    },
    /// A user touched an item. A later insert of the same pair replaces an earlier one.
    Insert {
        /// The user's dense index.
        user: u32,
        /// The item's dense index.
        item: u32,
        /// Strength of the interaction: finite and positive. 1 costs no space.
        weight: f32,
        /// When it happened, in milliseconds since 1970. `None` costs no space.
        time: Option<i64>,
    },
    /// Takes an interaction back.
    Remove {
        /// The user's dense index.
        user: u32,
        /// The item's dense index.
        item: u32,
    },
    /// Forgets a user: the interactions, and at the next generation the id.
    ForgetUser {
        /// The user's dense index.
        user: u32,
    },
    /// Bars an item from every answer.
    RetireItem {
        /// The item's dense index.
        item: u32,
    },
    /// Lets a retired item into answers again.
    UnretireItem {
        /// The item's dense index.
        item: u32,
    },
    /// Says something of a user or an item, in bytes whose meaning is the application's.
    Describe {
        /// Of whom.
        side: Side,
        /// The dense index.
        index: u32,
        /// What is said: 1 to [`MAX_DESCRIPTION`] bytes.
        bytes: Vec<u8>,
    },
}

const DEFINE: u8 = 1;
const INSERT: u8 = 2;
const REMOVE: u8 = 3;
const FORGET_USER: u8 = 4;
const RETIRE_ITEM: u8 = 5;
const UNRETIRE_ITEM: u8 = 6;
const DESCRIBE: u8 = 7;
/// Flag of an insert: a weight follows.
const WEIGHT: u8 = 0x40;
/// Flag of an insert: a time follows.
const TIME: u8 = 0x80;

impl Record {
    /// Refuses what cannot be stored: reserved indices, ids of a wrong length or not UTF-8, weights that are not finite and positive.
    pub(crate) fn validate(&self) -> Result<()> {
        let indices = match self {
            Record::Define { index, kind, bytes, .. } => {
                if bytes.is_empty() || bytes.len() > MAX_ID {
                    return Err(Error::invalid(format!(
                        "an external id has 1 to {MAX_ID} bytes, this one has {}",
                        bytes.len()
                    )));
                }
                if *kind == IdKind::U64 && bytes.len() != 8 {
                    return Err(Error::invalid(format!("an integer id has 8 bytes, this one has {}", bytes.len())));
                }
                if *kind == IdKind::Str && std::str::from_utf8(bytes).is_err() {
                    return Err(Error::invalid("a text id is not UTF-8"));
                }
                [*index, 0]
            }
            Record::Insert { user, item, weight, .. } => {
                if !(weight.is_finite() && *weight > 0.0) {
                    return Err(Error::invalid(format!("a weight is finite and above zero, this one is {weight}")));
                }
                [*user, *item]
            }
            Record::Describe { index, bytes, .. } => {
                if bytes.is_empty() || bytes.len() > MAX_DESCRIPTION {
                    return Err(Error::invalid(format!(
                        "a description has 1 to {MAX_DESCRIPTION} bytes, this one has {}",
                        bytes.len()
                    )));
                }
                [*index, 0]
            }
            Record::Remove { user, item } => [*user, *item],
            Record::ForgetUser { user: index }
            | Record::RetireItem { item: index }
            | Record::UnretireItem { item: index } => [*index, 0],
        };
        if indices.contains(&u32::MAX) {
            return Err(Error::invalid("the index 4294967295 is reserved"));
        }
        Ok(())
    }

    /// How many bytes [`Record::encode`] appends at most.
    pub(crate) fn encoded_bytes(&self) -> usize {
        match self {
            Record::Define { bytes, .. } => 9 + bytes.len(),
            Record::Describe { bytes, .. } => 8 + bytes.len(),
            Record::Insert { .. } => 21,
            Record::Remove { .. } => 9,
            Record::ForgetUser { .. } | Record::RetireItem { .. } | Record::UnretireItem { .. } => 5,
        }
    }

    /// Appends the record's bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Define { side, index, kind, bytes } => {
                out.extend_from_slice(&[DEFINE, *side as u8, *kind as u8]);
                out.extend_from_slice(&index.to_le_bytes());
                out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Record::Insert { user, item, weight, time } => {
                let weighted = weight.to_bits() != 1.0f32.to_bits();
                let op = INSERT | if weighted { WEIGHT } else { 0 } | if time.is_some() { TIME } else { 0 };
                out.push(op);
                out.extend_from_slice(&user.to_le_bytes());
                out.extend_from_slice(&item.to_le_bytes());
                if weighted {
                    out.extend_from_slice(&weight.to_le_bytes());
                }
                if let Some(time) = time {
                    out.extend_from_slice(&time.to_le_bytes());
                }
            }
            Record::Remove { user, item } => {
                out.push(REMOVE);
                out.extend_from_slice(&user.to_le_bytes());
                out.extend_from_slice(&item.to_le_bytes());
            }
            Record::ForgetUser { user } => {
                out.push(FORGET_USER);
                out.extend_from_slice(&user.to_le_bytes());
            }
            Record::RetireItem { item } => {
                out.push(RETIRE_ITEM);
                out.extend_from_slice(&item.to_le_bytes());
            }
            Record::UnretireItem { item } => {
                out.push(UNRETIRE_ITEM);
                out.extend_from_slice(&item.to_le_bytes());
            }
            Record::Describe { side, index, bytes } => {
                out.extend_from_slice(&[DESCRIBE, *side as u8]);
                out.extend_from_slice(&index.to_le_bytes());
                out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
                out.extend_from_slice(bytes);
            }
        }
    }

    /// Reads one record from the front of `bytes` and moves past it. `None` when the bytes are not a record.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Option<Record> {
        let [op] = take(bytes)?;
        let record = match op & !(WEIGHT | TIME) {
            DEFINE => {
                let [side, kind] = take(bytes)?;
                let side = side_of(side)?;
                let kind = match kind {
                    0 => IdKind::U64,
                    1 => IdKind::Str,
                    2 => IdKind::Bytes,
                    _ => return None,
                };
                Record::Define { side, index: index(bytes)?, kind, bytes: counted(bytes)? }
            }
            INSERT => {
                let (user, item) = (index(bytes)?, index(bytes)?);
                let weight = if op & WEIGHT != 0 { f32::from_le_bytes(take(bytes)?) } else { 1.0 };
                let time = if op & TIME != 0 { Some(i64::from_le_bytes(take(bytes)?)) } else { None };
                return Some(Record::Insert { user, item, weight, time });
            }
            REMOVE => Record::Remove { user: index(bytes)?, item: index(bytes)? },
            FORGET_USER => Record::ForgetUser { user: index(bytes)? },
            RETIRE_ITEM => Record::RetireItem { item: index(bytes)? },
            UNRETIRE_ITEM => Record::UnretireItem { item: index(bytes)? },
            DESCRIBE => {
                let [side] = take(bytes)?;
                Record::Describe { side: side_of(side)?, index: index(bytes)?, bytes: counted(bytes)? }
            }
            _ => return None,
        };
        (op & (WEIGHT | TIME) == 0).then_some(record)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn index(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

/// Bytes that their number, a u16, stands before.
fn counted(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let length = u16::from_le_bytes(take(bytes)?) as usize;
    let (counted, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(counted.to_vec())
}

fn side_of(byte: u8) -> Option<Side> {
    match byte {
        0 => Some(Side::User),
        1 => Some(Side::Item),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_insert_takes_nine_bytes() {
        let mut bytes = Vec::new();
        Record::Insert { user: 7, item: 9, weight: 1.0, time: None }.encode(&mut bytes);
        assert_eq!(bytes.len(), 9);
    }

    #[test]
    fn no_record_is_longer_than_it_says() {
        let records = [
            Record::Define { side: Side::Item, index: 3, kind: IdKind::Bytes, bytes: vec![1; 512] },
            Record::Insert { user: 7, item: 9, weight: 2.5, time: Some(-4) },
            Record::Remove { user: 1, item: 2 },
            Record::ForgetUser { user: 5 },
            Record::RetireItem { item: 6 },
            Record::UnretireItem { item: 6 },
            Record::Describe { side: Side::User, index: 8, bytes: vec![9; MAX_DESCRIPTION] },
        ];
        for record in records {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(bytes.len(), record.encoded_bytes(), "{record:?}");
            assert_eq!(Record::decode(&mut &bytes[..]), Some(record));
        }
    }

    #[test]
    fn unknown_operations_and_flags_are_refused() {
        for bad in [
            &[0u8][..],
            &[8, 0, 0, 0, 0],
            &[DESCRIBE, 2, 0, 0, 0, 0, 0, 0],
            &[REMOVE | TIME, 0, 0, 0, 0, 0, 0, 0, 0],
            &[DEFINE, 2, 0],
            &[],
        ] {
            assert_eq!(Record::decode(&mut &*bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let insert = |user, weight| Record::Insert { user, item: 1, weight, time: None };
        assert!(insert(0, 0.5).validate().is_ok());
        for bad in
            [insert(u32::MAX, 1.0), insert(0, 0.0), insert(0, -1.0), insert(0, f32::NAN), insert(0, f32::INFINITY)]
        {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        let define = |kind, bytes: &[u8]| Record::Define { side: Side::User, index: 0, kind, bytes: bytes.to_vec() };
        assert!(define(IdKind::Str, "grüße".as_bytes()).validate().is_ok());
        for bad in [
            define(IdKind::Str, b""),
            define(IdKind::Bytes, &[0; 513]),
            define(IdKind::U64, b"1234"),
            define(IdKind::Str, &[0xff]),
            Record::Describe { side: Side::Item, index: 0, bytes: Vec::new() },
            Record::Describe { side: Side::Item, index: 0, bytes: vec![0; MAX_DESCRIPTION + 1] },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}
