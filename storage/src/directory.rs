//! The files around the engine: names, `FORMAT`, `CURRENT`, and writing small files so that a power cut leaves the old or the new one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Error, RESTORE, Result};
use crate::identity::Identity;

/// The format this version writes, and the newest it reads.
pub(crate) const FORMAT_VERSION: u32 = 4;

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const FORMAT: &str = "FORMAT";
pub(crate) const CURRENT: &str = "CURRENT";
pub(crate) const ACKED: &str = "ACKED";
pub(crate) const RESERVE: &str = "RESERVE";
/// What a job that was broken off had come to.
pub(crate) const CHECKPOINT: &str = "checkpoint.bin";
/// Present while a database is being created, so that a torn creation is told from a database that lost its `FORMAT`.
pub(crate) const CREATING: &str = "CREATING";

/// Suffix of whatever is not yet complete.
pub(crate) const UNFINISHED: &str = ".tmp";

pub(crate) fn store_name(number: u64) -> String {
    format!("store-{number}")
}

/// What lies beside a store that an opening makes, until `CURRENT` names it: one that is left is of an opening that was killed.
pub(crate) fn mark_name(store: u64) -> String {
    format!("store-{store}{UNFINISHED}")
}

pub(crate) fn generation_name(number: u64) -> String {
    format!("gen-{number}")
}

pub(crate) fn state_name(number: u64) -> String {
    format!("state-{number}.bin")
}

/// What a name in a database directory belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// One of the single files.
    Fixed,
    Store(u64),
    Generation(u64),
    State(u64),
    /// What the last job had come to.
    Checkpoint,
    /// Something of ours that was never completed.
    Unfinished,
    /// Not ours: never touched.
    Foreign,
}

impl Entry {
    pub(crate) fn of(name: &str) -> Entry {
        if [LOCK, FORMAT, CURRENT, ACKED, RESERVE, CREATING].contains(&name) {
            return Entry::Fixed;
        }
        if name == CHECKPOINT {
            return Entry::Checkpoint;
        }
        let number = |text: &str| text.parse::<u64>().ok().filter(|n| n.to_string() == text);
        if let Some(whole) = name.strip_suffix(UNFINISHED) {
            // Copies that are made to be read have a number before the suffix.
            let whole =
                whole.rsplit_once('.').filter(|(_, copy)| number(copy).is_some()).map_or(whole, |(name, _)| name);
            return if Entry::of(whole) == Entry::Foreign { Entry::Foreign } else { Entry::Unfinished };
        }
        if let Some(n) = name.strip_prefix("store-").and_then(number) {
            Entry::Store(n)
        } else if let Some(n) = name.strip_prefix("gen-").and_then(number) {
            Entry::Generation(n)
        } else if let Some(n) = name.strip_prefix("state-").and_then(|n| n.strip_suffix(".bin")).and_then(number) {
            Entry::State(n)
        } else {
            Entry::Foreign
        }
    }
}

impl Entry {
    /// The number of a store.
    pub(crate) fn store(self) -> Option<u64> {
        if let Entry::Store(number) = self { Some(number) } else { None }
    }
}

/// Names in a directory, sorted. Names that are not UTF-8 cannot be ours and are left out.
pub(crate) fn entries(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| Error::io("list", path, e))? {
        let entry = entry.map_err(|e| Error::io("list", path, e))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The number of the store that a name marks.
fn marked(name: &str) -> Option<u64> {
    name.strip_suffix(UNFINISHED).and_then(|name| Entry::of(name).store())
}

/// A number above those of all stores there are and of all marks, with another one after it.
pub(crate) fn next_store(root: &Path, current: u64) -> Result<u64> {
    let names = entries(root)?;
    let taken = names.iter().filter_map(|name| Entry::of(name).store().or_else(|| marked(name)));
    let last = taken.max().unwrap_or(0).max(current);
    match last.checked_add(2) {
        Some(after) => Ok(after - 1),
        None => Err(Error::corrupt(
            &root.join(store_name(last)),
            "no store can come after one of this number",
            "move it away where CURRENT does not name it, else restore the database from a backup",
        )),
    }
}

/// Removes what openings have left that were killed: stores above the current one, each with its mark, and copies that were recovered. What cannot be
/// removed stays until an opening is accepted.
pub(crate) fn remove_marked(root: &Path, current: u64) -> Result<()> {
    let names = entries(root)?;
    let left: Vec<u64> = names.iter().filter_map(|name| marked(name)).filter(|&store| store > current).collect();
    // What `CURRENT` says here is on the disk before what it might have said instead goes.
    if left.is_empty() || sync_directory(root).is_err() {
        return Ok(());
    }
    for store in left {
        if remove(&root.join(store_name(store))).is_ok() {
            let _ = remove(&root.join(mark_name(store)));
        }
    }
    Ok(())
}

/// Removes the mark of a store that is gone.
pub(crate) fn unmark(root: &Path, store: u64) {
    if !root.join(store_name(store)).exists() {
        let _ = remove(&root.join(mark_name(store)));
    }
}

/// Makes a directory, and whatever is missing above it, durably.
pub(crate) fn create_directories(path: &Path) -> Result<()> {
    let made: Vec<&Path> =
        path.ancestors().take_while(|level| !level.as_os_str().is_empty() && !level.exists()).collect();
    fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
    made.iter().rev().filter_map(|level| level.parent()).try_for_each(sync_directory)
}

/// Copies a file to a new one. The copy is not yet durable.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|e| Error::io("read", from, e))?;
    let mut copy = File::create(to).map_err(|e| Error::io("create", to, e))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                let read = buffer.get(..read).unwrap_or_default();
                copy.write_all(read).map_err(|e| Error::io("write", to, e))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("read", from, e)),
        }
    }
}

