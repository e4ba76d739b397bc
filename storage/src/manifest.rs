//! Manifests: what a generation consists of, down to the hash of every part.

use std::collections::BTreeMap;

use bincode::Options;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::engine::{Engine, MAX_BATCH, Operation, Tree};
use crate::error::{Error, RESTORE, Result};
use crate::former;
use crate::identity::Birth;
use crate::part::Part;
use crate::value::{Kind, MAX_PAYLOAD};

/// A published generation: its parts, how much of the log it has seen, and its attributes. No clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of the generation, from 1.
    pub generation: u64,
    /// The last log sequence that is folded into the generation's parts.
    pub folded_through: u64,
    /// The last log sequence that training has seen.
    pub trained_through: u64,
    /// The parts, in the order in which they were written.
    pub parts: Vec<Part>,
    /// The full-precision training state: a file, and others with rows that take the place of those before; none where none was written. Losing one
    /// costs a cold training, never an answer.
    pub state: Vec<StateFile>,
    /// Small named settings.
    pub attributes: BTreeMap<String, String>,
    /// Hash over names, types, shapes and hashes of the parts that are not derived and over the attributes, in hexadecimal: two generations with the same
    /// content have the same, whatever their numbers and directories.
    pub content_hash: String,
    /// Stores up to this number hold records that must be forgotten: they are copied without them.
    pub(crate) retired_store: u64,
}

/// The plain file that holds the training state of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// The file's name in the database directory.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// XXH3-128 of its table of contents, in hexadecimal; the table holds the hash of every part.
    pub hash: String,
}

impl Manifest {
    /// The part with a name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Bytes of all parts as they are written, with a length for every row of those whose rows have one.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let lengths = |part: &Part| if part.ragged { part.rows * size_of::<u32>() as u64 } else { 0 };
        self.parts.iter().map(|part| part.bytes + lengths(part)).sum()
    }

    /// Bytes of the training state.
    pub fn state_bytes(&self) -> u64 {
        self.state.iter().map(|file| file.bytes).sum()
    }

    /// Whether the manifest needs the directory of this generation.
    pub(crate) fn owns(&self, generation: u64) -> bool {
        self.parts.iter().flat_map(Part::extents).any(|extent| extent.generation == generation)
    }

    /// Whether the manifest needs this state file.
    pub(crate) fn has_state(&self, name: &str) -> bool {
        self.state.iter().any(|state| state.file == name)
    }
}

/// XXH3-128 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// The content hash. Every field is preceded by its length, so that no two contents run together into the same bytes.
pub(crate) fn content_hash(parts: &[Part], attributes: &BTreeMap<String, String>) -> String {
    let mut hasher = Xxh3::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    let mut sorted: Vec<&Part> = parts.iter().filter(|part| !part.derived).collect();
    sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for part in sorted {
        field(part.name.as_bytes());
        field(part.dtype.as_bytes());
        let shape: Vec<u8> = part.shape.iter().flat_map(|extent| extent.to_le_bytes()).collect();
        field(&shape);
        field(&part.rows.to_le_bytes());
        field(part.hash.as_bytes());
    }
    field(b"attributes");
    for (name, value) in attributes {
        field(name.as_bytes());
        field(value.as_bytes());
    }
    format!("{:032x}", hasher.digest128())
}

/// What an encoded manifest of format 3 begins with: no number of a generation, with which those of formats 1 and 2 begin.
const MAGIC: [u8; 8] = *b"kithman3";

/// Encoded manifests longer than this are refused, on writing and on reading.
const MAX_MANIFEST: u64 = 1 << 20;

/// How small structs are laid out: fixed-width little-endian integers, lengths as `u64`, nothing left over.
pub(crate) fn layout() -> impl Options {
    bincode::DefaultOptions::new().with_limit(MAX_MANIFEST).with_fixint_encoding().reject_trailing_bytes()
}

/// The pointer to the current manifest.
#[derive(Serialize, Deserialize)]
struct Current {
    generation: u64,
    chunks: u32,
    bytes: u64,
    hash: u128,
}

/// Keys of `meta`: a tag, a generation, a piece number; 13 bytes, big-endian.
pub(crate) fn key(tag: u8, generation: u64, piece: u32) -> [u8; 13] {
    let mut key = [0; 13];
    key[0] = tag;
    key[1..9].copy_from_slice(&generation.to_be_bytes());
    key[9..].copy_from_slice(&piece.to_be_bytes());
    key
}

const CURRENT: u8 = 0;
const MANIFEST: u8 = 1;
const BIRTH: u8 = 2;
pub(crate) const JOB: u8 = 3;
const KEPT: u8 = 4;

