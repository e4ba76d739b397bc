//! User -> item posting lists: the form in which interactions are kept, in memory and in a generation.

/// What is known of one interaction beside its two ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge {
    /// Implicit-feedback confidence, finite and above 0.
    pub(crate) weight: f32,
    /// Milliseconds since the Unix epoch.
    pub(crate) time: Option<i64>,
}

/// How an unknown time is stored.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// Sorted item ids a user, with columns for weights and times where any differs from the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Postings {
    offsets: Vec<u64>,
    items: Vec<u32>,
    weights: Option<Vec<f32>>,
    times: Option<Vec<i64>>,
}

/// One user's interactions.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// Ascending dense item ids.
    pub(crate) items: &'a [u32],
    weights: Option<&'a [f32]>,
    times: Option<&'a [i64]>,
}

impl Row<'_> {
    /// The edges in ascending order of item.
    pub(crate) fn edges(self) -> impl Iterator<Item = (u32, Edge)> {
        self.items.iter().enumerate().map(move |(at, &item)| (item, self.edge(at)))
    }

    /// The edge to `item`, if there is one. O(log degree).
    pub(crate) fn get(self, item: u32) -> Option<Edge> {
        self.items.binary_search(&item).ok().map(|at| self.edge(at))
    }

    fn edge(self, at: usize) -> Edge {
        Edge {
            weight: self.weights.map_or(1.0, |w| w[at]),
            time: self.times.map(|t| t[at]).filter(|&time| time != NO_TIME),
        }
    }
}

impl Postings {
    /// Puts stored columns together again; `None` where they do not fit one another or are out of range.
    pub(crate) fn from_parts(
        offsets: Vec<u64>,
        items: Vec<u32>,
        weights: Option<Vec<f32>>,
        times: Option<Vec<i64>>,
        n_items: u32,
    ) -> Option<Self> {
        let shape = offsets.first() == Some(&0)
            && offsets.last() == Some(&(items.len() as u64))
            && offsets.windows(2).all(|w| w[0] <= w[1])
            && weights.as_ref().is_none_or(|w| w.len() == items.len() && w.iter().all(|w| w.is_finite() && *w > 0.0))
            && times.as_ref().is_none_or(|t| t.len() == items.len());
        let rows = || offsets.windows(2).map(|w| &items[w[0] as usize..w[1] as usize]);
        let ascending = shape
            && rows().all(|row| row.windows(2).all(|w| w[0] < w[1]) && row.last().is_none_or(|&item| item < n_items));
        ascending.then_some(Self { offsets, items, weights, times })
    }

    /// Where each user's row starts, and the total: `[n_users + 1]`.
    pub(crate) fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// All rows' items back to back: `[n_edges]`.
    pub(crate) fn items(&self) -> &[u32] {
        &self.items
    }

    /// All rows' weights, unless every one is 1.
    pub(crate) fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// All rows' times, unless none is known.
    pub(crate) fn times(&self) -> Option<&[i64]> {
        self.times.as_deref()
    }

    /// Bytes held in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let an_edge = 4 + self.weights.as_ref().map_or(0, |_| 4) + self.times.as_ref().map_or(0, |_| 8);
        8 * self.offsets.len() as u64 + an_edge * self.items.len() as u64
    }

    /// How many users there are rows for.
    pub(crate) fn n_users(&self) -> u32 {
        self.offsets.len().saturating_sub(1) as u32
    }

    /// The row of `user`; empty for one past the end.
    pub(crate) fn row(&self, user: u32) -> Row<'_> {
        let range = match self.offsets.get(user as usize..user as usize + 2) {
            Some(ends) => ends[0] as usize..ends[1] as usize,
            None => 0..0,
        };
        Row {
            items: &self.items[range.clone()],
            weights: self.weights.as_deref().map(|w| &w[range.clone()]),
            times: self.times.as_deref().map(|t| &t[range]),
        }
    }

    /// How many users have each item: `[n_items]`.
    pub(crate) fn item_degrees(&self, n_items: u32) -> Vec<u32> {
        let mut degrees = vec![0; n_items as usize];
        for &item in &self.items {
            degrees[item as usize] += 1;
        }
        degrees
    }
}

