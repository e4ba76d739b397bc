//! A reader that goes on to newer snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use parking_lot::{Mutex, RwLock};

use super::open::{newest, read_newest};
use crate::error::{Error, Result};
use crate::kernel::popcount::Kernel;
use crate::pool::Pool;
use crate::snapshot::Snapshot;

/// A place that has snapshots, read-only, and the newest of them: open it in as many processes as you like, beside the one that owns the database or on machines
/// that have a copy of the place. What is large of it, codes of items and users, is one memory for all processes of a machine.
///
/// A copy of a place made by other means has to bring `SNAPSHOT` last, and remove old moments after it, of one moment throughout: `rsync -a --exclude SNAPSHOT
/// FROM/ TO/ && rsync -a FROM/SNAPSHOT TO/ && rsync -a --delete FROM/ TO/`, under the lock that snapshots are written under, `flock FROM/SNAPSHOT.lock`.
///
/// ```
/// # fn main() -> kithdb::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let place = dir.path().join("place");
/// use std::time::Duration;
/// use kithdb::{Compaction, Db, Replica, SnapshotOptions};
///
/// let db = Db::open(dir.path().join("shop.kith"))?;
/// db.insert_many([("alice", "grinder"), ("bob", "kettle")])?;
/// db.compact(Compaction::Minor)?.wait()?;
/// db.snapshot_to(&place, &SnapshotOptions::new())?;
///
/// let replica = Replica::open(&place)?.follow(Duration::from_millis(100))?;     // in another process
/// assert_eq!(replica.snapshot().history("alice")?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Replica {
    place: Arc<Place>,
    /// Ends the thread by being dropped, before it is waited for.
    follower: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    kernel: Kernel,
    pool: Arc<Pool>,
    current: RwLock<Current>,
    /// Held while the next one is read, so that each is read once.
    refreshing: Mutex<()>,
    /// What kept it from going on when it last tried.
    fault: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Current {
    folder: PathBuf,
    snapshot: Snapshot,
}

impl Replica {
    /// Opens the newest snapshot of a place. Every file is read and checked.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is none, or one of a version this one does not read; [`Error::Storage`] where it is damaged or cannot be read;
    /// [`Error::Thread`].
    pub fn open(place: impl AsRef<Path>) -> Result<Self> {
        let path = place.as_ref().to_owned();
        let (kernel, pool) = (Kernel::from_env()?, Arc::new(Pool::start("snapshot", 0)?));
        let (folder, snapshot) = read_newest(&path, kernel, &pool)?;
        let current = RwLock::new(Current { folder, snapshot });
        let place = Place { path, kernel, pool, current, refreshing: Mutex::default(), fault: Mutex::default() };
        Ok(Self { place: Arc::new(place), follower: None })
    }

    /// The newest snapshot that was read: to be asked as [`Db::snapshot`](crate::Db::snapshot) is. It stays as it is as long as it is held.
    pub fn snapshot(&self) -> Snapshot {
        self.place.current.read().snapshot.clone()
    }

    /// Goes on to the newest snapshot; whether that is another one. Queries go on meanwhile, on the one before. Where the pointer names the same one still, it
    /// costs reading that name.
    ///
    /// # Errors
    /// As [`Replica::open`]; the one before goes on answering.
    pub fn refresh(&self) -> Result<bool> {
        self.place.refresh()
    }

    /// Goes on by itself from now on, looking so often whether there is a newer one. What keeps it from going on is told by [`Replica::fault`], and tried again.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn follow(mut self, every: Duration) -> Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let place = Arc::clone(&self.place);
        let thread = std::thread::Builder::new().name("kithdb-follow".into()).spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // The fault is kept.
                let _ = place.refresh();
            }
        });
        let thread = thread.map_err(|source| Error::Thread { source })?;
        self.stop();
        self.follower = Some((stop, thread));
        Ok(self)
    }

    /// What kept it from going on to a newer snapshot when it last looked. It never waits for one that is being read.
    pub fn fault(&self) -> Option<String> {
        self.place.fault.lock().clone()
    }

    fn stop(&mut self) {
        if let Some((stop, thread)) = self.follower.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Place {
    fn refresh(&self) -> Result<bool> {
        let outcome = self.go_on();
        *self.fault.lock() = outcome.as_ref().err().map(Error::to_string);
        outcome
    }

    fn go_on(&self) -> Result<bool> {
        let refreshing = self.refreshing.lock();
        if newest(&self.path)? == self.current.read().folder {
            return Ok(false);
        }
        let (folder, snapshot) = read_newest(&self.path, self.kernel, &self.pool)?;
        let last = std::mem::replace(&mut *self.current.write(), Current { folder, snapshot });
        drop(refreshing);
        // What nobody asks any more is freed when nobody waits.
        drop(last);
        Ok(true)
    }
}
