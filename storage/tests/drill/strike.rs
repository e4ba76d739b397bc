//! Damage to a database directory, and taking it back: bytes flipped, cut off and zeroed, and files of another database, or older ones of
//! the same, put in the place of its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{Files, read};

/// Ways to damage, in turn.
pub const WAYS: u64 = 6;

/// Databases whose files are put in the place of others.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The same database, earlier.
    pub older: Vec<PathBuf>,
    /// Others.
    pub foreign: Vec<PathBuf>,
}

/// What was done, and what was there before.
pub struct Strike {
    pub story: String,
    /// The file or directory that was damaged.
    place: PathBuf,
    whole: Files,
}

impl Strike {
    /// Puts back what was damaged, and nothing else.
    pub fn undo(&self, root: &Path) {
        self.replace(root, &self.whole);
    }

    fn replace(&self, root: &Path, files: &Files) {
        let place = root.join(&self.place);
        let _ = if place.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) };
        for (name, bytes) in files {
            match (root.join(name), bytes) {
                (path, Some(bytes)) => fs::write(path, bytes).unwrap(),
                (path, None) => fs::create_dir_all(path).unwrap(),
            }
        }
    }
}

fn below(files: &Files, place: &Path) -> Files {
    files
        .iter()
        .filter(|(name, _)| name.starts_with(place))
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect()
}

/// The last byte that is not zero, and one: the engine allocates its files ahead.
fn written(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|&byte| byte != 0).map_or(1, |at| at as u64 + 1)
}

/// Damages a database in the way of this number. `below` draws a number below its argument.
pub fn strike(root: &Path, way: u64, sources: &Sources, random: &mut dyn FnMut(u64) -> u64) -> Strike {
    let files = read(root);
    let damageable: Vec<(&PathBuf, &Vec<u8>)> = files
        .iter()
        .filter_map(|(name, bytes)| Some((name, bytes.as_ref()?)))
        .filter(|(name, bytes)| !bytes.is_empty() && !name.ends_with("RESERVE"))
        .collect();
    if way % WAYS >= 3 {
        let foreign = way % WAYS == 3 || (way % WAYS == 5 && random(2) == 0);
        let lists = [&sources.foreign, &sources.older];
        for list in if foreign { lists } else { [lists[1], lists[0]] } {
            if let Some(strike) = swap(root, &files, list, way % WAYS == 5, random) {
                return strike;
            }
        }
    }
    // Half of the strikes go to the engine's data files, where nearly all of the bytes are.
    let data: Vec<_> = damageable.iter().copied().filter(|(name, _)| name.ends_with("db")).collect();
    let list = if random(2) == 0 && !data.is_empty() { data } else { damageable };
    let (name, whole) = list[random(list.len() as u64) as usize];
    let mut bytes = whole.clone();
    let end = if random(4) == 0 { bytes.len() as u64 } else { written(&bytes) };
    let at = if random(3) == 0 { end - 1 - random(end.min(2_000)) } else { random(end) };
    let how = match way % WAYS {
        0 => {
            bytes.truncate(at as usize);
            format!("cut to {at}")
        }
        1 => {
            let bit = random(8);
            bytes[at as usize] ^= 1 << bit;
            format!("bit {bit} flipped at {at}")
        }
        _ => {
            let from = at as usize / 4096 * 4096;
            let to = bytes.len().min(from + 4096);
            bytes[from..to].fill(0);
            format!("page zeroed at {from}")
        }
    };
    fs::write(root.join(name), &bytes).unwrap();
    let story = format!("{} of {} bytes: {how}", name.display(), whole.len());
    Strike { story, place: name.clone(), whole: below(&files, name) }
}

/// Puts a file, or a directory of the engine, of one of the sources in the place of the database's own; `None` where nothing differs.
fn swap(
    root: &Path,
    files: &Files,
    sources: &[PathBuf],
    directories: bool,
    random: &mut dyn FnMut(u64) -> u64,
) -> Option<Strike> {
    let mut found = Vec::new();
    for source in sources {
        let theirs = read(source);
        let mut places: Vec<PathBuf> = match directories {
            false => {
                let theirs = theirs.iter().filter(|(name, bytes)| bytes.is_some() && files.contains_key(*name));
                theirs.map(|(name, _)| name.clone()).collect()
            }
            true => theirs.keys().filter_map(|name| Some(name.parent()?.to_path_buf())).collect(),
        };
        places.dedup();
        places.retain(|place| {
            !place.as_os_str().is_empty() && root.join(place).exists() && below(&theirs, place) != below(files, place)
        });
        found.extend(places.into_iter().map(|place| (source, below(&theirs, &place), place)));
    }
    let (source, theirs, place) =
        (!found.is_empty()).then(|| found.swap_remove(random(found.len() as u64) as usize))?;
    let whole = below(files, &place);
    let strike =
        Strike { story: format!("{} of {}", place.display(), source.file_name().unwrap().display()), place, whole };
    strike.replace(root, &theirs);
    Some(strike)
}
