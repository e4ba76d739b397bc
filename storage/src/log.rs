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
    let mut begin = first;
    let mut payload = vec![0; COUNT];
    let mut sequence = first;
    for record in records {
        let before = payload.len();
        record.encode(&mut payload);
        if payload.len() > MAX_PAYLOAD {
            let moved = payload.split_off(before);
            finish(&mut payload, sequence - begin);
            emit(begin, payload)?;
            begin = sequence;
            payload = Vec::with_capacity(MAX_PAYLOAD);
            payload.extend_from_slice(&[0; COUNT]);
            payload.extend_from_slice(&moved);
        }
        sequence += 1;
    }
    if sequence > begin {
        finish(&mut payload, sequence - begin);
        emit(begin, payload)?;
    }
    Ok(())
}

fn finish(payload: &mut [u8], count: u64) {
    if let Some(field) = payload.first_chunk_mut::<COUNT>() {
        *field = (count as u32).to_le_bytes();
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

/// Bytes of the payloads that hold the sequences `after + 1 ..= last`.
pub(crate) fn bytes(engine: &Engine, after: u64, last: u64) -> Result<u64> {
    let mut bytes = 0;
    scan(engine, after, last, |_, payload| {
        bytes += payload as u64;
        Ok(())
    })?;
    Ok(bytes)
}
