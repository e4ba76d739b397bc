//! Files of interactions: opening, decompressing, recognising, reading.
//!
//! A file that cannot be read at all is an [`Error`]; a row that cannot be stored is a [`Rejected`] row, and reading goes on. No input makes a
//! reader panic, and none makes it hold more than a line (of bounded length) and a decompression window in memory.

mod cell;
mod columns;
mod delimited;
mod delimiter;
mod described;
mod error;
mod foreign;
mod format;
mod head;
mod id_list;
mod id_text;
mod json_lines;
mod lightgcn;
mod lines;
mod names;
mod odd;
mod reader;
mod recognise;
mod reject;
mod row;
mod rules;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod zstd;

pub use columns::{Columns, Understood};
pub use delimiter::Delimiter;
pub(crate) use described::{
    Described, DescribedOptions, OddColumn, ReadAs, read as read_described, read_value, title_of,
};
pub use error::Error;
pub use format::Format;
pub use id_list::{Listed, read_ids};
pub use id_text::plain as plain_id;
pub(crate) use id_text::{listed as listed_ids, quoted as quoted_id};
pub(crate) use names::{ITEM, USER};
pub use reader::{Reader, ReaderOptions};
pub use reject::RejectFile;
pub use row::{IdKinds, Rejected, Row};
pub use source::Source;
pub use time::TimeUnit;
pub(crate) use time::{is_number as is_number_of_time, read as read_time, shown as shown_time};
