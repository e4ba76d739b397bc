//! Disk space: how much is left, and a reserve to give back.
//!
//! An opening copies the store. On a full disk it could not, and the database could not be opened again, not even to free space, if there were
//! no reserve file to delete. So the reserve grows with the store, before what it has to cover is written.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::directory::{RESERVE, remove, sync_directory};
use crate::engine::RECOVERY;
use crate::error::{Error, Result, is_full};

/// The steps the reserve grows by, in bytes.
const STEP: u64 = 1 << 20;
/// Bytes by which the engine may extend its file for a group of records, however small: a few segments.
const SEGMENTS: u64 = 1 << 20;

/// Bytes that stay free when a generation is written.
pub(crate) const MARGIN: u64 = 8 << 20;

/// Bytes that an unprivileged process may still write, where the system tells.
pub(crate) fn free(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Refuses an operation that would not fit.
pub(crate) fn require(path: &Path, action: &'static str, needed: u64) -> Result<()> {
    match free(path) {
        Some(free) if free < needed => {
            Err(Error::DiskFull { action, path: path.to_path_buf(), needed: Some(needed), free: Some(free) })
        }
        _ => Ok(()),
    }
}

/// The file that holds room for the next opening.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    released: bool,
}

impl Reserve {
    /// The reserve of a database, as it is.
    pub(crate) fn of(root: &Path) -> Reserve {
        let path = root.join(RESERVE);
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Reserve { path, bytes, released: false }
    }

    /// Gives the reserve back if `needed` bytes do not fit otherwise.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when they do not fit even then; the reserve stays in that case.
    pub(crate) fn make_room(&mut self, needed: u64) -> Result<()> {
        let root = self.path.parent().unwrap_or(Path::new("."));
        match require(root, "open", needed) {
            Err(Error::DiskFull { action, path, needed: Some(needed), free: Some(free) }) => {
                if free + self.bytes < needed {
                    return Err(Error::DiskFull { action, path, needed: Some(needed), free: Some(free + self.bytes) });
                }
                remove(&self.path)?;
                (self.bytes, self.released) = (0, true);
                // Some file systems give the room back with the next sync.
                sync_directory(root)
            }
            other => other,
        }
    }

    /// Whether it was given back.
    pub(crate) fn was_released(&self) -> bool {
        self.released
    }

    /// Makes sure that a store of `data` bytes can be opened again on a disk that is full, once `coming` bytes are added.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when there is no room for it, [`Error::Io`]; the reserve is as it was then.
    pub(crate) fn cover(&mut self, data: u64, coming: u64) -> Result<()> {
        // Beside the data there is a snapshot of the page table; the engine adds its own to what it is given, and extends its file by segments.
        let growth = if coming > 0 { 2 * coming + SEGMENTS } else { 0 };
        let needed = data + data / 64 + RECOVERY + growth;
        if self.bytes >= needed {
            return Ok(());
        }
        // Ahead of need, so that few appends have to do it; as much as is needed, where there is no room for more.
        self.resize((needed + needed / 4).next_multiple_of(STEP)).or_else(|_| self.resize(needed))
    }

    /// [`Reserve::cover`], and gives back what is far more than needed.
    pub(crate) fn fit(&mut self, data: u64) -> Result<()> {
        let enough = (data + data / 64 + RECOVERY + SEGMENTS).next_multiple_of(STEP);
        if self.bytes > enough + enough / 4 { self.resize(enough) } else { self.cover(data, 0) }
    }

    fn resize(&mut self, bytes: u64) -> Result<()> {
        let fail = |e: std::io::Error| {
            if is_full(e.kind()) {
                let free = self.path.parent().and_then(free);
                let action = "keep room for the next opening in";
                return Error::DiskFull { action, path: self.path.clone(), needed: Some(bytes - self.bytes), free };
            }
            Error::io("write", &self.path, e)
        };
        // Nothing is ever read from it, and it may be lost: it is not synced.
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path).map_err(fail)?;
        if bytes < self.bytes {
            file.set_len(bytes).map_err(fail)?;
        } else if let Err(e) = allocate(&file, self.bytes, bytes) {
            let _ = file.set_len(self.bytes);
            return Err(fail(e));
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// Takes room for the bytes `from .. to` of a file.
fn allocate(file: &File, from: u64, to: u64) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), from, to - from) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        other => return other.map_err(Into::into),
    }
    let mut file = file;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(from))?;
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), to - from), &mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_follows_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let length = || fs::metadata(dir.path().join(RESERVE)).map_or(0, |metadata| metadata.len());
        let mut reserve = Reserve::of(dir.path());
        reserve.cover(0, 0).unwrap();
        assert_eq!(length(), STEP);
        for data in [1 << 20, 50 << 20, 52 << 20, 200 << 20] {
            reserve.cover(data, 0).unwrap();
            assert!(length() >= data + RECOVERY && length() <= 2 * data + 12 * STEP, "{} for {data}", length());
            assert_eq!(Reserve::of(dir.path()).bytes, length());
            reserve.cover(data, 3 << 20).unwrap();
            assert!(length() >= data + (6 << 20) + RECOVERY);
        }
        reserve.fit(1 << 20).unwrap();
        assert!((RECOVERY..=9 * STEP).contains(&length()), "{}", length());
        let free = free(dir.path()).unwrap();
        reserve.make_room(free.saturating_sub(1 << 20)).unwrap();
        assert!(length() > 0, "given back without need");
        assert!(matches!(reserve.make_room(u64::MAX / 2), Err(Error::DiskFull { .. })));
        assert!(length() > 0);
    }
}
