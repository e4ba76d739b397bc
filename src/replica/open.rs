//! A folder as a moment of a database.

use std::fs;
use std::io::ErrorKind;
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
        Err(e) if e.kind() == ErrorKind::NotFound => {
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
    read_newest(path, kernel, &pool).map(|(_, snapshot)| snapshot)
}

/// Reads the newest snapshot at a path, and tells its folder. One that goes away meanwhile was followed by others.
pub(super) fn read_newest(path: &Path, kernel: Kernel, pool: &Arc<Pool>) -> Result<(PathBuf, Snapshot)> {
    following(|| newest(path), |folder| read(folder, kernel, pool))
}

/// What is read of the place that is the newest: where that fails, of one that is newer by then.
fn following<T>(newest: impl Fn() -> Result<PathBuf>, read: impl Fn(&Path) -> Result<T>) -> Result<(PathBuf, T)> {
    let mut place = newest()?;
    loop {
        match read(&place) {
            Ok(read) => return Ok((place, read)),
            Err(error) => {
                let newer = newest()?;
                if newer == place {
                    return Err(error);
                }
                place = newer;
            }
        }
    }
}

/// Reads a folder.
fn read(path: &Path, kernel: Kernel, pool: &Arc<Pool>) -> Result<Snapshot> {
    let folder = Folder::open(path)?;
    let (catalogues, tail) = pool.run(|| load(&folder, kernel))?;
    Ok(Live::new(catalogues, tail, Arc::clone(pool)).snapshot())
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
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            Err(folder.damage(&error.to_string()))
        }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_place_that_goes_away_while_it_is_read_is_followed() {
        let at = Cell::new(0);
        let newest = || Ok(PathBuf::from(format!("{}", at.get())));
        // Two newer ones come while one is read, each time until the fourth.
        let read = |place: &Path| {
            let number: u32 = place.to_string_lossy().parse().unwrap_or_default();
            at.set((number + 2).min(6));
            if number < 6 { Err(Error::NotTrained) } else { Ok(number) }
        };
        assert_eq!(following(newest, read).unwrap(), (PathBuf::from("6"), 6));
        // One that stays the newest is told of.
        assert!(matches!(following(newest, |_| Err::<(), _>(Error::NotTrained)), Err(Error::NotTrained)));
    }
}
