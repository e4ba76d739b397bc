//! What a store holds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::directory::{ACKED, FORMAT, generation_name};
use crate::engine::Engine;
use crate::error::{Error, RESTORE, RESTORE_GENERATION, Result};
use crate::identity::{Birth, Identity};
use crate::jobs::{self, JobRecord};
use crate::log;
use crate::manifest::{self, Manifest};
use crate::part::owners;
use crate::witness::{Acked, Testimony};

/// What the next store needs of a recovered one, which was found to be of this database and not behind what was acknowledged.
pub(crate) struct Contents {
    pub(crate) birth: Birth,
    pub(crate) manifest: Option<Manifest>,
    /// The generations that are kept beside the current one, newest first.
    pub(crate) kept: Vec<Manifest>,
    /// The last record of the log, and the generation.
    pub(crate) reached: Acked,
    jobs: Vec<JobRecord>,
    /// The values of the log that no generation holds.
    log: Vec<(u64, Vec<u8>)>,
}

impl Contents {
    /// Reads everything, in memory of about the size of the log. `format` and `testimony` are what `FORMAT` and `ACKED` say.
    pub(crate) fn read(
        engine: &Engine,
        root: &Path,
        format: Option<Identity>,
        testimony: Testimony,
    ) -> Result<Contents> {
        let birth = manifest::read_birth(engine)?;
        let birth = belongs(root, format, testimony.identity, (engine.path(), birth))?;
        let manifest = manifest::read(engine)?;
        let reached = check_against(engine, manifest.as_ref(), testimony.acked)?;
        if let Some(manifest) = &manifest {
            for owner in owners(&manifest.parts) {
                let directory: PathBuf = root.join(generation_name(owner));
                match fs::metadata(&directory) {
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                        let what = format!("the directory of generation {} is missing", manifest.generation);
                        return Err(Error::corrupt(&directory, what, RESTORE_GENERATION));
                    }
                    Err(e) => return Err(Error::io("open", &directory, e)),
                    Ok(_) => {}
                }
            }
        }
        let mut log = Vec::new();
        let folded = manifest.as_ref().map_or(0, |manifest| manifest.folded_through);
        log::repack(engine, folded, reached.sequence, |sequence, payload| {
            log.push((sequence, payload));
            Ok(())
        })?;
        let mut kept = manifest::read_kept(engine)?;
        kept.retain(|kept| owners(&kept.parts).into_iter().all(|owner| root.join(generation_name(owner)).is_dir()));
        let mut jobs = jobs::read(engine)?;
        jobs::interrupt(&mut jobs);
        Ok(Contents { birth, manifest, kept, reached, jobs, log })
    }

    /// Writes everything into a store that is empty. Not yet durable.
    pub(crate) fn write(&self, engine: &Engine) -> Result<()> {
        manifest::write_birth(engine, &self.birth)?;
        write_manifests(engine, self.manifest.as_ref(), self.kept.iter())?;
        jobs::write(engine, &self.jobs)?;
        log::write(engine, &self.log)
    }
}

/// Writes the manifests of the current generation and of those kept beside it into a store that has none. Not yet durable.
pub(crate) fn write_manifests<'a>(
    engine: &Engine,
    manifest: Option<&Manifest>,
    kept: impl Iterator<Item = &'a Manifest>,
) -> Result<()> {
    let mut numbers = Vec::new();
    for kept in kept {
        manifest::write_kept(engine, kept)?;
        numbers.push(kept.generation);
    }
    manifest.map_or(Ok(()), |manifest| manifest::write(engine, manifest, &numbers))
}

