//! News of generations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What publishes tell and subscribers wait for.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    news: Mutex<News>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct News {
    generation: Option<u64>,
    closed: bool,
}

impl Announcer {
    /// That answers with `generation` at first.
    pub(crate) fn of(generation: Option<u64>) -> Arc<Self> {
        Arc::new(Self { news: Mutex::new(News { generation, closed: false }), changed: Condvar::new() })
    }

    /// Tells everybody of a new generation.
    pub(crate) fn announce(&self, generation: u64) {
        self.news.lock().generation = Some(generation);
        self.changed.notify_all();
    }

    /// Tells everybody that there will be none any more.
    pub(crate) fn close(&self) {
        self.news.lock().closed = true;
        self.changed.notify_all();
    }

    /// A subscription that knows the generation there is now.
    pub(crate) fn watch(self: &Arc<Self>) -> GenerationWatch {
        GenerationWatch { announcer: Arc::clone(self), known: self.news.lock().generation }
    }
}

/// Tells of new generations, from [`Db::watch`](crate::Db::watch). Whoever is late hears of the newest alone. It keeps no database open: after the last
/// handle it ends.
#[derive(Debug)]
pub struct GenerationWatch {
    announcer: Arc<Announcer>,
    known: Option<u64>,
}

impl GenerationWatch {
    /// Waits at most `patience` for a generation that this has not told of yet; its number. `None` where none came, or the database is closed.
    pub fn wait_timeout(&mut self, patience: Duration) -> Option<u64> {
        let deadline = Instant::now().checked_add(patience);
        let mut news = self.announcer.news.lock();
        while news.generation == self.known && !news.closed {
            match deadline {
                None => self.announcer.changed.wait(&mut news),
                Some(deadline) if self.announcer.changed.wait_until(&mut news, deadline).timed_out() => break,
                Some(_) => {}
            }
        }
        let came = news.generation.filter(|_| news.generation != self.known);
        self.known = news.generation;
        came
    }
}

impl Iterator for GenerationWatch {
    type Item = u64;

    /// Waits for the next one; `None` once the database is closed.
    fn next(&mut self) -> Option<u64> {
        self.wait_timeout(Duration::MAX)
    }
}
