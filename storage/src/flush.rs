//! Flushes of the engine, which may sleep through a failed write: it wakes those who wait when a buffer was written, but not always when one could
//! not be. Whoever flushes as well learns of the error, and wakes all.

use std::path::Path;
use std::thread::{Builder, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::Result;
use crate::guard::guarded;

/// How long a flush is left alone at first. Each time that it was helped it gets twice as long as before: a slow disk costs few threads.
const PATIENCE: Duration = Duration::from_secs(1);

/// Flushes of this process.
static UNDER_WAY: Mutex<Vec<UnderWay>> = Mutex::new(Vec::new());

struct UnderWay {
    thread: ThreadId,
    db: sled::Db,
    patience: Duration,
    due: Instant,
}

/// Makes the engine write everything it has been given. Ends within seconds of an error, as long as somebody calls [`help`] now and then.
pub(crate) fn flush(path: &Path, db: &sled::Db) -> Result<()> {
    let thread = std::thread::current().id();
    let due = Instant::now() + PATIENCE;
    UNDER_WAY.lock().push(UnderWay { thread, db: db.clone(), patience: PATIENCE, due });
    let flushed = guarded(path, "flush", || db.flush()).map(drop);
    UNDER_WAY.lock().retain(|flush| flush.thread != thread);
    flushed
}

/// Wakes flushes that have taken long. Where there was no error they wait on, and so do the threads that this started.
pub(crate) fn help() {
    let now = Instant::now();
    let mut late = Vec::new();
    for flush in UNDER_WAY.lock().iter_mut().filter(|flush| flush.due <= now) {
        flush.patience *= 2;
        flush.due = now + flush.patience;
        late.push(flush.db.clone());
    }
    for db in late {
        let flush = move || guarded(Path::new("db"), "flush", || db.flush());
        // Where no thread is to be had now, one may be later.
        let _ = Builder::new().name("kithdb-flush".to_owned()).spawn(flush);
    }
}
