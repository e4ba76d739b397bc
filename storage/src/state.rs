//! `state-N.bin`: named full-precision arrays for the next training, in one plain checksummed file (FORMAT.md, "State").

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bincode::Options;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::directory::{UNFINISHED, rename, state_name};
use crate::element::{Element, width};
use crate::error::{Error, RETRAIN, Result};
use crate::identity::Identity;
use crate::manifest::{StateFile, hash, layout};
use crate::part::rows_of;
use crate::plan::Plan;
use crate::rows::{self, Form, Pieces, Rows};

const MAGIC: [u8; 8] = *b"kithstat";
const VERSION: u32 = 2;
/// Magic, version, the database's identity, padding to the alignment of the arrays.
const HEADER: u64 = 64;
/// Arrays begin at multiples of this.
const ALIGN: u64 = 64;
/// Offset and length of the table, its checksum, version, magic.
const FOOTER: usize = 32;

/// An array as one file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StatePart {
    name: String,
    dtype: String,
    /// Extents of the whole array, outermost first.
    shape: Vec<u64>,
    rows: u64,
    ragged: bool,
    /// XXH3-128 over the rows of the whole array.
    hash: String,
    held: Held,
    offset: u64,
    bytes: u64,
    /// XXH3-128 of the bytes here, in hexadecimal.
    sum: String,
}

/// What of an array a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Held {
    /// All of it.
    Whole,
    /// So many rows, which take the place of those in the file before.
    Rows(u64),
    /// Nothing: it is as in the file before.
    Nothing,
}

/// An array as version 1 has it.
#[derive(Deserialize)]
struct FormerStatePart {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    offset: u64,
    bytes: u64,
    hash: String,
}

impl FormerStatePart {
    fn part(self) -> StatePart {
        let FormerStatePart { name, dtype, shape, offset, bytes, hash } = self;
        let rows = rows_of(&shape);
        // A hash of its rows was not kept: none is the same.
        StatePart {
            name,
            dtype,
            shape,
            rows,
            ragged: false,
            hash: String::new(),
            held: Held::Whole,
            offset,
            bytes,
            sum: hash,
        }
    }
}

impl StatePart {
    fn form(&self) -> Form {
        Form { rows: self.rows as usize, ragged: self.ragged, element: width(&self.dtype).unwrap_or(1) as usize }
    }

    /// Bytes of the whole array; `None` where shape and type give none that can be.
    fn whole_bytes(&self) -> Option<usize> {
        let elements = self.shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        let bytes = elements.zip(width(&self.dtype)).and_then(|(elements, width)| elements.checked_mul(width))?;
        usize::try_from(bytes).ok()
    }
}

/// Writes a state file under a temporary name.
pub(crate) struct StateWriter {
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    parts: Vec<StatePart>,
}

impl StateWriter {
    pub(crate) fn create(root: &Path, generation: u64, identity: Identity) -> Result<StateWriter> {
        StateWriter::begin(root.join(format!("{}{UNFINISHED}", state_name(generation))), identity)
    }

