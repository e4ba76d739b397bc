//! A named array of a generation: what it is, and where its bytes lie.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::element::width;
use crate::rows::Form;
use crate::value::MAX_PAYLOAD;

/// A named array of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The name, unique within a generation.
    pub name: String,
    /// The element type, as [`Element::DTYPE`](crate::Element::DTYPE) names it.
    pub dtype: String,
    /// Extents, outermost first. Their product is the number of elements.
    pub shape: Vec<u64>,
    /// How many rows it has: the outermost extent, or as many as were given a length.
    pub rows: u64,
    /// Whether rows have a length of their own.
    pub ragged: bool,
    /// Whether it follows from other parts, and is kept because it takes time to make again: it does not count in the content hash.
    pub derived: bool,
    /// Bytes of the array.
    pub bytes: u64,
    /// XXH3-128 in hexadecimal: of the hashes of blocks of rows; of the bytes in generations of before format 3.
    pub hash: String,
    /// Whether the hash is that of blocks.
    pub(crate) by_blocks: bool,
    /// Its rows as they were first written.
    pub(crate) base: Extent,
    /// Rows that were written later, in place of those before.
    pub(crate) patches: Vec<Extent>,
}

/// Rows of a part as they lie on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// The generation whose directory has them: they may be shared with its children.
    pub(crate) generation: u64,
    /// Their number within that directory.
    pub(crate) number: u32,
    pub(crate) rows: u64,
    /// How many values they are cut into.
    pub(crate) chunks: u32,
    pub(crate) bytes: u64,
    /// XXH3-128 of the bytes.
    pub(crate) hash: u128,
}

impl Part {
    /// The generation that wrote its base.
    pub fn written_by(&self) -> u64 {
        self.base.generation
    }

    /// Bytes of the patches over its base.
    pub fn patched_bytes(&self) -> u64 {
        self.patches.iter().map(|patch| patch.bytes).sum()
    }

    /// Where its bytes lie.
    pub(crate) fn extents(&self) -> impl Iterator<Item = &Extent> {
        std::iter::once(&self.base).chain(&self.patches)
    }

    /// Whether it has the same content as another, by their hashes.
    pub(crate) fn is_same(&self, other: &Part) -> bool {
        (&self.dtype, &self.shape, &self.hash, self.form()) == (&other.dtype, &other.shape, &other.hash, other.form())
    }

    /// How its rows are told apart.
    pub(crate) fn form(&self) -> Form {
        let element = width(&self.dtype).unwrap_or(1) as usize;
        Form { rows: self.rows as usize, ragged: self.ragged, element }
    }

    /// Whether shape, type and lengths agree.
    pub(crate) fn is_consistent(&self) -> bool {
        let elements = self.shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        let bytes = elements.zip(width(&self.dtype)).and_then(|(elements, width)| elements.checked_mul(width));
        let whole = |extent: &Extent| extent.bytes.div_ceil(MAX_PAYLOAD as u64) == u64::from(extent.chunks);
        let even = self.ragged || self.rows == rows_of(&self.shape);
        let plain = self.ragged || !self.patches.is_empty() || self.base.bytes == self.bytes;
        // Rows are numbered by u32.
        bytes == Some(self.bytes)
            && self.extents().all(whole)
            && even
            && plain
            && (!self.ragged || self.rows <= u64::from(u32::MAX))
    }
}

/// The rows of an array of this shape whose rows are all alike.
pub(crate) fn rows_of(shape: &[u64]) -> u64 {
    shape.first().copied().unwrap_or(1)
}

/// The generations whose directories hold these parts.
pub(crate) fn owners<'a>(parts: impl IntoIterator<Item = &'a Part>) -> BTreeSet<u64> {
    parts.into_iter().flat_map(Part::extents).map(|extent| extent.generation).collect()
}
