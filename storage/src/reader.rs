//! Reading a generation: every chunk, count and hash is checked.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use crate::element::Element;
use crate::engine::{Engine, Tree};
use crate::error::{Error, RESTORE_GENERATION, Result};
use crate::generation::chunk_key;
use crate::manifest::{Manifest, Part};
use crate::store::Store;
use crate::value::Kind;

/// Cache of an engine that is read front to back.
const CACHE: u64 = 16 << 20;

/// Generation directories that are open for reading. The engine allows one opening at a time, so readers share it.
#[derive(Default)]
pub(crate) struct OpenGenerations(Mutex<HashMap<String, Weak<Engine>>>);

impl OpenGenerations {
    fn open(&self, store: &Store, directory: &str) -> Result<Arc<Engine>> {
        let mut open = self.0.lock();
        if let Some(engine) = open.get(directory).and_then(Weak::upgrade) {
            return Ok(engine);
        }
        let engine = Arc::new(Engine::open(&store.root().join(directory), &[Tree::Chunk], CACHE)?);
        open.retain(|_, engine| engine.strong_count() > 0);
        open.insert(directory.to_owned(), Arc::downgrade(&engine));
        Ok(engine)
    }
}

/// Reads the parts of a generation. Keeps the generation's directories open until dropped, so that many parts cost one opening.
pub struct GenerationReader<'a> {
    store: &'a Store,
    manifest: Arc<Manifest>,
    engines: Mutex<HashMap<String, Arc<Engine>>>,
}

impl<'a> GenerationReader<'a> {
    pub(crate) fn new(store: &'a Store, manifest: Arc<Manifest>) -> GenerationReader<'a> {
        GenerationReader { store, manifest, engines: Mutex::default() }
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
        let part = self
            .manifest
            .part(name)
            .ok_or_else(|| Error::invalid(format!("generation {} has no part {name:?}", self.manifest.generation)))?;
        if part.dtype != T::DTYPE {
            return Err(Error::invalid(format!("part {name:?} holds {} elements, not {}", part.dtype, T::DTYPE)));
        }
        let mut data = vec![T::zeroed(); part.bytes as usize / size_of::<T>()];
        let mut rest: &mut [u8] = bytemuck::cast_slice_mut(&mut data);
        self.chunks(part, |payload| {
            // `chunks` has made sure that the payloads fit.
            if let Some((place, after)) = std::mem::take(&mut rest).split_at_mut_checked(payload.len()) {
                place.copy_from_slice(payload);
                rest = after;
            }
        })?;
        Ok(data)
    }

    /// Visits the chunks of a part in order; after the last, count, length and hash have been checked.
    pub(crate) fn chunks(&self, part: &Part, mut visit: impl FnMut(&[u8])) -> Result<()> {
        let engine = self.engine(&part.directory)?;
        let bad =
            |what: String| Error::corrupt(engine.path(), format!("part {:?} {what}", part.name), RESTORE_GENERATION);
        let mut hasher = Xxh3::new();
        let (mut next, mut bytes) = (0, 0);
        let (first, last) = (chunk_key(part.number, 0), chunk_key(part.number, u32::MAX));
        engine.scan(Tree::Chunk, &first, &last, Kind::Chunk, |key, payload| {
            bytes += payload.len() as u64;
            if key != chunk_key(part.number, next) || bytes > part.bytes {
                return Err(bad(format!("lacks chunk {next}, or has bytes too many")));
            }
            next += 1;
            hasher.update(payload);
            visit(payload);
            Ok(true)
        })?;
        if next != part.chunks || bytes != part.bytes {
            return Err(bad(format!("has {next} chunks, {bytes} bytes instead of {} and {}", part.chunks, part.bytes)));
        }
        if format!("{:032x}", hasher.digest128()) != part.hash {
            return Err(bad("fails its hash".to_owned()));
        }
        Ok(())
    }

    fn engine(&self, directory: &str) -> Result<Arc<Engine>> {
        let mut engines = self.engines.lock();
        if let Some(engine) = engines.get(directory) {
            return Ok(Arc::clone(engine));
        }
        let engine = self.store.open_generations.open(self.store, directory)?;
        engines.insert(directory.to_owned(), Arc::clone(&engine));
        Ok(engine)
    }
}
