//! How the live store stands to what the directory names: a new one at first, which takes over once the opening is accepted.

use std::sync::Arc;

use crate::directory::{self, remove};
use crate::error::Result;
use crate::store::Store;
use crate::witness::{Acked, Witness};

/// Whether the live store is the one that `CURRENT` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is new, and `CURRENT` names the store of this number, from which it was made.
    Unaccepted(u64),
    /// It is named.
    Named,
    /// `CURRENT` may name this store or the one before: only an opening finds out.
    Unknown,
}

impl Store {
    /// Takes over: makes the new store durable and has `CURRENT` name it, then does what an earlier process did not come to.
    ///
    /// What was recovered may so far have been in the page cache only, left there by a sync that failed: whatever is shown or built upon from now
    /// on is on the disk.
    ///
    /// # Errors
    /// Those of making the store durable, after which nothing has changed. Later ones poison the handle: the database can be read.
    pub(crate) fn accept(&self) -> Result<()> {
        let live = Arc::clone(&self.live.read());
        live.engine.settle()?;
        *self.standing.lock() = Standing::Unknown;
        if self.health.note(self.take_over(live.number)).is_ok() {
            *self.standing.lock() = Standing::Named;
            // What is left is removed the next time, and told of till then.
            let _ = remove(&self.root().join(directory::CREATING));
            let _ = self.tidy();
        }
        Ok(())
    }

    /// Names the live store. `ACKED` comes last: it goes with a store that is named for sure, and ends the rise from format 1.
    fn take_over(&self, number: u64) -> Result<()> {
        let reached = Acked { sequence: self.last_sequence(), generation: self.generation() };
        if self.is_old {
            directory::write_format(self.root(), self.identity())?;
        }
        directory::write_current(self.root(), number)?;
        Witness::create(self.root(), self.identity(), reached)?;
        *self.witness.write() = Some(Witness::open(self.root(), self.identity())?);
        Ok(())
    }

    /// Whether the store of this number may be what `CURRENT` names, now or after a power cut, or is the live one.
    pub(crate) fn is_needed(&self, store: u64) -> bool {
        let live = self.live.read().number;
        match *self.standing.lock() {
            Standing::Unaccepted(current) => store == current || store == live,
            Standing::Named => store == live,
            Standing::Unknown => true,
        }
    }

    /// Removes the new store of an opening that was refused.
    pub(crate) fn drop_unaccepted(&mut self) {
        let Standing::Unaccepted(_) = *self.standing.get_mut() else { return };
        let Some(live) = Arc::get_mut(self.live.get_mut()) else { return };
        let (data, number) = (live.engine.data_bytes(), live.number);
        // An engine that has failed may hold its files for ever: they go from the directory all the same.
        let _ = live.engine.let_go();
        let removed = live.scratch.take().is_some_and(|scratch| scratch.remove().is_ok());
        directory::unmark(&self.root, number);
        if removed && self.reserve.get_mut().was_released() {
            let _ = self.reserve.get_mut().cover(data, 0);
        }
    }
}
