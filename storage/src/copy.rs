//! A compact copy of a database: what is live and nothing else, in a directory of its own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::directory::{Entry, UNFINISHED, create_directories, entries, remove, rename};
use crate::error::{Error, Result};
use crate::generation::{Draft, GenerationWriter};
use crate::log;
use crate::manifest::Manifest;
use crate::plan::Plan;
use crate::record::Record;
use crate::rows::Rows;
use crate::store::{Store, StoreOptions};

/// Records that are appended to the copy together.
const GROUP: usize = 65_536;

impl Store {
    /// Writes the current generation, its training state, the records of the log after it and the records of jobs into a new database at `path`, which is
    /// absent or an empty directory. Every part is merged. The copy is of the moment of the call; appends go on meanwhile. It has its whole name when it
    /// is durable, and not before. It has an identity of its own, and none of the generations that are kept.
    ///
    /// Takes memory of about the log and the largest part.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is something at `path`, or it is inside the database; errors of reading, and of writing the copy, after which there
    /// is none.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        self.copy_while(path, &|| true)
    }

    /// [`Store::copy_to`] for as long as `goes_on` says so, which is asked between parts, and between groups of records.
    ///
    /// # Errors
    /// As [`Store::copy_to`], and [`Error::Ended`], after which there is no copy either.
    pub fn copy_while(&self, path: &Path, goes_on: &dyn Fn() -> bool) -> Result<()> {
        let going = || if goes_on() { Ok(()) } else { Err(Error::Ended) };
        going()?;
        let place = Place::of(path, &self.root)?;
        // One consistent view: what the log loses meanwhile belongs to a later generation.
        let mut records = Vec::new();
        let (scanned, manifest) = self.tail(|live, after, last| {
            log::scan(&live.engine, after, last, |packed, _| {
                going()?;
                packed.records(&live.engine, |sequence, record| {
                    records.extend((sequence > after && sequence <= last).then_some(record));
                    Ok(())
                })
            })
        });
        scanned?;
        let copied = self.copy(&place.unfinished, manifest, &records, &going);
        copied.and_then(|()| rename(&place.unfinished, &place.path)).inspect_err(|_| drop(remove(&place.unfinished)))
    }

    fn copy(
        &self,
        path: &Path,
        manifest: Option<Arc<Manifest>>,
        records: &[Record],
        going: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let properties = self.birth.properties.clone();
        let copy = Store::open(path, &StoreOptions { create: true, properties, ..self.options.clone() })?;
        if let Some(manifest) = manifest {
            copy.take_generation(self, &manifest, going)?;
        }
        records.chunks(GROUP).try_for_each(|records| going().and_then(|()| copy.append(records).map(drop)))?;
        self.jobs()?.iter().try_for_each(|job| copy.note_job(job))?;
        copy.close()
    }

    /// Publishes a generation of another database as it is, in one that is empty.
    fn take_generation(&self, from: &Store, manifest: &Arc<Manifest>, going: &dyn Fn() -> Result<()>) -> Result<()> {
        // The log goes on where the generation ends.
        self.last.store(manifest.folded_through, Ordering::Release);
        self.writing.store(true, Ordering::Release);
        let mut writer = GenerationWriter::begin(self, manifest.generation)?;
        let reader = from.read_generation(Arc::clone(manifest));
        for part in &manifest.parts {
            going()?;
            let mut bytes = vec![0; part.bytes as usize];
            let lengths = reader.read(part, &mut bytes)?;
            let (form, ragged, derived) = (part.form(), part.ragged, part.derived);
            let plan = Plan {
                name: &part.name,
                dtype: &part.dtype,
                shape: &part.shape,
                element: form.element,
                ragged,
                derived,
            };
            writer.put(&plan, &Rows { bytes: &bytes, form, lengths: &lengths })?;
        }
        // Losing the state costs a cold training: what cannot be read is left out, all of it, so that it is read before any of it is written.
        if let Ok(Some(state)) = from.read_state(manifest) {
            match state.each(|_, _| going()) {
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => state.each(|plan, rows| going().and_then(|()| writer.put_state(plan, rows)))?,
            }
        }
        let Manifest { folded_through, trained_through, ref attributes, .. } = **manifest;
        writer.publish(Draft { folded_through, trained_through, attributes: attributes.clone(), rewrite: false })?;
        Ok(())
    }
}

/// Where a copy goes.
struct Place {
    path: PathBuf,
    /// What it is called until it is whole.
    unfinished: PathBuf,
}

impl Place {
    /// That of a copy at `path` of the database in `root`.
    fn of(path: &Path, root: &Path) -> Result<Place> {
        let invalid =
            |what: &str| Error::invalid(format!("{}: {what}: name a directory that is not there yet", path.display()));
        let io = |e| Error::io("open", path, e);
        // A link to an empty directory is as good as the directory, which is what a rename can replace.
        let place = match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                fs::canonicalize(path).map_err(|_| invalid("it is a link that leads nowhere"))?
            }
            _ => path.to_path_buf(),
        };
        if place.exists() && !(place.is_dir() && entries(&place)?.is_empty()) {
            return Err(invalid("there is something already"));
        }
        let mut name = place.file_name().map(OsString::from).ok_or_else(|| invalid("it has no name"))?;
        name.push(UNFINISHED);
        let unfinished = place.with_file_name(name);
        // Before anything is made: what is there of the way to it tells where it leads.
        let there = std::path::absolute(&place).map_err(io)?;
        if let Some(there) = there.ancestors().find(|level| level.exists())
            && fs::canonicalize(there).map_err(io)?.starts_with(root)
        {
            return Err(invalid(&format!("it is inside {}, which is to be copied", root.display())));
        }
        if let Some(parent) = unfinished.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            create_directories(parent)?;
        }
        if unfinished.exists() {
            // What a copy left that did not come to its end has our files and no others.
            let ours =
                unfinished.is_dir() && entries(&unfinished)?.iter().all(|name| Entry::of(name) != Entry::Foreign);
            if !ours {
                return Err(invalid("what it would be called until it is whole is something else"));
            }
            remove(&unfinished)?;
        }
        Ok(Place { path: place, unfinished })
    }
}
