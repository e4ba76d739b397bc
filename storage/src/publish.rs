//! Publication: the order in which a generation becomes current, and the cleaning up after it.

use std::sync::Arc;

use crate::directory::{self, Entry, entries, generation_name, remove, size, store_name, sync_files};
use crate::engine::{Engine, MAX_BATCH, Operation, Tree};
use crate::error::Result;
use crate::log;
use crate::manifest::{self, Manifest};
use crate::store::{Live, Store, TREES};
use crate::value::Kind;
use crate::witness::Acked;

/// Dead bytes may be this many times the live ones before a store is copied.
const DEAD_TO_LIVE: u64 = 4;
/// Below this size a store is not worth copying for its dead bytes.
const WORTH_COPYING: u64 = 4 << 20;

impl Store {
    /// Makes a manifest current whose files are in place and durable.
    pub(crate) fn publish(&self, mut manifest: Manifest, rewrite: bool) -> Result<Arc<Manifest>> {
        let manifest = {
            let _changing = self.changing.lock();
            self.health.check()?;
            let live = Arc::clone(&self.live.read());
            let owed = self.manifest().map_or(0, |current| current.retired_store);
            manifest.retired_store = if rewrite { live.number } else { owed };
            let acked = Acked { sequence: self.last_sequence(), generation: manifest.generation };
            let written = manifest::write(&live.engine, &manifest)
                .and_then(|()| live.engine.sync())
                .and_then(|()| self.witness.advance(acked))
                .and_then(|()| self.witness.sync());
            self.health.note(written)?;
            let manifest = Arc::new(manifest);
            *self.manifest.write() = Some(Arc::clone(&manifest));
            manifest
        };
        self.tidy();
        Ok(manifest)
    }

    /// Drops the folded front of the log, copies the store if it has to be, and removes what no manifest names. Best effort: what
    /// fails is left for the next time, except that a failed write poisons the handle.
    pub(crate) fn tidy(&self) {
        if self.health.check().is_err() {
            return;
        }
        let copied = match self.is_due() {
            Ok(true) => self.copy_store().is_ok(),
            _ => false,
        };
        if !copied {
            let _ = self.drop_folded();
        }
        self.remove_unnamed();
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

    /// Copies what is live into a fresh store and makes that the current one. Appends go on meanwhile, except for the last stretch.
    fn copy_store(&self) -> Result<()> {
        let Some(manifest) = self.manifest() else { return Ok(()) };
        let old = Arc::clone(&self.live.read());
        let number = old.number + 1;
        let path = self.root().join(store_name(number));
        remove(&path)?;
        let copied = self.copy_into(&old, &manifest, number);
        match copied {
            Ok(()) => {
                let _ = remove(old.engine.path());
                Ok(())
            }
            Err(error) => {
                // `CURRENT` may name the copy by now only if the handle is poisoned: then the next opening decides.
                if self.health.check().is_ok() {
                    let _ = remove(&path);
                }
                Err(error)
            }
        }
    }

    fn copy_into(&self, old: &Live, manifest: &Manifest, number: u64) -> Result<()> {
        let path = self.root().join(store_name(number));
        let fresh = Engine::create(&path, &TREES, self.cache_bytes())?;
        manifest::write(&fresh, manifest)?;
        let reached = self.last_sequence();
        copy_log(&old.engine, &fresh, manifest.folded_through, reached, &mut || self.let_appends_pass())?;
        fresh.sync()?;

        let _changing = self.changing.lock();
        self.health.check()?;
        copy_log(&old.engine, &fresh, reached.max(manifest.folded_through), self.last_sequence(), &mut || ())?;
        fresh.sync()?;
        sync_files(&path)?;
        // From here on either of the two may be what the next opening finds: they hold the same, as long as nobody writes.
        self.health.note(directory::write_current(self.root(), number))?;
        *self.live.write() = Arc::new(Live { number, engine: fresh });
        Ok(())
    }

    /// Removes stores, generations and state files that are named by nobody, and whatever was never finished.
    fn remove_unnamed(&self) {
        let Ok(names) = entries(self.root()) else { return };
        let live = self.live.read().number;
        let manifest = self.manifest();
        // No generation is half written now: this runs at opening, or for the publisher, who still holds `writing`.
        for name in names {
            let unnamed = match Entry::of(&name) {
                Entry::Store(number) => number != live,
                Entry::Generation(number) => !manifest.as_deref().is_some_and(|m| m.owns(&generation_name(number))),
                Entry::State(_) => {
                    manifest.as_deref().and_then(|m| m.state.as_ref()).is_none_or(|state| state.file != name)
                }
                Entry::Unfinished => true,
                Entry::Fixed | Entry::Foreign => false,
            };
            if unnamed {
                let _ = remove(&self.root().join(name));
            }
        }
    }
}

/// Copies the records `after + 1 ..= last`. The value in which `after` falls is cut, so that nothing before it is copied along.
fn copy_log(from: &Engine, to: &Engine, after: u64, last: u64, pause: &mut dyn FnMut()) -> Result<()> {
    let mut bytes = 0;
    log::scan(from, after, last, |packed, length| {
        let first = packed.first.max(after + 1);
        let mut records = Vec::new();
        packed.records(from, |sequence, record| {
            if sequence > after && sequence <= last {
                records.push(record);
            }
            Ok(())
        })?;
        log::pack(first, &records, |sequence, payload| to.put(Tree::Log, &log::key(sequence), Kind::Log, &payload))?;
        bytes += length;
        if bytes > 1 << 20 {
            bytes = 0;
            pause();
        }
        Ok(())
    })
}
