//! The admin program of kithdb, as a library: `main` only calls [`run`], so that tests and benches reach the parts.
//!
//! Data goes from [`input`] through a subcommand to the terminal. [`shop`] makes up the demo's data,
//! [`split`] holds out what a model is tested with, `report` draws the page about a database.

mod cli;
mod command;
pub mod input;
mod interrupt;
mod output;
mod report;
pub mod shop;
pub mod split;

pub use cli::run;
