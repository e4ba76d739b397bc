//! Whether an open file is still where it was opened.

use std::fs::{File, Metadata};
use std::io;
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
        let number = number_of(file).map_err(|e| Error::io("look at", path, e))?;
        Ok(Place { path: path.to_path_buf(), number })
    }

    /// Refuses when the path no longer leads to the file.
    pub(crate) fn check(&self) -> Result<()> {
        if number_at(&self.path).map_err(|e| Error::io("find", &self.path, e))? == self.number {
            return Ok(());
        }
        let replaced = io::Error::other("another file has taken its place since it was opened");
        Err(Error::io("find", &self.path, replaced))
    }
}

/// Asks for the number alone. Where the kernel's time stamps are as fine as they are asked for (Linux 6.13), the first write to a file whose times were
/// looked at changes them, and the sync after it takes a third longer.
#[cfg(target_os = "linux")]
fn number_at(path: &Path) -> io::Result<Option<(u64, u64)>> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::INO)?;
    Ok(Some((makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino)))
}

#[cfg(not(target_os = "linux"))]
fn number_at(path: &Path) -> io::Result<Option<(u64, u64)>> {
    std::fs::metadata(path).map(|metadata| number(&metadata))
}

fn number_of(file: &File) -> io::Result<Option<(u64, u64)>> {
    file.metadata().map(|metadata| number(&metadata))
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

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
