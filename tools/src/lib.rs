//! The admin program of kithdb, as a library.

pub mod input;
pub mod shop;
