//! The open database: appending, replaying, and what is known of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::element::Element;
use crate::engine::{Engine, Tree};
use crate::error::{Error, Result};
use crate::generation::{Draft, GenerationWriter};
use crate::health::{Health, Pulse};
use crate::identity::{Birth, Identity};
use crate::lock::Lock;
use crate::log;
use crate::manifest::Manifest;
use crate::merging::Merging;
use crate::reader::{GenerationReader, OpenGenerations};
use crate::record::Record;
use crate::scratch::Scratch;
use crate::space::{self, MARGIN, Reserve};
use crate::standing::Standing;
use crate::state::State;
use crate::value::Kind;
use crate::witness::{Acked, Witness};

/// How to open a [`Store`].
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Bytes of the log the engine may keep in memory (default 64 MiB).
    pub cache_bytes: u64,
    /// Create the database if the directory is absent or empty (default `true`).
    pub create: bool,
    /// Open although the program is built with `panic = "abort"`, under which a damaged file ends the process (default `false`).
    pub allow_abort: bool,
    /// Generations that stay on the disk after a publication, the current one among them (default 2, at least 1, at most 16). After one that forgets
    /// something none of those before it does.
    pub kept_generations: usize,
    /// When what publications write over one another is merged.
    pub merging: Merging,
    /// What a database that is created now is to remember for ever; [`Store::properties`] tells it. Not looked at where there is one already.
    pub properties: BTreeMap<String, String>,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            cache_bytes: 64 << 20,
            create: true,
            allow_abort: false,
            kept_generations: 2,
            merging: Merging::default(),
            properties: BTreeMap::new(),
        }
    }
}

impl StoreOptions {
    /// How many generations stay beside the current one.
    pub(crate) fn kept_beside(&self) -> usize {
        self.kept_generations.clamp(1, MOST_KEPT) - 1
    }
}

/// Generations that may be kept: their names go into one batch.
const MOST_KEPT: usize = 16;

/// An open database directory: the log of interactions and the current generation.
///
/// One handle owns a directory. All methods take `&self` and may be called from any thread; appends are serialised.
///
/// ```
/// use kithdb_storage::{Record, Store, StoreOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let store = Store::open(&dir.path().join("shop"), &StoreOptions::default())?;
/// let last = store.append(&[Record::Insert { user: 0, item: 3, weight: 1.0, time: None }])?;
/// assert_eq!(last, 1); // durable by now
///
/// store.replay(0, &mut |sequence, record| println!("{sequence}: {record:?}"))?;
/// store.close()?;
/// # Ok(())
/// # }
/// ```
pub struct Store {
    pub(crate) root: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) birth: Birth,
    /// Whether files of the database are still of an earlier format when it is opened.
    pub(crate) is_old: bool,
    pub(crate) live: RwLock<Arc<Live>>,
    pub(crate) manifest: RwLock<Option<Arc<Manifest>>>,
    /// The generations kept beside it, newest first.
    pub(crate) kept: RwLock<Vec<Arc<Manifest>>>,
    /// Manifests that were current in this opening. What one that is still held by somebody needs stays on the disk.
    pub(crate) held: Mutex<Vec<Weak<Manifest>>>,
    /// Held by whoever changes the log or the manifest.
    pub(crate) changing: Mutex<()>,
    /// Whether the live store is the one that `CURRENT` names.
    pub(crate) standing: Mutex<Standing>,
    pub(crate) last: AtomicU64,
    /// Appends that are waiting or under way.
    pub(crate) appending: AtomicUsize,
    /// Read by a replay, written while values at the front of the log are dropped.
    pub(crate) front: RwLock<()>,
    /// Whether a generation is being written.
    pub(crate) writing: AtomicBool,
    /// What kept the last tidying from its end.
    pub(crate) left_behind: Mutex<Option<String>>,
    pub(crate) open_generations: OpenGenerations,
    pub(crate) reserve: Mutex<Reserve>,
    pub(crate) witness: Arc<RwLock<Option<Witness>>>,
    pub(crate) health: Arc<Health>,
    /// After the engine, whose last flush it may have to help.
    pub(crate) pulse: Option<Pulse>,
    /// Last: released after everything else is closed.
    pub(crate) _lock: Lock,
}

