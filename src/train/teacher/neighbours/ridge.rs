//! Ridge regressions of the rows of one side of a graph on rows near to them.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Csr;
use crate::kernel::dense::{Isa, add_scaled, common, dot};
use crate::train::context::Context;

/// Neighbours a row is predicted from.
const MOST: usize = 128;
/// Nodes of the other side with more edges say little about a pair of rows and cost their square; neighbours are chosen without them.
const LONGEST: usize = 4096;
/// Words of bits compared in the time of one count added at a place of its own.
const WORDS: usize = 4;

/// The rows that are predicted, as sets of nodes of the other side, and those nodes with the rows they are in.
pub(super) type Sides<'a> = (&'a Csr, &'a Csr);

/// What a row is predicted from, rising, with weights.
pub(super) type Column = Vec<(u32, f32)>;

/// Solves every row by each of some `regularisations`, with the counts that two rows share made once: of each a matrix whose rows hold what a row is
/// predicted from. The weights of row i solve `(G_NN + lambda I) w = G_Ni`, with G the counts of nodes that two rows share and N the neighbours of i,
/// those of the largest `sum over shared nodes v of c_iv d_v^-1/2`, over `sqrt(d_i d_j)`. O(rows k^3).
///
/// Confidences weigh residuals, as in implicit ALS: what is minimised over w is `sum over nodes v of c_iv (x_iv - <w, x_Nv>)^2 + lambda |w|^2`, with c_iv
/// the weight of the edge and 1 where there is none, x being 0 or 1. Without weights that is the system above.
///
/// # Errors
/// `Cancelled`.
pub(super) fn fit(context: &Context<'_>, sides: Sides<'_>, regularisations: &[f32]) -> Result<Vec<Csr>> {
    let n_rows = sides.0.n_rows();
    // Of every row the neighbours, and their weights by each regularisation back to back.
    let solved: Vec<(Vec<u32>, Vec<f32>)> = (0..n_rows)
        .into_par_iter()
        .map_init(
            || Workspace::new(sides, context.isa),
            |workspace, row| {
                context.check()?;
                let near = workspace.nearest(row);
                let weights = workspace.solve(row, &near, regularisations);
                Ok((near, weights))
            },
        )
        .collect::<Result<_>>()?;
    let mut offsets = vec![0u64];
    offsets.extend(solved.iter().scan(0, |end, (near, _)| {
        *end += near.len() as u64;
        Some(*end)
    }));
    let near: Vec<u32> = solved.iter().flat_map(|(near, _)| near).copied().collect();
    (0..regularisations.len())
        .map(|at| {
            let weights = solved.iter().flat_map(|(near, weights)| &weights[at * near.len()..][..near.len()]);
            Csr::from_parts(n_rows, offsets.clone(), near.clone(), Some(weights.copied().collect()))
        })
        .collect()
}

/// Whether a row is to be solved again, of its nearest now and those it is predicted from.
pub(crate) type Wanted<'a> = &'a (dyn Fn(u32, &[u32], &[u32]) -> bool + Sync);

/// What rows are predicted from: as `known` tells, but for those of `rows`, which rise, that are `wanted`: these are solved, and their weights taken times
/// what `weight` says of the row. O(rows k^3 + weights).
///
/// # Errors
/// `Cancelled`; when a weight is not finite.
pub(super) fn refitted(
    context: &Context<'_>,
    sides: Sides<'_>,
    known: Csr,
    rows: &[u32],
    (regularisation, weight): (f32, impl Fn(usize) -> f32 + Sync),
    wanted: Wanted<'_>,
) -> Result<Csr> {
    let columns: Vec<Option<Column>> = rows
        .par_iter()
        .map_init(
            || Workspace::new(sides, context.isa),
            |workspace, &row| {
                context.check()?;
                let near = workspace.nearest(row as usize);
                let before = if (row as usize) < known.n_rows() { known.row(row as usize) } else { &[] };
                if !wanted(row, &near, before) {
                    return Ok(None);
                }
                let weights = workspace.solve(row as usize, &near, &[regularisation]);
                let weight = weight(row as usize);
                Ok(Some(near.into_iter().zip(weights.into_iter().map(|own| own * weight)).collect()))
            },
        )
        .collect::<Result<_>>()?;
    replaced(&known, sides.0.n_rows(), rows, columns)
}

