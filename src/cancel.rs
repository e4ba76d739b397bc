//! What ends long calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Ends what was given it with [`Error::Cancelled`]: lists of many users and evaluations, by [`Query::cancelled_by`](crate::Query::cancelled_by). Clones are
/// one token.
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

    /// Cancels it and its clones, from any thread and for good.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it is cancelled, or its time over.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// # Errors
    /// `Cancelled`.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_and_time_ends() {
        let (token, late) = (CancelToken::new(), CancelToken::within(Duration::MAX));
        let other = token.clone();
        assert!(!token.is_cancelled() && !late.is_cancelled());
        other.cancel();
        assert!(token.is_cancelled() && matches!(token.check(), Err(Error::Cancelled)));
        assert!(CancelToken::within(Duration::ZERO).is_cancelled());
    }
}
