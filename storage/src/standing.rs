//! How the live store stands to what the directory names: a copy at first, which takes over with the first write.

use std::sync::Arc;

use crate::directory::{self, remove, sync_directory};
use crate::error::Result;
use crate::manifest;
use crate::store::Store;
use crate::witness::{Acked, Witness};

/// Whether the live store is the one that `CURRENT` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is a copy of the store that `CURRENT` names, and nothing has been written yet.
    Copy {
        /// The store that `CURRENT` names.
        current: u64,
        /// Whether `FORMAT` and `ACKED` are of this format: a database of format 1 is brought up with the first write.
        whole: bool,
    },
    /// It is named.
    Named,
    /// `CURRENT` may name this store or the one before: only an opening finds out.
    Unknown,
}

impl Store {
    /// Makes the recovered copy the store that the next opening finds, before anything is written to it. The caller holds `changing`.
    ///
    /// # Errors
    /// Any, which poisons the handle; the store that was copied is still there.
    pub(crate) fn adopt(&self) -> Result<()> {
        let mut standing = self.standing.lock();
        let Standing::Copy { whole, .. } = *standing else { return Ok(()) };
        let live = Arc::clone(&self.live.read());
        let identity = self.identity();
        let reached = Acked { sequence: self.last_sequence(), generation: self.generation() };
        let prepared = || {
            if !whole {
                manifest::write_birth(&live.engine, &self.birth)?;
            }
            live.engine.settle()?;
            if !whole {
                directory::write_format(self.root(), identity)?;
            }
            Ok(())
        };
        self.health.note(prepared())?;
        *standing = Standing::Unknown;
        let named = || {
            directory::write_current(self.root(), live.number)?;
            // The copy is durable, so that the witness stays behind it.
            if !whole {
                Witness::create(self.root(), identity, reached)?;
            }
            let witness = Witness::open(self.root(), identity)?;
            witness.advance(reached)?;
            witness.sync()?;
            Ok(witness)
        };
        *self.witness.write() = Some(self.health.note(named())?);
        *standing = Standing::Named;
        drop(standing);
        // What is left behind is removed by the next that tidies.
        let _ = self.remove_unnamed_stores();
        Ok(())
    }

    /// After an opening was accepted: makes good what an earlier process did not come to, as far as it can be done without a write.
    pub(crate) fn accept(&self) {
        // The names that are read could still be lost with the power, if the sync that was to confirm them failed.
        if sync_directory(self.root()).is_err() {
            return;
        }
        let _ = remove(&self.root().join(directory::CREATING)).and_then(|()| self.tidy());
        let _ = self.reserve.lock().cover(self.live.read().engine.data_bytes(), 0);
    }

    /// Whether the store of this number may be what `CURRENT` names, now or after a power cut, or is the live one.
    pub(crate) fn is_needed(&self, store: u64) -> bool {
        let live = self.live.read().number;
        match *self.standing.lock() {
            Standing::Copy { current, .. } => store == current || store == live,
            Standing::Named => store == live,
            Standing::Unknown => true,
        }
    }

    /// Removes the copy that nothing was written to, when the store is closed.
    pub(crate) fn drop_copy(&mut self) {
        let Standing::Copy { .. } = *self.standing.lock() else { return };
        let Some(live) = Arc::get_mut(self.live.get_mut()) else { return };
        let data = live.engine.data_bytes();
        // Where the engine does not let go of it, the copy stays until the next opening that is accepted.
        if live.engine.let_go().is_ok()
            && let Some(copy) = live.copy.take()
            && copy.remove().is_ok()
        {
            let _ = self.reserve.get_mut().cover(data, 0);
        }
    }
}
