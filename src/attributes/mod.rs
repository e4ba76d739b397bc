//! What is known of items and users beside whom they touched: named values, and the sets of those that have them.
//!
//! [`Attributes`] is what an application says; its [`codec`] is how the log and generations have it. A [`Table`] holds a side's values by name, a
//! [`column`] each, indexed so that a comparison is answered with a set of rows. Nothing is learned from any of it.

mod bulk;
mod codec;
mod column;
mod flags;
mod numbers;
mod set;
mod table;
mod value;
mod words;

pub(crate) use codec::{decode, encode};
pub(crate) use column::{Column, Values};
pub use set::{Attributes, MAX_ATTRIBUTE_BYTES, MAX_NAME_BYTES};
pub use table::MAX_NAMES;
pub(crate) use table::{Table, Tables, check_kinds, with_article};
pub use value::{Value, ValueKind};
