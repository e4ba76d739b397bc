//! Exact search over layered codes.
//!
//! Every engine gives the list of an exhaustive scan: descending score, ties by ascending rank, filters applied before the top-k.

mod filter;
mod linear;
mod topk;

#[cfg(test)]
mod tests;

pub use filter::Filter;
pub use linear::{Found, Linear, Match};
pub use topk::TopK;
