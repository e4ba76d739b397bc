//! One folder: arrays as they lie in memory, a file each, and `MANIFEST`, which names them with their hashes.
//!
//! `MANIFEST` is text. Its first line is `kithdb snapshot 1`; then come `attribute NAME VALUE` and `part NAME TYPE BYTES HASH` lines in the order of names, and last
//! `hash HASH`, of all that is before it. Hashes are XXH3-128 in hexadecimal. Arrays are little-endian; the lengths of rows that have their own, in elements, are a
//! part beside, `NAME.lengths`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use kithdb_storage::{Element, Error as StorageError};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::generation::stored::{Parts, PartsWriter};

/// The version of the form.
const VERSION: &str = "1";
const FIRST: &str = "kithdb snapshot";
const MANIFEST: &str = "MANIFEST";
/// What a ragged part's lengths are called beside it.
const LENGTHS: &str = ".lengths";
/// Bytes hashed and written at a time.
const PIECE: usize = 1 << 20;

/// A file that cannot be read or written.
pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    StorageError::Io { action, path: path.to_owned(), source }.into()
}

/// A folder, or a file of it, that is not what was written.
fn damaged(path: &Path, what: impl Into<String>) -> Error {
    let remedy = "copy the snapshot again, or make a new one";
    StorageError::Corrupt { path: path.to_owned(), what: what.into(), remedy }.into()
}

/// A part as the manifest has it.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    dtype: String,
    bytes: u64,
    hash: String,
}

/// A folder under way.
pub(super) struct Writer {
    path: PathBuf,
    parts: BTreeMap<String, Entry>,
    /// What ends it.
    token: Option<CancelToken>,
}

impl Writer {
    /// Begins a folder, which is made.
    pub(super) fn begin(path: PathBuf, token: Option<CancelToken>) -> Result<Self> {
        fs::create_dir(&path).map_err(|e| io("make", &path, e))?;
        Ok(Self { path, parts: BTreeMap::new(), token })
    }

