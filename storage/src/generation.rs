//! Writing a generation: a directory of its own, under a temporary name until it is whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::directory::{UNFINISHED, generation_name, remove, rename, state_name, sync_directory, sync_files};
use crate::element::Element;
use crate::engine::{Engine, Tree};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Part, StateFile, content_hash, hash};
use crate::places::{Places, Sealed};
use crate::reader;
use crate::space::{self, MARGIN};
use crate::state::{self, StateWriter};
use crate::store::Store;
use crate::value::{Kind, MAX_PAYLOAD};

/// Parts a generation may have.
const MAX_PARTS: usize = 256;
/// Bytes after which a writer lets waiting appends go first.
const SLICE: usize = 1 << 20;
/// Bytes after which a writer syncs, so that no sync of an append finds a long queue before it.
const SYNC_EVERY: usize = 4 << 20;
/// Cache of an engine that is written once, front to back.
const CACHE: u64 = 16 << 20;

/// What a generation stands for, given when it is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The last log sequence folded into the parts. The log up to it is dropped after publication.
    pub folded_through: u64,
    /// The last log sequence that training has seen.
    pub trained_through: u64,
    /// Small named settings, kept in the manifest and counted in the content hash.
    pub attributes: BTreeMap<String, String>,
    /// Something was forgotten: copy the store, so that no stale copy of a dropped record stays on the disk.
    pub rewrite: bool,
}

/// Writes the parts of the next generation. Nothing of it is visible before [`GenerationWriter::publish`]; dropped before that, it
/// leaves nothing behind.
///
/// Writing pauses while appends are waiting, and checks for disk space before every part.
pub struct GenerationWriter<'a> {
    store: &'a Store,
    number: u64,
    temporary: PathBuf,
    engine: Option<Engine>,
    parts: Vec<Part>,
    /// The envelopes of the chunks of each part written here, by its number.
    sealed: Vec<Vec<Sealed>>,
    state: Option<StateWriter>,
    shared_state: Option<StateFile>,
    written: usize,
}

/// Chunks of a part are consecutive under its number.
pub(crate) fn chunk_key(part: u32, chunk: u32) -> [u8; 8] {
    (u64::from(part) << 32 | u64::from(chunk)).to_be_bytes()
}

