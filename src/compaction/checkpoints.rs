//! What a job has come to, kept until it ends, so that one that is broken off is gone on with.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytemuck::cast_slice;
use kithdb_storage::{Checkpoint, Store, digest};
use parking_lot::Mutex;

use super::history::Entry;
use super::job::Compaction;
use crate::error::Result;
use crate::generation::Cut;
use crate::kernel::dense::Isa;
use crate::train::{Array, Checkpoints, Notes, Stage, TrainOptions, Values};

/// The notes of a checkpoint that are not the training's.
const KEY: &str = "job.key";
const NUMBER: &str = "job.number";
const KIND: &str = "job.kind";
const SEQUENCE: &str = "job.sequence";
const GENERATION: &str = "job.generation";
const OPTION: &str = "job.option.";
/// Whether a full job is a training, which is published whatever it finds; its record may be gone before the job is gone on with.
const TRAINS: &str = "job.trains";
/// Noted until a job has come to anything.
const BEGUN: &str = "job.begun";

/// A job that was broken off: what is to be done to end it.
pub(super) struct Begun {
    pub(super) number: u64,
    pub(super) kind: Compaction,
    pub(super) trains: bool,
    /// Those of a training; a major compaction has its parent's.
    pub(super) options: Option<TrainOptions>,
}

impl Begun {
    /// The job whose checkpoint this is; `None` where its notes do not say. Whether it is of this version, and of use, the job finds by its key.
    pub(super) fn of(checkpoint: &Checkpoint) -> Option<Begun> {
        let notes = checkpoint.notes();
        let kinds = [Compaction::Major, Compaction::Full];
        let kind = kinds.into_iter().find(|kind| notes.get(KIND).is_some_and(|name| name == kind.name()))?;
        let options =
            notes.iter().filter_map(|(name, value)| Some((name.strip_prefix(OPTION)?.to_owned(), value.clone())));
        let options: BTreeMap<String, String> = options.collect();
        Some(Begun {
            number: notes.get(NUMBER)?.parse().ok()?,
            kind,
            trains: notes.get(TRAINS).is_none_or(|trains| *trains == true.to_string()),
            options: TrainOptions::read(&options),
        })
    }
}

/// The last record of the log that a job had seen which was broken off before it, or another, published anything; `None` where there is none.
pub(crate) fn begun_at(store: &Store) -> Option<u64> {
    let checkpoint = store.checkpoint()?;
    if is_moot(&checkpoint, store) { None } else { note(&checkpoint, SEQUENCE) }
}

/// Removes what a job had come to that published its generation, and was broken off after that.
pub(super) fn drop_moot(store: &Store) {
    if store.checkpoint().is_some_and(|checkpoint| is_moot(&checkpoint, store)) {
        let _ = store.drop_checkpoint();
    }
}

fn is_moot(checkpoint: &Checkpoint, store: &Store) -> bool {
    note(checkpoint, GENERATION) != Some(generation(store))
}

fn note(checkpoint: &Checkpoint, name: &str) -> Option<u64> {
    checkpoint.notes().get(name)?.parse().ok()
}

/// The number of the current generation, 0 where there is none.
fn generation(store: &Store) -> u64 {
    store.manifest().map_or(0, |manifest| manifest.generation)
}

/// The checkpoints of one job.
pub(super) struct JobCheckpoints<'a> {
    store: &'a Store,
    entry: &'a Entry<'a>,
    /// What tells it from all jobs that learn something else.
    key: String,
    notes: Notes,
    /// How long it works from one to the next at least.
    after: Duration,
    last: Mutex<Instant>,
}

impl<'a> JobCheckpoints<'a> {
    /// Those of a job of a `kind` on a `cut`, with the options of the training and, where it goes on from what a generation learned, the content hash of
    /// that. What it comes to follows from these, on one instruction set and in one version of the program. That it has begun is kept first, so that it is
    /// begun again where it is broken off before it has come to anything; but not in place of what another has come to.
    ///
    /// # Errors
    /// `InvalidArgument` where the environment names an instruction set that this machine does not have.
    pub(super) fn of(
        (store, entry): (&'a Store, &'a Entry<'a>),
        kind: Compaction,
        cut: &Cut,
        (options, parent): (Option<&TrainOptions>, Option<&str>),
        after: Duration,
    ) -> Result<Self> {
        let mut notes = Notes::from([(KIND.to_owned(), kind.name().to_owned())]);
        let options = options.into_iter().flat_map(TrainOptions::written);
        notes.extend(options.map(|(name, value)| (format!("{OPTION}{name}"), value)));
        let written: Vec<String> = notes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let isa = format!("{:?}", Isa::chosen()?);
        let (items, parent) = (cut.n_items().to_le_bytes(), parent.unwrap_or_default());
        let words = [env!("CARGO_PKG_VERSION"), isa.as_str(), parent].map(str::as_bytes);
        let (weights, times) = (cut.postings.weights().unwrap_or_default(), cut.postings.times().unwrap_or_default());
        let columns: [&[u8]; 5] = [
            cast_slice(cut.postings.offsets()),
            cast_slice(cut.postings.items()),
            cast_slice(weights),
            cast_slice(times),
            &items,
        ];
        let key = digest(words.into_iter().chain(written.iter().map(String::as_bytes)).chain(columns));
        notes.insert(KEY.to_owned(), key.clone());
        notes.insert(NUMBER.to_owned(), entry.number().to_string());
        notes.insert(TRAINS.to_owned(), entry.trains().to_string());
        notes.insert(SEQUENCE.to_owned(), cut.sequence.to_string());
        notes.insert(GENERATION.to_owned(), generation(store).to_string());
        let own = Self { store, entry, key, notes, after, last: Mutex::new(Instant::now()) };
        match own.found() {
            Some(found) if found.notes().contains_key(BEGUN) => {
                entry.resumed(Begun::of(&found).map(|begun| begun.number), "nothing");
            }
            None if store.checkpoint().is_none() => {
                let _ = own.write(Notes::from([(BEGUN.to_owned(), true.to_string())]), &[]);
            }
            _ => {}
        }
        Ok(own)
    }

    fn write(&self, notes: Notes, arrays: &[Array<'_>]) -> kithdb_storage::Result<()> {
        let mut writer = self.store.begin_checkpoint(arrays.iter().map(Array::bytes).sum())?;
        for Array { name, shape, values } in arrays {
            match values {
                Values::Floats(values) => writer.part(name, shape, values)?,
                Values::Integers(values) => writer.part(name, shape, values)?,
                Values::Words(values) => writer.part(name, shape, values)?,
            }
        }
        writer.keep(self.notes.clone().into_iter().chain(notes).collect())
    }
}

impl Checkpoints for JobCheckpoints<'_> {
    fn is_due(&self) -> bool {
        self.last.lock().elapsed() >= self.after
    }

    fn keep(&self, notes: Notes, arrays: &[Array<'_>]) {
        // What is not kept costs a restart; storage tells of its failures by itself.
        let _ = self.write(notes, arrays);
        *self.last.lock() = Instant::now();
    }

    fn found(&self) -> Option<Checkpoint> {
        // That of another job stays until this one has come to something.
        self.store.checkpoint().filter(|found| found.notes().get(KEY) == Some(&self.key))
    }

    fn resumed(&self, found: &Checkpoint, stage: Stage) {
        self.entry.resumed(Begun::of(found).map(|begun| begun.number), stage.name());
    }
}
