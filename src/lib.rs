//! kithdb is an embedded vector retrieval database for recommendation.
//!
//! An application hands it interactions (*user u touched item i*). kithdb stores them durably as a bipartite graph, learns layered binary
//! embeddings from the graph in the background, and answers top-k queries in process: exact, weighted, filterable. There is no server, no
//! Python and no GPU.
//!
//! ```
//! use kithdb::{Db, Preset, TrainOptions};
//!
//! # fn main() -> kithdb::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("shop.kith");
//! let db = Db::open(path)?;
//! for visitor in 0..60u32 {
//!     // Even visitors like what alice likes, odd ones what bob likes.
//!     let taste = ["alice", "bob"][visitor as usize % 2];
//!     for item in 0..12 {
//!         if (visitor + item) % 5 != 0 {
//!             db.insert(format!("{taste}-{visitor}"), format!("{taste}'s item {item}"))?;
//!         }
//!     }
//! }
//! db.train(TrainOptions::new(Preset::Fast))?.wait()?;
//!
//! // Everybody's next item is one of their own taste.
//! let hits = db.nearest("alice-0", 1)?;
//! assert!(hits[0].id.as_str().is_some_and(|id| id.starts_with("alice")));
//! // So is that of somebody who came after the training.
//! db.insert("newcomer", "bob's item 3")?;
//! let hits = db.nearest("newcomer", 1)?;
//! assert!(hits[0].id.as_str().is_some_and(|id| id.starts_with("bob")));
//! # Ok(())
//! # }
//! ```
//!
//! # What is durable when
//! [`Db::insert`] and its kin return when the operation is on the disk: the storage engine's log is flushed and its file synced. A process
//! that is killed loses nothing that was acknowledged. Codes are derived data: what a crash interrupts is trained again.
//!
//! # What is exact
//! The score of an item is a weighted sum of per-layer popcounts, defined operation by operation in [`code`]: every kernel on every machine
//! gives the same bits. A query returns the list an exhaustive scan would give, ties broken by external id, filters applied before the top k.
//!
//! # What can be traced
//! With the feature `tracing` there are spans of the crate of that name, with target `kithdb`: `open`, `insert`, `insert_many`, `query` and `queries` on the
//! thread that calls; `commit` on the writer's; on the worker's a `job` for each training, compaction, import and going back, in it `publish`, and a `phase`
//! for each of [`Progress::phase`], open until the next begins and entered by nobody, since its work is on many threads. `query`, `insert` and `commit` are of level
//! debug, the others of info. By default there is nothing of it, and no such dependency.
//!
//! # Where to begin
//! [`Db`] is all an application needs; [`Query`] what it asks with. The [`cookbook`] has short answers to common questions, limits, and what is promised
//! about versions; [`models`] says which model to train. What research needs beside it, trainings without a database and all that a model is made of, is in
//! [`train`].

mod attributes;
mod cancel;
mod catalogue;
pub mod code;
mod compaction;
#[doc = include_str!("cookbook.md")]
pub mod cookbook {}
mod db;
mod encoder;
mod error;
pub mod eval;
mod exchange;
mod filter;
mod fold_in;
mod generation;
mod graph;
mod ids;
mod index;
mod interaction;
mod kernel;
mod live;
mod memory;
#[doc = include_str!("models.md")]
#[doc = include_str!("../benches/quality.svg")]
pub mod models {}
pub mod npy;
mod options;
mod persistent;
mod pool;
mod query;
mod repeats;
mod replica;
mod snapshot;
mod span;
mod stats;
mod tail;
pub mod train;
mod watch;
mod writer;

pub use attributes::{Attributes, MAX_ATTRIBUTE_BYTES, MAX_NAME_BYTES, MAX_NAMES, Value, ValueKind};
pub use cancel::CancelToken;
pub use compaction::{Compaction, Drift, ImportOutcome, Job, PhaseTime, Policy, Progress, TrainOutcome};
pub use db::Db;
pub use error::{Error, Result};
pub use exchange::{CodeSet, Embeddings, EncodeOptions, ExportOutcome, Metric, RowIds, Vectors};
pub use filter::{AttributeName, Condition, FilterError, attribute};
pub use fold_in::FoldInMap;
pub use ids::{Id, IdKind, MAX_ID_BYTES, Side};
pub use interaction::{Inserted, Interaction, MAX_WEIGHT, MIN_WEIGHT};
pub use kernel::popcount::{KERNEL_VARIABLE, KernelError};
pub use kithdb_storage::{Error as StorageError, JobOutcome, JobRecord, VerifyReport};
pub use memory::MemoryStats;
pub use options::Options;
pub use query::{Basis, Engine, Explanation, Hit, Hits, ItemSet, LayerShare, Pull, Query};
pub use repeats::Repeats;
pub use replica::{Replica, SnapshotOptions, SnapshotOutcome};
pub use snapshot::Snapshot;
pub use stats::{DiskStats, GenerationStats, KeptGeneration, Stats};
pub use train::{Estimate, Model, Preset, TrainOptions, TrainReport};
pub use watch::GenerationWatch;

/// Internals that benches of this package measure; no part of the interface.
#[doc(hidden)]
pub mod bench_support {
    pub use crate::index::{EngineKind, Filter, Found, Index, Linear, Order, Seen, Work};
    pub use crate::kernel::popcount::{BlockQuery, Blocks, Kernel, LANES};
}