/// What `n_rows` rows are predicted from: as `known`, but for those of `rows`, which rise, that have a column of their own. O(weights).
///
/// # Errors
/// When they are none of such rows, or a weight is not finite.
fn replaced(known: &Csr, n_rows: usize, rows: &[u32], columns: Vec<Option<Column>>) -> Result<Csr> {
    let mut offsets = vec![0u64];
    let (mut near, mut weights) = (Vec::with_capacity(known.n_edges()), Vec::with_capacity(known.n_edges()));
    let own = rows.iter().zip(columns).filter_map(|(&row, column)| Some((row as usize, column?)));
    let mut own = own.peekable();
    for row in 0..n_rows {
        if let Some((_, column)) = own.next_if(|(other, _)| *other == row) {
            near.extend(column.iter().map(|entry| entry.0));
            weights.extend(column.iter().map(|entry| entry.1));
        } else if row < known.n_rows() {
            near.extend_from_slice(known.row(row));
            match known.row_values(row) {
                Some(values) => weights.extend_from_slice(values),
                None => weights.resize(near.len(), 1.0),
            }
        }
        offsets.push(near.len() as u64);
    }
    Csr::from_parts(n_rows, offsets, near, Some(weights))
}

/// What the solution of one row needs, kept for the next one.
struct Workspace<'a> {
    rows: &'a Csr,
    others: &'a Csr,
    isa: Isa,
    /// Of every row; zero between two rows' solutions.
    counts: Vec<f32>,
    /// Of every node of the other side its place in `nodes`, from 1 on, while it is among them; otherwise 0.
    numbers: Vec<u32>,
    /// The nodes that any neighbour has.
    nodes: Vec<u32>,
    /// Where the positions of the neighbours that have a node end.
    ends: Vec<usize>,
    /// The positions, rising, node by node.
    positions: Vec<u32>,
    /// A bit a node, neighbour by neighbour.
    bits: Vec<u64>,
}

