//! Opening: a database is looked at, recovered on a copy, written anew from that, checked, and only then changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use parking_lot::{Mutex, RwLock};

use crate::contents::Contents;
use crate::directory::{
    self, CREATING, Entry, FORMAT, create_directories, entries, mark_name, remove, store_name, sync_directory, unmark,
};
use crate::engine::Engine;
use crate::error::{Error, RESTORE, Result};
use crate::health::{Health, Pulse};
use crate::identity::{Birth, Identity};
use crate::lock::Lock;
use crate::manifest::{self, Manifest};
use crate::reader::OpenGenerations;
use crate::space::{self, Reserve};
use crate::standing::Standing;
use crate::store::{Live, Store, StoreOptions, TREES};
use crate::tear;
use crate::threads;
use crate::witness::{Acked, Testimony, Witness};

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
    /// The store is copied and recovered there; what it holds is written into a new one, so that nothing the engine stepped over goes along; every
    /// record and part is checked; then the new store is synced and takes over. That is one read more than recovery itself, and two writes. Until
    /// then nothing is changed: an opening that is refused leaves every file but `LOCK` as it was, and what earlier ones left that were killed, which is
    /// removed first. What no manifest names is removed afterwards. Where
    /// the new store cannot take over, though it is whole and durable, the database can be read and takes no writes.
    ///
    /// # Errors
    /// [`Error::Locked`] when it is open elsewhere; [`Error::NotADatabase`], [`Error::NotFound`] and [`Error::NewerFormat`] for the
    /// wrong path; [`Error::Corrupt`] when a file is damaged or of another database, or the log or manifest is behind what was acknowledged;
    /// [`Error::DiskFull`] when there is no room to recover; [`Error::Io`], [`Error::Threads`], [`Error::AbortOnPanic`].
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Store> {
        let whole = |store: &Store| match store.verify()?.damage.into_iter().next() {
            Some(damage) => Err(damage),
            None => Ok(()),
        };
        Store::open_checked(path, options, whole).map(|(store, ())| store)
    }

    /// [`Store::open`] that leaves it to `check` to read what is there, the log's records and the parts, and to refuse it. Nothing is changed before it
    /// has accepted.
    ///
    /// # Errors
    /// As [`Store::open`], and those of `check`.
    pub fn open_checked<T, E: From<Error>>(
        path: &Path,
        options: &StoreOptions,
        check: impl FnOnce(&Store) -> Result<T, E>,
    ) -> Result<(Store, T), E> {
        let store = recover(path, options)?;
        let checked = check(&store)?;
        store.accept()?;
        Ok((store, checked))
    }
}

fn recover(path: &Path, options: &StoreOptions) -> Result<Store> {
    if cfg!(panic = "abort") && !options.allow_abort {
        return Err(Error::AbortOnPanic);
    }
    match (fs::metadata(path), options.create) {
        (Ok(metadata), _) if !metadata.is_dir() => {
            return Err(Error::NotADatabase { path: path.to_path_buf(), found: "it is a file".to_owned() });
        }
        (Ok(_), _) => {}
        (Err(e), true) if e.kind() == std::io::ErrorKind::NotFound => create_directories(path)?,
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
        let (root, options) = (root.clone(), options.clone());
        threads::watched(&root.clone(), move || create(&root, &options))?;
    }
    let (version, format) = directory::read_format(&root)?;
    let current = directory::read_current(&root)?;
    let testimony = Witness::read(&root)?;
    directory::remove_marked(&root, current)?;
    let number = directory::next_store(&root, current)?;
    let original = root.join(store_name(current));
    let mut reserve = Reserve::of(&root);
    reserve.make_room(Engine::copied_bytes(&original))?;
    let task = Rebuild { root: root.clone(), current, number, format, testimony, cache_bytes: options.cache_bytes };
    let rebuilt = threads::watched(&root, move || task.run());
    if let Err(Error::Threads { .. }) = rebuilt {
        // Left behind by work that will never end.
        let _ = remove(&root.join(mark_name(number + 1))).and_then(|()| remove(&root.join(store_name(number))));
        unmark(&root, number);
    }
    if rebuilt.is_err() && reserve.was_released() {
        let _ = reserve.cover(directory::size(&original.join("db")), 0);
    }
    let (live, contents) = rebuilt?;
    let Contents { birth, manifest, kept, reached, .. } = contents;
    let manifest = manifest.map(Arc::new);
    let kept: Vec<Arc<Manifest>> = kept.into_iter().map(Arc::new).collect();
    let store = Store {
        root,
        options: options.clone(),
        birth,
        live: RwLock::new(Arc::new(live)),
        held: Mutex::new(manifest.iter().chain(&kept).map(Arc::downgrade).collect()),
        manifest: RwLock::new(manifest),
        kept: RwLock::new(kept),
        changing: Mutex::new(()),
        standing: Mutex::new(Standing::Unaccepted(current)),
        is_old: version < directory::FORMAT_VERSION || testimony.identity.is_none(),
        last: AtomicU64::new(reached.sequence),
        appending: AtomicUsize::new(0),
        front: RwLock::new(()),
        writing: AtomicBool::new(false),
        left_behind: Mutex::new(None),
        open_generations: OpenGenerations::default(),
        reserve: Mutex::new(reserve),
        witness: Arc::default(),
        health: Arc::new(Health::default()),
        pulse: None,
        _lock: lock,
    };
    store.with_pulse()
}