    /// Writes a file of these bytes, synced.
    pub(super) fn bytes(&mut self, name: &str, dtype: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let failed = |e| io("write", &path, e);
        let mut file = File::create_new(&path).map_err(failed)?;
        let mut hasher = Xxh3::new();
        for piece in bytes.chunks(PIECE) {
            CancelToken::check(self.token.as_ref())?;
            hasher.update(piece);
            file.write_all(piece).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        let hash = format!("{:032x}", hasher.digest128());
        let entry = Entry { dtype: dtype.to_owned(), bytes: bytes.len() as u64, hash };
        self.parts.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Writes the manifest, last; the hash of the whole, and its bytes.
    pub(super) fn finish(self, attributes: &BTreeMap<String, String>) -> Result<(String, u64)> {
        let mut text = format!("{FIRST} {VERSION}\n");
        for (name, value) in attributes {
            text += &format!("attribute {name} {}\n", escaped(value));
        }
        for (name, Entry { dtype, bytes, hash }) in &self.parts {
            text += &format!("part {name} {dtype} {bytes} {hash}\n");
        }
        let hash = format!("{:032x}", xxh3_128(text.as_bytes()));
        text += &format!("hash {hash}\n");
        let path = self.path.join(MANIFEST);
        write_synced(&path, text.as_bytes())?;
        sync(&self.path)?;
        let bytes = text.len() as u64 + self.parts.values().map(|entry| entry.bytes).sum::<u64>();
        Ok((hash, bytes))
    }
}

impl PartsWriter for Writer {
    fn part<T: Element>(&mut self, name: &str, _: &[u64], values: &[T]) -> Result<()> {
        self.bytes(name, T::DTYPE, bytemuck::cast_slice(values))
    }

    fn ragged<T: Element>(&mut self, name: &str, lengths: &[u32], values: &[T]) -> Result<()> {
        self.bytes(&format!("{name}{LENGTHS}"), u32::DTYPE, bytemuck::cast_slice(lengths))?;
        self.bytes(name, T::DTYPE, bytemuck::cast_slice(values))
    }

    fn derived<T: Element>(&mut self, name: &str, shape: &[u64], values: &[T]) -> Result<()> {
        self.part(name, shape, values)
    }
}

/// A folder to read.
pub(super) struct Folder {
    path: PathBuf,
    number: u64,
    attributes: BTreeMap<String, String>,
    parts: BTreeMap<String, Entry>,
}

impl Folder {
    /// Whether there is a manifest at a path.
    pub(super) fn is_at(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// Reads the manifest.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST);
        let text = fs::read(&file).map_err(|e| io("open", &file, e))?;
        let text = String::from_utf8(text).map_err(|_| damaged(&file, "it is no text"))?;
        let first = text.lines().next().unwrap_or_default();
        match first.strip_prefix(FIRST).map(str::trim) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(Error::InvalidArgument {
                    what: format!("{} has version {other:?} of snapshots", path.display()),
                    remedy: format!("this version of kithdb reads version {VERSION}: upgrade it"),
                });
            }
            None => return Err(damaged(&file, "it is no manifest of a snapshot")),
        }
        let (body, hash) = text
            .trim_end_matches('\n')
            .rsplit_once("\nhash ")
            .ok_or_else(|| damaged(&file, "it has no end: it was cut off"))?;
        if format!("{:032x}", xxh3_128(format!("{body}\n").as_bytes())) != hash {
            return Err(damaged(&file, "it fails its hash"));
        }
        let mut folder = Self { path: path.to_owned(), number: 0, attributes: BTreeMap::new(), parts: BTreeMap::new() };
        for line in body.lines().skip(1) {
            folder.take(line).ok_or_else(|| damaged(&file, format!("it has the line {line:?}")))?;
        }
        let number = folder.attributes.get("snapshot.generation").and_then(|number| number.parse().ok());
        folder.number = number.ok_or_else(|| damaged(&file, "it names no generation"))?;
        Ok(folder)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        let (name, rest) = rest.split_once(' ')?;
        match kind {
            "attribute" => drop(self.attributes.insert(name.to_owned(), plain(rest))),
            "part" => {
                let mut fields = rest.split(' ');
                let (dtype, bytes, hash) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?);
                // A name is one of a file here, and no way out of the folder.
                let is_file = !name.starts_with('.') && !name.contains(['/', '\\']);
                let entry = Entry { dtype: dtype.to_owned(), bytes, hash: hash.to_owned() };
                is_file.then(|| self.parts.insert(name.to_owned(), entry))?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether every file is as it was written. O(bytes), a piece of each in memory at a time.
    ///
    /// # Errors
    /// `Storage` for one that is not, by its name.
    pub(super) fn check(&self) -> Result<()> {
        self.parts.iter().try_for_each(|(name, entry)| {
            let path = self.file(name);
            let (mut hasher, mut length, mut piece) = (Xxh3::new(), 0, vec![0; PIECE]);
            let mut file = File::open(&path).map_err(|e| io("open", &path, e))?;
            loop {
                let read = file.read(&mut piece).map_err(|e| io("read", &path, e))?;
                if read == 0 {
                    break;
                }
                hasher.update(&piece[..read]);
                length += read as u64;
            }
            let whole = length == entry.bytes && format!("{:032x}", hasher.digest128()) == entry.hash;
            whole.then_some(()).ok_or_else(|| damaged(&path, "it is not as it was written"))
        })
    }

    /// Where a part's file is.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What of it does not fit.
    pub(super) fn damage(&self, what: &str) -> Error {
        damaged(&self.path, what)
    }

    /// An attribute that is a number.
    pub(super) fn number_of(&self, name: &str) -> Result<u64> {
        let number = self.attributes.get(name).and_then(|value| value.parse().ok());
        number.ok_or_else(|| self.damage(&format!("{name} is missing or no number")))
    }

    /// The values of a part's file, checked.
    fn values<T: Element>(&self, name: &str) -> Result<Vec<T>> {
        let entry = self.parts.get(name).ok_or_else(|| self.damage(&format!("there is no part {name:?}")))?;
        let path = self.file(name);
        if entry.dtype != T::DTYPE || !entry.bytes.is_multiple_of(size_of::<T>() as u64) {
            return Err(damaged(
                &path,
                format!("it holds {} bytes of {}, not of {}", entry.bytes, entry.dtype, T::DTYPE),
            ));
        }
        let mut file = File::open(&path).map_err(|e| io("open", &path, e))?;
        let length = file.metadata().map_err(|e| io("read", &path, e))?.len();
        // Before memory is asked for.
        if length != entry.bytes {
            return Err(damaged(&path, format!("it has {length} bytes instead of {}", entry.bytes)));
        }
        let mut values = vec![T::zeroed(); entry.bytes as usize / size_of::<T>()];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
        file.read_exact(bytes).map_err(|e| io("read", &path, e))?;
        if format!("{:032x}", xxh3_128(bytes)) != entry.hash {
            return Err(damaged(&path, "it fails its hash"));
        }
        Ok(values)
    }
}

impl Parts for Folder {
    fn number(&self) -> u64 {
        self.number
    }

    fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }

    fn form(&self, name: &str) -> Option<bool> {
        self.parts.contains_key(name).then(|| self.parts.contains_key(&format!("{name}{LENGTHS}")))
    }

    fn ragged<T: Element>(&self, name: &str) -> Result<(Vec<u32>, Vec<T>)> {
        let lengths = match self.form(name) {
            Some(true) => self.values(&format!("{name}{LENGTHS}"))?,
            _ => Vec::new(),
        };
        Ok((lengths, self.values(name)?))
    }

    fn damaged(&self, what: &str) -> Error {
        self.damage(what)
    }
}

/// A value on one line.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

fn plain(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' if letters.next() == Some('n') => '\n',
            other => other,
        });
    }
    plain
}

