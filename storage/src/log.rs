//! The log: records packed into values, keyed by the sequence of their first record.

use crate::engine::{Engine, Tree};
use crate::error::{Error, RESTORE, Result};
use crate::record::Record;
use crate::value::{Kind, MAX_PAYLOAD};

/// Bytes in front of the records of a value: their count.
const COUNT: usize = 4;

/// The key of the value whose first record has this sequence.
pub(crate) fn key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

/// Packs records into payloads of at most [`MAX_PAYLOAD`] bytes and hands over each with the sequence of its first record.
pub(crate) fn pack(first: u64, records: &[Record], mut emit: impl FnMut(u64, Vec<u8>) -> Result<()>) -> Result<()> {
    let mut packer = Packer::new(first);
    for record in records {
        if let Some((begin, payload)) = packer.push(record) {
            emit(begin, payload)?;
        }
    }
    packer.finish().map_or(Ok(()), |(begin, payload)| emit(begin, payload))
}

/// Packs records that follow each other into payloads of at most [`MAX_PAYLOAD`] bytes.
pub(crate) struct Packer {
    begin: u64,
    count: u32,
    payload: Vec<u8>,
}

impl Packer {
    /// For records from this sequence on.
    pub(crate) fn new(first: u64) -> Packer {
        Packer { begin: first, count: 0, payload: vec![0; COUNT] }
    }

    /// Adds a record. What it no longer fits into is full: the sequence of its first record and the payload.
    pub(crate) fn push(&mut self, record: &Record) -> Option<(u64, Vec<u8>)> {
        let before = self.payload.len();
        record.encode(&mut self.payload);
        if self.payload.len() <= MAX_PAYLOAD {
            self.count += 1;
            return None;
        }
        let mut next = Packer::new(self.begin + u64::from(self.count));
        next.payload.extend(self.payload.drain(before..));
        next.count = 1;
        std::mem::replace(self, next).finish()
    }

    /// What is left.
    pub(crate) fn finish(mut self) -> Option<(u64, Vec<u8>)> {
        let field = self.payload.first_chunk_mut::<COUNT>()?;
        *field = self.count.to_le_bytes();
        (self.count > 0).then_some((self.begin, self.payload))
    }
}

/// One value of the log, checked and ready to be read.
pub(crate) struct Packed<'a> {
    pub(crate) first: u64,
    pub(crate) count: u64,
    body: &'a [u8],
}

impl<'a> Packed<'a> {
    pub(crate) fn open(engine: &Engine, key: &[u8], payload: &'a [u8]) -> Result<Packed<'a>> {
        let first = <[u8; 8]>::try_from(key).ok().map(u64::from_be_bytes);
        match (first, payload.split_first_chunk::<COUNT>()) {
            (Some(first), Some((count, body))) if first > 0 && *count != [0; COUNT] => {
                Ok(Packed { first, count: u64::from(u32::from_le_bytes(*count)), body })
            }
            _ => Err(Error::corrupt(engine.path(), "a value of the log has no sequence or no records", RESTORE)),
        }
    }

    /// The sequence of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.first.saturating_add(self.count - 1)
    }

    /// Visits the records with their sequences.
    pub(crate) fn records(mut self, engine: &Engine, mut visit: impl FnMut(u64, Record) -> Result<()>) -> Result<()> {
        for sequence in self.first..self.first.saturating_add(self.count) {
            let Some(record) = Record::decode(&mut self.body) else {
                return Err(Error::corrupt(engine.path(), format!("log record {sequence} cannot be read"), RESTORE));
            };
            visit(sequence, record)?;
        }
        if !self.body.is_empty() {
            return Err(Error::corrupt(
                engine.path(),
                format!("the log has bytes after record {}", self.last()),
                RESTORE,
            ));
        }
        Ok(())
    }
}

