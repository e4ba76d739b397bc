//! Publishing codes made elsewhere: a generation without a training.

use serde::Serialize;

use super::job::PhaseTime;
use super::made::Made;
use crate::catalogue::{Catalogue, Catalogues};
use crate::code::{LayeredCodes, PlaneCodes};
use crate::encoder::Encoder;
use crate::error::Result;
use crate::exchange::{CodeSet, RowIds};
use crate::fold_in::FoldInMap;
use crate::generation::{Cut, Kept, Origin, Parent, Provenance};
use crate::kernel::dense::Isa;

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
    /// Imported vectors that are all zero and so have no direction: such a user has no code, and such an item is as near to everybody as the
    /// mean of the items.
    pub without_direction: u64,
    /// Seconds per phase, in order.
    pub phases: Vec<PhaseTime>,
}

/// Puts codes over a cut. Their ids are in the catalogues already; whoever was forgotten since loses the code.
pub(super) fn import(
    catalogues: &Catalogues,
    cut: &Cut,
    parent: Option<&Parent<'_>>,
    codes: CodeSet,
    encoder: Option<Encoder>,
) -> Result<Made> {
    let user_numbers = numbers(&catalogues.users, &codes.user_ids, codes.users.len())?;
    let item_numbers = numbers(&catalogues.items, &codes.item_ids, codes.items.len())?;
    let (shape, planes) = (codes.items.shape().clone(), codes.users.planes());
    let (words, scalers) = codes.users.into_parts();
    let words = place(words, shape.words() * planes as usize, &user_numbers, cut.n_users());
    let scalers = place(scalers, shape.layers(), &user_numbers, cut.n_users());
    let users = PlaneCodes::from_parts(shape.clone(), planes, words, scalers)?;
    let (words, scalers) = codes.items.into_parts();
    let words = place(words, shape.words(), &item_numbers, cut.n_items());
    let scalers = place(scalers, shape.layers(), &item_numbers, cut.n_items());
    let items = LayeredCodes::from_parts(shape.clone(), words, scalers)?;
    let isa = Isa::chosen()?;
    let fold_in = match &encoder {
        Some(encoder) => FoldInMap::of_passes(&shape, encoder.passes(), isa),
        None => FoldInMap::identity(&shape, isa),
    };
    // Nothing was learned: what no training has seen, none has seen still.
    let trained = parent.map_or(0, |parent| parent.manifest.trained_through);
    let (state, provenance) = (Kept::Nothing, Provenance::untrained(Origin::Import));
    Ok(Made { users, items, fold_in, encoder, state, provenance, trained })
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
