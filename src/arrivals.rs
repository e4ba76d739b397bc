//! Arrivals: items that came after the generation, with codes folded in from the users who touched them.

use std::sync::Arc;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use crate::code::{CodeError, LayeredCodes, QueryCode};
use crate::generation::Generation;
use crate::ids::Catalogue;
use crate::index::{Filter, Found, Linear, Match};

/// What one user's value of a dimension is multiplied by before it is rounded: sums of integers do not depend on their order.
const FIXED_POINT: f32 = 64.0;

/// The new items, each with the sum of its users' vectors.
pub(crate) struct Arrivals {
    sums: HashMap<u32, Sum>,
    /// Counts changes, so that an index built meanwhile is known to be old.
    version: u64,
    index: Option<Arc<ArrivalIndex>>,
}

#[derive(Clone)]
struct Sum {
    users: u32,
    /// All layers' dimensions in fixed point, each user's layer scaled to a mean magnitude of 1.
    values: Vec<i32>,
}

/// The arrivals at one moment, to build an index from.
pub(crate) struct Draft {
    version: u64,
    rows: Vec<(u32, Sum)>,
}

/// The arrivals' codes, ready to be searched.
pub(crate) struct ArrivalIndex {
    /// The dense number of each row, in the order of external ids.
    items: Vec<u32>,
    users: Vec<u32>,
    codes: LayeredCodes,
    index: Linear,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { sums: HashMap::new(), version: 0, index: None }
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
                    *sum = sum.wrapping_add((value / scaler * unit).round() as i32);
                }
            }
            start += width as usize;
        }
        sum.users = if gained { sum.users + 1 } else { sum.users.saturating_sub(1) };
        if sum.users == 0 {
            self.sums.remove(&item);
        }
        self.version += 1;
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

    /// A copy to build an index from without holding a lock.
    pub(crate) fn draft(&self) -> Draft {
        Draft { version: self.version, rows: self.sums.iter().map(|(&item, sum)| (item, sum.clone())).collect() }
    }

    /// Keeps an index built from a draft, unless something has changed since.
    pub(crate) fn keep(&mut self, version: u64, index: &Arc<ArrivalIndex>) {
        if version == self.version {
            self.index = Some(Arc::clone(index));
        }
    }
}

impl Draft {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Orders the rows by external id.
    pub(crate) fn sort(&mut self, items: &Catalogue) {
        self.rows.sort_unstable_by(|a, b| items.compare(a.0, b.0));
    }

    /// Builds the index. Works on rayon: call it without a lock. O(arrivals x bits).
    pub(crate) fn build(self, generation: &Generation) -> Result<ArrivalIndex, CodeError> {
        let (shape, rows) = (generation.shape(), self.rows);
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
        let (items, users) = rows.iter().map(|(item, sum)| (*item, sum.users)).unzip();
        Ok(ArrivalIndex { items, users, codes, index })
    }
}

/// One arrival.
pub(crate) struct Arrival {
    /// Its place in the order of external ids, among arrivals.
    pub(crate) row: u32,
    /// Its code, as the only row.
    pub(crate) code: LayeredCodes,
    /// How many users have it.
    pub(crate) users: u32,
}

impl ArrivalIndex {
    /// The code of `item` as a query, if it is an arrival.
    pub(crate) fn query(&self, item: u32) -> Option<QueryCode> {
        let row = self.items.iter().position(|&i| i == item)?;
        QueryCode::from_item(&self.codes, row).ok()
    }

    /// What is known of `item` if it is an arrival. O(arrivals + bits).
    pub(crate) fn code(&self, item: u32) -> Option<Arrival> {
        let row = self.items.iter().position(|&i| i == item)?;
        Some(Arrival { row: row as u32, code: self.codes.select(row), users: self.users[row] })
    }

    /// Merges the best of the arrivals into `found`, the best of the generation's items. Filters speak of dense numbers. The lists hold
    /// different items, so the merged list is exact where `found` is.
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
