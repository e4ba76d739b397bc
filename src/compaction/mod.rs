//! Training as compaction: the interactions so far are folded, trained on and published as the next generation, in the background. Codes made
//! elsewhere are published the same way. A job makes codes of a cut of the log and of the generation before; only the worker publishes.

mod checkpoints;
mod clock;
mod drift;
mod full;
mod history;
mod import;
mod job;
mod made;
mod major;
mod minor;
mod place;
mod policy;
mod rollback;
mod worker;

pub(crate) use checkpoints::begun_at;
pub use drift::Drift;
pub use import::ImportOutcome;
pub use job::{Compaction, Job, PhaseTime, Progress, TrainOutcome};
pub use policy::Policy;
pub(crate) use worker::Worker;