/// Writes what database a store belongs to. Not yet durable.
pub(crate) fn write_birth(engine: &Engine, birth: &Birth) -> Result<()> {
    let payload = layout().serialize(birth).map_err(|e| Error::invalid(e.to_string()))?;
    if payload.len() > MAX_PAYLOAD {
        return Err(Error::invalid(format!("properties of {} bytes, over {MAX_PAYLOAD}", payload.len())));
    }
    engine.put(Tree::Meta, &key(BIRTH, 0, 0), Kind::Birth, &payload).map(drop)
}

/// What database a store belongs to; `None` in a store of format 1.
pub(crate) fn read_birth(engine: &Engine) -> Result<Option<Birth>> {
    let Some(payload) = engine.get(Tree::Meta, &key(BIRTH, 0, 0), Kind::Birth)? else { return Ok(None) };
    match layout().deserialize(&payload) {
        Ok(birth) => Ok(Some(birth)),
        Err(e) => Err(Error::corrupt(engine.path(), format!("the store's identity: {e}"), RESTORE)),
    }
}

/// Inserts a manifest and makes it current, in one batch. Of those that were there before, the generations `kept` stay, and the others are deleted.
/// Not yet durable.
pub(crate) fn write(engine: &Engine, manifest: &Manifest, kept: &[u64]) -> Result<()> {
    let (mut operations, pointer) = pieces(manifest)?;
    operations.push(put_pointer(key(CURRENT, 0, 0), &pointer)?);
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    stay.extend(read_current(engine)?);
    for pointer in read_kept_pointers(engine)? {
        if !kept.contains(&pointer.generation) {
            operations.push(Operation::Delete { key: key(KEPT, pointer.generation, 0).to_vec() });
        }
        stay.push(pointer);
    }
    for old in stay {
        if kept.contains(&old.generation) {
            operations.push(put_pointer(key(KEPT, old.generation, 0), &old)?);
        } else if old.generation != manifest.generation {
            go.extend((0..old.chunks).map(|piece| key(MANIFEST, old.generation, piece).to_vec()));
        }
    }
    engine.apply(Tree::Meta, operations)?;
    // Nothing leads to these any more.
    go.chunks(MAX_BATCH).try_for_each(|keys| {
        let delete = |key: &Vec<u8>| Operation::Delete { key: key.clone() };
        engine.apply(Tree::Meta, keys.iter().map(delete).collect())
    })
}

/// Inserts the manifest of a generation that is kept beside the current one. Not yet durable.
pub(crate) fn write_kept(engine: &Engine, manifest: &Manifest) -> Result<()> {
    let (mut operations, pointer) = pieces(manifest)?;
    operations.push(put_pointer(key(KEPT, manifest.generation, 0), &pointer)?);
    engine.apply(Tree::Meta, operations)
}

/// What inserts the pieces of a manifest, and a pointer to them.
fn pieces(manifest: &Manifest) -> Result<(Vec<Operation>, Current)> {
    let encoded =
        layout().serialize(manifest).map_err(|e| Error::invalid(format!("the manifest is too large: {e}")))?;
    let bytes = [&MAGIC[..], &encoded].concat();
    let put = |(piece, payload): (u32, &[u8])| {
        let key = key(MANIFEST, manifest.generation, piece).to_vec();
        Operation::Put { key, kind: Kind::Manifest, payload: payload.to_vec() }
    };
    let pointer = Current {
        generation: manifest.generation,
        chunks: bytes.len().div_ceil(MAX_PAYLOAD) as u32,
        bytes: bytes.len() as u64,
        hash: xxh3_128(&bytes),
    };
    Ok(((0..).zip(bytes.chunks(MAX_PAYLOAD)).map(put).collect(), pointer))
}

fn put_pointer(key: [u8; 13], pointer: &Current) -> Result<Operation> {
    let payload = layout().serialize(pointer).map_err(|e| Error::invalid(e.to_string()))?;
    Ok(Operation::Put { key: key.to_vec(), kind: Kind::Current, payload })
}

fn read_current(engine: &Engine) -> Result<Option<Current>> {
    let Some(payload) = engine.get(Tree::Meta, &key(CURRENT, 0, 0), Kind::Current)? else { return Ok(None) };
    match layout().deserialize(&payload) {
        Ok(current) => Ok(Some(current)),
        Err(e) => Err(Error::corrupt(engine.path(), format!("the pointer to the manifest: {e}"), RESTORE)),
    }
}

