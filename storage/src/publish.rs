//! Publication: the order in which a generation becomes current, and the cleaning up after it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use crate::contents::write_manifests;
use crate::directory::{self, Entry, entries, remove, size, store_name};
use crate::engine::{Engine, MAX_BATCH, Operation, RECOVERY, Tree};
use crate::error::Result;
use crate::jobs;
use crate::log;
use crate::manifest::{self, Manifest};
use crate::space;
use crate::standing::Standing;
use crate::store::{Live, Store, TREES};
use crate::value::Kind;
use crate::witness::Acked;

/// Dead bytes may be this many times the live ones before a store is copied.
const DEAD_TO_LIVE: u64 = 4;
/// Below this size a store is not worth copying for its dead bytes.
const WORTH_COPYING: u64 = 4 << 20;
/// Values of the log that are copied together: about 1 MiB.
const STRETCH: usize = 160;

impl Store {
    /// Makes a manifest current whose files are in place and durable.
    pub(crate) fn publish(&self, mut manifest: Manifest, rewrite: bool) -> Result<Arc<Manifest>> {
        let _changing = self.changing.lock();
        self.health.check()?;
        let live = Arc::clone(&self.live.read());
        let owed = self.manifest().map_or(0, |current| current.retired_store);
        manifest.retired_store = if rewrite { live.number } else { owed };
        let acked = Acked { sequence: self.last_sequence(), generation: manifest.generation };
        let kept = self.kept_after(rewrite);
        let numbers: Vec<u64> = kept.iter().map(|manifest| manifest.generation).collect();
        let written = manifest::write(&live.engine, &manifest, &numbers)
            .and_then(|()| live.engine.sync())
            .and_then(|()| live.engine.check_place())
            .and_then(|()| self.testify(acked))
            .and_then(|()| self.witness.read().as_ref().map_or(Ok(()), |witness| witness.sync()));
        self.health.note(written)?;
        let manifest = Arc::new(manifest);
        let mut held = self.held.lock();
        held.retain(|manifest| manifest.strong_count() > 0);
        held.push(Arc::downgrade(&manifest));
        *self.kept.write() = kept;
        *self.manifest.write() = Some(Arc::clone(&manifest));
        Ok(manifest)
    }

    /// The generations that a publication keeps beside what it publishes. One that was made before something was forgotten has it still, and goes.
    fn kept_after(&self, forgets: bool) -> Vec<Arc<Manifest>> {
        let before = self.manifest().into_iter().chain(self.kept());
        before.take(if forgets { 0 } else { self.options.kept_beside() }).collect()
    }

    /// Drops what is no longer needed: the log up to `folded_through`; if something was forgotten or most of it is dead, the store, which is copied
    /// without it; and files that no manifest names, or none that anybody still holds. For after a publication, once its predecessor is read no
    /// more.
    ///
    /// # Errors
    /// The first. An error of writing ends it and poisons the handle: nothing is removed after one. What cannot be removed keeps nothing else; it is
    /// tried again the next time, and [`Store::left_behind`] tells of it.
    pub fn tidy(&self) -> Result<()> {
        // Files of a generation that is being written are named by nobody yet.
        if self.writing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let tidied = self.tidy_up();
        self.writing.store(false, Ordering::Release);
        tidied
    }

    /// Why something that is no longer needed is still on the disk, as the last [`Store::tidy`] or the opening found; `None` where all of it is gone.
    pub fn left_behind(&self) -> Option<String> {
        self.left_behind.lock().clone()
    }

    fn tidy_up(&self) -> Result<()> {
        self.health.check()?;
        let dropped = self.drop_unneeded();
        *self.left_behind.lock() = dropped.as_ref().err().map(ToString::to_string);
        let fitted = self.reserve.lock().fit(self.live.read().engine.data_bytes());
        dropped.and(fitted)
    }

    fn drop_unneeded(&self) -> Result<()> {
        if self.is_due()? {
            // Whatever was left before makes room for the copy. What cannot be removed is told below.
            let _ = self.remove_unnamed();
            self.copy_store()?;
        } else {
            self.drop_folded()?;
        }
        self.remove_unnamed()
    }

    /// Whether the store has to be copied: it holds what must be forgotten, or it is mostly dead.
    fn is_due(&self) -> Result<bool> {
        let live = Arc::clone(&self.live.read());
        let Some(manifest) = self.manifest() else { return Ok(false) };
        if manifest.retired_store >= live.number {
            return Ok(true);
        }
        let on_disk = size(live.engine.path());
        let records = self.last_sequence().saturating_sub(manifest.folded_through);
        // No record is shorter than five bytes: a log of many needs no reading to know that it is not mostly dead.
        if on_disk <= WORTH_COPYING.max((DEAD_TO_LIVE + 1) * 5 * records) {
            return Ok(false);
        }
        let kept = log::bytes(&live.engine, manifest.folded_through, self.last_sequence())?;
        Ok(on_disk > (DEAD_TO_LIVE + 1) * kept)
    }

