//! kithdb: an embedded vector retrieval database for recommendation.
#![allow(dead_code, unused_imports)]

mod code;
mod error;
mod graph;
mod index;
mod kernel;
mod train;

pub use error::{Error, Result};
