//! What can go wrong in storage, separated by what a caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of storage: a caller's mistake, damage on the disk, or the system refusing work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The database's directory takes no writes, which every opening makes. Nothing was changed.
    #[error(
        "cannot write in {}: {source}; every opening writes to the directory of a database: let this user write there, or copy it to where it can be written, and open the copy", path.display()
    )]
    NotWritable {
        /// The database directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The disk, quota or file-size limit left no room. Nothing acknowledged is lost.
    #[error("no space left to {action} {}{}: free some disk space and try again; where writes are refused then, open the database again", path.display(), shortage(*.needed, *.free))]
    DiskFull {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Bytes the operation wanted, where that is known.
        needed: Option<u64>,
        /// Bytes the file system had left, where that is known.
        free: Option<u64>,
    },
    /// Bytes on the disk are not what was written, or no longer there. What was found is left as it was.
    #[error("damaged: {}: {what}; {remedy}", path.display())]
    Corrupt {
        /// The file or directory that is damaged.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Another process, or another handle of this one, has the database open.
    #[error("{} is open in {holder}: close it there first; a database has one owner at a time", path.display())]
    Locked {
        /// The database directory.
        path: PathBuf,
        /// The process that has it, as it wrote itself into the lock.
        holder: String,
    },
    /// The database was written by a newer version of kithdb.
    #[error("{} has format {found}, this version of kithdb reads up to {known}: upgrade kithdb", path.display())]
    NewerFormat {
        /// The database directory.
        path: PathBuf,
        /// The format on the disk.
        found: u32,
        /// The newest format this version reads.
        known: u32,
    },
    /// The path holds something that is not a kithdb database.
    #[error("{} is not a kithdb database ({found}): give the path of a database, or of a new or empty directory", path.display())]
    NotADatabase {
        /// The path.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// There is no database at the path, and the options forbid creating one.
    #[error("there is no database at {}: check the path, or allow creating it", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// A write failed before: the handle refuses further writes until the database is opened again.
    #[error(
        "an earlier write failed ({reason}): nothing more is acknowledged through this handle; close the database and open it again, which \
         reads back what the disk holds, and look after the disk if it happens again"
    )]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// An argument that cannot be stored or served. Nothing was written.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The caller has ended what took long, before its end; what was there before is untouched.
    #[error("ended by its caller")]
    Ended,
    /// Another generation is being written through this handle.
    #[error("another generation is being written: wait for it to be published or dropped")]
    Busy,
    /// The system starts no more threads.
    #[error("cannot start a thread: {source}; raise the limit of threads (ulimit -u, cgroup pids.max) or free memory")]
    Threads {
        /// The system's error.
        source: io::Error,
    },
    /// The program was built with `panic = "abort"`, under which a damaged file would end the process.
    #[error(
        "this program is built with panic = \"abort\", which turns a damaged file into a crash of the process: \
         build with panic = \"unwind\", or set StoreOptions::allow_abort"
    )]
    AbortOnPanic,
}

fn shortage(needed: Option<u64>, free: Option<u64>) -> String {
    match (needed, free) {
        (Some(needed), Some(free)) => format!(" ({needed} bytes needed, {free} free)"),
        _ => String::new(),
    }
}

/// What to do about damage to the log, manifest or a file that names them.
pub(crate) const RESTORE: &str = "restore the database from a backup, or from a copy of the directory";
/// What to do about damage to a generation.
pub(crate) const RESTORE_GENERATION: &str =
    "restore the database from a backup; the log holds only what came after this generation";
/// What to do about damage to training state.
pub(crate) const RETRAIN: &str = "remove the file; the next training starts cold and no answer is lost";

impl Error {
    /// An I/O error, or [`Error::DiskFull`] when the system says that there is no room.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        if is_full(source.kind()) {
            Error::DiskFull { action, path: path.to_path_buf(), needed: None, free: None }
        } else {
            Error::Io { action, path: path.to_path_buf(), source }
        }
    }

    pub(crate) fn corrupt(path: &Path, what: impl Into<String>, remedy: &'static str) -> Error {
        Error::Corrupt { path: path.to_path_buf(), what: what.into(), remedy }
    }

    /// The error of a copy, said of what was copied: people cannot mend what is gone by the time they read of it.
    pub(crate) fn at(self, copy: &Path, original: &Path) -> Error {
        let moved = |path: PathBuf| match path.strip_prefix(copy) {
            Ok(rest) if rest.as_os_str().is_empty() => original.to_path_buf(),
            Ok(rest) => original.join(rest),
            Err(_) => path,
        };
        match self {
            Error::Corrupt { path, what, remedy } => Error::Corrupt { path: moved(path), what, remedy },
            Error::Io { action, path, source } => Error::Io { action, path: moved(path), source },
            other => other,
        }
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Error {
        Error::Invalid { reason: reason.into() }
    }
}

/// Whether an I/O error means that there is no room: disk, quota, or the process's file-size limit.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
