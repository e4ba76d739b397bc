//! kithdb: an embedded vector retrieval database for recommendation.
#![allow(dead_code, unused_imports)]

pub mod code;
mod error;
mod graph;
mod index;
mod kernel;
mod train;

pub use error::{Error, Result};
pub use graph::{Bipartite, Csr};
pub use train::{Epoch, Monitor, Preset, StatePart, TrainOptions, TrainReport, TrainState, Trained, train};

/// Internals that benches of this package measure; no part of the interface.
#[doc(hidden)]
pub mod bench_support {
    pub use crate::index::{Filter, Linear};
    pub use crate::kernel::popcount::{BlockQuery, Blocks, Kernel, LANES};
}
