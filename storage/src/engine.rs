//! The embedded engine behind the fence: the only module that calls sled.
//!
//! What the rest of the crate may rely on: a value is at most 6 KiB and checked on every read, a batch is at most [`MAX_BATCH`]
//! operations, [`Engine::sync`] is durable, and nothing here panics.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::directory::{entries, sync_directory, sync_files};
use crate::error::{Error, RESTORE, Result};
use crate::guard::guarded;
use crate::value::{self, Kind};

/// Operations one batch may hold: the engine keeps about 3 KB of memory for each until the batch is sealed.
pub(crate) const MAX_BATCH: usize = 500;

/// How long to wait for the engine's writer threads to let go of a file that was just closed.
const CLOSING: Duration = Duration::from_secs(10);

/// A key space of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Manifests and the pointer to the current one.
    Meta,
    /// The log.
    Log,
    /// The chunks of a generation's parts.
    Chunk,
}

impl Tree {
    fn name(self) -> &'static str {
        match self {
            Tree::Meta => "meta",
            Tree::Log => "log",
            Tree::Chunk => "chunk",
        }
    }
}

/// One operation of a batch.
pub(crate) enum Operation {
    Put { key: Vec<u8>, kind: Kind, payload: Vec<u8> },
    Delete { key: Vec<u8> },
}

/// An open sled directory.
pub(crate) struct Engine {
    path: PathBuf,
    /// A handle of our own on the engine's data file: its `flush` alone is not durable.
    data: File,
    /// `None` only while closing.
    open: Option<Open>,
}

struct Open {
    trees: Vec<(Tree, sled::Tree)>,
    db: sled::Db,
}

impl Engine {
    /// Creates an engine in a new directory and makes its files durable.
    pub(crate) fn create(path: &Path, trees: &[Tree], cache_bytes: u64) -> Result<Engine> {
        fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
        let engine = Engine::start(path, trees, cache_bytes)?;
        engine.sync()?;
        sync_files(path)?;
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
        Ok(engine)
    }

    /// Opens an engine that exists. A missing directory or data file is damage, where sled would begin an empty one.
    pub(crate) fn open(path: &Path, trees: &[Tree], cache_bytes: u64) -> Result<Engine> {
        if !path.is_dir() {
            return Err(Error::corrupt(path, "the directory is missing", RESTORE));
        }
        let data = path.join("db");
        if !data.is_file() {
            return Err(Error::corrupt(&data, "the file is missing", RESTORE));
        }
        for entry in entries(path)? {
            // A snapshot that was being written when the process died makes every later open fail.
            if entry.starts_with("snap.") && entry.ends_with(".generating") {
                let torn = path.join(entry);
                fs::remove_file(&torn).map_err(|e| Error::io("remove", &torn, e))?;
            }
        }
        let engine = Engine::start(path, trees, cache_bytes)?;
        // Recovery may rewrite `conf` and the snapshot, and what it recovered may so far live in the page cache only.
        engine.sync()?;
        let conf = path.join("conf");
        File::open(&conf).and_then(|file| file.sync_all()).map_err(|e| Error::io("sync", &conf, e))?;
        sync_directory(path)?;
        Ok(engine)
    }