impl<'a> GenerationWriter<'a> {
    /// The caller has set [`Store::writing`], which the drop of the writer resets.
    pub(crate) fn begin(store: &'a Store, number: u64) -> Result<GenerationWriter<'a>> {
        let writer = GenerationWriter {
            store,
            number,
            temporary: store.root().join(format!("{}{UNFINISHED}", generation_name(number))),
            engine: None,
            parts: Vec::new(),
            sealed: Vec::new(),
            state: None,
            shared_state: None,
            written: 0,
        };
        space::require(store.root(), "write a generation to", MARGIN)?;
        remove(&writer.temporary)?;
        Ok(writer)
    }

    /// The number the generation will have.
    pub fn generation(&self) -> u64 {
        self.number
    }

    /// Writes a named array. `shape` is its extents, outermost first.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty, too long or taken, and for a shape that does not fit the data;
    /// [`Error::DiskFull`] before anything is written when it would not fit.
    pub fn part<T: Element>(&mut self, name: &str, shape: &[u64], data: &[T]) -> Result<()> {
        self.check_name(name)?;
        check_shape(name, shape, data.len())?;
        let bytes: &[u8] = bytemuck::cast_slice(data);
        // The engine takes a few hundredths more than the bytes of a part. As much again is left to the log, which goes on meanwhile.
        space::require(self.store.root(), "write a generation to", MARGIN + 2 * bytes.len() as u64)?;
        let number = self.sealed.len() as u32;
        let chunks = u32::try_from(bytes.len().div_ceil(MAX_PAYLOAD))
            .map_err(|_| Error::invalid(format!("part {name} is too large")))?;
        if self.engine.is_none() {
            self.engine = Some(Engine::create(&self.temporary, &[Tree::Chunk], CACHE)?);
        }
        let mut sealed = Vec::with_capacity(chunks as usize);
        if let Some(engine) = &self.engine {
            engine.lay_out(Tree::Chunk, (0..chunks).map(|chunk| chunk_key(number, chunk)))?;
            for (chunk, payload) in (0..chunks).zip(bytes.chunks(MAX_PAYLOAD)) {
                let checksum = engine.put(Tree::Chunk, &chunk_key(number, chunk), Kind::Chunk, payload)?;
                sealed.push(Sealed { checksum, bytes: payload.len() as u32 });
                let slices = self.written / SLICE;
                let syncs = self.written / SYNC_EVERY;
                self.written += payload.len();
                if self.written / SYNC_EVERY > syncs {
                    engine.sync()?;
                }
                if self.written / SLICE > slices {
                    self.store.let_appends_pass();
                }
            }
        }
        self.sealed.push(sealed);
        self.parts.push(Part {
            name: name.to_owned(),
            dtype: T::DTYPE.to_owned(),
            shape: shape.to_vec(),
            chunks,
            bytes: bytes.len() as u64,
            hash: hash(bytes),
            directory: generation_name(self.number),
            number,
        });
        Ok(())
    }

    /// Takes over a part of the current generation as it is, without copying it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the current generation has no such part, or the name is taken.
    pub fn share(&mut self, name: &str) -> Result<()> {
        self.check_name(name)?;
        let manifest = self.store.manifest();
        let part = manifest.as_deref().and_then(|manifest| manifest.part(name));
        let part = part.ok_or_else(|| Error::invalid(format!("the current generation has no part {name:?}")))?;
        self.parts.push(part.clone());
        Ok(())
    }

    /// Writes a named array of training state, into the plain file beside the generation.
    ///
    /// # Errors
    /// As [`GenerationWriter::part`].
    pub fn state_part<T: Element>(&mut self, name: &str, shape: &[u64], data: &[T]) -> Result<()> {
        if name.is_empty() || name.len() > MAX_NAME || self.state.as_ref().is_some_and(|state| state.has(name)) {
            return Err(Error::invalid(format!("{name:?} is not a name for a state part, or is taken")));
        }
        check_shape(name, shape, data.len())?;
        space::require(self.store.root(), "write training state to", MARGIN + size_of_val(data) as u64)?;
        if self.state.is_none() {
            self.shared_state = None;
            self.state = Some(StateWriter::create(self.store.root(), self.number, self.store.identity())?);
        }
        match &mut self.state {
            Some(state) => state.part(name, shape, data, || self.store.let_appends_pass()),
            None => Ok(()),
        }
    }

    /// Keeps the training state of the current generation, if it has one. A state part written afterwards replaces it.
    pub fn share_state(&mut self) {
        if self.state.is_none() {
            self.shared_state = self.store.manifest().and_then(|manifest| manifest.state.clone());
        }
    }

    /// Makes the generation durable, reads it back and compares it with what was written, and makes it current, in that order. What is no
    /// longer needed then stays until [`Store::tidy`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for sequences that go backwards or past the log; errors of writing; [`Error::Corrupt`] when what is read back is not
    /// what was written. After an error the former generation stays current, and nothing is removed.
    pub fn publish(mut self, draft: Draft) -> Result<Arc<Manifest>> {
        self.store.check_draft(&draft)?;
        let root = self.store.root();
        if let Some(engine) = self.engine.take() {
            engine.close()?;
            sync_files(&self.temporary)?;
            let identity = self.store.identity();
            Places::find(&self.temporary.join("db"), &self.sealed)?.write(&self.temporary, identity)?;
            sync_directory(&self.temporary)?;
            let own = generation_name(self.number);
            reader::check_parts(&self.temporary, identity, self.parts.iter().filter(|part| part.directory == own))?;
            let place = root.join(own);
            remove(&place)?;
            rename(&self.temporary, &place)?;
        }
        let state = match self.state.take() {
            Some(state) => {
                remove(&root.join(state_name(self.number)))?;
                Some(state.finish(root, self.number)?)
            }
            None => self.shared_state.take(),
        };
        let manifest = Manifest {
            generation: self.number,
            folded_through: draft.folded_through,
            trained_through: draft.trained_through,
            content_hash: content_hash(&self.parts, &draft.attributes),
            parts: std::mem::take(&mut self.parts),
            state,
            attributes: draft.attributes,
            retired_store: 0,
        };
        self.store.publish(manifest, draft.rewrite)
    }

    fn check_name(&self, name: &str) -> Result<()> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::invalid(format!("a part's name has 1 to {MAX_NAME} bytes: {name:?}")));
        }
        if self.parts.iter().any(|part| part.name == name) {
            return Err(Error::invalid(format!("part {name:?} was written already")));
        }
        if self.parts.len() >= MAX_PARTS {
            return Err(Error::invalid(format!("a generation has at most {MAX_PARTS} parts")));
        }
        Ok(())
    }
}

/// Bytes a part's name may have.
const MAX_NAME: usize = 128;

fn check_shape(name: &str, shape: &[u64], length: usize) -> Result<()> {
    let elements = shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
    if elements != Some(length as u64) {
        return Err(Error::invalid(format!("part {name:?} has {length} elements, which is not the shape {shape:?}")));
    }
    Ok(())
}

impl Drop for GenerationWriter<'_> {
    fn drop(&mut self) {
        drop(self.engine.take());
        let _ = remove(&self.temporary);
        if let Some(state) = self.state.take() {
            state::discard(state);
        }
        self.store.writing.store(false, Ordering::Release);
    }
}
