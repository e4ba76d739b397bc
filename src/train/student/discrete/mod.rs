//! Discrete coordinate descent of codes towards a teacher's scores.

mod descent;
mod lists;
mod rows;

use rayon::prelude::*;

use super::served::Serving;
use super::{Last, Student, Tables};
use crate::code::CodeShape;
use crate::error::Result;
use crate::kernel::dense::{Isa, Matrix, Rows as _, SignMatrix, SignedMatrix, add_scaled, dot, multiply_by};
use crate::kernel::heap;
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::size::Size;
use crate::train::student::tables::{CLIP, TARGETS};
use crate::train::teacher::layers::Layers;
use crate::train::teacher::scores::Scores;
use descent::{Descent, Side, Workspace, column_sum};
use lists::{Drawn, Holders, Lists};
use rows::Target;

/// Entries of all lists together.
const MOST_ENTRIES: usize = 1 << 25;
/// Entries an item is fitted to; of more, an even part stands for all.
const MOST_OF_ITEM: usize = 4096;
/// Rows whose products with the side held fixed are made together.
const BLOCK: usize = 48;
/// Blocks of users at least whose magnitudes are made together.
const TOGETHER: usize = 24;
/// What a user's scores have to differ by, as a share of their mean, to be more than what rounding leaves of scores that are alike.
const LEAST_DEVIATION: f32 = 1e-5;

/// Whether scores of this mean and standard deviation tell items apart.
fn tells_apart(mean: f32, deviation: f32) -> bool {
    deviation > (LEAST_DEVIATION * mean.abs()).max(f32::MIN_POSITIVE)
}

/// Codes whose scores are nearest to the teacher's in weighted squares, found bit by bit. With t the teacher's score, shifted and scaled for
/// every user to mean 0 and deviation 1 over the items, x a user's and w an item's code vector (signs times one scaler per layer) and m the mean
/// of all w, the loss is
///
/// `sum over u, i of (t_ui - <x_u, w_i - m>)^2 + weight * sum over u, i in the list of u of the same squares`
///
/// where a user's list holds its best items by the teacher without those it has had, since they are not what is recommended, and all users' first
/// terms hold every pair: of those, only the Gram matrix of one side and the product of the scores with it are needed. A user's bit is flipped when that lowers the
/// loss, given all other bits (discrete cyclic coordinate descent: Shen et al., "Supervised Discrete Hashing", CVPR 2015, equation 12; Zhang et
/// al., "Discrete Collaborative Filtering", SIGIR 2016, equation 9), then its scalers take their least-squares values; items are treated alike,
/// and no real-valued relaxation comes between a code and its loss. Shifts need no fitting: they change no ranking of a user's.
///
/// O(bits (bits + list)) a row and pass, and the lists.
#[derive(Clone, Debug)]
pub(crate) struct Discrete {
    /// Times both sides are fitted.
    pub(crate) sweeps: usize,
    /// Items of a user's list.
    pub(crate) list: usize,
    /// Weight of a user's list, as a share of the weight of all items.
    pub(crate) emphasis: f32,
}

impl Student for Discrete {
    fn name(&self) -> &'static str {
        "discrete coordinate descent"
    }

    /// Signs before and after; of an entry of a list the item, its target and their places among the item's users.
    fn floats(&self, size: Size, bits: f64) -> f64 {
        2.0 / 32.0 * size.nodes() * bits + 5.0 * size.users as f64 * self.length(size.users).min(size.items) as f64
    }

    fn distil(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: Tables,
        last: Option<&Last<'_>>,
    ) -> Result<(Tables, Vec<Epoch>)> {
        context.monitor.phase("student", 2 * self.sweeps as u64 + 1);
        let mut training = Training::new(self, context, teacher, start)?;
        heap::give_back();
        context.monitor.advance(1);
        let mut epochs = Vec::with_capacity(self.sweeps);
        for sweep in 0..self.sweeps {
            training.fit_users()?;
            context.monitor.advance(2 * sweep as u64 + 2);
            let loss = training.fit_items()?;
            context.monitor.advance(2 * sweep as u64 + 3);
            let recall = training.tables().recall(context)?;
            epochs.push(Epoch { loss, recall });
            if let Some(recall) = recall {
                context.monitor.validation(sweep as u64 + 1, recall);
            }
        }
        Ok((training.finish(last)?, epochs))
    }

    fn refit(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        _: &dyn Fn() -> Result<Tables>,
        before: Tables,
        last: &Last<'_>,
    ) -> Result<Tables> {
        let again = Discrete { sweeps: self.sweeps.div_ceil(2), ..self.clone() };
        Ok(again.distil(context, teacher, before, Some(last))?.0)
    }
}

