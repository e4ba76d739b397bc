//! Reading a generation: every chunk, count and hash is checked.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use crate::directory::{UNFINISHED, generation_name};
use crate::element::Element;
use crate::engine::{Engine, Tree};
use crate::error::{Error, RESTORE_GENERATION, Result};
use crate::generation::chunk_key;
use crate::identity::Identity;
use crate::manifest::Manifest;
use crate::part::{Extent, Part};
use crate::places::{Places, Window};
use crate::rows::{self, Pieces, Rows};
use crate::scratch::Scratch;
use crate::space;
use crate::store::Store;
use crate::value::{self, HEADER, Kind, MAX_PAYLOAD};

/// Cache of an engine that is read front to back.
const CACHE: u64 = 16 << 20;

/// Generation directories that are open for reading, shared by their readers.
#[derive(Default)]
pub(crate) struct OpenGenerations(Mutex<HashMap<u64, Weak<Source>>>);

impl OpenGenerations {
    fn open(&self, store: &Store, generation: u64) -> Result<Arc<Source>> {
        let mut open = self.0.lock();
        if let Some(source) = open.get(&generation).and_then(Weak::upgrade) {
            return Ok(source);
        }
        let directory = store.root().join(generation_name(generation));
        let source = Arc::new(Source::open(&directory, Some(store.identity()))?);
        open.retain(|_, source| source.strong_count() > 0);
        open.insert(generation, Arc::downgrade(&source));
        Ok(source)
    }
}

/// Where the chunks of a generation's directory come from.
enum Source {
    /// The engine's data file, at the places noted when it was written.
    Placed { directory: PathBuf, places: Places, window: Mutex<Window> },
    /// A copy that the engine has recovered: generations of format 1 have no places.
    Copied(Copied),
}

/// An engine on a copy, which is removed with it.
struct Copied {
    directory: PathBuf,
    engine: Engine,
    scratch: Option<Scratch>,
}

impl Drop for Copied {
    fn drop(&mut self) {
        // Where the engine does not let go of it, the copy stays until the next opening of the database.
        if self.engine.let_go().is_ok()
            && let Some(scratch) = self.scratch.take()
        {
            let _ = scratch.remove();
        }
    }
}

impl Source {
    fn open(directory: &Path, identity: Option<Identity>) -> Result<Source> {
        match fs::metadata(directory) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::corrupt(directory, "the directory is missing", RESTORE_GENERATION));
            }
            Err(e) => return Err(Error::io("open", directory, e)),
            Ok(_) => {}
        }
        let Some(places) = Places::read(directory, identity)? else { return Source::copy(directory) };
        let data = directory.join("db");
        match File::open(&data) {
            Ok(file) => {
                let window = Mutex::new(Window::new(file));
                Ok(Source::Placed { directory: directory.to_path_buf(), places, window })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::corrupt(&data, "the file is missing", RESTORE_GENERATION))
            }
            Err(e) => Err(Error::io("open", &data, e)),
        }
    }

    fn copy(directory: &Path) -> Result<Source> {
        static COPIES: AtomicU64 = AtomicU64::new(0);
        let mut name = directory.as_os_str().to_owned();
        name.push(format!(".{}{UNFINISHED}", COPIES.fetch_add(1, Ordering::Relaxed)));
        let copy = PathBuf::from(name);
        if let Some(root) = directory.parent() {
            space::require(root, "copy a generation of format 1 in", Engine::copied_bytes(directory))?;
        }
        match Engine::recover(directory, &copy, &[Tree::Chunk], CACHE, None) {
            Ok((engine, scratch)) => {
                Ok(Source::Copied(Copied { directory: directory.to_path_buf(), engine, scratch: Some(scratch) }))
            }
            Err(error) => Err(error.at(&copy, directory)),
        }
    }

    fn directory(&self) -> &Path {
        match self {
            Source::Placed { directory, .. } => directory,
            Source::Copied(copied) => &copied.directory,
        }
    }

    /// Visits the payloads of an extent of the part `name` in order.
    fn chunks(&self, name: &str, part: &Extent, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        let bad = |what: String| self.damaged(name, &what);
        match self {
            Source::Placed { places, window, .. } => {
                let mut window = window.lock();
                let mut left = part.bytes;
                for chunk in 0..part.chunks {
                    let payload = left.min(MAX_PAYLOAD as u64);
                    left -= payload;
                    let place = places.of(part.number, chunk).ok_or_else(|| bad(format!("lacks chunk {chunk}")))?;
                    let bytes = window.at(place, HEADER + payload as usize);
                    let bytes = bytes.map_err(|e| Error::io("read", self.directory(), e))?;
                    let key = chunk_key(part.number, chunk);
                    let payload = value::open(Tree::Chunk.name(), &key, Kind::Chunk, bytes)
                        .map_err(|what| bad(format!("chunk {chunk}: {what}")))?;
                    visit(payload);
                }
                Ok(())
            }
            Source::Copied(Copied { engine, directory, .. }) => {
                let (first, last) = (chunk_key(part.number, 0), chunk_key(part.number, u32::MAX));
                let (mut next, mut bytes) = (0, 0);
                let scanned = engine.scan(Tree::Chunk, &first, &last, Kind::Chunk, |key, payload| {
                    bytes += payload.len() as u64;
                    if key != chunk_key(part.number, next) || bytes > part.bytes {
                        return Err(bad(format!("lacks chunk {next}, or has bytes too many")));
                    }
                    next += 1;
                    visit(payload);
                    Ok(true)
                });
                scanned.map_err(|error| error.at(engine.path(), directory))
            }
        }
    }

    /// Visits the payloads of an extent of the part `name` in order; after the last, their length and hash have been checked.
    fn check(&self, name: &str, extent: &Extent, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        let (mut hasher, mut bytes) = (Xxh3::new(), 0);
        self.chunks(name, extent, &mut |payload| {
            bytes += payload.len() as u64;
            hasher.update(payload);
            visit(payload);
        })?;
        if bytes != extent.bytes {
            return Err(self.damaged(name, &format!("has {bytes} bytes instead of {}", extent.bytes)));
        }
        if hasher.digest128() != extent.hash {
            return Err(self.damaged(name, "fails its hash"));
        }
        Ok(())
    }

    fn damaged(&self, part: &str, what: &str) -> Error {
        Error::corrupt(self.directory(), format!("part {part:?} {what}"), RESTORE_GENERATION)
    }
}

