//! A folder as a moment of a database.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::folder::{Folder, io};
use super::write::POINTER;
use crate::catalogue::Catalogues;
use crate::error::{Error, Result};
use crate::generation::Generation;
use crate::generation::stored::{self, Parts};
use crate::graph::postings::{Edge, NO_TIME};
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::pool::Pool;
use crate::repeats::Repeats;
use crate::snapshot::Snapshot;
use crate::tail::Tail;

/// The folder that answers at a path: the one its pointer names, or itself.
pub(super) fn newest(path: &Path) -> Result<PathBuf> {
    if Folder::is_at(path) {
        return Ok(path.to_owned());
    }
    let pointer = path.join(POINTER);
    let name = match fs::read_to_string(&pointer) {
        Ok(name) => name,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::InvalidArgument {
                what: format!("{} has no snapshot", path.display()),
                remedy: "give a folder that `kithdb snapshot` wrote into, with its SNAPSHOT file".into(),
            });
        }
        Err(e) => return Err(io("read", &pointer, e)),
    };
    let name = name.trim_end_matches('\n');
    // A pointer leads to a folder beside it and nowhere else.
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(Error::Damaged {
            what: format!("{} names {name:?}, which is no folder beside it", pointer.display()),
        });
    }
    Ok(path.join(name))
}

/// Opens the newest snapshot at a path, or the one that is there.
pub(crate) fn open(path: &Path) -> Result<Snapshot> {
    let (kernel, pool) = (Kernel::from_env()?, Arc::new(Pool::start("snapshot", 0)?));
    read(&newest(path)?, kernel, &pool).map(|(snapshot, _)| snapshot)
}

/// Reads a folder; the moment, and the hash of what it was read from.
pub(super) fn read(path: &Path, kernel: Kernel, pool: &Arc<Pool>) -> Result<(Snapshot, String)> {
    let folder = Folder::open(path)?;
    let (catalogues, tail) = pool.run(|| load(&folder, kernel))?;
    let snapshot = Live::new(catalogues, tail, Arc::clone(pool)).snapshot();
    Ok((snapshot, folder.hash().to_owned()))
}

fn load(folder: &Folder, kernel: Kernel) -> Result<(Catalogues, Tail)> {
    let catalogues = stored::catalogues(folder)?;
    let rows = |name| folder.number_of(name).map(|rows| u32::try_from(rows).unwrap_or(u32::MAX));
    let (n_users, n_items) = (rows("snapshot.users")?, rows("snapshot.items")?);
    if n_users > catalogues.users.len() || n_items > catalogues.items.len() {
        return Err(folder.damage("there are fewer ids than rows"));
    }
    let content = stored::read(folder, (n_users, n_items))?;
    let derived = stored::derived(folder, &content, kernel)?;
    let content_hash = folder.attributes().get("snapshot.content_hash").cloned().unwrap_or_default();
    let mut generation =
        Generation::new(folder.number(), content_hash, content, derived).described(folder.attributes());
    share(folder, &mut generation)?;
    let tail = tail(folder, &catalogues, Arc::new(generation))?;
    Ok((catalogues, tail))
}

/// Has what is large in memory that all processes share, where it lies there as this version reads it.
fn share(folder: &Folder, generation: &mut Generation) -> Result<()> {
    let (layout, _) = generation.item_index().stored_codes();
    if folder.attributes().get("snapshot.layout").is_none_or(|written| written != layout) {
        return Ok(());
    }
    let [words, scalers, users] =
        ["shared.items.words", "shared.items.scalers", "shared.users.words"].map(|name| folder.file(name));
    match generation.share([&words, &scalers, &users]) {
        Ok(true) => Ok(()),
        Ok(false) => Err(folder.damage("its shared files are not of its codes")),
        Err(error) => Err(io("map", &words, error)),
    }
}

/// What is not as in the generation.
fn tail(folder: &Folder, catalogues: &Catalogues, generation: Arc<Generation>) -> Result<Tail> {
    let misfit = || folder.damage("what came after its generation does not fit its ids");
    let numbers = |name: &str, below: u32| -> Result<RoaringBitmap> {
        let numbers: RoaringBitmap = folder.part::<u32>(name)?.into_iter().collect();
        if numbers.max().is_none_or(|last| last < below) { Ok(numbers) } else { Err(misfit()) }
    };
    let (n_users, n_items) = (catalogues.users.len(), catalogues.items.len());
    let forgotten = numbers("tail.forgotten", n_users)?;
    let retired = numbers("tail.retired", n_items)?;
    let mut changed = Vec::new();
    if folder.has("tail.users") {
        let (users, items): (Vec<u32>, Vec<u32>) = (folder.part("tail.users")?, folder.part("tail.items")?);
        let (weights, times): (Vec<f32>, Vec<i64>) = (folder.part("tail.weights")?, folder.part("tail.times")?);
        if [items.len(), weights.len(), times.len()] != [users.len(); 3] {
            return Err(misfit());
        }
        for ((user, item), (weight, time)) in users.into_iter().zip(items).zip(weights.into_iter().zip(times)) {
            if user >= n_users || item >= n_items || !(0.0..=f32::MAX).contains(&weight) {
                return Err(misfit());
            }
            let edge = Edge { weight, time: Some(time).filter(|&time| time != NO_TIME) };
            changed.push((user, item, (weight > 0.0).then_some(edge)));
        }
    }
    let repeats = folder.attributes().get("snapshot.repeats").map_or(Ok(Repeats::default()), |name| {
        Repeats::parse(name).map_err(|error| folder.damage(&error.to_string()))
    })?;
    let applied = folder.number_of("snapshot.sequence")?;
    Ok(Tail::restored(generation, (applied, repeats), changed.into_iter(), &forgotten, retired))
}