/// Makes a new store of what the current one holds.
struct Rebuild {
    root: PathBuf,
    current: u64,
    /// What the new store is called, for now by nobody but us, as its mark tells. The copy has the name of the mark after it.
    number: u64,
    format: Option<Identity>,
    testimony: Testimony,
    cache_bytes: u64,
}

impl Rebuild {
    fn run(self) -> Result<(Live, Contents)> {
        let (original, copy) = (self.root.join(store_name(self.current)), self.root.join(mark_name(self.number + 1)));
        let contents = self.recover_somehow(&original, &copy).map_err(|error| error.at(&copy, &original))?;
        let mark = self.root.join(mark_name(self.number));
        fs::File::create(&mark).map_err(|e| Error::io("create", &mark, e))?;
        self.write(&contents).map(|live| (live, contents)).inspect_err(|_| unmark(&self.root, self.number))
    }

    fn write(&self, contents: &Contents) -> Result<Live> {
        let (mut engine, scratch) = Engine::begin(&self.root.join(store_name(self.number)), &TREES, self.cache_bytes)?;
        match contents.write(&engine).and_then(|()| engine.sync()).and_then(|()| engine.fill_segment()) {
            Ok(()) => Ok(Live { number: self.number, engine, scratch: Some(scratch) }),
            Err(error) => {
                let _ = engine.let_go();
                let _ = scratch.remove();
                Err(error)
            }
        }
    }

    fn recover_somehow(&self, original: &Path, copy: &Path) -> Result<Contents> {
        let is_damage = |recovered: &Result<Contents>| matches!(recovered, Err(Error::Corrupt { .. }));
        let first = self.recover(original, copy, None);
        if !is_damage(&first) {
            return first;
        }
        // The engine does not tell a read that failed from damage. Damage is there the second time, too.
        let second = self.recover(original, copy, None);
        if !is_damage(&second) {
            return second;
        }
        // What a power cut tore is no damage where it lies behind what was acknowledged: then the log may end there.
        let mut ways = tear::ATTEMPTS.into_iter().map(|segments| self.recover(original, copy, Some(segments)));
        ways.find(|recovered| !is_damage(recovered)).unwrap_or(second)
    }

    fn recover(&self, original: &Path, copy: &Path, distrusted: Option<u64>) -> Result<Contents> {
        let (mut engine, scratch) = Engine::recover(original, copy, &TREES, self.cache_bytes, distrusted)?;
        let contents = Contents::read(&engine, &self.root, self.format, self.testimony);
        // Named by nobody, and of no use to anybody. An engine that has failed may hold its files for ever, but they go from the directory; those
        // that cannot be removed now go once the opening is accepted.
        let _ = engine.let_go();
        let _ = scratch.remove();
        contents
    }
}

impl Store {
    fn with_pulse(mut self) -> Result<Store> {
        self.pulse = Some(Pulse::start(Arc::clone(&self.witness), Arc::clone(&self.health))?);
        Ok(self)
    }
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
    let birth = Birth { identity: Identity::draw(), properties: options.properties.clone() };
    space::require(root, "create a database in", Engine::copied_bytes(root))?;
    let engine = Engine::create(&root.join(store_name(1)), &TREES, options.cache_bytes)?;
    manifest::write_birth(&engine, &birth)?;
    engine.settle()?;
    engine.close()?;
    Witness::create(root, birth.identity, Acked::default())?;
    directory::write_current(root, 1)?;
    directory::write_format(root, birth.identity)?;
    remove(&creating)?;
    sync_directory(root)
}