impl Discrete {
    /// Items of a user's list where there are so many users.
    fn length(&self, n_users: usize) -> usize {
        self.list.min(MOST_ENTRIES / n_users.max(1)).max(1)
    }

    /// Goes on from codes that were nearly right with one sweep: the items first, to the users as they are, then the users, with what is served of their
    /// magnitudes.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn resume(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: Tables,
        last: &Last<'_>,
    ) -> Result<(Tables, f64)> {
        context.monitor.phase("student", 3);
        let mut training = Training::new(self, context, teacher, start)?;
        heap::give_back();
        context.monitor.advance(1);
        let loss = training.fit_items()?;
        training.holders = Holders::default();
        context.monitor.advance(2);
        let tables = training.served(Visit::FitAndRelax, last)?;
        context.monitor.advance(3);
        Ok((tables, loss))
    }
}

struct Training<'a> {
    context: &'a Context<'a>,
    scores: Scores<'a>,
    /// Of every user: what the teacher's scores are multiplied by, zero where there is nothing to fit.
    units: Vec<f32>,
    /// Of every user: the mean of the scores so multiplied.
    means: Vec<f32>,
    /// The items of every user's list, with their targets.
    lists: Lists,
    /// Of every user: the least score of the list.
    least: Vec<f32>,
    /// The users in whose list each item is.
    holders: Holders,
    /// Weight of an entry of a list.
    weight: f32,
    /// Code vectors.
    users: SignedMatrix,
    items: SignedMatrix,
    /// `w_l`.
    weights: Vec<f32>,
}

/// What is done to a user's vector.
#[derive(Clone, Copy, PartialEq)]
enum Visit {
    Fit,
    /// Their code stays, and their magnitudes become those of its signs.
    Relax,
    /// Both, where nothing is fitted after them.
    FitAndRelax,
}

