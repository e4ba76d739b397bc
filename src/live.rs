//! What is live: the catalogues, and the snapshot queries work on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kithdb_storage::{Record, Side};
use parking_lot::{Mutex, RwLock};

use crate::error::Result;
use crate::generation::Generation;
use crate::ids::Catalogue;
use crate::tail::Tail;

/// Both sides' ids.
pub(crate) struct Catalogues {
    pub(crate) users: Catalogue,
    pub(crate) items: Catalogue,
}

impl Catalogues {
    /// Those of a database nobody has written to.
    pub(crate) fn new() -> Self {
        Self { users: Catalogue::new(Side::User), items: Catalogue::new(Side::Item) }
    }

    /// Takes in the definitions among `records`, and the users they forget.
    pub(crate) fn apply<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<()> {
        for record in records {
            match record {
                Record::Define { side: Side::User, index, kind, bytes } => self.users.define(*index, *kind, bytes)?,
                Record::Define { side: Side::Item, index, kind, bytes } => self.items.define(*index, *kind, bytes)?,
                Record::ForgetUser { user } => self.users.forget(*user),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The shared state of an open database. Locks are taken in the order of the fields.
pub(crate) struct Live {
    /// Told apart from every other opening of a database in this process.
    pub(crate) opening: u64,
    /// Held while durable records are applied and while a generation is swapped in, so that the swap misses none.
    pub(crate) applying: Mutex<()>,
    pub(crate) catalogues: RwLock<Catalogues>,
    tail: RwLock<Arc<Tail>>,
}

impl Live {
    pub(crate) fn new(catalogues: Catalogues, tail: Tail) -> Self {
        static OPENINGS: AtomicU64 = AtomicU64::new(0);
        let opening = OPENINGS.fetch_add(1, Ordering::Relaxed);
        Self {
            opening,
            applying: Mutex::new(()),
            catalogues: RwLock::new(catalogues),
            tail: RwLock::new(Arc::new(tail)),
        }
    }

    /// The snapshot: the tail as it is now, with the generation under it.
    pub(crate) fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail.read())
    }

    /// Swaps `generation`, which has seen the log through `folded_through`, under the live tail.
    pub(crate) fn publish(&self, generation: Arc<Generation>, folded_through: u64) {
        let _applying = self.applying.lock();
        let old = self.tail();
        let new = Arc::new(old.rebase(generation, folded_through));
        *self.tail.write() = new;
        // `old` is dropped here, outside the lock queries take.
    }
}
