//! Arrays in `.npy` files, the format NumPy saves in: how embeddings and codes come from and go to other programs.
//!
//! Format 1.0 and 2.0, little-endian, C order, of bytes, unsigned 64-bit integers and floats. Everything else is refused by name, with the
//! line of Python that makes it readable. Files are read and written front to back, a piece at a time, whatever their size.

mod header;
mod reader;
mod writer;

use std::path::{Path, PathBuf};

pub use header::Dtype;
pub use reader::NpyReader;
pub use writer::NpyWriter;

/// Why a `.npy` file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The system failed to read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is no array, is damaged, or holds another array than is asked for.
    #[error("{}: {found}; {remedy}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What to do about it.
        remedy: String,
    },
}

impl NpyError {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn content(path: &Path, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), found: found.into(), remedy: remedy.into() }
    }
}

#[cfg(test)]
mod tests;