/// Writes a file and syncs it.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| io("write", path, e))
}

/// Syncs a folder: the names in it.
pub(super) fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io("sync", folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back_and_any_bit_that_is_other_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let mut writer = Writer::begin(path.clone(), None).unwrap();
        writer.part("numbers", &[3], &[1u64, 2, 3]).unwrap();
        writer.ragged("rows", &[0, 2, 1], &[1.5f32, -2.0, 3.0]).unwrap();
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let attributes = BTreeMap::from([named("snapshot.generation", "7"), named("odd", "a \\ b\nc \\n")]);
        let (hash, _) = writer.finish(&attributes).unwrap();
        let folder = Folder::open(&path).unwrap();
        assert_eq!((folder.number(), folder.attributes()), (7, &attributes));
        assert!(fs::read_to_string(path.join(MANIFEST)).unwrap().ends_with(&format!("hash {hash}\n")));
        assert_eq!(folder.part::<u64>("numbers").unwrap(), [1, 2, 3]);
        assert_eq!(folder.ragged::<f32>("rows").unwrap(), (vec![0, 2, 1], vec![1.5, -2.0, 3.0]));
        assert!(folder.part::<u32>("numbers").is_err() && folder.part::<u64>("none").is_err());
        for name in ["MANIFEST", "numbers", "rows", "rows.lengths"] {
            let file = path.join(name);
            let good = fs::read(&file).unwrap();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                fs::write(&file, &bad).unwrap();
                let read = Folder::open(&path)
                    .and_then(|folder| folder.part::<u64>("numbers").and(folder.ragged::<f32>("rows").map(drop)));
                assert!(read.is_err(), "{name} {at}");
            }
            for length in 0..good.len() {
                fs::write(&file, &good[..length]).unwrap();
                let read = Folder::open(&path)
                    .and_then(|folder| folder.part::<u64>("numbers").and(folder.ragged::<f32>("rows").map(drop)));
                // All a manifest may lack is its last line's end.
                assert_eq!(read.is_ok(), name == "MANIFEST" && length == good.len() - 1, "{name} {length}");
            }
            fs::write(&file, &good).unwrap();
        }
    }
}
