//! A directory for an engine that nobody may ever name: the copy it recovers, or the store that is to follow.

use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use crate::directory::{copy_file, entries, remove};
use crate::error::{Error, Result};

/// The directory in which the engine would keep large values: always empty.
const BLOBS: &str = "blobs";

/// Whether a file is not carried over into a copy: the engine's settings, always the same, which a new one is started with, and a snapshot that
/// was being written when the process died, which makes every later open fail.
fn is_left_behind(name: &str) -> bool {
    name == "conf" || (name.starts_with("snap.") && name.ends_with(".generating"))
}

/// A directory of our own making. It stays on the disk unless it is removed, which works even where no file can be opened any more: an opening
/// that is refused for that reason leaves nothing behind either.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Its directories, inner ones first, each opened while that was possible and not read before the removal.
    listings: Vec<(PathBuf, ReadDir)>,
}

impl Scratch {
    /// Copies the files of an engine to `path`. Whatever is there already is replaced. Not durable.
    pub(crate) fn copy(from: &Path, path: &Path) -> Result<Scratch> {
        Scratch::make(path, |scratch| scratch.fill(from))
    }

    /// Makes a directory in which an engine can begin. Whatever is there already is replaced. Not durable.
    pub(crate) fn empty(path: &Path) -> Result<Scratch> {
        Scratch::make(path, |_| Ok(()))
    }

    fn make(path: &Path, fill: impl FnOnce(&Scratch) -> Result<()>) -> Result<Scratch> {
        remove(path)?;
        let mut scratch = Scratch { path: path.to_path_buf(), listings: Vec::new() };
        let blobs = path.join(BLOBS);
        let made = scratch.add(path.to_path_buf()).and_then(|()| scratch.add(blobs)).and_then(|()| fill(&scratch));
        match made {
            Ok(()) => Ok(scratch),
            Err(error) => {
                let _ = scratch.remove();
                Err(error)
            }
        }
    }

    fn fill(&self, from: &Path) -> Result<()> {
        for name in entries(from)? {
            if name == BLOBS {
                let blobs = from.join(BLOBS);
                entries(&blobs)?
                    .iter()
                    .try_for_each(|blob| copy_file(&blobs.join(blob), &self.path.join(BLOBS).join(blob)))?;
            } else if !is_left_behind(&name) {
                copy_file(&from.join(&name), &self.path.join(&name))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, directory: PathBuf) -> Result<()> {
        fs::create_dir(&directory).map_err(|e| Error::io("create", &directory, e))?;
        match fs::read_dir(&directory) {
            Ok(listing) => {
                self.listings.insert(0, (directory, listing));
                Ok(())
            }
            Err(e) => {
                let _ = fs::remove_dir(&directory);
                Err(Error::io("list", &directory, e))
            }
        }
    }

    /// Removes it, without opening anything where that does: as much as can be.
    ///
    /// # Errors
    /// The first.
    pub(crate) fn remove(self) -> io::Result<()> {
        let mut removed = Ok(());
        // Some file systems list in a directory that was opened only what there was then.
        for name in ["db", "conf"] {
            let _ = fs::remove_file(self.path.join(name));
        }
        for (directory, listing) in self.listings {
            for entry in listing {
                let gone = entry.and_then(|entry| fs::remove_file(entry.path()));
                match gone {
                    // The inner directories are gone by now.
                    Err(e) if e.kind() != io::ErrorKind::NotFound => removed = removed.and(Err(e)),
                    _ => {}
                }
            }
            removed = removed.and(fs::remove_dir(&directory));
        }
        if removed.is_ok() { removed } else { fs::remove_dir_all(&self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_recovery_needs_and_goes_with_what_came_since() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("store-1"), dir.path().join("store-2"));
        fs::create_dir_all(from.join(BLOBS)).unwrap();
        for name in ["db", "conf", "snap.0A", "snap.0B.generating"] {
            fs::write(from.join(name), name).unwrap();
        }
        fs::create_dir(&to).unwrap();
        fs::write(to.join("stale"), "x").unwrap();
        let copy = Scratch::copy(&from, &to).unwrap();
        assert_eq!(entries(&to).unwrap(), [BLOBS, "db", "snap.0A"]);
        assert_eq!(fs::read(to.join("db")).unwrap(), b"db");
        fs::write(to.join("snap.0C"), "later").unwrap();
        fs::write(to.join(BLOBS).join("5"), "later").unwrap();
        copy.remove().unwrap();
        assert!(!to.exists());
        assert!(matches!(Scratch::copy(&dir.path().join("absent"), &to), Err(Error::Io { .. })));
        assert!(!to.exists(), "what failed leaves nothing");
        let empty = Scratch::empty(&to).unwrap();
        assert_eq!(entries(&to).unwrap(), [BLOBS]);
        fs::write(to.join("db"), "later").unwrap();
        empty.remove().unwrap();
        assert!(!to.exists());
    }

    #[test]
    fn what_an_open_directory_does_not_list_is_removed_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store-2");
        let mut scratch = Scratch::empty(&path).unwrap();
        // As on btrfs, where files that came after a directory was opened are not listed.
        scratch.listings.iter_mut().for_each(|(_, listing)| listing.for_each(drop));
        for name in ["db", "conf", "snap.0C", "blobs/5"] {
            fs::write(path.join(name), "later").unwrap();
        }
        scratch.remove().unwrap();
        assert!(!path.exists());
    }
}
