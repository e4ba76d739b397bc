//! The embedded engine behind the fence: with `flush`, the only module that calls sled.
//!
//! What the rest of the crate may rely on: a value is at most 6 KiB and checked on every read, a batch is at most [`MAX_BATCH`]
//! operations, [`Engine::sync`] is durable, nothing here panics, and the engine never opens files that anybody still needs: its recovery takes
//! a read that fails for the end of the log and truncates what it cannot read, so it gets a copy.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::directory::{create_directories, size, sync_directory, sync_files};
use crate::error::{Error, RESTORE, Result};
use crate::flush::flush;
use crate::guard::guarded;
use crate::place::Place;
use crate::scratch::Scratch;
use crate::tear;
use crate::value::{self, Kind};

/// Operations one batch may hold: the engine keeps about 3 KB of memory for each until the batch is sealed.
pub(crate) const MAX_BATCH: usize = 500;

/// Bytes of a segment of the engine's log.
pub(crate) const SEGMENT: u64 = 512 << 10;

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
    pub(crate) fn name(self) -> &'static str {
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
    place: Place,
    /// `None` only while closing.
    open: Option<Open>,
}

/// Bytes that recovery may write besides what is there: a tail segment (512 KiB), a snapshot of the page table, and our own small files.
pub(crate) const RECOVERY: u64 = 768 << 10;

struct Open {
    trees: Vec<(Tree, sled::Tree)>,
    db: sled::Db,
    /// A handle of our own on the engine's data file: its `flush` alone is not durable.
    data: File,
}

impl Engine {
    /// Creates an engine in a new directory and makes its files durable.
    pub(crate) fn create(path: &Path, trees: &[Tree], cache_bytes: u64) -> Result<Engine> {
        create_directories(path)?;
        let engine = Engine::start(path, trees, cache_bytes)?;
        engine.settle()?;
        Ok(engine)
    }

    /// Creates an engine in a directory that nobody names yet. Whatever is there already is replaced; an error leaves nothing there. Not durable
    /// before [`Engine::settle`].
    pub(crate) fn begin(path: &Path, trees: &[Tree], cache_bytes: u64) -> Result<(Engine, Scratch)> {
        Engine::start_in(Scratch::empty(path)?, path, trees, cache_bytes)
    }

