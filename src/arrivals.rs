//! Arrivals: items that came after the generation, with codes folded in from the users who touched them.

use std::sync::Arc;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use crate::code::{CodeError, LayeredCodes, QueryCode};
use crate::generation::Generation;
use crate::ids::Catalogue;
use crate::index::{Filter, Found, Linear, Match};

/// What one user's value of a dimension is multiplied by before it is rounded: sums of integers do not depend on their order.
const FIXED_POINT: f32 = 1024.0;

/// The new items, each with the sum of its users' vectors.
pub(crate) struct Arrivals {
    sums: HashMap<u32, Sum>,
    index: Option<Arc<ArrivalIndex>>,
}

struct Sum {
    users: u32,
    /// All layers' dimensions in fixed point, each user's layer scaled to a mean magnitude of 1.
    values: Vec<i64>,
}

/// The arrivals' codes, ready to be searched.
pub(crate) struct ArrivalIndex {
    /// The dense number of each row.
    items: Vec<u32>,
    codes: LayeredCodes,
    index: Linear,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { sums: HashMap::new(), index: None }
    }

    /// Takes in that `user` has, or (`gained` false) no longer has, an item without a trained code. Users without a trained code say nothing.
    pub(crate) fn change(&mut self, generation: &Generation, user: u32, item: u32, gained: bool) {
        if generation.has_item(item) || !generation.has_user(user) {
            return;
        }
        let shape = generation.users().shape();
        let sum = self.sums.entry(item).or_insert_with(|| Sum { users: 0, values: vec![0; shape.bits() as usize] });
        let mut start = 0;
        for (layer, &width) in shape.widths().iter().enumerate() {
            let scaler = generation.users().scalers()[user as usize * shape.layers() + layer];
            let mut values = vec![0.0; width as usize];
            if scaler > 0.0 && generation.users().decode_into(user as usize, layer, &mut values).is_ok() {
                let unit = if gained { FIXED_POINT } else { -FIXED_POINT };
                for (sum, value) in sum.values[start..].iter_mut().zip(&values) {
                    *sum += (value / scaler * unit).round() as i64;
                }
            }
            start += width as usize;
        }
        sum.users = if gained { sum.users + 1 } else { sum.users.saturating_sub(1) };
        if sum.users == 0 {
            self.sums.remove(&item);
        }
        self.index = None;
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// The index over them if it is up to date.
    pub(crate) fn built(&self) -> Option<Arc<ArrivalIndex>> {
        self.index.clone()
    }

    /// Builds the index. O(arrivals x bits).
    pub(crate) fn build(&mut self, generation: &Generation, items: &Catalogue) -> Result<Arc<ArrivalIndex>, CodeError> {
        let shape = generation.items().shape();
        let mut rows: Vec<(u32, &Sum)> = self.sums.iter().map(|(&item, sum)| (item, sum)).collect();
        rows.sort_unstable_by(|a, b| items.compare(a.0, b.0));
        let mut start = 0;
        let mut layers = Vec::with_capacity(shape.layers());
        for &width in shape.widths() {
            let end = start + width as usize;
            layers.push(
                rows.iter().flat_map(|(_, s)| s.values[start..end].iter().map(|&v| v as f32)).collect::<Vec<_>>(),
            );
            start = end;
        }
        let layers: Vec<&[f32]> = layers.iter().map(Vec::as_slice).collect();
        let scalers = rows.iter().flat_map(|(_, sum)| generation.expected_scalers(sum.users)).copied().collect();
        let codes = LayeredCodes::encode_with_scalers(shape.clone(), &layers, scalers)?;
        let ranks: Vec<u32> = (0..rows.len() as u32).collect();
        let index = Linear::build(&codes, ranks, generation.kernel())?;
        let built = Arc::new(ArrivalIndex { items: rows.iter().map(|(item, _)| *item).collect(), codes, index });
        self.index = Some(Arc::clone(&built));
        Ok(built)
    }
}

impl ArrivalIndex {
    /// The code of `item` as a query, if it is an arrival.
    pub(crate) fn query(&self, item: u32) -> Option<QueryCode> {
        let row = self.items.iter().position(|&i| i == item)?;
        QueryCode::from_item(&self.codes, row).ok()
    }

    /// Merges the best of the arrivals into `found`, the best of the generation's items. Filters speak of dense numbers. Both lists are exact
    /// and hold items the other does not, so the merged list is exact.
    pub(crate) fn merge(
        &self,
        mut found: Found,
        query: &QueryCode,
        k: usize,
        filter: &Filter<'_>,
        items: &Catalogue,
    ) -> Result<Found, CodeError> {
        let barred: RoaringBitmap =
            (0..).zip(&self.items).filter(|&(_, &item)| !filter.admits(item)).map(|(row, _)| row).collect();
        let own = Filter { deny: vec![&barred], ..Filter::default() };
        let arrived = self.index.search(query, k, &own)?;
        found.matches.extend(arrived.matches.iter().map(|m| Match { row: self.items[m.row as usize], ..*m }));
        found.matches.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| items.compare(a.row, b.row)));
        found.matches.truncate(k);
        found.work.codes += arrived.work.codes;
        Ok(found)
    }
}
