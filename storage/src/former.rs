//! Manifests as formats 1 and 2 have them.

use std::collections::BTreeMap;

use bincode::Options;
use serde::Deserialize;

use crate::directory::Entry;
use crate::manifest::{Manifest, StateFile, layout};
use crate::part::{Extent, Part, rows_of};

#[derive(Deserialize)]
struct FormerManifest {
    generation: u64,
    folded_through: u64,
    trained_through: u64,
    parts: Vec<FormerPart>,
    state: Option<StateFile>,
    attributes: BTreeMap<String, String>,
    content_hash: String,
    retired_store: u64,
}

#[derive(Deserialize)]
struct FormerPart {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    chunks: u32,
    bytes: u64,
    hash: String,
    directory: String,
    number: u32,
}

/// Reads one; `None` where the bytes are none.
pub(crate) fn read(bytes: &[u8]) -> Option<Manifest> {
    let former: FormerManifest = layout().deserialize(bytes).ok()?;
    Some(Manifest {
        generation: former.generation,
        folded_through: former.folded_through,
        trained_through: former.trained_through,
        parts: former.parts.into_iter().map(FormerPart::part).collect::<Option<_>>()?,
        state: former.state.into_iter().collect(),
        attributes: former.attributes,
        content_hash: former.content_hash,
        retired_store: former.retired_store,
    })
}

impl FormerPart {
    fn part(self) -> Option<Part> {
        let FormerPart { name, dtype, shape, chunks, bytes, hash, directory, number } = self;
        let Entry::Generation(generation) = Entry::of(&directory) else { return None };
        let rows = rows_of(&shape);
        let base = Extent { generation, number, rows, chunks, bytes, hash: u128::from_str_radix(&hash, 16).ok()? };
        let (ragged, derived, by_blocks, patches) = (false, false, false, Vec::new());
        Some(Part { name, dtype, shape, rows, ragged, derived, bytes, hash, by_blocks, base, patches })
    }
}
