//! What a database holds in memory, by part, and what a compaction goes on from.

use kithdb_storage::{Error as StorageError, Store};
use serde::Serialize;

use crate::error::Result;
use crate::snapshot::Snapshot;

/// Bytes in memory, computed from the sizes of the arrays. Interactions that came since the generation are not among them: a compaction folds them into it.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct MemoryStats {
    /// The graph of all interactions from both sides, as a training or compaction holds it.
    pub graph: u64,
    /// The training state beside the generation, as a compaction that goes on from it holds it; 0 where there is none.
    pub training_state: u64,
    /// The generation that answers: its interactions, codes, index and map of fold-in, and the ids of all users and items.
    pub generation: u64,
    /// The attributes of items and users.
    pub attributes: u64,
    /// What storage may keep in its cache ([`Options::cache_bytes`](crate::Options::cache_bytes)).
    pub storage_cache: u64,
}

impl MemoryStats {
    /// # Errors
    /// `Storage`.
    pub(crate) fn of(snapshot: &Snapshot, store: &Store) -> Result<Self> {
        let (catalogues, tail) = (snapshot.catalogues(), snapshot.tail());
        let held = tail.generation();
        let nodes = catalogues.users.len() as u64 + catalogues.items.len() as u64;
        // A number and, where any interaction has one, a weight from either side; where each row begins.
        let weighted = held.is_some_and(|generation| generation.postings().weights().is_some());
        let graph = 2 * tail.edges() * if weighted { 8 } else { 4 } + 8 * (nodes + 2);
        // A state that is damaged is as good as none, which `verify` tells.
        let state = held.and_then(|generation| generation.manifest()).map(|manifest| store.read_state(manifest));
        let state = state.transpose().or_else(|error| match error {
            StorageError::Corrupt { .. } => Ok(None),
            error => Err(error),
        })?;
        let training_state = state.flatten().map_or(0, |state| state.bytes());
        let ids = (catalogues.users.bytes() + catalogues.items.bytes()) as u64;
        let generation = ids + held.map_or(0, |generation| generation.bytes());
        let attributes = catalogues.attributes.users.bytes() + catalogues.attributes.items.bytes();
        Ok(Self { graph, training_state, generation, attributes, storage_cache: store.cache_bytes() })
    }
}