    fn start(path: &Path, trees: &[Tree], cache_bytes: u64) -> Result<Engine> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes.max(1 << 20))
            .flush_every_ms(None)
            .use_compression(false)
            .mode(sled::Mode::HighThroughput);
        let deadline = Instant::now() + CLOSING;
        let db = loop {
            match guarded(path, "open", || config.open()) {
                // The directory is ours (LOCK), so this is an engine thread of a handle that is just being closed.
                Err(Error::Io { source, .. })
                    if source.to_string().contains("could not acquire lock") && Instant::now() < deadline =>
                {
                    thread::sleep(Duration::from_millis(2));
                }
                other => break other?,
            }
        };
        let mut opened = Vec::with_capacity(trees.len());
        for &tree in trees {
            opened.push((tree, guarded(path, "open a tree of", || db.open_tree(tree.name()))?));
        }
        let file = path.join("db");
        let data = OpenOptions::new().read(true).write(true).open(&file).map_err(|e| Error::io("open", &file, e))?;
        Ok(Engine { path: path.to_path_buf(), data, open: Some(Open { trees: opened, db }) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one value, without making it durable.
    pub(crate) fn put(&self, tree: Tree, key: &[u8], kind: Kind, payload: &[u8]) -> Result<()> {
        let handle = self.tree(tree)?;
        let value = value::seal(tree.name(), key, kind, payload);
        guarded(&self.path, "write to", || handle.insert(key, value)).map(drop)
    }

    /// Applies a batch atomically, without making it durable.
    pub(crate) fn apply(&self, tree: Tree, operations: Vec<Operation>) -> Result<()> {
        if operations.len() > MAX_BATCH {
            return Err(Error::invalid(format!("a batch of {} operations, over {MAX_BATCH}", operations.len())));
        }
        let handle = self.tree(tree)?;
        let mut batch = sled::Batch::default();
        for operation in operations {
            match operation {
                Operation::Put { key, kind, payload } => {
                    let value = value::seal(tree.name(), &key, kind, &payload);
                    batch.insert(key, value);
                }
                Operation::Delete { key } => batch.remove(key),
            }
        }
        guarded(&self.path, "write to", || handle.apply_batch(batch))
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let db = &self.opened()?.db;
        guarded(&self.path, "flush", || db.flush())?;
        self.data.sync_data().map_err(|e| Error::io("sync", &self.path.join("db"), e))
    }

    /// Reads one value.
    pub(crate) fn get(&self, tree: Tree, key: &[u8], kind: Kind) -> Result<Option<Vec<u8>>> {
        let handle = self.tree(tree)?;
        match guarded(&self.path, "read", || handle.get(key))? {
            None => Ok(None),
            Some(value) => self.check(tree, key, kind, &value).map(|payload| Some(payload.to_vec())),
        }
    }

    /// The first (or last) key of a tree and its payload.
    pub(crate) fn edge(&self, tree: Tree, last: bool, kind: Kind) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let handle = self.tree(tree)?;
        match guarded(&self.path, "read", || if last { handle.last() } else { handle.first() })? {
            None => Ok(None),
            Some((key, value)) => {
                let payload = self.check(tree, &key, kind, &value)?.to_vec();
                Ok(Some((key.to_vec(), payload)))
            }
        }
    }

    /// The greatest key that is at most `key`.
    pub(crate) fn at_or_before(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let handle = self.tree(tree)?;
        let found = guarded(&self.path, "read", || handle.range(..=key).next_back().transpose())?;
        Ok(found.map(|(key, _)| key.to_vec()))
    }

    /// Visits every value with `from <= key <= to` in ascending order, until `visit` answers `false`.
    ///
    /// `visit` runs outside the guard: a panic of the caller stays the caller's.
    pub(crate) fn scan(
        &self,
        tree: Tree,
        from: &[u8],
        to: &[u8],
        kind: Kind,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let handle = self.tree(tree)?;
        let mut iterator = guarded(&self.path, "read", || Ok(handle.range(from..=to)))?;
        while let Some((key, value)) = guarded(&self.path, "read", || iterator.next().transpose())? {
            let payload = self.check(tree, &key, kind, &value)?;
            if !visit(&key, payload)? {
                break;
            }
        }
        Ok(())
    }

    /// Flushes, closes and waits until the engine's threads have let go of the files.
    pub(crate) fn close(mut self) -> Result<()> {
        self.sync()?;
        self.release()?;
        let deadline = Instant::now() + CLOSING;
        loop {
            match self.data.try_lock() {
                Ok(()) => {
                    let file = self.path.join("db");
                    return self.data.unlock().map_err(|e| Error::io("unlock", &file, e));
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::corrupt(&self.path, "the storage engine does not close", RESTORE));
                }
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &self.path.join("db"), e)),
            }
        }
    }

    /// Drops the engine's handles, which flushes and may panic on a damaged file.
    fn release(&mut self) -> Result<()> {
        let open = self.open.take();
        guarded(&self.path, "close", move || {
            drop(open);
            Ok(())
        })
    }

    fn opened(&self) -> Result<&Open> {
        self.open.as_ref().ok_or_else(|| Error::corrupt(&self.path, "the storage engine is closed", RESTORE))
    }

    fn tree(&self, tree: Tree) -> Result<&sled::Tree> {
        let found = self.opened()?.trees.iter().find(|(name, _)| *name == tree);
        found.map(|(_, handle)| handle).ok_or_else(|| Error::invalid(format!("no tree {} here", tree.name())))
    }

    fn check<'a>(&self, tree: Tree, key: &[u8], kind: Kind, value: &'a [u8]) -> Result<&'a [u8]> {
        value::open(tree.name(), key, kind, value)
            .map_err(|what| Error::corrupt(&self.path, format!("{}/{}: {what}", tree.name(), hex(key)), RESTORE))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whatever was acknowledged has been synced; an error here concerns nobody.
        let _ = self.release();
    }
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
