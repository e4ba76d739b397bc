//! Publishing codes made elsewhere: a generation without a training.

use kithdb_storage::Store;
use serde::Serialize;

use super::job::PhaseTime;
use super::parts::Cut;
use super::worker::{Watch, publish};
use crate::catalogue::Catalogue;
use crate::code::{Encoder, LayeredCodes, PlaneCodes};
use crate::error::Result;
use crate::exchange::{CodeSet, RowIds};
use crate::fold_in::FoldInMap;
use crate::generation::Content;
use crate::kernel::dense::Isa;
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::train::{Monitor, TrainState};

/// What an import came to.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ImportOutcome {
    /// The generation it published.
    pub generation: u64,
    /// Hash of the generation's content.
    pub content_hash: String,
    /// Interactions the generation holds: those stored before.
    pub interactions: u64,
    /// Users that came with a code.
    pub users: u64,
    /// Items that came with a code.
    pub items: u64,
    /// Bits of each layer.
    pub layer_bits: Vec<u32>,
    /// Bit planes stored a user.
    pub query_bits: u32,
    /// Seconds a phase, in order.
    pub phases: Vec<PhaseTime>,
}

/// Folds the log and publishes `codes` over it. Their ids are in the catalogues already; whoever was forgotten since loses the code.
pub(super) fn import(
    store: &Store,
    live: &Live,
    kernel: Kernel,
    codes: CodeSet,
    encoder: Option<Encoder>,
    watch: &Watch<'_>,
) -> Result<ImportOutcome> {
    watch.check()?;
    watch.phase("fold", 0);
    let snapshot = live.snapshot();
    let user_numbers = numbers(&snapshot.catalogues().users, &codes.user_ids, codes.users.len())?;
    let item_numbers = numbers(&snapshot.catalogues().items, &codes.item_ids, codes.items.len())?;
    let cut = Cut::of(snapshot);

    let (shape, planes) = (codes.items.shape().clone(), codes.users.planes());
    let (users, items) = (codes.users.len() as u64, codes.items.len() as u64);
    let (words, scalers) = codes.users.into_parts();
    let words = place(words, shape.words() * planes as usize, &user_numbers, cut.n_users());
    let scalers = place(scalers, shape.layers(), &user_numbers, cut.n_users());
    let user_codes = PlaneCodes::from_parts(shape.clone(), planes, words, scalers)?;
    let (words, scalers) = codes.items.into_parts();
    let words = place(words, shape.words(), &item_numbers, cut.n_items());
    let scalers = place(scalers, shape.layers(), &item_numbers, cut.n_items());
    let item_codes = LayeredCodes::from_parts(shape.clone(), words, scalers)?;

    watch.check()?;
    watch.phase("publish", 0);
    let interactions = cut.postings.items().len() as u64;
    let isa = Isa::chosen()?;
    let fold_in = match &encoder {
        Some(encoder) => FoldInMap::of_passes(&shape, encoder.passes(), isa),
        None => FoldInMap::identity(&shape, isa),
    };
    let content = Content {
        postings: cut.postings,
        retired: cut.retired,
        users: user_codes,
        items: item_codes,
        ranks: cut.ranks,
        fold_in,
        encoder,
    };
    let manifest = publish(store, live, kernel, (&cut.ids, &cut.snapshot), content, &TrainState::default())?;
    Ok(ImportOutcome {
        generation: manifest.generation,
        content_hash: manifest.content_hash.clone(),
        interactions,
        users,
        items,
        layer_bits: shape.widths().to_vec(),
        query_bits: planes,
        phases: watch.finish_phases(),
    })
}

/// The dense number of each row's id; `u32::MAX`, which is nobody's, where it was forgotten since it was defined.
fn numbers(catalogue: &Catalogue, ids: &RowIds, rows: usize) -> Result<Vec<u32>> {
    (0..rows).map(|row| Ok(catalogue.get(&ids.id(row))?.unwrap_or(u32::MAX))).collect()
}

/// The rows, `width` values each, in the order of dense numbers, zero where there is none. Moves nothing where they are in that order already.
fn place<T: Copy + Default>(rows: Vec<T>, width: usize, numbers: &[u32], total: u32) -> Vec<T> {
    if numbers.len() == total as usize && numbers.iter().zip(0..).all(|(&number, row)| number == row) {
        return rows;
    }
    let mut placed = vec![T::default(); total as usize * width];
    for (row, &number) in rows.chunks_exact(width).zip(numbers).filter(|&(_, &number)| number < total) {
        placed[number as usize * width..][..width].copy_from_slice(row);
    }
    placed
}
