//! What a job has come to, kept until it ends: one file beside the database, replaced as a whole (FORMAT.md, "Checkpoint").
//!
//! It concerns nobody's data. One that is missing, damaged or of another database is none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bincode::Options;
use xxhash_rust::xxh3::Xxh3;

use crate::directory::{CHECKPOINT, UNFINISHED, remove};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::manifest::layout;
use crate::plan::Plan;
use crate::space::{self, MARGIN};
use crate::state::{State, StateWriter};
use crate::store::Store;

/// The part that holds what is to be told in words, and the database it is of.
const NOTES: &str = "notes";
/// The note that names the database.
const OF: &str = "database";
/// A checkpoint leaves at least so many times its bytes free: it is the generation that needs the room.
const ROOM: u64 = 3;

/// What a job that was broken off had come to.
#[derive(Debug)]
pub struct Checkpoint {
    notes: BTreeMap<String, String>,
    state: State,
}

impl Checkpoint {
    /// What was noted with it.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// Its arrays, each checked when it is read.
    pub fn arrays(&self) -> &State {
        &self.state
    }
}

/// Writes a checkpoint. It takes the place of the one before with [`CheckpointWriter::keep`]; dropped before that, it leaves nothing behind.
pub struct CheckpointWriter<'a> {
    store: &'a Store,
    path: PathBuf,
    writer: Option<StateWriter>,
}

impl Store {
    /// Begins the checkpoint of the one job that runs, of about so many bytes.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when it would leave too little room for a generation; errors of writing. The one before stays.
    pub fn begin_checkpoint(&self, bytes: u64) -> Result<CheckpointWriter<'_>> {
        space::require(self.root(), "write a checkpoint to", MARGIN + ROOM * bytes)?;
        let path = self.root().join(format!("{CHECKPOINT}{UNFINISHED}"));
        let writer = Some(StateWriter::begin(path.clone(), self.identity())?);
        Ok(CheckpointWriter { store: self, path, writer })
    }

    /// What the last job had come to, where it was broken off. `None` of one that cannot be read.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let state = State::open_alone(self.root().join(CHECKPOINT)).ok().flatten()?;
        let notes = state.part::<u8>(NOTES).ok().flatten()?;
        let notes: BTreeMap<String, String> = layout().deserialize(&notes).ok()?;
        let own = notes.get(OF).is_some_and(|of| *of == self.identity().to_string());
        own.then_some(Checkpoint { notes, state })
    }

    /// Removes the checkpoint. One that is not there is fine.
    ///
    /// # Errors
    /// Errors of removing.
    pub fn drop_checkpoint(&self) -> Result<()> {
        remove(&self.root().join(CHECKPOINT))
    }
}

impl CheckpointWriter<'_> {
    /// Writes a named array.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a shape that does not fit the data; errors of writing.
    pub fn part<T: Element>(&mut self, name: &str, shape: &[u64], data: &[T]) -> Result<()> {
        let plan = Plan::of::<T>(name, shape);
        let rows = plan.rows(&[], data);
        plan.check(&rows)?;
        match &mut self.writer {
            Some(writer) => writer.part(&plan, &rows, None, || self.store.let_appends_pass()),
            None => Ok(()),
        }
    }

    /// Makes it durable, in place of the one before.
    ///
    /// # Errors
    /// Errors of writing; the one before stays.
    pub fn keep(mut self, mut notes: BTreeMap<String, String>) -> Result<()> {
        notes.insert(OF.to_owned(), self.store.identity().to_string());
        let notes = layout().serialize(&notes).map_err(|e| Error::invalid(e.to_string()))?;
        self.part(NOTES, &[notes.len() as u64], &notes)?;
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.finish_as(self.store.root(), CHECKPOINT.to_owned()).map(drop).inspect_err(|_| drop(remove(&self.path)))
    }
}

impl Drop for CheckpointWriter<'_> {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            let _ = remove(&self.path);
        }
    }
}

/// The XXH3-128 of some bytes, piece after piece, in hexadecimal.
pub fn digest<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Xxh3::new();
    for piece in pieces {
        hasher.update(&(piece.len() as u64).to_le_bytes());
        hasher.update(piece);
    }
    format!("{:032x}", hasher.digest128())
}
