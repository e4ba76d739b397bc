//! `LOCK`: one owner at a time, who signs it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::Path;

use crate::directory::LOCK;
use crate::error::{Error, Result};

/// An exclusive lock on a database directory, held until dropped. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// Unlocked by name: a process that another thread is just starting may hold the descriptor for a moment longer.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock and writes the process's number and name into it, or says who has it.
    pub(crate) fn take(root: &Path) -> Result<Lock> {
        let path = root.join(LOCK);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(|e| match e
                .kind()
            {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Error::NotWritable { path: root.to_path_buf(), source: e }
                }
                _ => Error::io("open", &path, e),
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let signed = fs::read_to_string(&path).unwrap_or_default();
                let holder = match signed.lines().next() {
                    Some(line) if !line.is_empty() => line.to_owned(),
                    _ => "another process".to_owned(),
                };
                return Err(Error::Locked { path: root.to_path_buf(), holder });
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, e)),
        }
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let line = format!("process {} ({})\n", std::process::id(), program.as_deref().unwrap_or("unknown program"));
        // The signature is a courtesy to the next process: without room for it the lock still holds.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(line.as_bytes()));
        Ok(Lock { file })
    }
}
