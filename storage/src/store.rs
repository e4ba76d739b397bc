//! The open database: opening, appending, replaying.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::directory::{self, CREATING, Entry, FORMAT, entries, remove, store_name, sync_directory};
use crate::element::Element;
use crate::engine::{Engine, Operation, Tree};
use crate::error::{Error, RESTORE, RESTORE_GENERATION, Result};
use crate::generation::{Draft, GenerationWriter};
use crate::health::{Health, Pulse};
use crate::lock::Lock;
use crate::log;
use crate::manifest::{self, Manifest};
use crate::reader::{GenerationReader, OpenGenerations};
use crate::record::Record;
use crate::space;
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
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions { cache_bytes: 64 << 20, create: true, allow_abort: false }
    }
}

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
    root: PathBuf,
    options: StoreOptions,
    pub(crate) live: RwLock<Arc<Live>>,
    pub(crate) manifest: RwLock<Option<Arc<Manifest>>>,
    /// Held by whoever changes the log or the manifest.
    pub(crate) changing: Mutex<()>,
    last: AtomicU64,
    /// Appends that are waiting or under way.
    appending: AtomicUsize,
    /// Read by a replay, written while values at the front of the log are dropped.
    pub(crate) front: RwLock<()>,
    /// Whether a generation is being written.
    pub(crate) writing: AtomicBool,
    pub(crate) open_generations: OpenGenerations,
    pub(crate) witness: Arc<Witness>,
    pub(crate) health: Arc<Health>,
    pulse: Option<Pulse>,
    /// Last: released after everything else is closed.
    _lock: Lock,
}

/// The store that `CURRENT` names.
pub(crate) struct Live {
    pub(crate) number: u64,
    pub(crate) engine: Engine,
}

/// Trees of a store.
pub(crate) const TREES: [Tree; 2] = [Tree::Meta, Tree::Log];
/// Values of a large group that make one batch.
const BATCH: usize = 64;

/// What a directory is, as far as its names tell.
enum Found {
    Database,
    Nothing,
    /// A creation that did not come to its end: nothing was ever acknowledged in it.
    Unborn,
}