/// Reads extents of parts back from the directory they were written to.
pub(crate) fn check_extents<'a>(
    directory: &Path,
    identity: Identity,
    mut extents: impl Iterator<Item = (&'a str, &'a Extent)>,
) -> Result<()> {
    let source = Source::open(directory, Some(identity))?;
    extents.try_for_each(|(name, extent)| source.check(name, extent, &mut |_| ()))
}

/// Reads the parts of a generation. Keeps the generation's files open and on the disk until dropped, so that many parts cost one opening.
pub struct GenerationReader<'a> {
    store: &'a Store,
    manifest: Arc<Manifest>,
    sources: Mutex<HashMap<u64, Arc<Source>>>,
}

impl<'a> GenerationReader<'a> {
    pub(crate) fn new(store: &'a Store, manifest: Arc<Manifest>) -> GenerationReader<'a> {
        GenerationReader { store, manifest, sources: Mutex::default() }
    }

    /// The manifest it reads.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads a part as one array; [`Part::shape`] tells its extents.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such part or it has another element type; [`Error::Corrupt`] when a chunk is damaged or
    /// missing, or the whole is not what was written.
    pub fn part<T: Element>(&self, name: &str) -> Result<Vec<T>> {
        self.ragged(name).map(|(_, data)| data)
    }

    /// Reads a part with the lengths of its rows; none where they are all alike.
    ///
    /// # Errors
    /// As [`GenerationReader::part`].
    pub fn ragged<T: Element>(&self, name: &str) -> Result<(Vec<u32>, Vec<T>)> {
        let part = self
            .manifest
            .part(name)
            .ok_or_else(|| Error::invalid(format!("generation {} has no part {name:?}", self.manifest.generation)))?;
        if part.dtype != T::DTYPE {
            return Err(Error::invalid(format!("part {name:?} holds {} elements, not {}", part.dtype, T::DTYPE)));
        }
        let mut data = vec![T::zeroed(); part.bytes as usize / size_of::<T>()];
        let lengths = self.read(part, bytemuck::cast_slice_mut(&mut data))?;
        Ok((lengths, data))
    }

    /// Reads the bytes of a part and checks every chunk, count and hash; the lengths of its rows.
    pub(crate) fn read(&self, part: &Part, data: &mut [u8]) -> Result<Vec<u32>> {
        let source = self.source(part.base.generation)?;
        let lengths = if !part.ragged && part.patches.is_empty() {
            let mut rest = &mut *data;
            source.check(&part.name, &part.base, &mut |payload| {
                // `check` makes sure that the payloads fit.
                if let Some((place, after)) = std::mem::take(&mut rest).split_at_mut_checked(payload.len()) {
                    place.copy_from_slice(payload);
                    rest = after;
                }
            })?;
            Vec::new()
        } else {
            let mut pieces = Pieces { base_rows: part.base.rows as usize, ..Pieces::default() };
            source.check(&part.name, &part.base, &mut |payload| pieces.base.extend_from_slice(payload))?;
            for patch in &part.patches {
                let mut bytes = Vec::with_capacity(patch.bytes as usize);
                let source = self.source(patch.generation)?;
                source.check(&part.name, patch, &mut |payload| bytes.extend_from_slice(payload))?;
                pieces.patches.push((patch.rows as usize, bytes));
            }
            let lengths = rows::assemble(part.form(), &pieces, data);
            lengths.ok_or_else(|| source.damaged(&part.name, "has rows that do not fit"))?
        };
        let is_whole =
            !part.by_blocks || Rows { bytes: data, form: part.form(), lengths: &lengths }.hash() == part.hash;
        if is_whole { Ok(lengths) } else { Err(source.damaged(&part.name, "fails the hash over its rows")) }
    }

    /// Checks every chunk, count and hash of a part.
    pub(crate) fn check(&self, part: &Part) -> Result<()> {
        self.read(part, &mut vec![0; part.bytes as usize]).map(drop)
    }

    fn source(&self, generation: u64) -> Result<Arc<Source>> {
        let mut sources = self.sources.lock();
        if let Some(source) = sources.get(&generation) {
            return Ok(Arc::clone(source));
        }
        let source = self.store.open_generations.open(self.store, generation)?;
        sources.insert(generation, Arc::clone(&source));
        Ok(source)
    }
}
