//! Snapshots as folders of plain files: one moment of a database for any number of processes that read.
//!
//! A place has folders, each of one moment and never changed, and a pointer, `SNAPSHOT`, that names the newest. [`folder`] is the form of one, [`write`] makes
//! one of a moment, [`open`] a moment of one; [`follow`] goes on to the next where the pointer is set to it.

mod folder;
mod follow;
mod open;
mod write;

pub use follow::Replica;
pub(crate) use open::open;
pub(crate) use write::write;
pub use write::{SnapshotOptions, SnapshotOutcome};