    /// Deletes the values of the log that a generation holds, front to back, so that what is left never has a gap.
    fn drop_folded(&self) -> Result<()> {
        let Some(manifest) = self.manifest() else { return Ok(()) };
        loop {
            let _front = self.front.write();
            let _changing = self.changing.lock();
            let live = Arc::clone(&self.live.read());
            let mut keys = Vec::new();
            live.engine.scan(
                Tree::Log,
                &log::key(0),
                &log::key(manifest.folded_through),
                Kind::Log,
                |key, payload| {
                    let folded = log::Packed::open(&live.engine, key, payload)?.last() <= manifest.folded_through;
                    if folded {
                        keys.push(Operation::Delete { key: key.to_vec() });
                    }
                    Ok(folded && keys.len() < MAX_BATCH)
                },
            )?;
            if keys.is_empty() {
                return Ok(());
            }
            let done = keys.len() < MAX_BATCH;
            let dropped = live.engine.apply(Tree::Log, keys).and_then(|()| live.engine.sync());
            self.health.note(dropped)?;
            if done {
                return Ok(());
            }
        }
    }

    /// Copies what is live into a fresh store and makes that the current one. Appends go on meanwhile, except for the last stretch. A copy that does
    /// not come to its end leaves nothing.
    fn copy_store(&self) -> Result<()> {
        let Some(manifest) = self.manifest() else { return Ok(()) };
        let old = Arc::clone(&self.live.read());
        let number = directory::next_store(self.root(), old.number)?;
        let records = log::bytes(&old.engine, manifest.folded_through, self.last_sequence())?;
        // The engine may take as much again.
        space::require(self.root(), "copy the store in", RECOVERY + 2 * records)?;
        let (mut fresh, scratch) =
            Engine::begin(&self.root().join(store_name(number)), &TREES, self.options.cache_bytes)?;
        let _changing = match self.copy_into(&fresh, &old.engine, &manifest) {
            Ok(changing) => changing,
            Err(error) => {
                let _ = fresh.let_go();
                let _ = scratch.remove();
                return Err(error);
            }
        };
        // From here on either of the two may be what the next opening finds: they hold the same, as long as nobody writes.
        *self.standing.lock() = Standing::Unknown;
        self.health.note(directory::write_current(self.root(), number))?;
        *self.live.write() = Arc::new(Live { number, engine: fresh, scratch: None });
        *self.standing.lock() = Standing::Named;
        Ok(())
    }

    /// Writes what is live into a store, durably. Nobody changes it before the guard is dropped.
    fn copy_into(&self, fresh: &Engine, old: &Engine, manifest: &Manifest) -> Result<MutexGuard<'_, ()>> {
        manifest::write_birth(fresh, &self.birth)?;
        write_manifests(fresh, Some(manifest), self.kept().iter().map(AsRef::as_ref))?;
        jobs::write(fresh, &jobs::read(old)?)?;
        let reached = self.last_sequence();
        copy_log(old, fresh, manifest.folded_through, reached, &mut || self.let_appends_pass())?;
        fresh.sync()?;

        let changing = self.changing.lock();
        self.health.check()?;
        copy_log(old, fresh, reached.max(manifest.folded_through), self.last_sequence(), &mut || ())?;
        fresh.settle()?;
        Ok(changing)
    }

    /// Removes stores, generations and state files that are named by nobody, and whatever was never finished: as much as can be.
    ///
    /// # Errors
    /// The first.
    fn remove_unnamed(&self) -> Result<()> {
        let mut removed = Ok(());
        let mut held: Vec<Arc<Manifest>> = self.held.lock().iter().filter_map(std::sync::Weak::upgrade).collect();
        held.extend(self.kept());
        for name in entries(self.root())? {
            let unnamed = match Entry::of(&name) {
                Entry::Store(number) => !self.is_needed(number),
                Entry::Generation(number) => !held.iter().any(|manifest| manifest.owns(number)),
                Entry::State(_) => !held.iter().any(|manifest| manifest.has_state(&name)),
                Entry::Unfinished => true,
                // The next job goes on with it, or removes it.
                Entry::Checkpoint | Entry::Fixed | Entry::Foreign => false,
            };
            if unnamed {
                removed = removed.and(remove(&self.root().join(name)));
            }
        }
        removed
    }
}

/// Copies the records `after + 1 ..= last`.
fn copy_log(from: &Engine, to: &Engine, after: u64, last: u64, pause: &mut dyn FnMut()) -> Result<()> {
    let mut stretch = Vec::new();
    log::repack(from, after, last, |sequence, payload| {
        stretch.push((sequence, payload));
        if stretch.len() >= STRETCH {
            log::write(to, &stretch)?;
            stretch.clear();
            pause();
        }
        Ok(())
    })?;
    log::write(to, &stretch)
}