    /// Copies the engine's files in `from` to a new directory `to`, and recovers there. Nothing in `from` changes. The
    /// copy is not durable before [`Engine::settle`].
    ///
    /// A missing directory or data file is damage. Whatever is in `to` already is replaced; an error leaves nothing there. With `distrusted`, so many of
    /// the last segments of the log are taken to have tears.
    pub(crate) fn recover(
        from: &Path,
        to: &Path,
        trees: &[Tree],
        cache_bytes: u64,
        distrusted: Option<u64>,
    ) -> Result<(Engine, Scratch)> {
        if from == to {
            return Err(Error::invalid(format!("{} cannot be copied onto itself", from.display())));
        }
        let missing = |path: &Path| match fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::corrupt(path, "it is missing", RESTORE)),
            Err(e) => Err(Error::io("open", path, e)),
            Ok(_) => Ok(()),
        };
        let data = from.join("db");
        missing(from)?;
        missing(&data)?;
        // The directory is ours (LOCK); threads of a handle that is just being closed may still write.
        let held = File::open(&data).map_err(|e| Error::io("open", &data, e))?;
        wait_for(&held, &data)?;
        let copy = Scratch::copy(from, to)?;
        drop(held);
        if let Some(Err(error)) = distrusted.map(|segments| tear::distrust(&to.join("db"), segments)) {
            let _ = copy.remove();
            return Err(error);
        }
        Engine::start_in(copy, to, trees, cache_bytes)
    }

    fn start_in(scratch: Scratch, path: &Path, trees: &[Tree], cache_bytes: u64) -> Result<(Engine, Scratch)> {
        match Engine::start(path, trees, cache_bytes) {
            Ok(engine) => Ok((engine, scratch)),
            Err(error) => {
                let _ = scratch.remove();
                Err(error)
            }
        }
    }

    /// Bytes that [`Engine::recover`] needs for the engine in a directory.
    pub(crate) fn copied_bytes(path: &Path) -> u64 {
        size(path) + RECOVERY
    }

    /// Writes zeros behind the end of the log, to the end of its segment. The engine does so itself when it recovers: as long as an append does not
    /// make the file longer, its sync need not wait for the file system's journal.
    ///
    /// For an engine that is synced, and that no other thread reads or writes: whatever it wrote meanwhile would be lost.
    pub(crate) fn fill_segment(&self) -> Result<()> {
        let Open { data, .. } = self.opened()?;
        let io = |e| Error::io("write", &self.path.join("db"), e);
        let mut file = data;
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        let rest = length.next_multiple_of(SEGMENT) - length;
        file.write_all(&vec![0; rest.saturating_sub(1) as usize]).map_err(io)
    }

    /// Makes every file of the engine durable, and its directory's name.
    pub(crate) fn settle(&self) -> Result<()> {
        self.sync()?;
        sync_files(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_directory)
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
        let place = Place::of(&file, &data)?;
        Ok(Engine { path: path.to_path_buf(), place, open: Some(Open { trees: opened, db, data }) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one value, without making it durable. Returns the checksum in its envelope.
    pub(crate) fn put(&self, tree: Tree, key: &[u8], kind: Kind, payload: &[u8]) -> Result<u32> {
        let handle = self.tree(tree)?;
        let value = value::seal(tree.name(), key, kind, payload);
        let checksum = value::checksum_of(&value);
        guarded(&self.path, "write to", || handle.insert(key, value)).map(|_| checksum)
    }

    /// Gives keys to a tree, in ascending order, before their values are put.
    ///
    /// The engine rewrites a leaf, values and all, whenever it splits, which it does at 17 keys. Where the leaves are there already, each value
    /// is written once: a log of 3.2 MB takes 3.4 MB of the disk instead of 8.4.
    pub(crate) fn lay_out<K: AsRef<[u8]>>(&self, tree: Tree, keys: impl Iterator<Item = K>) -> Result<()> {
        let handle = self.tree(tree)?;
        for key in keys {
            guarded(&self.path, "write to", || handle.insert(key.as_ref(), &[]))?;
        }
        Ok(())
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
        let Open { db, data, .. } = self.opened()?;
        flush(&self.path, db)?;
        data.sync_data().map_err(|e| Error::io("sync", &self.path.join("db"), e))
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
        self.scan_some(tree, from, to, kind, |key, payload| visit(key, payload?))
    }

    /// [`Engine::scan`] that leaves it to `visit` what a value that fails its check means.
    pub(crate) fn scan_some(
        &self,
        tree: Tree,
        from: &[u8],
        to: &[u8],
        kind: Kind,
        mut visit: impl FnMut(&[u8], Result<&[u8]>) -> Result<bool>,
    ) -> Result<()> {
        let handle = self.tree(tree)?;
        let mut iterator = guarded(&self.path, "read", || Ok(handle.range(from..=to)))?;
        while let Some((key, value)) = guarded(&self.path, "read", || iterator.next().transpose())? {
            if !visit(&key, self.check(tree, &key, kind, &value))? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the data file is still the one that the next opening will read.
    pub(crate) fn check_place(&self) -> Result<()> {
        self.place.check()
    }

    /// Bytes of the data file.
    pub(crate) fn data_bytes(&self) -> u64 {
        // Not by its metadata: times that were looked at make the next sync slower.
        let end = |open: &Open| (&open.data).seek(SeekFrom::End(0)).ok();
        self.open.as_ref().and_then(end).unwrap_or(0)
    }

    /// Flushes, closes and waits until the engine's threads have let go of the files.
    pub(crate) fn close(mut self) -> Result<()> {
        self.sync()?;
        self.let_go()
    }

    /// Closes without asking what has become durable, and waits until the engine's threads have let go of the files.
    pub(crate) fn let_go(&mut self) -> Result<()> {
        match self.release()? {
            Some(data) => wait_for(&data, &self.path.join("db")),
            None => Ok(()),
        }
    }

    /// Drops the engine's handles, which flushes and may panic on a damaged file. Our own on the data file is left.
    fn release(&mut self) -> Result<Option<File>> {
        let Some(Open { trees, db, data }) = self.open.take() else { return Ok(None) };
        // Closing would do it, too, and might sleep through an error.
        let _ = flush(&self.path, &db);
        let closed = guarded(&self.path, "close", move || {
            drop((trees, db));
            Ok(())
        });
        match closed {
            // It gives up on any error of its last sync, which is no damage: what was acknowledged has been synced.
            Err(Error::Corrupt { path, what, .. }) => {
                Err(Error::Io { action: "close", path, source: std::io::Error::other(what) })
            }
            closed => closed.map(|()| Some(data)),
        }
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

/// Takes the lock of a data file once the threads of a handle that was closed have let go of it.
fn wait_for(file: &File, path: &Path) -> Result<()> {
    let deadline = Instant::now() + CLOSING;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::WouldBlock) => {
                let busy = std::io::Error::other("the storage engine does not let go of it");
                return Err(Error::io("lock", path, busy));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", path, e)),
        }
    }
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