    /// Writes a file of this form at `path`.
    pub(crate) fn begin(path: PathBuf, identity: Identity) -> Result<StateWriter> {
        let file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        let mut writer = StateWriter { path, file: BufWriter::with_capacity(1 << 20, file), at: 0, parts: Vec::new() };
        writer.write(&MAGIC)?;
        writer.write(&VERSION.to_le_bytes())?;
        writer.write(&identity.to_bytes())?;
        writer.pad()?;
        Ok(writer)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.name == name)
    }

    /// Writes an array; of one that the state `before` has as well, the rows that are others.
    pub(crate) fn part(
        &mut self,
        plan: &Plan<'_>,
        rows: &Rows<'_>,
        before: Option<&State>,
        breathe: impl FnMut(),
    ) -> Result<()> {
        let &Plan { name, dtype, shape, .. } = plan;
        let hash = rows.hash();
        let known = before.and_then(|before| Some((before, before.find(name).filter(|part| part.dtype == dtype)?)));
        let is_same = |part: &StatePart| part.hash == hash && part.shape == shape && part.form() == rows.form;
        let lengths: &[u8] = bytemuck::cast_slice(rows.lengths);
        let patch = match known {
            Some((_, part)) if is_same(part) => Some((Held::Nothing, Vec::new())),
            // What cannot be read any more is written whole.
            Some((before, part)) => before.read_whole(part).ok().and_then(|(lengths, bytes)| {
                let old = Rows { bytes: &bytes, form: part.form(), lengths: &lengths };
                let (changed, patch) = rows.patch_over(&old)?;
                Some((Held::Rows(changed.len() as u64), patch))
            }),
            None => None,
        };
        let (held, pieces) = match &patch {
            Some((held, patch)) => (*held, [&patch[..], &[]]),
            None => (Held::Whole, [lengths, rows.bytes]),
        };
        let mut sum = Xxh3::new();
        pieces.iter().for_each(|piece| sum.update(piece));
        self.parts.push(StatePart {
            name: name.to_owned(),
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
            rows: rows.form.rows as u64,
            ragged: rows.form.ragged,
            hash,
            held,
            offset: self.at,
            bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
            sum: format!("{:032x}", sum.digest128()),
        });
        self.write_out(pieces, breathe)
    }

    /// Written out piece by piece, so that the sync at the end, and an append meanwhile, find little to wait for.
    fn write_out(&mut self, pieces: [&[u8]; 2], mut breathe: impl FnMut()) -> Result<()> {
        for piece in pieces.iter().flat_map(|piece| piece.chunks(4 << 20)) {
            self.write(piece)?;
            self.file.flush().map_err(|e| Error::io("write", &self.path, e))?;
            self.file.get_ref().sync_data().map_err(|e| Error::io("sync", &self.path, e))?;
            breathe();
        }
        self.pad()
    }

    /// Completes the file and gives it its name.
    pub(crate) fn finish(self, root: &Path, generation: u64) -> Result<StateFile> {
        self.finish_as(root, state_name(generation))
    }

    /// Completes the file and gives it the name `file`, in place of what has it.
    pub(crate) fn finish_as(mut self, root: &Path, file: String) -> Result<StateFile> {
        let table = layout().serialize(&self.parts).map_err(|e| Error::invalid(e.to_string()))?;
        let offset = self.at;
        self.write(&table)?;
        self.write(&offset.to_le_bytes())?;
        self.write(&(table.len() as u64).to_le_bytes())?;
        self.write(&crc32c::crc32c(&table).to_le_bytes())?;
        self.write(&VERSION.to_le_bytes())?;
        self.write(&MAGIC)?;
        self.file.flush().map_err(|e| Error::io("write", &self.path, e))?;
        self.file.get_ref().sync_all().map_err(|e| Error::io("sync", &self.path, e))?;
        rename(&self.path, &root.join(&file))?;
        Ok(StateFile { file, bytes: self.at, hash: hash(&table) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, e))
    }

    fn pad(&mut self) -> Result<()> {
        let missing = self.at.next_multiple_of(ALIGN) - self.at;
        let zeros = [0; ALIGN as usize];
        self.write(zeros.get(..missing as usize).unwrap_or_default())
    }
}

/// The training state of a generation: named arrays, read and checked one by one.
#[derive(Debug)]
pub struct State {
    /// The base, and what was written over it, oldest first.
    files: Vec<StateSource>,
}

/// One file of a state.
#[derive(Debug)]
struct StateSource {
    path: PathBuf,
    /// Kept open: the file may be removed meanwhile, when another generation has taken over.
    file: Mutex<File>,
    parts: Vec<StatePart>,
}

impl StateSource {
    /// Opens a file that a manifest names. `None` when it is not there.
    fn open(root: &Path, expected: &StateFile) -> Result<Option<StateSource>> {
        let path = root.join(&expected.file);
        let Some((length, table, source)) = StateSource::read_table(path)? else { return Ok(None) };
        if length != expected.bytes {
            let what = format!("it has {length} bytes instead of {}", expected.bytes);
            return Err(Error::corrupt(&source.path, what, RETRAIN));
        }
        if table != expected.hash {
            return Err(Error::corrupt(&source.path, "its table of contents is another", RETRAIN));
        }
        Ok(Some(source))
    }