/// The store that is read and written.
pub(crate) struct Live {
    pub(crate) number: u64,
    pub(crate) engine: Engine,
    /// Its directory, where an opening made it.
    pub(crate) scratch: Option<Scratch>,
}

/// Trees of a store.
pub(crate) const TREES: [Tree; 2] = [Tree::Meta, Tree::Log];
/// Bytes of a large group that are written before they are synced: half a segment of the engine's log.
const UNSYNCED: usize = 256 << 10;

impl Store {
    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Appends records and makes them durable, in the order given. Returns the sequence of the last one (for an empty slice, of the
    /// last record of the log).
    ///
    /// The cost is one sync, however many records there are: group what is at hand. A group is not a transaction: a crash before the
    /// return may keep the first part of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a record cannot be stored, and [`Error::DiskFull`] where no room would be left to open the database again; nothing was
    /// written then, and other records may be. After an error of writing, a disk found full in the middle of it among them, the handle refuses writes
    /// ([`Error::Poisoned`]) until the database is opened again; whether the records survived is told by replaying it then.
    pub fn append(&self, records: &[Record]) -> Result<u64> {
        for record in records {
            record.validate()?;
        }
        self.appending.fetch_add(1, Ordering::AcqRel);
        let appended = self.append_valid(records);
        self.appending.fetch_sub(1, Ordering::AcqRel);
        appended
    }

    fn append_valid(&self, records: &[Record]) -> Result<u64> {
        let _changing = self.changing.lock();
        self.health.check()?;
        let last = self.last.load(Ordering::Acquire);
        if records.is_empty() {
            return Ok(last);
        }
        let Some(new_last) = last.checked_add(records.len() as u64).filter(|&last| last < u64::MAX) else {
            return Err(Error::invalid("the log has no sequences left"));
        };
        let live = Arc::clone(&self.live.read());
        let coming = records.iter().map(|record| record.encoded_bytes() as u64).sum();
        // Only a full disk needs the reserve: what else keeps it from growing keeps nobody from writing.
        // Nothing has been written by then: the handle is as good as before.
        if let Err(full @ Error::DiskFull { .. }) = self.reserve.lock().cover(live.engine.data_bytes(), coming) {
            return Err(full);
        }
        let acked = Acked { sequence: new_last, generation: self.generation() };
        let written = write_records(&live.engine, last + 1, records)
            .and_then(|()| live.engine.sync())
            // What was written to a file that was removed or moved meanwhile is lost.
            .and_then(|()| live.engine.check_place())
            .and_then(|()| self.testify(acked));
        self.health.note(written)?;
        self.last.store(new_last, Ordering::Release);
        Ok(new_last)
    }

    /// Refuses where writes are refused, after one that has failed.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn check_health(&self) -> Result<()> {
        self.health.check()
    }

    /// The sequence of the last durable record: 0 when there has never been one.
    pub fn last_sequence(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Visits every record with a sequence above `after` that is durable when the call begins, in order.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the log no longer goes back that far, since a generation holds what came before;
    /// [`Error::Corrupt`] when a record is damaged or missing. What was visited before an error is good.
    pub fn replay(&self, after: u64, visit: &mut dyn FnMut(u64, Record)) -> Result<()> {
        let _front = self.front.read();
        // In this order: the store seen second holds all that was durable first, even if it is replaced in between.
        let last = self.last_sequence();
        let live = Arc::clone(&self.live.read());
        let folded = self.manifest().map_or(0, |manifest| manifest.folded_through);
        if after < folded {
            return Err(Error::invalid(format!(
                "the log begins after record {folded}, which generation {} holds: it cannot be replayed from {after}",
                self.generation()
            )));
        }
        log::scan(&live.engine, after, last, |packed, _| {
            packed.records(&live.engine, |sequence, record| {
                if sequence > after && sequence <= last {
                    visit(sequence, record);
                }
                Ok(())
            })
        })
    }

    /// The current generation, if one was ever published.
    pub fn manifest(&self) -> Option<Arc<Manifest>> {
        self.manifest.read().clone()
    }

    /// The generations that are kept beside the current one, newest first: their parts and state can be read as its own.
    pub fn kept(&self) -> Vec<Arc<Manifest>> {
        self.kept.read().clone()
    }

    /// Bytes of the log the engine may keep in memory.
    pub fn cache_bytes(&self) -> u64 {
        self.options.cache_bytes
    }

    /// What the database was told to remember when it was created.
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.birth.properties
    }

