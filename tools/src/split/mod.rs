//! The protocols papers evaluate by: a k-core, and a share of every user's interactions held out.
//!
//! All of it works on the set of interactions: another order of the rows gives the same parts.

mod cut;
mod dense;
mod peel;
#[cfg(test)]
mod tests;

pub use cut::{By, HeldOut, Moment, Parts, Untimed, across, cut};
pub use dense::latest;
pub use peel::core;