/// Writes posting lists a user at a time, in order.
pub(crate) struct PostingsBuilder {
    postings: Postings,
    weights: Vec<f32>,
    times: Vec<i64>,
}

impl PostingsBuilder {
    /// Room for `n_users` rows of `n_edges` edges in all.
    pub(crate) fn with_capacity(n_users: usize, n_edges: usize) -> Self {
        let mut offsets = Vec::with_capacity(n_users + 1);
        offsets.push(0);
        let postings = Postings { offsets, items: Vec::with_capacity(n_edges), ..Postings::default() };
        Self { postings, weights: Vec::new(), times: Vec::new() }
    }

    /// Appends an edge to the current row. Items come in ascending order.
    pub(crate) fn push(&mut self, item: u32, edge: Edge) {
        let before = self.postings.items.len();
        debug_assert!(self.postings.offsets.last() == Some(&(before as u64)) || self.postings.items[before - 1] < item);
        // A column starts with the first edge that needs it, the edges before it filled with the default.
        if edge.weight != 1.0 || !self.weights.is_empty() {
            self.weights.resize(before, 1.0);
            self.weights.push(edge.weight);
        }
        if edge.time.is_some() || !self.times.is_empty() {
            self.times.resize(before, NO_TIME);
            self.times.push(edge.time.unwrap_or(NO_TIME));
        }
        self.postings.items.push(item);
    }

    /// Ends the current user's row.
    pub(crate) fn end_row(&mut self) {
        self.postings.offsets.push(self.postings.items.len() as u64);
    }

    /// The finished lists.
    pub(crate) fn finish(self) -> Postings {
        let some = |empty: bool| (!empty).then_some(());
        Postings {
            weights: some(self.weights.is_empty()).map(|()| self.weights),
            times: some(self.times.is_empty()).map(|()| self.times),
            ..self.postings
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn rows_come_back_as_they_were_written(
            rows in prop::collection::vec(prop::collection::btree_map(0u32..50, (0u8..3, prop::option::of(-5i64..5)), 0..20), 0..20)
        ) {
            let rows: Vec<BTreeMap<u32, Edge>> = rows
                .into_iter()
                .map(|row| row.into_iter().map(|(i, (w, time))| (i, Edge { weight: 1.0 + f32::from(w), time })).collect())
                .collect();
            let mut builder = PostingsBuilder::with_capacity(0, 0);
            for row in &rows {
                row.iter().for_each(|(&item, &edge)| builder.push(item, edge));
                builder.end_row();
            }
            let p = builder.finish();
            let again = Postings::from_parts(
                p.offsets().to_vec(), p.items().to_vec(), p.weights().map(<[_]>::to_vec), p.times().map(<[_]>::to_vec), 50,
            );
            prop_assert_eq!(again.as_ref(), Some(&p));
            for (user, row) in rows.iter().enumerate() {
                prop_assert_eq!(&p.row(user as u32).edges().collect::<BTreeMap<_, _>>(), row);
                for item in 0..50 {
                    prop_assert_eq!(p.row(user as u32).get(item), row.get(&item).copied());
                }
            }
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        let ok = |offsets: &[u64], items: &[u32], weights: Option<Vec<f32>>| {
            Postings::from_parts(offsets.to_vec(), items.to_vec(), weights, None, 10).is_some()
        };
        assert!(ok(&[0, 2], &[3, 4], None));
        assert!(!ok(&[0, 3], &[3, 4], None));
        assert!(!ok(&[0, 2, 1, 2], &[3, 4], None));
        assert!(!ok(&[0, 2], &[4, 3], None));
        assert!(!ok(&[0, 2], &[3, 10], None));
        assert!(!ok(&[0, 2], &[3, 4], Some(vec![1.0, f32::NAN])));
        assert!(!ok(&[], &[], None));
    }
}
