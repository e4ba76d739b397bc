//! The bipartite interaction graph: adjacency of both sides, degrees, normalised propagation.

mod adjacency;
mod bipartite;
mod confidence;
mod csr;
pub(crate) mod postings;
mod scatter;
mod terms;

pub(crate) use adjacency::{Adjacency, EdgeMask};
pub use bipartite::Bipartite;
pub(crate) use confidence::Aging;
pub use csr::Csr;
pub(crate) use terms::Terms;
