//! Training as compaction: the interactions so far are folded, trained on and published as the next generation, in the background. Codes made
//! elsewhere are published the same way.

mod import;
mod job;
mod parts;
mod worker;

pub use import::ImportOutcome;
pub use job::{Job, PhaseTime, Progress, TrainOutcome};
pub(crate) use parts::{load, taught};
pub(crate) use worker::Worker;