impl<'a> Workspace<'a> {
    fn new((rows, others): Sides<'a>, isa: Isa) -> Workspace<'a> {
        let (counts, numbers) = (vec![0.0; rows.n_rows()], vec![0; others.n_rows()]);
        let [nodes, positions] = [(); 2].map(|()| Vec::new());
        Workspace { rows, others, isa, counts, numbers, nodes, ends: Vec::new(), positions, bits: Vec::new() }
    }

    /// The nearest rows of one, rising.
    fn nearest(&mut self, row: usize) -> Vec<u32> {
        let mut found = Vec::new();
        for (node, confidence) in self.rows.entries(row) {
            let shared = self.others.row(node as usize);
            if shared.len() > LONGEST {
                continue;
            }
            let weight = confidence / (shared.len() as f32).sqrt();
            for &other in shared {
                let count = &mut self.counts[other as usize];
                if *count == 0.0 {
                    found.push(other);
                }
                *count += weight;
            }
        }
        let mut near: Vec<(f32, u32)> = found
            .iter()
            .filter(|&&other| other as usize != row)
            .map(|&other| (self.counts[other as usize] / (self.rows.degree(other as usize) as f32).sqrt(), other))
            .collect();
        found.iter().for_each(|&other| self.counts[other as usize] = 0.0);
        if near.len() > MOST {
            near.select_nth_unstable_by(MOST, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            near.truncate(MOST);
        }
        // From a reference: consumed, the room of all that were found would stay with those that are kept.
        let mut near: Vec<u32> = near.iter().map(|&(_, other)| other).collect();
        near.sort_unstable();
        near
    }

    /// The weights of the neighbours by each regularisation, back to back.
    fn solve(&mut self, row: usize, near: &[u32], regularisations: &[f32]) -> Vec<f32> {
        let n = near.len();
        self.collect(near);
        // The last is that of the row itself: the right-hand side.
        let mut gram = vec![0.0f32; (n + 1) * n];
        let weighted = self.rows.row_values(row).is_some();
        for (node, confidence) in self.rows.entries(row) {
            let Some(number) = self.numbers[node as usize].checked_sub(1) else { continue };
            let touched = self.touched(number as usize);
            touched.iter().for_each(|&at| gram[n * n + at as usize] += confidence);
            if weighted {
                add_pairs(&mut gram, n, touched, confidence - 1.0);
            }
        }
        self.add_counts(&mut gram, n);
        self.nodes.drain(..).for_each(|node| self.numbers[node as usize] = 0);
        let mut weights = Vec::with_capacity(n * regularisations.len());
        for regularisation in regularisations {
            let mut system = gram.clone();
            (0..n).for_each(|at| system[at * n + at] += regularisation);
            let (lower, right) = system.split_at_mut(n * n);
            solve_cholesky(self.isa, lower, right);
            weights.extend_from_slice(right);
        }
        weights
    }

    /// Numbers the nodes of the neighbours and finds who has each.
    fn collect(&mut self, near: &[u32]) {
        let mut counts = Vec::new();
        for &other in near {
            for &node in self.rows.row(other as usize) {
                let number = &mut self.numbers[node as usize];
                if *number == 0 {
                    self.nodes.push(node);
                    counts.push(0usize);
                    *number = self.nodes.len() as u32;
                }
                counts[*number as usize - 1] += 1;
            }
        }
        self.ends.clear();
        // Each end is where the node's positions begin until they are there.
        self.ends.extend(counts.iter().scan(0, |end, count| Some(std::mem::replace(end, *end + count))));
        self.positions.resize(counts.iter().sum(), 0);
        for (position, &other) in (0..).zip(near) {
            for &node in self.rows.row(other as usize) {
                let end = &mut self.ends[self.numbers[node as usize] as usize - 1];
                self.positions[*end] = position;
                *end += 1;
            }
        }
    }

    /// The neighbours, by position, that have the node of a number.
    fn touched(&self, number: usize) -> &[u32] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.positions[start..self.ends[number]]
    }

    /// Adds to the lower triangle of a matrix how many nodes two neighbours share, in the way that costs less; both give the same.
    fn add_counts(&mut self, gram: &mut [f32], n: usize) {
        let words = self.nodes.len().div_ceil(64);
        let pairs = (0..self.nodes.len()).map(|number| self.touched(number).len().pow(2)).sum::<usize>();
        match pairs < n * n * words / WORDS {
            true => self.count_by_node(gram, n),
            false => self.count_by_bits(gram, n),
        }
    }

    /// Every pair of neighbours of a node, node by node.
    fn count_by_node(&self, gram: &mut [f32], n: usize) {
        (0..self.nodes.len()).for_each(|number| add_pairs(gram, n, self.touched(number), 1.0));
    }

    /// The nodes that two have in common, as bits, pair by pair.
    fn count_by_bits(&mut self, gram: &mut [f32], n: usize) {
        let words = self.nodes.len().div_ceil(64);
        let mut bits = std::mem::take(&mut self.bits);
        bits.clear();
        bits.resize(n * words, 0);
        for number in 0..self.nodes.len() {
            for &at in self.touched(number) {
                bits[at as usize * words + number / 64] |= 1 << (number % 64);
            }
        }
        for row in 0..n {
            let own = &bits[row * words..][..words];
            for column in 0..=row {
                gram[row * n + column] += common(self.isa, own, &bits[column * words..][..words]) as f32;
            }
        }
        self.bits = bits;
    }
}

/// Adds `count` to a matrix of `n` columns, in its lower triangle, at every pair of `positions`, which rise.
fn add_pairs(gram: &mut [f32], n: usize, positions: &[u32], count: f32) {
    for (at, &row) in positions.iter().enumerate() {
        let row = &mut gram[row as usize * n..];
        positions[..=at].iter().for_each(|&column| row[column as usize] += count);
    }
}

/// Solves `A x = b` in place of b, with the lower triangle of A, positive definite, overwritten by its Cholesky factor.
fn solve_cholesky(isa: Isa, lower: &mut [f32], x: &mut [f32]) {
    let n = x.len();
    for row in 0..n {
        let (above, rest) = lower.split_at_mut(row * n);
        let current = &mut rest[..n];
        for column in 0..row {
            let other = &above[column * n..][..n];
            current[column] = (current[column] - dot(isa, &current[..column], &other[..column])) / other[column];
        }
        current[row] = (current[row] - dot(isa, &current[..row], &current[..row])).max(f32::MIN_POSITIVE).sqrt();
        x[row] = (x[row] - dot(isa, &current[..row], &x[..row])) / current[row];
    }
    for row in (0..n).rev() {
        let current = &lower[row * n..][..n];
        x[row] /= current[row];
        let (head, tail) = x.split_at_mut(row);
        add_scaled(isa, head, -tail[0], &current[..row]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::below;

    /// Both ways of counting are the counts, of rows of any size, again and again on one workspace.
    #[test]
    fn counts_are_those_of_the_sets() {
        let base = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&base, &()).rng("test");
        let edges: Vec<(u32, u32, f32)> = (0..150u32)
            .flat_map(|user| (0..40u32).map(move |item| (user, item, 1.0)))
            .filter(|edge| below(&mut rng, 2 + edge.1 as usize) == 0)
            .collect();
        let graph = Bipartite::from_edges(150, 40, &edges).unwrap();
        for isa in Isa::available() {
            let mut workspace = Workspace::new((graph.items(), graph.users()), isa);
            for item in 0..40 {
                let near = workspace.nearest(item);
                let n = near.len();
                workspace.collect(&near);
                let mut by_node = vec![0.0; n * n];
                let mut by_bits = by_node.clone();
                workspace.count_by_node(&mut by_node, n);
                workspace.count_by_bits(&mut by_bits, n);
                assert_eq!(by_node, by_bits);
                for (row, &a) in near.iter().enumerate() {
                    for (column, &b) in near[..=row].iter().enumerate() {
                        let of = |item: u32| graph.items().row(item as usize);
                        let shared = of(a).iter().filter(|user| of(b).contains(user)).count();
                        assert_eq!(by_node[row * n + column], shared as f32);
                    }
                }
                workspace.nodes.drain(..).for_each(|node| workspace.numbers[node as usize] = 0);
                assert!(workspace.counts.iter().all(|&count| count == 0.0));
            }
        }
    }
}