/// Makes the names in a directory durable. Does nothing where directories cannot be synced.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path).and_then(|directory| directory.sync_all()).map_err(|e| Error::io("sync", path, e))?;
    }
    Ok(())
}

/// Makes every file of a directory durable, then the directory, and all below it.
pub(crate) fn sync_files(path: &Path) -> Result<()> {
    for name in entries(path)? {
        let file = path.join(name);
        if file.is_dir() {
            sync_files(&file)?;
        } else {
            File::open(&file).and_then(|file| file.sync_all()).map_err(|e| Error::io("sync", &file, e))?;
        }
    }
    sync_directory(path)
}

/// Renames and makes the new name durable. Both are in the same directory.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("rename", from, e))?;
    to.parent().map_or(Ok(()), sync_directory)
}

/// Removes a file or a whole directory. One that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    // Looked at only where it is no file: that may fail where removing does not, and the other way round.
    let removed = fs::remove_file(path).or_else(|error| match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Bytes of a file, or of all files below a directory. What vanishes meanwhile counts nothing.
pub(crate) fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    entries(path).map_or(0, |names| names.iter().map(|name| size(&path.join(name))).sum())
}

/// Replaces a one-line file atomically and durably. The line carries its own checksum.
fn write_line(path: &Path, text: &str) -> Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = Path::new(&unfinished);
    let line = format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes()));
    File::create(unfinished)
        .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|e| Error::io("write", unfinished, e))?;
    rename(unfinished, path)
}

/// Reads what [`write_line`] wrote.
fn read_line(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::corrupt(path, "the file is missing", RESTORE));
        }
        Err(e) => return Err(Error::io("read", path, e)),
    };
    let line = String::from_utf8(bytes).ok();
    let parts = line.as_deref().and_then(|line| line.strip_suffix('\n')).and_then(|line| line.rsplit_once(' '));
    match parts {
        Some((text, crc)) if crc == format!("{:08x}", crc32c::crc32c(text.as_bytes())) => Ok(text.to_owned()),
        _ => Err(Error::corrupt(path, "the line fails its checksum", RESTORE)),
    }
}

/// Writes `FORMAT`, which makes a directory a database.
pub(crate) fn write_format(root: &Path, identity: Identity) -> Result<()> {
    write_line(&root.join(FORMAT), &format!("kithdb {FORMAT_VERSION} {identity}"))
}

/// Checks `FORMAT`: the format, and the identity, which databases of format 1 do not have.
pub(crate) fn read_format(root: &Path) -> Result<(u32, Option<Identity>)> {
    let path = root.join(FORMAT);
    let line = read_line(&path)?;
    let words: Vec<&str> = line.strip_prefix("kithdb ").unwrap_or_default().split(' ').collect();
    let version = words.first().and_then(|version| version.parse::<u32>().ok());
    match (version, &words[..]) {
        (Some(1), [_]) => Ok((1, None)),
        (Some(version @ 2..=FORMAT_VERSION), [_, identity]) => match Identity::parse(identity) {
            Some(identity) => Ok((version, Some(identity))),
            None => Err(Error::corrupt(&path, format!("{identity:?} is not an identity"), RESTORE)),
        },
        (Some(found), _) if found > FORMAT_VERSION => {
            Err(Error::NewerFormat { path: root.to_path_buf(), found, known: FORMAT_VERSION })
        }
        _ => Err(Error::corrupt(&path, format!("{line:?} is not a format"), RESTORE)),
    }
}

/// Names the live store.
pub(crate) fn write_current(root: &Path, store: u64) -> Result<()> {
    write_line(&root.join(CURRENT), &store_name(store))
}

/// The number of the live store.
pub(crate) fn read_current(root: &Path) -> Result<u64> {
    let path = root.join(CURRENT);
    match Entry::of(&read_line(&path)?) {
        Entry::Store(number) => Ok(number),
        _ => Err(Error::corrupt(&path, "it does not name a store", RESTORE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(Entry::of("gen-12"), Entry::Generation(12));
        assert_eq!(Entry::of("gen-12.tmp"), Entry::Unfinished);
        assert_eq!(Entry::of("state-3.bin"), Entry::State(3));
        assert_eq!(Entry::of("state-3.bin.tmp"), Entry::Unfinished);
        assert_eq!(Entry::of("checkpoint.bin"), Entry::Checkpoint);
        assert_eq!(Entry::of("checkpoint.bin.tmp"), Entry::Unfinished);
        assert_eq!(Entry::of("gen-3.12.tmp"), Entry::Unfinished);
        assert_eq!(Entry::of("store-0"), Entry::Store(0));
        assert_eq!(Entry::of("CURRENT.tmp"), Entry::Unfinished);
        for foreign in [
            "gen-01",
            "gen-",
            "gen--1",
            "notes.txt",
            "notes.tmp",
            "notes.1.tmp",
            "gen-1.x.tmp",
            "gen-1.2",
            "store-1x",
            "lost+found",
        ] {
            assert_eq!(Entry::of(foreign), Entry::Foreign, "{foreign}");
        }
    }

    #[test]
    fn any_damage_to_a_line_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        write_current(dir.path(), 41).unwrap();
        assert_eq!(read_current(dir.path()).unwrap(), 41);
        let path = dir.path().join(CURRENT);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).unwrap();
                assert!(matches!(read_current(dir.path()), Err(Error::Corrupt { .. })), "byte {at} bit {bit}");
            }
            fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(read_current(dir.path()), Err(Error::Corrupt { .. })), "cut at {at}");
        }
    }
}
