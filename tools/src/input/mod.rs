//! Files of interactions: opening, decompressing, recognising, reading.
//!
//! A file that cannot be read at all is an [`Error`]; a row that cannot be stored is a [`Rejected`] row, and reading goes on. No input makes a
//! reader panic, and none makes it hold more than a line (of bounded length) and a decompression window in memory.

mod columns;
mod delimited;
mod error;
mod format;
mod id_list;
mod lightgcn;
mod lines;
mod reader;
mod reject;
mod row;
mod source;
#[cfg(test)]
mod tests;
mod zstd;

pub use columns::Columns;
pub use error::Error;
pub use format::Format;
pub use id_list::read_ids;
pub use reader::{Reader, ReaderOptions};
pub use reject::RejectFile;
pub use row::{IdKinds, Rejected, Row};
pub use source::Source;