    pub(crate) fn identity(&self) -> Identity {
        self.birth.identity
    }

    /// Notes in the witness what is durable.
    pub(crate) fn testify(&self, acked: Acked) -> Result<()> {
        match &*self.witness.read() {
            Some(witness) => witness.advance(acked).and_then(|()| witness.check_place()),
            None => Ok(()),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.manifest.read().as_ref().map_or(0, |manifest| manifest.generation)
    }

    /// Opens a generation for reading. It stays on the disk as long as its manifest is held, even when another one has taken over.
    pub fn read_generation(&self, manifest: Arc<Manifest>) -> GenerationReader<'_> {
        GenerationReader::new(self, manifest)
    }

    /// Reads one part of a generation, which opens and closes it: [`Store::read_generation`] is for several.
    ///
    /// # Errors
    /// As [`GenerationReader::part`].
    pub fn read_part<T: Element>(&self, manifest: &Arc<Manifest>, name: &str) -> Result<Vec<T>> {
        self.read_generation(Arc::clone(manifest)).part(name)
    }

    /// Opens the training state of a generation. `None` when it has none, or the file is gone: the next training starts cold.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is not what was written, which costs no more than its absence.
    pub fn read_state(&self, manifest: &Manifest) -> Result<Option<State>> {
        State::open(&self.root, &manifest.state)
    }

    /// Checks that there is room for a generation of so many bytes, its state among them, beside those that there are: before much is done for one that could not
    /// be kept.
    ///
    /// # Errors
    /// [`Error::DiskFull`].
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        space::require(&self.root, "write a generation to", MARGIN + bytes)
    }

    /// Begins the next generation.
    ///
    /// # Errors
    /// [`Error::Busy`] while another is being written, [`Error::DiskFull`] when there is next to no room, [`Error::Poisoned`].
    pub fn begin_generation(&self) -> Result<GenerationWriter<'_>> {
        self.health.check()?;
        if self.writing.swap(true, Ordering::AcqRel) {
            return Err(Error::Busy);
        }
        GenerationWriter::begin(self, self.generation() + 1)
    }

    /// Refuses drafts whose sequences do not fit the log.
    pub(crate) fn check_draft(&self, draft: &Draft) -> Result<()> {
        // The log before it is gone. What training has seen may go back: to that of a generation that is kept.
        let folded = self.manifest().map_or(0, |manifest| manifest.folded_through);
        let last = self.last_sequence();
        for (what, from, to) in [("folded", folded, draft.folded_through), ("trained", 0, draft.trained_through)] {
            if to < from || to > last {
                return Err(Error::invalid(format!(
                    "a generation {what} through {to} does not fit a log from {from} to {last}"
                )));
            }
        }
        Ok(())
    }

    /// Lets appends that are waiting go first, but not for ever.
    pub(crate) fn let_appends_pass(&self) {
        let until = Instant::now() + Duration::from_millis(5);
        while self.appending.load(Ordering::Acquire) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Makes the witness durable and closes. Dropping the store does the same but keeps the errors to itself.
    ///
    /// # Errors
    /// Errors of writing. Nothing that was acknowledged is lost by them.
    pub fn close(self) -> Result<()> {
        match &*self.witness.read() {
            Some(witness) => witness.sync(),
            None => Ok(()),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(witness) = &*self.witness.read() {
            let _ = witness.sync();
        }
        self.drop_unaccepted();
    }
}

/// Writes a group, in pieces that are durable one after another: where much of the engine's log is on its way to the disk at a time, a power cut may
/// leave later parts of it without earlier ones, and the engine then puts together what never was, or nothing. Not yet durable.
fn write_records(engine: &Engine, first: u64, records: &[Record]) -> Result<()> {
    let mut unsynced = 0;
    log::pack(first, records, |sequence, payload| {
        if unsynced >= UNSYNCED {
            engine.sync()?;
            unsynced = 0;
        }
        unsynced += payload.len();
        engine.put(Tree::Log, &log::key(sequence), Kind::Log, &payload).map(drop)
    })
}
