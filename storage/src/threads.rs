//! The engine's threads: it starts seven for the whole process when it first needs one, ignores that none could be started, and waits for them
//! for ever.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::Duration;

use crate::error::{Error, RESTORE, Result};
use crate::flush::help;
use crate::guard::ENGINE_THREADS;

/// How often the first work is looked at.
const GLANCE: Duration = Duration::from_millis(250);
/// How many glances in a row have to find it asleep and no thread that could wake it.
const GLANCES: u32 = 8;
/// The name of its thread: at most 15 bytes, so that the system keeps it whole.
const OPENING: &str = "kithdb-opening";

/// Whether such work has come to its end in this process: the engine's threads are there, and stay.
static PROVED: AtomicBool = AtomicBool::new(false);

/// Runs work with the engine that ends with a sync, so that it needs the engine's threads: on a thread of its own, so that its flushes can be helped.
/// The first of a process is left behind, with an error, when it waits for threads that the engine could not start. (Seen on Linux only:
/// elsewhere it waits on.)
///
/// # Errors
/// [`Error::Threads`], and those of the work.
pub(crate) fn watched<T: Send + 'static>(path: &Path, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    let opening = Builder::new().name(OPENING.to_owned()).spawn(move || {
        // Whoever has given up waiting needs no answer.
        let _ = sender.send(work());
    });
    let opening = opening.map_err(|source| Error::Threads { source })?;
    let mut stuck = 0;
    loop {
        match receiver.recv_timeout(GLANCE) {
            Ok(opened) => {
                let _ = opening.join();
                if opened.is_ok() {
                    PROVED.store(true, Ordering::Release);
                }
                return opened;
            }
            Err(RecvTimeoutError::Timeout) => {
                help();
                let is_stuck = || !PROVED.load(Ordering::Acquire) && is_stuck().unwrap_or(false);
                stuck = if is_stuck() { stuck + 1 } else { 0 };
                if stuck == GLANCES {
                    let source = std::io::Error::other("the storage engine could start none");
                    return Err(Error::Threads { source });
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::corrupt(path, "the opening ended without an answer", RESTORE));
            }
        }
    }
}

/// Whether all such work sleeps and the engine has no thread; `None` where the system does not tell.
fn is_stuck() -> Option<bool> {
    for task in fs::read_dir("/proc/self/task").ok()? {
        // `NUMBER (NAME) STATE ...`; a thread that has just ended has none.
        let Ok(stat) = fs::read_to_string(task.ok()?.path().join("stat")) else { continue };
        let (head, rest) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1;
        if name.starts_with(ENGINE_THREADS) || (name == OPENING && !rest.trim_start().starts_with('S')) {
            return Some(false);
        }
    }
    Some(true)
}
