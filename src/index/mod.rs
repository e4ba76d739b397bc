//! Exact search over layered codes, or by a budget where that is asked for.
//!
//! Every engine gives the list of an exhaustive scan: descending score, ties by ascending rank, filters applied before the top-k.
//!
//! [`Linear`] scans rows in any order. [`Index`] stores them so that neighbours lie together ([`Order`]), bounds runs of them ([`nodes`]) and
//! single ones by a part of their code, or reads codes of one layer a piece at a time ([`pieces`]), and chooses an engine a query by what sample queries touched. A budget goes to the runs with the best
//! bound, or, for codes of one layer, which no ball bounds well, to those that promise most ([`buckets`]); how much of the exact list it finds is
//! measured when the index is built ([`Calibration`]), so that a share of it can be asked for.

mod bisection;
mod buckets;
mod calibration;
mod filter;
mod found;
mod frontier;
mod linear;
mod mih;
mod nodes;
mod order;
mod ordered;
mod pieces;
mod planner;
mod probe;
mod topk;
mod tree;
mod vectors;

#[cfg(test)]
mod tests;

pub use calibration::Calibration;
pub use filter::{Filter, Seen};
pub use found::{Effort, EngineKind, Found, Match, Work};
pub use linear::Linear;
pub use order::Order;
pub use ordered::{Index, TOGETHER};
pub use topk::TopK;