impl Store {
    /// Opens a database, or creates one in a directory that is absent or empty.
    ///
    /// Recovery, the check of the witness and the removal of what no manifest names happen here; records are checked when they are
    /// replayed, parts when they are read.
    ///
    /// # Errors
    /// [`Error::Locked`] when it is open elsewhere; [`Error::NotADatabase`], [`Error::NotFound`] and [`Error::NewerFormat`] for the
    /// wrong path; [`Error::Corrupt`] when a file is damaged, or the log or manifest is behind what was acknowledged;
    /// [`Error::DiskFull`] when there is no room to recover; [`Error::AbortOnPanic`].
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Store> {
        if cfg!(panic = "abort") && !options.allow_abort {
            return Err(Error::AbortOnPanic);
        }
        match (fs::metadata(path), options.create) {
            (Ok(metadata), _) if !metadata.is_dir() => {
                return Err(Error::NotADatabase { path: path.to_path_buf(), found: "it is a file".to_owned() });
            }
            (Ok(_), _) => {}
            (Err(e), true) if e.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
                path.parent().map_or(Ok(()), sync_directory)?;
            }
            (Err(e), false) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotFound { path: path.to_path_buf() });
            }
            (Err(e), _) => return Err(Error::io("open", path, e)),
        }
        let root = fs::canonicalize(path).map_err(|e| Error::io("open", path, e))?;
        // Looked at before anything is touched: a directory that is somebody else's gets no lock file.
        if !matches!(look(&root)?, Found::Database) && !options.create {
            return Err(Error::NotFound { path: root });
        }
        let lock = Lock::take(&root)?;
        if !matches!(look(&root)?, Found::Database) {
            create(&root, options)?;
        }
        Store::recover(root, options.clone(), lock)
    }

    fn recover(root: PathBuf, options: StoreOptions, lock: Lock) -> Result<Store> {
        directory::read_format(&root)?;
        remove(&root.join(CREATING))?;
        let number = directory::read_current(&root)?;
        let (witness, acked) = Witness::open(&root)?;
        let path = root.join(store_name(number));
        let engine = match Engine::open(&path, &TREES, options.cache_bytes) {
            Err(Error::DiskFull { .. }) if space::release_reserve(&root) => {
                Engine::open(&path, &TREES, options.cache_bytes)?
            }
            other => other?,
        };
        let manifest = manifest::read(&engine)?;
        let recovered = check_against(&engine, manifest.as_ref(), acked)?;
        if let Some(manifest) = &manifest {
            for part in &manifest.parts {
                let directory = root.join(&part.directory);
                if !directory.is_dir() {
                    let what = format!("the directory of generation {} is missing", manifest.generation);
                    return Err(Error::corrupt(&directory, what, RESTORE_GENERATION));
                }
            }
        }
        let witness = Arc::new(witness);
        // Opening the engine has synced what it recovered, so that the witness stays behind it.
        witness.advance(recovered)?;
        let health = Arc::new(Health::default());
        let pulse = Pulse::start(Arc::clone(&witness), Arc::clone(&health));
        let store = Store {
            root,
            options,
            live: RwLock::new(Arc::new(Live { number, engine })),
            manifest: RwLock::new(manifest.map(Arc::new)),
            changing: Mutex::new(()),
            last: AtomicU64::new(recovered.sequence),
            appending: AtomicUsize::new(0),
            front: RwLock::new(()),
            writing: AtomicBool::new(false),
            open_generations: OpenGenerations::default(),
            witness,
            health,
            pulse: Some(pulse),
            _lock: lock,
        };
        store.tidy();
        space::ensure_reserve(&store.root);
        Ok(store)
    }

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
    /// [`Error::Invalid`] when a record cannot be stored; nothing was written then. After any other error the handle refuses writes
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
        let written = write_records(&live.engine, last + 1, records).and_then(|()| live.engine.sync()).and_then(|()| {
            let generation = self.generation();
            self.witness.advance(Acked { sequence: new_last, generation })
        });
        self.health.note(written)?;
        self.last.store(new_last, Ordering::Release);
        Ok(new_last)
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

    pub(crate) fn generation(&self) -> u64 {
        self.manifest.read().as_ref().map_or(0, |manifest| manifest.generation)
    }

    /// Opens a generation for reading. Only the current one is sure to be there.
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
        match &manifest.state {
            Some(file) => State::open(&self.root, file),
            None => Ok(None),
        }
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
        let current = self.manifest();
        let (folded, trained) = current.map_or((0, 0), |m| (m.folded_through, m.trained_through));
        let last = self.last_sequence();
        for (what, from, to) in [("folded", folded, draft.folded_through), ("trained", trained, draft.trained_through)]
        {
            if to < from || to > last {
                return Err(Error::invalid(format!(
                    "a generation {what} through {to} does not fit a log from {from} to {last}"
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn cache_bytes(&self) -> u64 {
        self.options.cache_bytes
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
    pub fn close(mut self) -> Result<()> {
        self.pulse.take();
        self.witness.sync()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.pulse.take();
        let _ = self.witness.sync();
    }
}

fn write_records(engine: &Engine, first: u64, records: &[Record]) -> Result<()> {
    let mut batch = Vec::new();
    log::pack(first, records, |sequence, payload| {
        batch.push(Operation::Put { key: log::key(sequence).to_vec(), kind: Kind::Log, payload });
        if batch.len() == BATCH { engine.apply(Tree::Log, std::mem::take(&mut batch)) } else { Ok(()) }
    })?;
    match batch.pop() {
        Some(Operation::Put { key, kind, payload }) if batch.is_empty() => engine.put(Tree::Log, &key, kind, &payload),
        Some(last) => {
            batch.push(last);
            engine.apply(Tree::Log, batch)
        }
        None => Ok(()),
    }
}

/// The tail and the manifest against the witness. Returns what was recovered.
fn check_against(engine: &Engine, manifest: Option<&Manifest>, acked: Acked) -> Result<Acked> {
    let folded = manifest.map_or(0, |manifest| manifest.folded_through);
    let generation = manifest.map_or(0, |manifest| manifest.generation);
    let bad = |what: String| Err(Error::corrupt(engine.path(), what, RESTORE));
    if generation < acked.generation {
        return bad(format!("generation {} was published, but the newest found is {generation}", acked.generation));
    }
    let mut last = folded;
    if let Some((log_first, log_last)) = log::bounds(engine)? {
        if log_first > folded.saturating_add(1) {
            return bad(format!("the log begins with record {log_first}, but the generation ends with {folded}"));
        }
        last = last.max(log_last);
    }
    if last < acked.sequence {
        return bad(format!("record {} was acknowledged, but the log ends with {last}", acked.sequence));
    }
    Ok(Acked { sequence: last, generation })
}

fn look(root: &Path) -> Result<Found> {
    let names = entries(root)?;
    let has = |name: &str| names.iter().any(|found| found == name);
    if has(FORMAT) {
        return Ok(Found::Database);
    }
    if has(CREATING) {
        return Ok(Found::Unborn);
    }
    let kind = |entry: fn(Entry) -> bool| names.iter().any(|name| entry(Entry::of(name)));
    if kind(|entry| matches!(entry, Entry::Store(_) | Entry::Generation(_))) {
        return Err(Error::corrupt(&root.join(FORMAT), "the file is missing", RESTORE));
    }
    // A new file system has this directory from the start; a lock alone is what a creation leaves that died at once.
    let foreign = names.iter().find(|name| *name != "lost+found" && *name != directory::LOCK);
    match foreign {
        Some(name) => {
            Err(Error::NotADatabase { path: root.to_path_buf(), found: format!("it holds {name:?} and no {FORMAT}") })
        }
        None => Ok(Found::Nothing),
    }
}

/// Creates a database. `FORMAT` comes last: what dies before it is begun again.
fn create(root: &Path, options: &StoreOptions) -> Result<()> {
    let creating = root.join(CREATING);
    fs::File::create(&creating).and_then(|file| file.sync_all()).map_err(|e| Error::io("create", &creating, e))?;
    sync_directory(root)?;
    for name in entries(root)? {
        if matches!(Entry::of(&name), Entry::Store(_) | Entry::Unfinished) {
            remove(&root.join(name))?;
        }
    }
    Engine::create(&root.join(store_name(1)), &TREES, options.cache_bytes)?.close()?;
    Witness::create(root)?;
    directory::write_current(root, 1)?;
    directory::write_format(root)?;
    remove(&creating)?;
    sync_directory(root)
}
