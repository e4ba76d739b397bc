//! Writing a generation: a directory of its own, under a temporary name until it is whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::directory::{UNFINISHED, generation_name, remove, rename, state_name, sync_directory, sync_files};
use crate::element::Element;
use crate::engine::{Engine, Tree};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, StateFile, content_hash};
use crate::part::{Extent, Part};
use crate::places::{Places, Sealed};
use crate::plan::{Plan, payloads};
use crate::reader::{self, GenerationReader};
use crate::rows::Rows;
use crate::space::{self, MARGIN};
use crate::state::{self, State, StateWriter};
use crate::store::Store;
use crate::value::{Kind, MAX_PAYLOAD};
use xxhash_rust::xxh3::Xxh3;

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
/// What the current generation has as well is not written again: a part with the same name, type, shape and hash is shared with it, and of one in which
/// less than half of the rows are others only those are written, over the rows there are. Where what was written so has come to what
/// [`StoreOptions::merging`](crate::StoreOptions::merging) says ([`GenerationWriter::merge`] at any time), everything is written anew.
///
/// Writing pauses while appends are waiting, and checks for disk space before every part.
pub struct GenerationWriter<'a> {
    store: &'a Store,
    number: u64,
    temporary: PathBuf,
    /// The current generation, where parts are written over those it has.
    parent: Option<Arc<Manifest>>,
    engine: Option<Engine>,
    parts: Vec<Part>,
    /// The envelopes of the chunks of each extent written here, by its number.
    sealed: Vec<Vec<Sealed>>,
    /// The training state of the current generation, where more is written over it.
    parent_state: Option<State>,
    state: Option<StateWriter>,
    shared_state: Vec<StateFile>,
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
            parent: store.manifest().filter(|parent| !store.options.merging.is_due(store.root(), parent)),
            engine: None,
            parts: Vec::new(),
            sealed: Vec::new(),
            parent_state: None,
            state: None,
            shared_state: Vec::new(),
            written: 0,
        };
        // What was finished under this number and never published is named by nobody.
        remove(&store.root().join(generation_name(number)))?;
        remove(&store.root().join(state_name(number)))?;
        remove(&writer.temporary)?;
        space::require(store.root(), "write a generation to", MARGIN)?;
        Ok(writer)
    }

    /// The number the generation will have.
    pub fn generation(&self) -> u64 {
        self.number
    }

    /// Writes everything anew from here on, and shares nothing with the generation before: for those whose rows are others anyway, and those that
    /// must not hold what was forgotten.
    pub fn merge(&mut self) {
        self.parent = None;
    }

    /// Whether everything is written anew.
    pub fn is_merging(&self) -> bool {
        self.parent.is_none()
    }

    /// Writes a named array. `shape` is its extents, outermost first; rows are what the outermost counts.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty, too long or taken, and for a shape that does not fit the data;
    /// [`Error::DiskFull`] before anything is written when it would not fit.
    pub fn part<T: Element>(&mut self, name: &str, shape: &[u64], data: &[T]) -> Result<()> {
        let plan = Plan::of::<T>(name, shape);
        self.put(&plan, &plan.rows(&[], data))
    }

    /// Writes a named array whose rows have a length of their own, in elements: one row a length, back to back.
    ///
    /// # Errors
    /// As [`GenerationWriter::part`], and [`Error::Invalid`] for lengths that do not add up to the data.
    pub fn ragged<T: Element>(&mut self, name: &str, lengths: &[u32], data: &[T]) -> Result<()> {
        let shape = [data.len() as u64];
        let plan = Plan { ragged: true, ..Plan::of::<T>(name, &shape) };
        self.put(&plan, &plan.rows(lengths, data))
    }

    /// Writes a named array that follows from the other parts: it does not count in the content hash, and is left out where more than a few of its rows
    /// would have to be written beside those of the others.
    ///
    /// # Errors
    /// As [`GenerationWriter::part`].
    pub fn derived<T: Element>(&mut self, name: &str, shape: &[u64], data: &[T]) -> Result<()> {
        let plan = Plan { derived: true, ..Plan::of::<T>(name, shape) };
        self.put(&plan, &plan.rows(&[], data))
    }

    /// Writes what is planned, as far as it is not there.
    pub(crate) fn put(&mut self, plan: &Plan<'_>, rows: &Rows<'_>) -> Result<()> {
        self.check_name(plan.name)?;
        plan.check(rows)?;
        let mut part = plan.part(rows);
        let parent = self.parent.clone();
        let before = parent.as_ref().and_then(|parent| parent.part(plan.name)).filter(|part| part.by_blocks);
        if let Some(same) = before.filter(|before| before.is_same(&part)) {
            (part.base, part.patches) = (same.base.clone(), same.patches.clone());
            self.parts.push(part);
            return Ok(());
        }
        let before = before.filter(|before| before.dtype == plan.dtype && rows.stored() > SMALL);
        let mut patch = before.zip(parent.as_ref()).and_then(|(before, parent)| self.patch(parent, before, rows));
        if plan.derived && parent.is_some() && rows.bytes.len() > SMALL {
            patch = patch.filter(|(_, patch)| patch.len() <= rows.bytes.len() / FEW);
            if patch.is_none() {
                return Ok(());
            }
        }
        match before.zip(patch) {
            Some((before, (changed, patch))) => {
                let patch = self.extent(plan.name, changed.len() as u64, &[&patch])?;
                part.base = before.base.clone();
                part.patches = before.patches.iter().cloned().chain([patch]).collect();
            }
            None => {
                let lengths = bytemuck::cast_slice(rows.lengths);
                part.base = self.extent(plan.name, part.rows, &[lengths, rows.bytes])?;
            }
        }
        self.parts.push(part);
        Ok(())
    }

    /// The rows in which a part differs from the one before, and a patch of them; `None` where it is to be written whole, as where what it was cannot
    /// be read any more.
    fn patch(&self, parent: &Arc<Manifest>, part: &Part, rows: &Rows<'_>) -> Option<(Vec<u32>, Vec<u8>)> {
        let mut bytes = vec![0; part.bytes as usize];
        let lengths = GenerationReader::new(self.store, Arc::clone(parent)).read(part, &mut bytes).ok()?;
        let before = Rows { bytes: &bytes, form: part.form(), lengths: &lengths };
        rows.patch_over(&before)
    }

    /// Writes bytes under the next number.
    fn extent(&mut self, name: &str, rows: u64, pieces: &[&[u8]]) -> Result<Extent> {
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        // The engine takes a few hundredths more than the bytes of a part. As much again is left to the log, which goes on meanwhile.
        space::require(self.store.root(), "write a generation to", MARGIN + 2 * bytes as u64)?;
        let number = self.sealed.len() as u32;
        let chunks = u32::try_from(bytes.div_ceil(MAX_PAYLOAD))
            .map_err(|_| Error::invalid(format!("part {name} is too large")))?;
        if self.engine.is_none() {
            self.engine = Some(Engine::create(&self.temporary, &[Tree::Chunk], CACHE)?);
        }
        let mut sealed = Vec::with_capacity(chunks as usize);
        let mut hasher = Xxh3::new();
        if let Some(engine) = &self.engine {
            engine.lay_out(Tree::Chunk, (0..chunks).map(|chunk| chunk_key(number, chunk)))?;
            for (chunk, payload) in (0..chunks).zip(payloads(pieces)) {
                let checksum = engine.put(Tree::Chunk, &chunk_key(number, chunk), Kind::Chunk, &payload)?;
                sealed.push(Sealed { checksum, bytes: payload.len() as u32 });
                hasher.update(&payload);
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
        Ok(Extent { generation: self.number, number, rows, chunks, bytes: bytes as u64, hash: hasher.digest128() })
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

    /// Writes a named array of training state, into the plain file beside the generation. Of one that the state of the current generation has as well,
    /// the rows that are others.
    ///
    /// # Errors
    /// As [`GenerationWriter::part`].
    pub fn state_part<T: Element>(&mut self, name: &str, shape: &[u64], data: &[T]) -> Result<()> {
        let plan = Plan::of::<T>(name, shape);
        self.put_state(&plan, &plan.rows(&[], data))
    }

    /// [`GenerationWriter::state_part`] of rows that have a length of their own, in elements.
    ///
    /// # Errors
    /// As [`GenerationWriter::ragged`].
    pub fn ragged_state<T: Element>(&mut self, name: &str, shape: &[u64], lengths: &[u32], data: &[T]) -> Result<()> {
        let plan = Plan { ragged: true, ..Plan::of::<T>(name, shape) };
        self.put_state(&plan, &plan.rows(lengths, data))
    }

    /// Writes what is planned of the state, as far as it is not there.
    pub(crate) fn put_state(&mut self, plan: &Plan<'_>, rows: &Rows<'_>) -> Result<()> {
        let name = plan.name;
        if name.is_empty() || name.len() > MAX_NAME || self.state.as_ref().is_some_and(|state| state.has(name)) {
            return Err(Error::invalid(format!("{name:?} is not a name for a state part, or is taken")));
        }
        plan.check(rows)?;
        let root = self.store.root();
        space::require(root, "write training state to", MARGIN + rows.bytes.len() as u64)?;
        if self.state.is_none() {
            let files = self.parent.as_ref().map_or(&[][..], |parent| &parent.state);
            let before = if self.store.options.merging.is_state_due(files) {
                None
            } else {
                State::open(root, files).ok().flatten()
            };
            self.shared_state = before.as_ref().map_or_else(Vec::new, |_| files.to_vec());
            self.parent_state = before;
            self.state = Some(StateWriter::create(root, self.number, self.store.identity())?);
        }
        match &mut self.state {
            Some(state) => state.part(plan, rows, self.parent_state.as_ref(), || self.store.let_appends_pass()),
            None => Ok(()),
        }
    }

    /// Keeps the training state of a generation, the current one or one that is kept beside it, if it has one. A state part written afterwards replaces it.
    pub fn share_state(&mut self, of: &Manifest) {
        if self.state.is_none() {
            self.shared_state.clone_from(&of.state);
        }
    }

    /// [`GenerationWriter::finish`], and makes the generation current.
    ///
    /// # Errors
    /// As [`GenerationWriter::finish`] and [`Finished::publish`].
    pub fn publish(self, draft: Draft) -> Result<Arc<Manifest>> {
        self.store.check_draft(&draft)?;
        self.finish()?.publish(draft)
    }

    /// Makes all that was written durable, reads it back, compares it with what was written, and gives it its name, in that order.
    ///
    /// # Errors
    /// Errors of writing; [`Error::Corrupt`] when what is read back is not what was written. Nothing is removed after one.
    pub fn finish(mut self) -> Result<Finished<'a>> {
        let root = self.store.root();
        if let Some(engine) = self.engine.take() {
            engine.close()?;
            sync_files(&self.temporary)?;
            let identity = self.store.identity();
            Places::find(&self.temporary.join("db"), &self.sealed)?.write(&self.temporary, identity)?;
            sync_directory(&self.temporary)?;
            let all = self.parts.iter().flat_map(|part| part.extents().map(|extent| (part.name.as_str(), extent)));
            let own = all.filter(|(_, extent)| extent.generation == self.number);
            reader::check_extents(&self.temporary, identity, own)?;
            let place = root.join(generation_name(self.number));
            remove(&place)?;
            rename(&self.temporary, &place)?;
        }
        let mut state = std::mem::take(&mut self.shared_state);
        if let Some(written) = self.state.take() {
            remove(&root.join(state_name(self.number)))?;
            state.push(written.finish(root, self.number)?);
        }
        Ok(Finished { writer: self, state })
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

/// A generation whose files are in place and durable, and that nobody names yet.
pub struct Finished<'a> {
    writer: GenerationWriter<'a>,
    state: Vec<StateFile>,
}

impl Finished<'_> {
    /// Makes the generation current. What is no longer needed then stays until [`Store::tidy`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for sequences that go backwards or past the log; errors of writing, after which the former generation stays current.
    pub fn publish(mut self, draft: Draft) -> Result<Arc<Manifest>> {
        let store = self.writer.store;
        store.check_draft(&draft)?;
        let parts = std::mem::take(&mut self.writer.parts);
        let manifest = Manifest {
            generation: self.writer.number,
            folded_through: draft.folded_through,
            trained_through: draft.trained_through,
            content_hash: content_hash(&parts, &draft.attributes),
            parts,
            state: std::mem::take(&mut self.state),
            attributes: draft.attributes,
            retired_store: 0,
        };
        store.publish(manifest, draft.rewrite)
    }
}

/// Bytes a part's name may have.
const MAX_NAME: usize = 128;
/// Parts up to so many bytes are written whole.
const SMALL: usize = 64 << 10;
/// Of parts that follow from others a patch is at most this part of all their bytes.
const FEW: usize = 16;
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