impl<'a> Training<'a> {
    fn new(model: &Discrete, context: &'a Context<'a>, teacher: &'a Layers, start: Tables) -> Result<Training<'a>> {
        let scores = Scores::new(context, teacher);
        let (n_users, n_items) = (start.users.rows(), start.items.rows());
        let start = Tables { magnitudes: Matrix::zeros(0, 0), ..start };
        let most = model.length(n_users);
        let mut ones = Matrix::zeros(n_items, 1);
        ones.data_mut().fill(1.0 / n_items.max(1) as f32);
        let mut means = scores.times(&ones).all().into_data();
        let Drawn { mut lists, deviations } = lists::draw(context, &scores, &start, &means, most)?;
        let is_active =
            |user: usize| context.graph.users().degree(user) > 0 && tells_apart(means[user], deviations[user]);
        let units: Vec<f32> =
            (0..n_users).map(|user| if is_active(user) { 1.0 / deviations[user] } else { 0.0 }).collect();
        means.iter_mut().zip(&units).for_each(|(mean, unit)| *mean *= unit);
        let least_of = |user: usize| lists.row(user).map(|entry| *entry.1).fold(f32::INFINITY, f32::min);
        let least = (0..n_users).map(least_of).collect();
        lists.aim(|user| units[user] > 0.0, |user, score| score * units[user] - means[user]);
        let weights = start.weights.clone();
        let [users, items] = start.into_code_vectors();
        Ok(Training {
            weight: model.emphasis * n_items as f32 / most as f32,
            holders: lists.holders(n_items),
            users,
            items,
            weights,
            context,
            scores,
            units,
            means,
            lists,
            least,
        })
    }

    /// Fits every user to the items.
    fn fit_users(&mut self) -> Result<()> {
        self.each_user(Visit::Fit, |_, _, _| Ok(()))
    }

    /// The tables, with what is served of users' magnitudes, made as they are visited.
    fn served(mut self, visit: Visit, last: &Last<'_>) -> Result<Tables> {
        let widths = self.items.signs.segments().iter().map(|segment| segment.len() as u32).collect();
        let (shape, of) = (CodeShape::new(widths, self.weights.clone())?, (self.context.isa, self.context.graph));
        heap::give_back();
        let mut serving = Serving::new(of, shape, CLIP, self.item_scales(), last);
        self.each_user(visit, |items, magnitudes, scales| serving.add(items, magnitudes, scales))?;
        // What it was fitted to goes before the map is solved for.
        let tables = self.into_tables();
        Ok(Tables { served: Some(serving.finish()), ..tables })
    }

    /// Fits every user with something to fit, or their magnitudes. `see` is given the signs of the items and the magnitudes of some users in turn, with the logarithms of
    /// their scalers.
    fn each_user(
        &mut self,
        visit: Visit,
        mut see: impl FnMut(&SignMatrix, &mut [f32], &[f32]) -> Result<()>,
    ) -> Result<()> {
        let (isa, context) = (self.context.isa, self.context);
        let (units, means, lists, weight) = (&self.units, &self.means, &self.lists, self.weight);
        let (n_items, bits) = (self.items.rows() as f32, self.items.cols());
        let mean = column_mean(isa, &self.items);
        let cross_of = self.scores.times(&self.items);
        let side = Side::new(isa, &self.items, mean.clone());
        let layers = self.weights.iter().map(|weight| 1.0 / (weight * weight)).collect::<Vec<f32>>();
        let (n_users, segments) = (self.users.rows(), self.items.signs.segments());
        // Magnitudes are many: some are made at a time, for all threads.
        let (together, kept) = match visit {
            Visit::Fit => (n_users, 0),
            Visit::Relax | Visit::FitAndRelax => (BLOCK * (4 * rayon::current_num_threads()).max(TOGETHER), bits),
        };
        let mut buffer = vec![0.0; together.min(n_users) * kept];
        for start in (0..n_users).step_by(together.max(1)) {
            let some = start..n_users.min(start + together);
            let seen = &mut buffer[..some.len() * kept];
            let mut magnitudes: Vec<&mut [f32]> = seen.chunks_mut((BLOCK * bits).max(1)).collect();
            magnitudes.resize_with(some.len().div_ceil(BLOCK), Default::default);
            let blocks = self.users.par_blocks_mut(isa, some.clone(), BLOCK).zip(magnitudes).enumerate();
            blocks.try_for_each_init(
                Workspace::default,
                |workspace, (block, (mut rows, magnitudes))| -> Result<()> {
                    let first = start + block * BLOCK;
                    let mut vectors = rows.to_floats();
                    let mut cross = vec![0.0; vectors.len()];
                    cross_of.write(first, &mut cross);
                    let images = side.images(&vectors);
                    let both = vectors.chunks_exact_mut(bits).zip(cross.chunks_exact_mut(bits));
                    for (at, (vector, cross)) in both.enumerate() {
                        context.check()?;
                        let user = first + at;
                        if units[user] <= 0.0 {
                            continue;
                        }
                        // Of centred items: S (W - 1 m') = S W - (S 1) m'.
                        multiply_by(isa, cross, units[user]);
                        add_scaled(isa, cross, -n_items * means[user], &mean);
                        let list = lists.row(user).map(|(&item, &goal)| (item, goal));
                        let mut descent = Descent::new(&side, workspace, vector, (&images, at), cross, list, weight);
                        if visit != Visit::Relax {
                            descent.fit();
                            rows.set(at, descent.vector());
                        }
                        if visit != Visit::Fit {
                            descent.relax();
                        }
                    }
                    if visit != Visit::Fit {
                        for row in vectors.chunks_exact_mut(bits) {
                            segments.iter().for_each(|segment| Tables::spread(isa, &mut row[segment.clone()]));
                        }
                        magnitudes.copy_from_slice(&vectors);
                    }
                    Ok(())
                },
            )?;
            if visit != Visit::Fit {
                let sizes = &self.users.sizes.data()[some.start * layers.len()..some.end * layers.len()];
                let scales = sizes.iter().zip(layers.iter().cycle()).map(|(size, factor)| (size * factor).ln());
                see(&self.items.signs, seen, &scales.collect::<Vec<f32>>())?;
            }
        }
        Ok(())
    }

    /// Fits every item to the users; the loss after it, as a share of that of codes that say nothing.
    fn fit_items(&mut self) -> Result<f64> {
        let (isa, context) = (self.context.isa, self.context);
        let (lists, holders, entry_weight) = (&self.lists, &self.holders, self.weight);
        let (means, units) = (&self.means, &self.units);
        let (users, bits) = (&self.users, self.items.cols());
        let mean = column_mean(isa, &self.items);
        // What the mean item adds to a user's scores; the targets are raised by it in place of centring the items.
        let offsets = offsets(isa, users, &mean);
        let cross_of = self.scores.transposed_times(users, units);
        let mut shift = vec![0.0; bits];
        for user in 0..users.rows() {
            users.add_row(isa, user, offsets[user] - means[user], &mut shift);
        }
        let side = Side::new(isa, users, vec![0.0; bits]);
        let all = 0..self.items.rows();
        let blocks = self.items.par_blocks_mut(isa, all, BLOCK).enumerate();
        let losses: Vec<f64> = blocks
            .map_init(Workspace::default, |workspace, (block, mut rows)| {
                let first = block * BLOCK;
                let mut vectors = rows.to_floats();
                let mut cross = vec![0.0; vectors.len()];
                cross_of.write(first, &mut cross);
                let images = side.images(&vectors);
                let mut loss = 0.0;
                let both = vectors.chunks_exact_mut(bits).zip(cross.chunks_exact_mut(bits));
                for (at, (vector, cross)) in both.enumerate() {
                    context.check()?;
                    let item = first + at;
                    if context.graph.items().degree(item) == 0 {
                        continue;
                    }
                    add_scaled(isa, cross, 1.0, &shift);
                    let own = holders.of(item);
                    let step = own.len().div_ceil(MOST_OF_ITEM).max(1);
                    let list = own.iter().step_by(step).filter_map(|&user| {
                        Some((user, lists.goal(user as usize, item as u32)? + offsets[user as usize]))
                    });
                    let weight = entry_weight * own.len() as f32 / own.len().div_ceil(step).max(1) as f32;
                    let mut descent = Descent::new(&side, workspace, vector, (&images, at), cross, list, weight);
                    descent.fit();
                    rows.set(at, descent.vector());
                    loss += descent.loss();
                }
                Ok(loss)
            })
            .collect::<Result<_>>()?;
        let n_items = self.items.rows() as f64;
        let active = units.iter().zip(&offsets).filter(|(unit, _)| **unit > 0.0);
        let squares: f64 = active.clone().map(|(_, &offset)| n_items * (1.0 + f64::from(offset).powi(2))).sum();
        let listed: f64 = self.lists.goals().iter().map(|&goal| f64::from(goal).powi(2)).sum();
        let nothing = n_items * active.count() as f64 + f64::from(entry_weight) * listed;
        Ok((squares + losses.iter().sum::<f64>()) / nothing.max(f64::MIN_POSITIVE))
    }

    /// The tables of the codes. The last time, with what is served of users' magnitudes, which have the same signs.
    fn finish(self, last: Option<&Last<'_>>) -> Result<Tables> {
        match last {
            Some(last) => self.served(Visit::Relax, last),
            None => Ok(self.into_tables()),
        }
    }

    /// The tables of the codes, without magnitudes.
    fn tables(&self) -> Tables {
        self.tables_of(self.users.signs.clone(), self.items.signs.clone())
    }

    fn into_tables(mut self) -> Tables {
        let none = || SignMatrix::positive(0, &[]);
        let [users, items] = [&mut self.users, &mut self.items].map(|side| std::mem::replace(&mut side.signs, none()));
        self.tables_of(users, items)
    }

    /// The logarithms of items' scalers.
    fn item_scales(&self) -> Matrix {
        let width = |layer: usize| self.items.signs.segments()[layer].len() as f32;
        scales(&self.items.sizes, width)
    }

    fn tables_of(&self, users: SignMatrix, items: SignMatrix) -> Tables {
        let square = |layer: usize| self.weights[layer] * self.weights[layer];
        let segments = users.segments().to_vec();
        let mut targets = Matrix::zeros(self.units.len(), TARGETS);
        for (user, (&unit, (&mean, &least))) in self.units.iter().zip(self.means.iter().zip(&self.least)).enumerate() {
            targets.row_mut(user).copy_from_slice(&Target { unit, mean, least }.row());
        }
        Tables {
            user_scales: scales(&self.users.sizes, |layer| 1.0 / square(layer)),
            item_scales: scales(&self.items.sizes, |layer| segments[layer].len() as f32),
            segments,
            weights: self.weights.clone(),
            users,
            items,
            magnitudes: Matrix::zeros(0, 0),
            served: None,
            clip: CLIP,
            targets,
        }
    }
}

/// The logarithms of the sizes of code vectors, times a factor a layer.
fn scales(sizes: &Matrix, factor: impl Fn(usize) -> f32) -> Matrix {
    let mut scales = sizes.clone();
    let layers = (0..sizes.cols()).cycle();
    scales.data_mut().iter_mut().zip(layers).for_each(|(scale, layer)| *scale = (*scale * factor(layer)).ln());
    scales
}

/// The inner product of every row with a vector.
fn offsets(isa: Isa, rows: &SignedMatrix, by: &[f32]) -> Vec<f32> {
    let row = |buffer: &mut Vec<f32>, row: usize| {
        rows.write_row(isa, row, buffer);
        dot(isa, buffer, by)
    };
    (0..rows.rows()).into_par_iter().map_init(|| vec![0.0; by.len()], row).collect()
}

fn column_mean(isa: Isa, matrix: &SignedMatrix) -> Vec<f32> {
    let mut mean = column_sum(isa, matrix);
    multiply_by(isa, &mut mean, 1.0 / matrix.rows().max(1) as f32);
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::{below, normal_matrix};
    /// The loss reported is the one defined, and falls from sweep to sweep.
    #[test]
    fn sweeps_lower_the_loss_over_all_pairs() {
        let (n_users, n_items) = (50usize, 40usize);
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("test");
        let edges: Vec<(u32, u32, f32)> = (0..n_users as u32)
            .flat_map(|user| (0..n_items as u32).map(move |item| (user, item, 1.0)))
            .filter(|edge| edge.0 > 0 && below(&mut rng, 4) == 0)
            .collect();
        let graph = Bipartite::from_edges(n_users, n_items, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let (mut users, items) = (normal_matrix(&mut rng, n_users, 8, 1.0), normal_matrix(&mut rng, n_items, 8, 1.0));
        users.row_mut(0).fill(0.0);
        let teacher = Layers::of(users, items);
        let model = Discrete { sweeps: 1, list: 5, emphasis: 0.5 };
        let start = Tables::rotated(&context, &teacher, &[64]);
        let mut training = Training::new(&model, &context, &teacher, start).unwrap();
        let mut last = f64::INFINITY;
        for _ in 0..4 {
            training.fit_users().unwrap();
            let mean = column_mean(Isa::BASELINE, &training.items);
            let of = |side: &SignedMatrix, row: usize| side.gather(Isa::BASELINE, &[row as u32]).into_data();
            let reported = training.fit_items().unwrap();
            let (mut loss, mut nothing) = (0.0, 0.0);
            for user in 1..n_users {
                let inner = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a * b)).sum::<f64>();
                let row: Vec<f64> =
                    (0..n_items).map(|item| inner(teacher.users[0].row(user), teacher.items[0].row(item))).collect();
                let average = row.iter().sum::<f64>() / n_items as f64;
                let deviation = (row.iter().map(|x| (x - average).powi(2)).sum::<f64>() / n_items as f64).sqrt();
                let listed: Vec<u32> = training.lists.row(user).map(|(&item, _)| item).collect();
                assert_eq!(listed.len(), 5);
                assert!(listed.iter().all(|item| !graph.users().row(user).contains(item)));
                for (item, score) in row.iter().enumerate() {
                    let weight = if listed.contains(&(item as u32)) { 1.0 + 0.5 * n_items as f64 / 5.0 } else { 1.0 };
                    let target = (score - average) / deviation;
                    let x = of(&training.users, user);
                    let score = inner(&x, &of(&training.items, item)) - inner(&x, &mean);
                    loss += weight * (target - score).powi(2);
                    nothing += weight * target.powi(2);
                }
            }
            assert!((reported - loss / nothing).abs() < 1e-4, "{reported} {}", loss / nothing);
            assert!(reported < last + 1e-6, "{reported} after {last}");
            last = reported;
        }
        assert!(last < 0.05, "64 bits say nearly all of 8 dimensions: {last}");
        assert!(training.users.is_zero(0));
    }

