//! The bipartite interaction graph: adjacency of both sides, degrees, normalised propagation.

mod adjacency;
mod bipartite;
mod confidence;
mod csr;
pub(crate) mod postings;
mod scatter;

pub(crate) use adjacency::Adjacency;
pub use bipartite::Bipartite;
pub use csr::Csr;
