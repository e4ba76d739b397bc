//! A folder of codes under way.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::{ITEMS, QUERIES, WEIGHTS, file};
use crate::error::Result;
use crate::npy::NpyError;

/// Where files are until all of them are whole, within the folder they are for.
const UNFINISHED: &str = "unfinished.tmp";

/// Files for a folder, which are in it together or not at all; they go where they are not finished.
pub(super) struct Unfinished<'a> {
    folder: &'a Path,
    path: PathBuf,
}

impl<'a> Unfinished<'a> {
    /// Begins; makes the folder where there is none.
    pub(super) fn begin(folder: &'a Path) -> Result<Self> {
        let path = folder.join(UNFINISHED);
        // Of a process that was ended.
        remove_all(&path).map_err(|e| NpyError::io("remove", &path, e))?;
        fs::create_dir_all(&path).map_err(|e| NpyError::io("create", &path, e))?;
        Ok(Self { folder, path })
    }

    /// Where to write them.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts them in the place of those of an earlier export. The weights, without which no codes are read, go first and come last.
    pub(super) fn finish(self) -> Result<()> {
        let sides = [ITEMS, QUERIES].into_iter();
        let parts = ["ids.npy", "ids.txt", "scalers.npy", "codes.npy", "planes.npy", "float.npy"];
        let names = sides.flat_map(|side| parts.map(|part| file(Path::new(""), side, part)));
        let names: Vec<PathBuf> = std::iter::once(PathBuf::from(WEIGHTS)).chain(names).collect();
        for name in &names {
            remove(&self.folder.join(name))?;
        }
        for (from, name) in names.iter().rev().map(|name| (self.path.join(name), name)) {
            if from.exists() {
                fs::rename(&from, self.folder.join(name)).map_err(|e| NpyError::io("rename", &from, e))?;
            }
        }
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // What is left tells by its name what it is. A folder that has something else stays.
        let _ = remove_all(&self.path);
        let _ = fs::remove_dir(self.folder);
    }
}

fn remove_all(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Removes a file an earlier export may have left.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(NpyError::io("remove", path, e).into()),
        _ => Ok(()),
    }
}
