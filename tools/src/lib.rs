//! The admin program of kithdb, as a library: `main` only calls [`run`], so that tests and benches reach the parts.
//!
//! Data goes from [`input`] through a subcommand to the terminal. [`shop`] makes up the demo's data.

mod cli;
mod command;
pub mod input;
mod output;
pub mod shop;

pub use cli::run;