    /// What is served of magnitudes as they come is what is served of all of them, of one layer and of more, on any number of threads.
    #[test]
    fn what_comes_in_parts_is_served_as_the_whole() {
        let (n_users, n_items) = (2 * BLOCK * TOGETHER + 50, 40usize);
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("served");
        let edges: Vec<(u32, u32, f32)> = (0..n_users as u32)
            .flat_map(|user| (0..n_items as u32).map(move |item| (user, item, 1.0)))
            .filter(|edge| edge.0 != 7 && edge.1 != 5 && below(&mut rng, 12) == 0)
            .collect();
        let graph = Bipartite::from_edges(n_users, n_items, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let mut teacher =
            Layers::of(normal_matrix(&mut rng, n_users, 8, 1.0), normal_matrix(&mut rng, n_items, 8, 1.0));
        teacher.propagate(context.isa, &graph, 1);
        let degrees = graph.items().degrees();
        for (widths, planes, novelty) in [(&[64][..], 4, 0.0), (&[64, 70], 3, 0.4), (&[64], 1, 0.2)] {
            let last = Last { planes, degrees: &degrees, novelty };
            let model = Discrete { sweeps: 1, list: 5, emphasis: 0.5 };
            let start = Tables::rotated_signs(&context, &teacher, widths);
            let mut whole = Training::new(&model, &context, &teacher, start.clone()).unwrap();
            whole.fit_items().unwrap();
            let mut magnitudes = Vec::new();
            let see = |_: &SignMatrix, seen: &mut [f32], _: &[f32]| {
                magnitudes.extend_from_slice(seen);
                Ok(())
            };
            whole.each_user(Visit::FitAndRelax, see).unwrap();
            let magnitudes = Matrix::from_data(n_users, widths.iter().sum(), magnitudes).unwrap();
            let mut whole = Tables { magnitudes, ..whole.into_tables() };
            let of_all = whole.serve((context.isa, &graph), &last).unwrap();
            for threads in [1, 3] {
                let resume = || model.resume(&context, &teacher, start.clone(), &last).unwrap().0;
                let mut tables = crate::pool::Pool::start("test", threads).unwrap().run(resume);
                assert_eq!(tables.magnitudes.rows(), 0);
                assert_eq!(tables.serve((context.isa, &graph), &last).unwrap(), of_all, "{widths:?} {planes}");
                assert_eq!((&tables.users, &tables.items), (&whole.users, &whole.items));
                assert_eq!(tables.item_scales, whole.item_scales);
            }
        }
    }
}
