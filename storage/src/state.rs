//! `state-N.bin`: named full-precision arrays for the next training, in one plain checksummed file (FORMAT.md, "State").

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bincode::Options;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::directory::{UNFINISHED, rename, state_name};
use crate::element::Element;
use crate::error::{Error, RETRAIN, Result};
use crate::identity::Identity;
use crate::manifest::{StateFile, hash, layout};

const MAGIC: [u8; 8] = *b"kithstat";
const VERSION: u32 = 1;
/// Magic, version, the database's identity, padding to the alignment of the arrays.
const HEADER: u64 = 64;
/// Arrays begin at multiples of this.
const ALIGN: u64 = 64;
/// Offset and length of the table, its checksum, version, magic.
const FOOTER: usize = 32;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StatePart {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    offset: u64,
    bytes: u64,
    hash: String,
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
        let path = root.join(format!("{}{UNFINISHED}", state_name(generation)));
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

    pub(crate) fn part<T: Element>(
        &mut self,
        name: &str,
        shape: &[u64],
        data: &[T],
        mut breathe: impl FnMut(),
    ) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        self.parts.push(StatePart {
            name: name.to_owned(),
            dtype: T::DTYPE.to_owned(),
            shape: shape.to_vec(),
            offset: self.at,
            bytes: bytes.len() as u64,
            hash: hash(bytes),
        });
        // Written out piece by piece, so that the sync at the end, and an append meanwhile, find little to wait for.
        for piece in bytes.chunks(4 << 20) {
            self.write(piece)?;
            self.file.flush().map_err(|e| Error::io("write", &self.path, e))?;
            self.file.get_ref().sync_data().map_err(|e| Error::io("sync", &self.path, e))?;
            breathe();
        }
        self.pad()
    }

    /// Completes the file and gives it its name.
    pub(crate) fn finish(mut self, root: &Path, generation: u64) -> Result<StateFile> {
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
        let file = state_name(generation);
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
    path: PathBuf,
    /// Kept open: the file may be removed meanwhile, when another generation has taken over.
    file: Mutex<File>,
    parts: Vec<StatePart>,
}

impl State {
    /// Opens the file that a manifest names. `None` when it is not there.
    pub(crate) fn open(root: &Path, expected: &StateFile) -> Result<Option<State>> {
        let path = root.join(&expected.file);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let length = file.metadata().map_err(|e| Error::io("read", &path, e))?.len();
        if length != expected.bytes {
            let what = format!("it has {length} bytes instead of {}", expected.bytes);
            return Err(Error::corrupt(&path, what, RETRAIN));
        }
        let bad = |what: &str| Error::corrupt(&path, what, RETRAIN);
        let mut header = [0; 12];
        let mut footer = [0; FOOTER];
        let read = file.read_exact(&mut header).and_then(|()| file.seek(SeekFrom::End(-(FOOTER as i64))));
        read.and_then(|_| file.read_exact(&mut footer)).map_err(|e| Error::io("read", &path, e))?;
        if header[..8] != MAGIC || header[8..] != VERSION.to_le_bytes() || footer[24..] != MAGIC {
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
        if footer[16..20] != crc32c::crc32c(&table).to_le_bytes() || hash(&table) != expected.hash {
            return Err(bad("its table of contents fails its checksum"));
        }
        let parts: Vec<StatePart> = layout().deserialize(&table).map_err(|e| bad(&e.to_string()))?;
        if parts.iter().any(|part| part.offset < HEADER || part.offset.saturating_add(part.bytes) > offset) {
            return Err(bad("a part lies outside of it"));
        }
        Ok(Some(State { path, file: Mutex::new(file), parts }))
    }

    /// Names of the arrays, in the order in which they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.name.as_str())
    }

    /// Extents of an array, outermost first.
    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.parts.iter().find(|part| part.name == name).map(|part| part.shape.as_slice())
    }

    /// Reads an array and checks its hash. `None` when the state has none of that name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the array has another element type, [`Error::Corrupt`] when its bytes are not what was written.
    pub fn part<T: Element>(&self, name: &str) -> Result<Option<Vec<T>>> {
        let Some(part) = self.parts.iter().find(|part| part.name == name) else { return Ok(None) };
        if part.dtype != T::DTYPE {
            return Err(Error::invalid(format!("{name} holds {} elements, not {}", part.dtype, T::DTYPE)));
        }
        let mut data = vec![T::zeroed(); part.bytes as usize / size_of::<T>()];
        self.read(part, bytemuck::cast_slice_mut(&mut data))?;
        Ok(Some(data))
    }

    /// Reads the bytes of an array and checks their hash.
    fn read(&self, part: &StatePart, bytes: &mut [u8]) -> Result<()> {
        let mut file = self.file.lock();
        let read = file.seek(SeekFrom::Start(part.offset)).and_then(|_| file.read_exact(bytes));
        read.map_err(|e| Error::io("read", &self.path, e))?;
        if hash(bytes) != part.hash {
            return Err(Error::corrupt(&self.path, format!("{} fails its hash", part.name), RETRAIN));
        }
        Ok(())
    }

    /// Checks every array.
    pub(crate) fn verify(&self) -> Result<()> {
        self.parts.iter().try_for_each(|part| self.read(part, &mut vec![0; part.bytes as usize]))
    }
}

/// Removes a state file that was never finished.
pub(crate) fn discard(writer: StateWriter) {
    let path = writer.path.clone();
    drop(writer);
    let _ = fs::remove_file(path);
}
