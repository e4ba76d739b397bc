//! Conditions on attributes: made by [`attribute`] or read from text, and answered with the set of rows that fulfil them.

mod condition;
mod error;
mod evaluate;
mod parser;
mod tokens;

pub use condition::{AttributeName, Condition, attribute};
pub use error::FilterError;
pub(crate) use evaluate::evaluate;
