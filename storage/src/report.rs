//! Looking at a database as a whole: verification and disk usage.

use std::collections::HashMap;
use std::sync::Arc;

use crate::directory::{Entry, entries, size};
use crate::error::{Error, Result};
use crate::log;
use crate::manifest::Manifest;
use crate::part::Part;
use crate::reader::GenerationReader;
use crate::store::{Live, Store};

/// What [`Store::verify`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Records of the log that were read.
    pub records: u64,
    /// Parts of the current generation whose every chunk, count and hash is right.
    pub parts: u64,
    /// Bytes of those parts.
    pub bytes: u64,
    /// What costs time or room but no answer: training state that is missing or damaged, damage of generations that are kept beside the current one, and
    /// what could not be removed.
    pub warnings: Vec<String>,
    /// What is damaged. Empty when the database is sound.
    pub damage: Vec<Error>,
}

impl VerifyReport {
    /// Whether every record, count and hash is right.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Where the bytes of a database directory are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskUsage {
    /// The store: log and manifests.
    pub store: u64,
    /// Generations, the current one and any not yet removed.
    pub generations: u64,
    /// Training state, and what a job has come to.
    pub state: u64,
    /// The reserve and the small files.
    pub other: u64,
    /// Bytes of content: log values above the folded sequence, parts and state of the current generation and of those kept beside it.
    pub live: u64,
}

impl DiskUsage {
    /// All bytes of the directory.
    pub fn total(&self) -> u64 {
        self.store + self.generations + self.state + self.other
    }
}

impl Store {
    /// Reads everything and checks every record, count and hash. Appends may go on meanwhile.
    ///
    /// Takes as long as reading the directory once.
    ///
    /// # Errors
    /// Damage is not an error here but part of the report; errors are what kept it from being looked for.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.verify_while(&|| true)
    }

    /// [`Store::verify`] for as long as `goes_on` says so, which is asked between records, and between parts.
    ///
    /// # Errors
    /// As [`Store::verify`], and [`Error::Ended`].
    pub fn verify_while(&self, goes_on: &dyn Fn() -> bool) -> Result<VerifyReport> {
        let going = || if goes_on() { Ok(()) } else { Err(Error::Ended) };
        going()?;
        let mut report = VerifyReport::default();
        let (replayed, manifest) = self.tail(|live, after, last| {
            log::scan(&live.engine, after, last, |packed, _| {
                going()?;
                packed.records(&live.engine, |sequence, _| {
                    report.records += u64::from(sequence > after);
                    Ok(())
                })
            })
        });
        keep(&mut report.damage, replayed)?;
        let left = self.left_behind();
        report
            .warnings
            .extend(left.map(|why| format!("something that is no longer needed is still on the disk: {why}")));
        let Some(manifest) = manifest else { return Ok(report) };
        let reader: GenerationReader<'_> = self.read_generation(Arc::clone(&manifest));
        for part in &manifest.parts {
            let checked = going().and_then(|()| reader.check(part));
            if checked.is_ok() {
                report.parts += 1;
                report.bytes += part.bytes;
            }
            keep(&mut report.damage, checked)?;
        }
        if let Some(file) = manifest.state.last() {
            match self.read_state(&manifest).and_then(|state| state.map(|state| state.each(|_, _| going())).transpose())
            {
                Ok(Some(())) => {}
                Ok(None) => report.warnings.push(format!("{} is missing: the next training starts cold", file.file)),
                Err(Error::Ended) => return Err(Error::Ended),
                Err(error) => report.warnings.push(error.to_string()),
            }
        }
        for kept in self.kept() {
            let reader = self.read_generation(Arc::clone(&kept));
            let mut parts = kept.parts.iter().filter(|part| !manifest.parts.contains(part));
            match parts.try_for_each(|part| going().and_then(|()| reader.check(part))) {
                Ok(()) => {}
                Err(Error::Ended) => return Err(Error::Ended),
                Err(error) => report
                    .warnings
                    .push(format!("generation {} is kept and cannot be gone back to: {error}", kept.generation)),
            }
        }
        Ok(report)
    }

    /// Measures the directory. Reads the log to find its live bytes.
    ///
    /// # Errors
    /// As [`Store::replay`], and errors of listing the directory.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let mut usage = DiskUsage::default();
        for name in entries(self.root())? {
            let bytes = size(&self.root().join(&name));
            match Entry::of(name.strip_suffix(crate::directory::UNFINISHED).unwrap_or(&name)) {
                Entry::Store(_) => usage.store += bytes,
                Entry::Generation(_) => usage.generations += bytes,
                Entry::State(_) | Entry::Checkpoint => usage.state += bytes,
                Entry::Fixed | Entry::Unfinished => usage.other += bytes,
                Entry::Foreign => {}
            }
        }
        let (bytes, manifest) = self.tail(|live, after, last| log::bytes(&live.engine, after, last));
        usage.live = bytes?;
        let generations: Vec<Arc<Manifest>> = manifest.into_iter().chain(self.kept()).collect();
        let parts = generations.iter().flat_map(|manifest| &manifest.parts).flat_map(Part::extents);
        let parts: HashMap<_, _> = parts.map(|part| ((part.generation, part.number), part.bytes)).collect();
        let states = generations.iter().flat_map(|manifest| &manifest.state);
        let states: HashMap<_, _> = states.map(|state| (&state.file, state.bytes)).collect();
        usage.live += parts.values().sum::<u64>() + states.values().sum::<u64>();
        Ok(usage)
    }
}

impl Store {
    /// Looks at the log above what the current generation holds, in one consistent view.
    pub(crate) fn tail<T>(&self, look: impl FnOnce(&Live, u64, u64) -> T) -> (T, Option<Arc<Manifest>>) {
        let _front = self.front.read();
        // In this order: each holds at least what the one before promises, whatever is appended or published in between.
        let last = self.last_sequence();
        let live = Arc::clone(&self.live.read());
        let manifest = self.manifest();
        let after = manifest.as_ref().map_or(0, |manifest| manifest.folded_through);
        (look(&live, after, last), manifest)
    }
}

/// Puts damage into the report and lets every other error through.
fn keep(damage: &mut Vec<Error>, checked: Result<()>) -> Result<()> {
    match checked {
        Err(error @ Error::Corrupt { .. }) => damage.push(error),
        other => return other,
    }
    Ok(())
}
