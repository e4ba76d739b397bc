//! A copy of an engine's directory, for the engine to recover.

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
pub(crate) struct Copy {
    path: PathBuf,
    /// Its directories, inner ones first, each opened while that was possible and not read before the removal.
    listings: Vec<(PathBuf, ReadDir)>,
}

impl Copy {
    /// Copies the files of an engine to `path`. Whatever is there already is replaced. Not durable.
    pub(crate) fn make(from: &Path, path: &Path) -> Result<Copy> {
        remove(path)?;
        let mut copy = Copy { path: path.to_path_buf(), listings: Vec::new() };
        match copy.fill(from) {
            Ok(()) => Ok(copy),
            Err(error) => {
                let _ = copy.remove();
                Err(error)
            }
        }
    }

    fn fill(&mut self, from: &Path) -> Result<()> {
        self.add(self.path.clone())?;
        self.add(self.path.join(BLOBS))?;
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

    /// Removes it, without opening anything.
    pub(crate) fn remove(self) -> io::Result<()> {
        for (directory, listing) in self.listings {
            for entry in listing {
                let path = entry?.path();
                match fs::remove_file(&path) {
                    // The inner directories are gone by now.
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            fs::remove_dir(&directory)?;
        }
        Ok(())
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
        let copy = Copy::make(&from, &to).unwrap();
        assert_eq!(entries(&to).unwrap(), [BLOBS, "db", "snap.0A"]);
        assert_eq!(fs::read(to.join("db")).unwrap(), b"db");
        fs::write(to.join("snap.0C"), "later").unwrap();
        fs::write(to.join(BLOBS).join("5"), "later").unwrap();
        copy.remove().unwrap();
        assert!(!to.exists());
        assert!(matches!(Copy::make(&dir.path().join("absent"), &to), Err(Error::Io { .. })));
        assert!(!to.exists(), "what failed leaves nothing");
    }
}
