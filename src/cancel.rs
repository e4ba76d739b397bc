//! What ends long calls.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Ends the long calls of what was given it with [`Error::Cancelled`]: of a handle by [`Db::cancelled_by`](crate::Db::cancelled_by), of a moment by
/// [`Snapshot::cancelled_by`](crate::Snapshot::cancelled_by), of a query by [`Query::cancelled_by`](crate::Query::cancelled_by). Clones are one token. Trainings
/// and compactions run on without their caller, and have [`Job::cancel`](crate::Job::cancel).
///
/// ```
/// # fn main() -> kithdb::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
/// # db.insert("alice", "grinder")?;
/// let token = kithdb::CancelToken::within(std::time::Duration::from_secs(30));
/// let lists = db.query().or_popular().cancelled_by(&token).run_for(&["alice"]);
/// assert!(lists[0].is_ok());
/// token.cancel();
/// let lists = db.query().or_popular().cancelled_by(&token).run_for(&["alice"]);
/// assert!(matches!(lists[0], Err(kithdb::Error::Cancelled)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    is_cancelled: Arc<AtomicBool>,
    until: Option<Instant>,
    /// How many looks at it find that it goes on, where a test counts them.
    #[cfg(test)]
    looks: Option<Arc<AtomicU64>>,
}

impl CancelToken {
    /// One that ends nothing until it is cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that is cancelled by itself after some time.
    pub fn within(time: Duration) -> Self {
        // A time beyond what clocks can tell never comes.
        Self { until: Instant::now().checked_add(time), ..Self::default() }
    }

    /// One that is cancelled once a flag is set, as a handler of signals can.
    pub fn of(flag: Arc<AtomicBool>) -> Self {
        Self { is_cancelled: flag, ..Self::default() }
    }

    /// Cancels it and its clones, from any thread and for good.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it is cancelled, or its time over.
    pub fn is_cancelled(&self) -> bool {
        #[cfg(test)]
        if let Some(looks) = &self.looks
            && looks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
        {
            return true;
        }
        self.is_cancelled.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Whether what may have a token goes on.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn check(token: Option<&Self>) -> Result<()> {
        if token.is_some_and(Self::is_cancelled) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
