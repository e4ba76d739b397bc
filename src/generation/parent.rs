//! The generation that the next one is made from.

use std::sync::Arc;

use kithdb_storage::{Manifest, State, Store};

use super::{Generation, Provenance};
use crate::error::Result;

/// A generation with all that the next one can take over of it.
pub(crate) struct Parent<'a> {
    /// What it answers with.
    pub(crate) generation: Arc<Generation>,
    /// What it is stored as.
    pub(crate) manifest: Arc<Manifest>,
    /// How it was made; `None` where it does not say.
    pub(crate) provenance: Option<Provenance>,
    store: &'a Store,
}

impl<'a> Parent<'a> {
    /// The generation a moment is read by, if there is one.
    pub(crate) fn of(store: &'a Store, generation: Option<&Arc<Generation>>) -> Option<Self> {
        let generation = Arc::clone(generation?);
        let manifest = Arc::clone(generation.manifest()?);
        let provenance = Provenance::read(&manifest.attributes);
        Some(Self { generation, manifest, provenance, store })
    }

    /// The training state beside it; `None` where it has none, or lost it.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn state(&self) -> Result<Option<State>> {
        Ok(self.store.read_state(&self.manifest)?)
    }
}