/// Whose database it is: `FORMAT`, `ACKED` and the store have to agree. A database of format 1 gets an identity; while it is being given to its
/// files, which ends with `ACKED`, some have it and some do not.
fn belongs(
    root: &Path,
    format: Option<Identity>,
    witness: Option<Identity>,
    (place, store): (&Path, Option<Birth>),
) -> Result<Birth> {
    let settled = witness.is_some();
    let stored = store.as_ref().map(|birth| birth.identity);
    let known = [(FORMAT, format), ("the store", stored), (ACKED, witness)];
    let mut named = known.iter().filter_map(|(name, identity)| identity.map(|identity| (name, identity)));
    let first = named.next();
    if let Some((one, identity)) = first
        && let Some((other, another)) = named.find(|(_, another)| *another != identity)
    {
        let what = format!("{one} is of the database {identity}, {other} of the database {another}");
        return Err(Error::corrupt(root, what, RESTORE));
    }
    if settled && (format.is_none() || stored.is_none()) {
        let older = if format.is_none() { &root.join(FORMAT) } else { place };
        let what = format!("{ACKED} has the identity of the database, this has none: it is of another one, or older");
        return Err(Error::corrupt(older, what, RESTORE));
    }
    let identity = first.map_or_else(Identity::draw, |(_, identity)| identity);
    Ok(store.unwrap_or(Birth { identity, properties: Default::default() }))
}

/// The tail and the manifest against the witness. Returns what was recovered: the log as far as none of its records is missing.
fn check_against(engine: &Engine, manifest: Option<&Manifest>, acked: Acked) -> Result<Acked> {
    let folded = manifest.map_or(0, |manifest| manifest.folded_through);
    let generation = manifest.map_or(0, |manifest| manifest.generation);
    let bad = |what: String| Err(Error::corrupt(engine.path(), what, RESTORE));
    if generation < acked.generation {
        return bad(format!("generation {} was published, but the newest found is {generation}", acked.generation));
    }
    let mut last = folded;
    if let Some((log_first, log_last)) = log::bounds(engine)? {
        if log_first > folded.saturating_add(1) {
            return bad(format!("the log begins with record {log_first}, but the generation ends with {folded}"));
        }
        // A power cut may leave later writes that were not synced without earlier ones. None of them was acknowledged: the log ends before the
        // first that is missing.
        last = log::unbroken(engine, folded, log_last)?;
        if last < acked.sequence && acked.sequence <= log_last {
            return bad(format!("log record {} is missing (the log goes to {log_last})", last + 1));
        }
    }
    if last < acked.sequence {
        return bad(format!("record {} was acknowledged, but the log ends with {last}", acked.sequence));
    }
    Ok(Acked { sequence: last, generation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Packer;
    use crate::record::Record;
    use crate::store::TREES;

    /// A store whose log holds these runs of records.
    fn store(dir: &Path, runs: &[std::ops::RangeInclusive<u64>]) -> Engine {
        let engine = Engine::create(&dir.join("store-1"), &TREES, 1 << 20).unwrap();
        let values: Vec<(u64, Vec<u8>)> = runs
            .iter()
            .map(|run| {
                let mut packer = Packer::new(*run.start());
                for sequence in run.clone() {
                    assert!(packer.push(&Record::Remove { user: 0, item: sequence as u32 }).is_none());
                }
                packer.finish().unwrap()
            })
            .collect();
        log::write(&engine, &values).unwrap();
        engine
    }

    #[test]
    fn the_log_ends_before_what_was_lost_if_nobody_was_told_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let engine = store(dir.path(), &[1..=4, 5..=9, 12..=20, 21..=30]);
        let reached = |sequence| check_against(&engine, None, Acked { sequence, generation: 0 });
        for sequence in 0..=9 {
            assert_eq!(reached(sequence).unwrap().sequence, 9);
        }
        for sequence in 10..=30 {
            assert!(reached(sequence).unwrap_err().to_string().contains("log record 10 is missing"));
        }
        assert!(reached(31).unwrap_err().to_string().contains("was acknowledged"));
        let missing: Vec<u64> = (0..=30).filter(|&after| log::unbroken(&engine, after, 30).unwrap() == after).collect();
        assert_eq!(missing, [9, 10, 30]);
    }
}
