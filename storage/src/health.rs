//! Whether a handle may still write, and the thread that syncs the witness and helps flushes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

use crate::error::{Error, Result};
use crate::flush::help;
use crate::witness::Witness;

/// Remembers the first write error. The engine's errors are sticky, and after a failed sync nobody knows what is on the disk: only
/// opening the database again tells.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<String>>);

impl Health {
    /// Refuses when a write has failed before.
    pub(crate) fn check(&self) -> Result<()> {
        match &*self.0.lock() {
            Some(reason) => Err(Error::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Passes a write's result on, and remembers a failure.
    pub(crate) fn note<T>(&self, written: Result<T>) -> Result<T> {
        if let Err(error) = &written {
            self.0.lock().get_or_insert_with(|| error.to_string());
        }
        written
    }
}

/// How long an acknowledgement may be missing from the witness after a power cut.
const PERIOD: Duration = Duration::from_secs(1);

/// Syncs the witness once a second, until that fails, and helps flushes, until dropped.
pub(crate) struct Pulse {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    /// # Errors
    /// [`Error::Threads`].
    pub(crate) fn start(witness: Arc<RwLock<Option<Witness>>>, health: Arc<Health>) -> Result<Pulse> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = Arc::clone(&stop);
        let beat = move || {
            let (stopped, wake) = &*signal;
            let mut stopped = stopped.lock();
            let mut failed = false;
            while !*stopped {
                wake.wait_for(&mut stopped, PERIOD);
                help();
                // There is none before something was written.
                if let Some(witness) = witness.read().as_ref().filter(|_| !failed) {
                    failed = health.note(witness.sync()).is_err();
                }
            }
        };
        let thread = std::thread::Builder::new().name("kithdb-witness".to_owned()).spawn(beat);
        let thread = Some(thread.map_err(|source| Error::Threads { source })?);
        Ok(Pulse { stop, thread })
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