    /// Opens a file by what it says of itself; its length, and the hash of its table of contents. `None` when it is not there.
    fn read_table(path: PathBuf) -> Result<Option<(u64, String, StateSource)>> {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let length = file.metadata().map_err(|e| Error::io("read", &path, e))?.len();
        let bad = |what: &str| Error::corrupt(&path, what, RETRAIN);
        if length < HEADER + FOOTER as u64 {
            return Err(bad("it is too short"));
        }
        let mut header = [0; 12];
        let mut footer = [0; FOOTER];
        let read = file.read_exact(&mut header).and_then(|()| file.seek(SeekFrom::End(-(FOOTER as i64))));
        read.and_then(|_| file.read_exact(&mut footer)).map_err(|e| Error::io("read", &path, e))?;
        let version = u32::from_le_bytes(std::array::from_fn(|at| header[8 + at]));
        if header[..8] != MAGIC || !(1..=VERSION).contains(&version) || footer[24..] != MAGIC {
            return Err(bad("it does not begin and end as a state file of this format"));
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| footer[at + i]));
        let (offset, table_bytes) = (number(0), number(8));
        if offset.checked_add(table_bytes).and_then(|end| end.checked_add(FOOTER as u64)) != Some(length) {
            return Err(bad("its table of contents lies elsewhere"));
        }
        let mut table = vec![0; table_bytes as usize];
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut table));
        read.map_err(|e| Error::io("read", &path, e))?;
        if footer[16..20] != crc32c::crc32c(&table).to_le_bytes() {
            return Err(bad("its table of contents fails its checksum"));
        }
        let parts = if version == 1 {
            let former = layout().deserialize::<Vec<FormerStatePart>>(&table);
            former.map(|parts| parts.into_iter().map(FormerStatePart::part).collect())
        } else {
            layout().deserialize::<Vec<StatePart>>(&table)
        };
        let parts = parts.map_err(|e| bad(&e.to_string()))?;
        if parts.iter().any(|part| part.offset < HEADER || part.offset.saturating_add(part.bytes) > offset) {
            return Err(bad("a part lies outside of it"));
        }
        Ok(Some((length, hash(&table), StateSource { path, file: Mutex::new(file), parts })))
    }

    /// Reads the bytes that it has of an array, which are as many as there is room for, and checks their hash.
    fn read_into(&self, part: &StatePart, bytes: &mut [u8]) -> Result<()> {
        let mut file = self.file.lock();
        let read = file.seek(SeekFrom::Start(part.offset)).and_then(|_| file.read_exact(bytes));
        read.map_err(|e| Error::io("read", &self.path, e))?;
        if hash(bytes) == part.sum { Ok(()) } else { Err(self.damaged(part, "fails its hash")) }
    }

    fn read(&self, part: &StatePart) -> Result<Vec<u8>> {
        let mut bytes = vec![0; part.bytes as usize];
        self.read_into(part, &mut bytes).map(|()| bytes)
    }

    fn damaged(&self, part: &StatePart, what: &str) -> Error {
        Error::corrupt(&self.path, format!("{} {what}", part.name), RETRAIN)
    }
}

impl State {
    /// Opens the files that a manifest names. `None` when there are none, or one is not there.
    pub(crate) fn open(root: &Path, expected: &[StateFile]) -> Result<Option<State>> {
        let files: Option<Vec<StateSource>> =
            expected.iter().map(|file| StateSource::open(root, file)).collect::<Result<_>>()?;
        Ok(files.filter(|files| !files.is_empty()).map(|files| State { files }))
    }

    /// Opens a file that nothing names, by what it says of itself. `None` when it is not there.
    pub(crate) fn open_alone(path: PathBuf) -> Result<Option<State>> {
        Ok(StateSource::read_table(path)?.map(|(_, _, source)| State { files: vec![source] }))
    }

    /// Visits the arrays, whole.
    pub(crate) fn each(&self, mut visit: impl FnMut(&Plan<'_>, &Rows<'_>) -> Result<()>) -> Result<()> {
        self.parts().iter().try_for_each(|part| {
            let (lengths, bytes) = self.read_whole(part)?;
            let StatePart { name, dtype, shape, ragged, .. } = part;
            let (form, ragged, derived) = (part.form(), *ragged, false);
            let plan = Plan { name, dtype, shape, element: form.element, ragged, derived };
            visit(&plan, &Rows { bytes: &bytes, form, lengths: &lengths })
        })
    }

