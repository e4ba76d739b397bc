//! How a database is opened.

use std::path::Path;
use std::time::Duration;

use kithdb_storage::StoreOptions;

use crate::compaction::Policy;
use crate::db::Db;
use crate::error::Result;
use crate::index::Effort;
use crate::repeats::Repeats;

/// The property of a database that says how it takes repeats.
pub(crate) const REPEATS: &str = "repeats";

/// Options of [`Db::open`], from [`Db::options`]. The defaults suit a shop of some hundred thousand items.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) cache_bytes: u64,
    pub(crate) allow_abort: bool,
    pub(crate) repeats: Option<Repeats>,
    pub(crate) effort: Effort,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) background: bool,
    pub(crate) policy: Policy,
    pub(crate) kept_generations: usize,
    pub(crate) checkpoint_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            cache_bytes: 64 << 20,
            allow_abort: false,
            repeats: None,
            effort: Effort::Exact,
            memory_limit: None,
            background: true,
            policy: Policy::default(),
            kept_generations: 2,
            checkpoint_after: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Whether a database is made where there is none; `true` by default. Where it is `false`, a missing one is an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Bytes storage may keep in its cache; 64 MiB by default. Codes and interactions are held in memory beside it.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Opens under `panic = "abort"` all the same. The storage engine panics on some damaged files; kithdb turns that into an error, which
    /// it cannot do in a program that aborts on panic. `false` by default.
    pub fn allow_abort(mut self, allow: bool) -> Self {
        self.allow_abort = allow;
        self
    }

    /// What an interaction that comes again means, [`Repeats::Last`] by default. It is settled when a database is created: one that takes them
    /// otherwise is not opened.
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = Some(repeats);
        self
    }

    /// The share of the exact list that queries look for where they do not ask for another, as [`Query::recall`](crate::Query::recall) does; 1 by
    /// default, which is exact. What is measured stays exact: [`Db::evaluate`].
    pub fn recall(mut self, share: f32) -> Self {
        self.effort = Effort::of_share(share);
        self
    }

    /// Bytes that a training, or a full compaction, may hold beside what the database does, unless its own
    /// [options](crate::TrainOptions::memory_limit) say otherwise: one that by its estimate would hold more is refused. No limit by default. Minor and major
    /// compactions go on from what a training left, hold less than it, and are not measured by this.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Whether the database compacts by itself while it is open, as [`Options::policy`] says; `true` by default. It keeps up what was trained, in the
    /// background and on one thread, and never begins a first training. `false` where every job is to be asked for, as in programs that open the
    /// database for a moment.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// When the database compacts by itself; [`Policy::default`] by default.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Generations that a publication leaves on the disk for [`Db::rollback`], the one published among them; 2 by default, at least 1 and at most 16. One
    /// after somebody was forgotten leaves none of those before it, since they know who that was.
    pub fn kept_generations(mut self, generations: usize) -> Self {
        self.kept_generations = generations;
        self
    }

    /// How long a training or a major compaction works at least before it writes down what it has come to, and from then to the next time; ten seconds by
    /// default. One that is broken off, because the process or the database's opening ends, is gone on with from there, or begun again where it had come to nothing
    /// yet, by the next opening of the database, in the background, or when the same is asked for with nothing changed, and comes to the same codes, bit for
    /// bit; not where the process ended with it twice from the same place. It takes about the disk of the training state while the job runs, and goes when the
    /// job ends, or another publishes.
    pub fn checkpoint_after(mut self, work: Duration) -> Self {
        self.checkpoint_after = work;
        self
    }

    pub(crate) fn store(&self) -> StoreOptions {
        StoreOptions {
            create: self.create,
            cache_bytes: self.cache_bytes,
            allow_abort: self.allow_abort,
            kept_generations: self.kept_generations,
            merging: self.policy.merging,
            properties: self
                .repeats
                .map(|repeats| (REPEATS.to_owned(), repeats.name().to_owned()))
                .into_iter()
                .collect(),
        }
    }

    /// Opens the database in the directory `path`.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) where the directory is no database, is locked by another process, is damaged, was written
    /// by a newer version, or cannot be read or written; [`Error::InvalidArgument`](crate::Error::InvalidArgument) where it takes repeats otherwise
    /// than asked for, or [`recall`](Options::recall) is no share; [`Error::Thread`](crate::Error::Thread) where a thread cannot be started.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Db> {
        Db::open_with(path.as_ref(), &self)
    }
}
