//! What a generation is made of, before the index is built over it.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::code::{LayeredCodes, PlaneCodes};
use crate::encoder::Encoder;
use crate::fold_in::FoldInMap;
use crate::graph::postings::Postings;

/// What a generation is made of, before the index is built over it.
pub(crate) struct Content {
    /// The interactions it has seen.
    pub(crate) postings: Postings,
    /// Items retired before it.
    pub(crate) retired: RoaringBitmap,
    /// Users' codes, a row per dense number. Users without interactions have scalers of 0.
    pub(crate) users: PlaneCodes,
    /// Items' codes, a row per dense number. Items without interactions have scalers of 0.
    pub(crate) items: LayeredCodes,
    /// Each item's rank in the order of external ids.
    pub(crate) ranks: Arc<[u32]>,
    /// What gives users who came later a vector.
    pub(crate) fold_in: FoldInMap,
    /// What turns vectors into codes like these, where they were made from vectors.
    pub(crate) encoder: Option<Encoder>,
}

/// What is stored of a generation, its ids aside, wherever it lies.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) postings: &'a Postings,
    pub(crate) retired: &'a RoaringBitmap,
    pub(crate) users: &'a PlaneCodes,
    pub(crate) items: &'a LayeredCodes,
    pub(crate) ranks: &'a [u32],
    pub(crate) fold_in: &'a FoldInMap,
    pub(crate) encoder: Option<&'a Encoder>,
}

impl Content {
    /// What is stored of it.
    pub(crate) fn columns(&self) -> Columns<'_> {
        let Self { postings, retired, users, items, ranks, fold_in, encoder } = self;
        Columns { postings, retired, users, items, ranks, fold_in, encoder: encoder.as_ref() }
    }
}