fn read_kept_pointers(engine: &Engine) -> Result<Vec<Current>> {
    let mut pointers = Vec::new();
    engine.scan(Tree::Meta, &key(KEPT, 0, 0), &key(KEPT, u64::MAX, u32::MAX), Kind::Current, |_, payload| {
        pointers.extend(layout().deserialize::<Current>(payload).ok());
        Ok(true)
    })?;
    Ok(pointers)
}

/// Reads the current manifest.
pub(crate) fn read(engine: &Engine) -> Result<Option<Manifest>> {
    read_current(engine)?.map(|current| read_at(engine, &current)).transpose()
}

/// Reads the manifests of the generations that are kept beside the current one, newest first. No answer needs them: one that cannot be read is kept
/// no longer.
pub(crate) fn read_kept(engine: &Engine) -> Result<Vec<Manifest>> {
    let mut kept: Vec<Manifest> =
        read_kept_pointers(engine)?.iter().filter_map(|pointer| read_at(engine, pointer).ok()).collect();
    kept.sort_by_key(|manifest| std::cmp::Reverse(manifest.generation));
    Ok(kept)
}

fn read_at(engine: &Engine, current: &Current) -> Result<Manifest> {
    let generation = current.generation;
    let bad = |what: String| {
        Error::corrupt(engine.path(), format!("the manifest of generation {generation} {what}"), RESTORE)
    };
    let mut bytes = Vec::new();
    for piece in 0..current.chunks {
        match engine.get(Tree::Meta, &key(MANIFEST, generation, piece), Kind::Manifest)? {
            Some(payload) => bytes.extend_from_slice(&payload),
            None => return Err(bad(format!("lacks piece {piece}"))),
        }
    }
    if bytes.len() as u64 != current.bytes || xxh3_128(&bytes) != current.hash {
        return Err(bad("fails its hash".to_owned()));
    }
    let manifest = match bytes.strip_prefix(&MAGIC) {
        Some(encoded) => layout().deserialize(encoded).map_err(|e| bad(format!("cannot be read: {e}")))?,
        None => former::read(&bytes).ok_or_else(|| bad("cannot be read".to_owned()))?,
    };
    if manifest.generation != generation || !manifest.parts.iter().all(Part::is_consistent) {
        return Err(bad("contradicts itself".to_owned()));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Extent;

    fn part(name: &str, hash: &str) -> Part {
        Part {
            name: name.to_owned(),
            dtype: "u32".to_owned(),
            shape: vec![2, 3],
            rows: 2,
            ragged: false,
            derived: false,
            bytes: 24,
            hash: hash.to_owned(),
            by_blocks: true,
            base: Extent { generation: 1, number: 0, rows: 2, chunks: 1, bytes: 24, hash: 0 },
            patches: Vec::new(),
        }
    }

    #[test]
    fn the_content_hash_sees_content_and_nothing_else() {
        let none = BTreeMap::new();
        let base = content_hash(&[part("a", "1"), part("b", "2")], &none);
        let mut moved = part("a", "1");
        moved.base = Extent { generation: 9, number: 4, ..moved.base };
        moved.patches = vec![Extent { generation: 10, number: 0, rows: 1, chunks: 1, bytes: 16, hash: 0 }];
        assert_eq!(base, content_hash(&[part("b", "2"), moved], &none), "order and place do not count");
        let derived = Part { derived: true, ..part("c", "3") };
        assert_eq!(
            base,
            content_hash(&[part("a", "1"), part("b", "2"), derived], &none),
            "what follows does not count"
        );
        let mut reshaped = part("a", "1");
        reshaped.shape = vec![3, 2];
        assert_ne!(base, content_hash(&[reshaped, part("b", "2")], &none));
        assert_ne!(base, content_hash(&[part("a", "12"), part("b", "")], &none));
        assert_ne!(base, content_hash(&[part("a", "1")], &none));
        let named = BTreeMap::from([("seed".to_owned(), "1".to_owned())]);
        assert_ne!(base, content_hash(&[part("a", "1"), part("b", "2")], &named));
    }

    #[test]
    fn a_part_that_contradicts_itself_is_seen() {
        assert!(part("a", "1").is_consistent());
        for change in [
            |p: &mut Part| p.bytes += 4,
            |p: &mut Part| p.base.chunks = 2,
            |p: &mut Part| p.base.bytes = 20,
            |p: &mut Part| p.rows = 3,
            |p: &mut Part| p.dtype = "u64".to_owned(),
            |p: &mut Part| p.dtype = "u33".to_owned(),
            |p: &mut Part| p.shape = vec![u64::MAX, 3],
        ] {
            let mut bad = part("a", "1");
            change(&mut bad);
            assert!(!bad.is_consistent(), "{bad:?}");
        }
    }
}
