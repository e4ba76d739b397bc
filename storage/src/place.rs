//! Whether an open file is still where it was opened.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The path and the system's number of a file that was opened. A file that is removed or moved takes writes as before, and loses them.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    number: Option<(u64, u64)>,
}

impl Place {
    pub(crate) fn of(path: &Path, file: &File) -> Result<Place> {
        let metadata = file.metadata().map_err(|e| Error::io("look at", path, e))?;
        Ok(Place { path: path.to_path_buf(), number: number(&metadata) })
    }

    /// Refuses when the path no longer leads to the file.
    pub(crate) fn check(&self) -> Result<()> {
        let metadata = fs::metadata(&self.path).map_err(|e| Error::io("find", &self.path, e))?;
        if number(&metadata) == self.number {
            return Ok(());
        }
        let replaced = std::io::Error::other("another file has taken its place since it was opened");
        Err(Error::io("find", &self.path, replaced))
    }
}

#[cfg(unix)]
fn number(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        let place = Place::of(&path, &file).unwrap();
        place.check().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(place.check(), Err(Error::Io { .. })));
        File::create(&path).unwrap();
        assert!(cfg!(not(unix)) || matches!(place.check(), Err(Error::Io { .. })));
    }
}
