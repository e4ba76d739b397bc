//! Disk space: how much is left, and a reserve to give back.
//!
//! The engine recovers on opening, for which it has to write. On a full disk it could not be opened again, not even to free space, if
//! there were no reserve file to delete.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::directory::{RESERVE, UNFINISHED, sync_directory};
use crate::error::{Error, Result};

/// Bytes of the reserve: a recovered tail segment (512 KiB), a snapshot of the engine's page table, and our own small files.
const RESERVE_BYTES: u64 = 2 << 20;

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

/// Makes the reserve if it is not there and there is room for twice as much. Best effort: a database without one works.
pub(crate) fn ensure_reserve(root: &Path) {
    let path = root.join(RESERVE);
    if path.exists() || free(root).is_some_and(|free| free < 2 * RESERVE_BYTES) {
        return;
    }
    let unfinished = root.join(format!("{RESERVE}{UNFINISHED}"));
    let written = File::create(&unfinished).and_then(|mut file| {
        let zeros = vec![0; 64 * 1024];
        for _ in 0..RESERVE_BYTES / zeros.len() as u64 {
            file.write_all(&zeros)?;
        }
        file.sync_all()
    });
    if written.and_then(|()| fs::rename(&unfinished, &path)).is_err() {
        let _ = fs::remove_file(&unfinished);
    }
}

/// Gives the reserve back. Says whether there was one.
pub(crate) fn release_reserve(root: &Path) -> bool {
    fs::remove_file(root.join(RESERVE)).is_ok() && sync_directory(root).is_ok()
}