    fn parts(&self) -> &[StatePart] {
        self.files.last().map_or(&[], |file| &file.parts)
    }

    fn find(&self, name: &str) -> Option<&StatePart> {
        self.parts().iter().find(|part| part.name == name)
    }

    /// Names of the arrays, in the order in which they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts().iter().map(|part| part.name.as_str())
    }

    /// Bytes of all arrays, put together.
    pub fn bytes(&self) -> u64 {
        self.parts().iter().filter_map(StatePart::whole_bytes).map(|bytes| bytes as u64).sum()
    }

    /// Extents of an array, outermost first.
    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.find(name).map(|part| part.shape.as_slice())
    }

    /// Reads an array and checks its hash. `None` when the state has none of that name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the array has another element type, [`Error::Corrupt`] when its bytes are not what was written.
    pub fn part<T: Element>(&self, name: &str) -> Result<Option<Vec<T>>> {
        let Some(part) = self.find(name) else { return Ok(None) };
        let mut data = vec![T::zeroed(); part.whole_bytes().unwrap_or(0) / size_of::<T>()];
        self.part_into(name, &mut data).map(|found| found.then_some(data))
    }

    /// [`State::part`] into memory that is there; `false` when the state has none of that name.
    ///
    /// # Errors
    /// As [`State::part`], and [`Error::Invalid`] when there is not room for as many elements as the array has.
    pub fn part_into<T: Element>(&self, name: &str, data: &mut [T]) -> Result<bool> {
        let Some(part) = self.find(name) else { return Ok(false) };
        if part.dtype != T::DTYPE {
            return Err(Error::invalid(format!("{name} holds {} elements, not {}", part.dtype, T::DTYPE)));
        }
        let elements = part.whole_bytes().unwrap_or(0) / size_of::<T>();
        if elements != data.len() {
            return Err(Error::invalid(format!("{name} holds {elements} elements, not {}", data.len())));
        }
        self.read_into(part, bytemuck::cast_slice_mut(data)).map(|_| true)
    }

    fn read_whole(&self, part: &StatePart) -> Result<(Vec<u32>, Vec<u8>)> {
        let mut bytes = vec![0; part.whole_bytes().unwrap_or(0)];
        let lengths = self.read_into(part, &mut bytes)?;
        Ok((lengths, bytes))
    }

    /// Reads an array, put together of what the files have and checked; the lengths of its rows, where they have one.
    fn read_into(&self, part: &StatePart, bytes: &mut [u8]) -> Result<Vec<u32>> {
        let Some(last) = self.files.last() else { return Ok(Vec::new()) };
        let misfit = || last.damaged(part, "has rows that do not fit");
        let mut patches = Vec::new();
        for source in self.files.iter().rev() {
            let own = source.parts.iter().find(|own| own.name == part.name).ok_or_else(misfit)?;
            match own.held {
                Held::Nothing => {}
                Held::Rows(rows) => patches.insert(0, (rows as usize, source.read(own)?)),
                Held::Whole => {
                    let lengths = if part.ragged {
                        let pieces = Pieces { base: source.read(own)?, base_rows: own.rows as usize, patches };
                        rows::assemble(part.form(), &pieces, bytes).ok_or_else(misfit)?
                    } else {
                        // Where it is to be: it may be most of what memory there is.
                        source.read_into(own, bytes.get_mut(..own.bytes as usize).ok_or_else(misfit)?)?;
                        if patches.is_empty() {
                            return if own.bytes == bytes.len() as u64 { Ok(Vec::new()) } else { Err(misfit()) };
                        }
                        rows::overlay(part.form(), &patches, bytes).ok_or_else(misfit)?;
                        Vec::new()
                    };
                    let is_whole = Rows { bytes, form: part.form(), lengths: &lengths }.hash() == part.hash;
                    return if is_whole {
                        Ok(lengths)
                    } else {
                        Err(last.damaged(part, "fails the hash over its rows"))
                    };
                }
            }
        }
        Err(misfit())
    }
}

/// Removes a state file that was never finished.
pub(crate) fn discard(writer: StateWriter) {
    let path = writer.path.clone();
    drop(writer);
    let _ = fs::remove_file(path);
}
