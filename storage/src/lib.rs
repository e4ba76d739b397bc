//! Durable storage of kithdb: the interaction log and generations of named parts, fenced over sled.
//!
//! A [`Store`] owns a directory. [`Store::append`] returns when its records are on the disk; [`Store::replay`] reads them back in order.
//! A generation is a set of named arrays: written with a [`GenerationWriter`], visible after [`GenerationWriter::publish`], described
//! by a [`Manifest`], read back with every checksum, count and hash checked. `FORMAT.md` has the bytes.
//!
//! What this crate refuses to do: interpret ids, graphs or codes; answer with bytes it did not write; acknowledge what is not durable;
//! let a panic of the engine out.

mod checkpoint;
mod contents;
mod copy;
mod directory;
mod element;
mod engine;
mod error;
mod flush;
mod former;
mod generation;
mod guard;
mod health;
mod identity;
mod jobs;
mod lock;
mod log;
mod manifest;
mod merging;
mod opening;
mod part;
mod place;
mod places;
mod plan;
mod publish;
mod reader;
mod record;
mod report;
mod rows;
mod scratch;
mod space;
mod standing;
mod state;
mod store;
mod tear;
mod threads;
mod value;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointWriter, digest};
pub use element::Element;
pub use error::{Error, Result};
pub use generation::{Draft, Finished, GenerationWriter};
pub use jobs::{JobOutcome, JobRecord};
pub use manifest::{Manifest, StateFile};
pub use merging::Merging;
pub use part::Part;
pub use reader::GenerationReader;
pub use record::{IdKind, MAX_DESCRIPTION, MAX_ID, Record, Side};
pub use report::{DiskUsage, VerifyReport};
pub use state::State;
pub use store::{Store, StoreOptions};