/// The first and the last sequence in a log, or `None` when it is empty.
pub(crate) fn bounds(engine: &Engine) -> Result<Option<(u64, u64)>> {
    let Some((first_key, first_payload)) = engine.edge(Tree::Log, false, Kind::Log)? else { return Ok(None) };
    let first = Packed::open(engine, &first_key, &first_payload)?.first;
    let Some((last_key, last_payload)) = engine.edge(Tree::Log, true, Kind::Log)? else { return Ok(None) };
    let last = Packed::open(engine, &last_key, &last_payload)?.last();
    Ok(Some((first, last)))
}

/// Visits the values that hold the sequences `after + 1 ..= last`, and makes sure that none is missing.
pub(crate) fn scan(
    engine: &Engine,
    after: u64,
    last: u64,
    mut visit: impl FnMut(Packed<'_>, usize) -> Result<()>,
) -> Result<()> {
    if after >= last {
        return Ok(());
    }
    let missing = |sequence: u64| {
        Error::corrupt(engine.path(), format!("log record {sequence} is missing (the log goes to {last})"), RESTORE)
    };
    let Some(from) = engine.at_or_before(Tree::Log, &key(after + 1))? else { return Err(missing(after + 1)) };
    let mut expected = None;
    engine.scan(Tree::Log, &from, &key(last), Kind::Log, |key, payload| {
        let packed = Packed::open(engine, key, payload)?;
        let wanted = *expected.get_or_insert(packed.first);
        if packed.first != wanted {
            return Err(missing(wanted));
        }
        expected = Some(packed.last().saturating_add(1));
        visit(packed, payload.len())?;
        Ok(true)
    })?;
    let next = expected.unwrap_or(0).max(after + 1);
    if next <= last { Err(missing(next)) } else { Ok(()) }
}

/// The last of the sequences `after + 1 ..= last` before which none is missing; `after` where the first one is.
pub(crate) fn unbroken(engine: &Engine, after: u64, last: u64) -> Result<u64> {
    let mut reached = after;
    if after >= last {
        return Ok(reached);
    }
    let Some(from) = engine.at_or_before(Tree::Log, &key(after + 1))? else { return Ok(reached) };
    engine.scan(Tree::Log, &from, &key(last), Kind::Log, |key, payload| {
        let packed = Packed::open(engine, key, payload)?;
        let follows = packed.first <= reached.saturating_add(1);
        if follows {
            reached = reached.max(packed.last());
        }
        Ok(follows)
    })?;
    Ok(reached)
}

/// Packs the records `after + 1 ..= last` anew: the value in which `after` falls is cut, so that nothing before it is copied along, and small ones
/// are joined.
pub(crate) fn repack(
    engine: &Engine,
    after: u64,
    last: u64,
    mut emit: impl FnMut(u64, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let mut packer = Packer::new(after.saturating_add(1));
    scan(engine, after, last, |packed, _| {
        packed.records(engine, |sequence, record| {
            let is_wanted = sequence > after && sequence <= last;
            match is_wanted.then(|| packer.push(&record)).flatten() {
                Some((begin, payload)) => emit(begin, payload),
                None => Ok(()),
            }
        })
    })?;
    packer.finish().map_or(Ok(()), |(begin, payload)| emit(begin, payload))
}

/// Writes values that begin with these sequences, in ascending order. Not yet durable.
pub(crate) fn write(engine: &Engine, values: &[(u64, Vec<u8>)]) -> Result<()> {
    engine.lay_out(Tree::Log, values.iter().map(|(sequence, _)| key(*sequence)))?;
    let mut values = values.iter();
    values.try_for_each(|(sequence, payload)| engine.put(Tree::Log, &key(*sequence), Kind::Log, payload).map(drop))
}

/// Bytes of the payloads that hold the sequences `after + 1 ..= last`.
pub(crate) fn bytes(engine: &Engine, after: u64, last: u64) -> Result<u64> {
    let mut bytes = 0;
    scan(engine, after, last, |_, payload| {
        bytes += payload as u64;
        Ok(())
    })?;
    Ok(bytes)
}
