//! OneBP.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::block::EXPLODED;
use super::descent::{DEVIATION, LEAST_RATE};
use super::layers::Layers;
use super::nodes::Nodes;
use super::{Fit, Teacher};
use crate::error::{Error, Result};
use crate::graph::Bipartite;
use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, multiply_by};
use crate::train::context::Context;
use crate::train::measure::stopping::{Best, Stopping};
use crate::train::model::report::Epoch;
use crate::train::model::size::Size;
use crate::train::optim::adam::DenseAdam;
use crate::train::optim::grouping::Grouping;
use crate::train::optim::loss::pairwise;
use crate::train::optim::random::{normal_matrix, shuffle};
use crate::train::optim::sampler::KnownItems;
use crate::train::optim::schedule::falling;

/// The side of the graph whose vectors take gradients; the other one's follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// As the paper has it.
    Items,
    /// The paper's flipped form, which it shows to fail.
    Users,
}

/// OneBP ("One Backpropagation in Two Tower Recommendation Models", arXiv 2403.18227): two free tables. The items of a step take the gradient of
/// InfoNCE, `log(1 + sum over k of exp(<u, n_k> - <u, p>))` with negatives of each pair's own, uniform over items the user has not; users take none. After it,
/// `u <- beta u + (1 - beta) p` for every pair, with the new vector of its positive. An epoch visits every pair once: O(pairs negatives factors).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OneBp {
    /// Width of the tables.
    pub(crate) factors: usize,
    pub(crate) epochs: usize,
    /// Validations without a gain before stopping.
    pub(crate) patience: usize,
    /// Epochs after which to stop, though the rate falls as if there were `epochs`.
    pub(crate) stop: Option<usize>,
    pub(crate) rate: f32,
    /// Weight of `1/2 |v|^2`, once for every pair that the row is in.
    pub(crate) l2: f32,
    /// Pairs a step.
    pub(crate) batch: usize,
    /// Negatives a pair.
    pub(crate) negatives: usize,
    /// `beta`.
    pub(crate) momentum: f32,
    pub(crate) learned: Side,
}

impl Teacher for OneBp {
    fn name(&self) -> &'static str {
        "OneBP"
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.factors], vec![1.0])
    }

    /// The table, the best of it, the gradient and two moments; and of the pairs of a step, negatives, slopes and where both go.
    fn floats(&self, size: Size) -> f64 {
        5.0 * size.nodes() * self.factors as f64 + 4.0 * (self.batch.min(size.edges) * self.negatives) as f64
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        let Learned { tables, epochs, settled } = self.learn(context, "teacher")?;
        let settled = settled.map(|settled| Box::new(settled) as Box<dyn Teacher>);
        Ok(Fit { layers: layers(tables, context.graph), epochs, chosen: Vec::new(), settled })
    }
}

/// What came of it.
pub(crate) struct Learned {
    pub(crate) tables: Nodes,
    pub(crate) epochs: Vec<Epoch>,
    /// The same, set to stop where it did; `None` where nothing was held out.
    pub(crate) settled: Option<OneBp>,
}

impl OneBp {
    /// Learns the tables; those with the best recall on what is held out. `phase` is what a monitor is told.
    ///
    /// # Errors
    /// `Cancelled`, `Diverged`.
    pub(crate) fn learn(&self, context: &Context<'_>, phase: &str) -> Result<Learned> {
        let graph = context.graph;
        let mut rng = context.rng("onebp");
        let mut training = Training::new(self, context);
        let rows = graph.users();
        let mut pairs: Vec<(u32, u32)> = (0..rows.n_rows() as u32)
            .flat_map(|user| rows.row(user as usize).iter().map(move |&item| (user, item)))
            .collect();
        let steps = (self.epochs * pairs.len().div_ceil(self.batch)) as u64;
        let mut stopping = Stopping::new(self.epochs, self.patience);
        let mut epochs = Vec::new();
        let mut step = 0;
        context.monitor.phase(phase, steps);
        for epoch in 1..=self.stop.unwrap_or(self.epochs) {
            shuffle(&mut rng, &mut pairs);
            let mut loss = 0.0;
            for batch in pairs.chunks(self.batch) {
                let rate = falling(self.rate, LEAST_RATE, step, steps);
                loss += training.step(context, batch, rate, &mut rng)?;
                step += 1;
                context.monitor.advance(step);
            }
            let loss = loss / pairs.len().max(1) as f64;
            let indifference = (self.negatives as f64 + 1.0).ln();
            if loss.is_nan() || loss > EXPLODED * indifference || !training.tables.is_finite() {
                let lower = if phase == "start" { "teacher.start_epochs" } else { "teacher.rate" };
                let phase = format!("epoch {epoch} of the {phase}");
                return Err(Error::Diverged { model: self.name(), phase, lower });
            }
            let tables = &training.tables;
            let recall = match stopping.is_due(epoch) {
                true => layers(tables.clone(), graph).recall(context)?,
                false => None,
            };
            epochs.push(Epoch { loss, recall });
            if recall.is_some_and(|recall| stopping.is_over(context, epoch, recall, || tables.clone())) {
                break;
            }
        }
        if step < steps {
            context.monitor.advance(steps);
        }
        Ok(match stopping.into_best() {
            None => Learned { tables: training.tables, epochs, settled: None },
            Some(Best { epoch, kept: tables, .. }) => {
                Learned { tables, epochs, settled: Some(OneBp { stop: Some(epoch), ..self.clone() }) }
            }
        })
    }
}

/// The tables as layers. Nodes without interactions have learned nothing, so their vectors are zero.
fn layers(mut tables: Nodes, graph: &Bipartite) -> Layers {
    for (table, rows) in [(&mut tables.users, graph.users()), (&mut tables.items, graph.items())] {
        (0..rows.n_rows()).filter(|&row| rows.degree(row) == 0).for_each(|row| table.row_mut(row).fill(0.0));
    }
    Layers::of(tables.users, tables.items)
}

/// The state of a training.
struct Training<'a> {
    model: &'a OneBp,
    tables: Nodes,
    /// By the side that is learned; only rows of the step are of use.
    gradient: Matrix,
    adam: DenseAdam,
    known: KnownItems,
}

impl<'a> Training<'a> {
    fn new(model: &'a OneBp, context: &Context<'_>) -> Training<'a> {
        let (n_users, n_items) = (context.graph.n_users(), context.graph.n_items());
        let mut rng = context.rng("tables");
        let learned = if model.learned == Side::Items { n_items } else { n_users };
        Training {
            model,
            tables: Nodes {
                users: normal_matrix(&mut rng, n_users, model.factors, DEVIATION),
                items: normal_matrix(&mut rng, n_items, model.factors, DEVIATION),
            },
            gradient: Matrix::zeros(learned, model.factors),
            adam: DenseAdam::new(learned, model.factors),
            known: KnownItems::of(context.graph),
        }
    }

    /// One step on some pairs; the sum of their losses.
    fn step(
        &mut self,
        context: &Context<'_>,
        pairs: &[(u32, u32)],
        rate: f32,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Result<f64> {
        context.check()?;
        let (isa, scale) = (context.isa, 1.0 / pairs.len() as f32);
        let batch = self.scored(context, pairs, rng);
        let (Nodes { users, items }, l2, beta) = (&mut self.tables, self.model.l2, self.model.momentum);
        let by_user = Grouping::new(users.rows(), &pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
        match self.model.learned {
            Side::Items => {
                let by_item = batch.to_items(isa, users, items, l2, &mut self.gradient);
                let touched = |row: usize| !by_item.row(row).is_empty();
                self.adam.update(isa, items, &self.gradient, scale, rate, touched);
                follow(isa, users, &by_user, beta, |pair| items.row(pairs[pair].1 as usize));
            }
            Side::Users => {
                batch.to_users(isa, users, items, l2, &by_user, &mut self.gradient);
                let touched = |row: usize| !by_user.row(row).is_empty();
                self.adam.update(isa, users, &self.gradient, scale, rate, touched);
                let by_item = Grouping::new(items.rows(), &pairs.iter().map(|pair| pair.1).collect::<Vec<_>>());
                follow(isa, items, &by_item, beta, |pair| users.row(pairs[pair].0 as usize));
            }
        }
        Ok(batch.loss)
    }

    /// Draws the negatives of some pairs and scores them.
    fn scored<'p>(&self, context: &Context<'_>, pairs: &'p [(u32, u32)], rng: &mut Xoshiro256PlusPlus) -> Batch<'p> {
        let (isa, rows, count) = (context.isa, context.graph.users(), self.model.negatives);
        let Nodes { users, items } = &self.tables;
        let seeds: Vec<u64> = pairs.iter().map(|_| rng.next_u64()).collect();
        let mut negatives = vec![0u32; pairs.len() * count];
        let mut slopes = vec![0.0f32; negatives.len()];
        let losses: Vec<f32> = negatives
            .par_chunks_exact_mut(count)
            .zip(slopes.par_chunks_exact_mut(count))
            .zip(pairs.par_iter().zip(&seeds))
            .map(|((negatives, slopes), (&(user, positive), &seed))| {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                let vector = users.row(user as usize);
                let seen = rows.row(user as usize);
                let score = |item: u32| dot(isa, vector, items.row(item as usize));
                for (negative, slope) in negatives.iter_mut().zip(&mut *slopes) {
                    *negative = self.known.untouched(&mut rng, seen);
                    *slope = score(*negative);
                }
                pairwise(score(positive), slopes, 1.0)
            })
            .collect();
        Batch { pairs, negatives, slopes, loss: losses.into_iter().map(f64::from).sum() }
    }
}

/// The pairs of a step, each with as many negatives, and the derivatives of the loss by their scores.
struct Batch<'p> {
    pairs: &'p [(u32, u32)],
    negatives: Vec<u32>,
    slopes: Vec<f32>,
    loss: f64,
}

impl Batch<'_> {
    /// The slopes of a pair: by its positive, and by its negatives.
    fn slopes(&self, pair: usize) -> (f32, &[f32]) {
        let count = self.negatives.len() / self.pairs.len();
        let slopes = &self.slopes[pair * count..][..count];
        (-slopes.iter().sum::<f32>(), slopes)
    }

    /// Writes the gradient by the items that are in it, and tells which these are: members below the number of pairs are positives, the others negatives.
    fn to_items(&self, isa: Isa, users: &Matrix, items: &Matrix, l2: f32, gradient: &mut Matrix) -> Grouping {
        let (n_pairs, count) = (self.pairs.len(), self.negatives.len() / self.pairs.len());
        let members: Vec<u32> = self.pairs.iter().map(|pair| pair.1).chain(self.negatives.iter().copied()).collect();
        let by_item = Grouping::new(items.rows(), &members);
        let rows = gradient.par_rows_mut().enumerate().filter(|(item, _)| !by_item.row(*item).is_empty());
        rows.for_each(|(item, out)| {
            out.fill(0.0);
            add_scaled(isa, out, l2 * by_item.row(item).len() as f32, items.row(item));
            for &member in by_item.row(item) {
                let (pair, slope) = match (member as usize).checked_sub(n_pairs) {
                    None => (member as usize, self.slopes(member as usize).0),
                    Some(negative) => (negative / count, self.slopes[negative]),
                };
                add_scaled(isa, out, slope, users.row(self.pairs[pair].0 as usize));
            }
        });
        by_item
    }

    /// Writes the gradient by the users that are in it.
    fn to_users(&self, isa: Isa, users: &Matrix, items: &Matrix, l2: f32, by_user: &Grouping, gradient: &mut Matrix) {
        let count = self.negatives.len() / self.pairs.len();
        let rows = gradient.par_rows_mut().enumerate().filter(|(user, _)| !by_user.row(*user).is_empty());
        rows.for_each(|(user, out)| {
            out.fill(0.0);
            add_scaled(isa, out, l2 * by_user.row(user).len() as f32, users.row(user));
            for pair in by_user.row(user).iter().map(|&pair| pair as usize) {
                let (positive, slopes) = self.slopes(pair);
                add_scaled(isa, out, positive, items.row(self.pairs[pair].1 as usize));
                for (&slope, &negative) in slopes.iter().zip(&self.negatives[pair * count..]) {
                    add_scaled(isa, out, slope, items.row(negative as usize));
                }
            }
        });
    }
}

/// `row <- beta row + (1 - beta) target` for every pair of a row, in the order of the pairs.
fn follow<'t>(isa: Isa, table: &mut Matrix, pairs: &Grouping, beta: f32, target: impl Fn(usize) -> &'t [f32] + Sync) {
    table.par_rows_mut().enumerate().for_each(|(row, vector)| {
        for &pair in pairs.row(row) {
            multiply_by(isa, vector, beta);
            add_scaled(isa, vector, 1.0 - beta, target(pair as usize));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(learned: Side) -> OneBp {
        OneBp {
            factors: 6,
            epochs: 3,
            patience: 3,
            stop: None,
            rate: 0.05,
            l2: 0.02,
            batch: 11,
            negatives: 3,
            momentum: 0.9,
            learned,
        }
    }

    fn graph() -> Bipartite {
        let edges: Vec<_> = (0..60u32).map(|e| (e * 7 % 9, e * 13 % 17, 1.0)).collect();
        Bipartite::from_edges(9, 18, &edges).unwrap()
    }

    /// The loss of fixed pairs and negatives, with its penalty, as a function of the side that is learned.
    #[test]
    fn gradients_equal_finite_differences() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let pairs: Vec<(u32, u32)> = (0..20u32).map(|at| (at % 4, at * 5 % 17)).collect();
        for learned in [Side::Items, Side::Users] {
            let model = model(learned);
            let mut training = Training::new(&model, &context);
            for side in [&mut training.tables.users, &mut training.tables.items] {
                *side = normal_matrix(&mut context.rng("test"), side.rows(), 6, 0.7);
            }
            let batch = training.scored(&context, &pairs, &mut context.rng("step"));
            let by_user = Grouping::new(9, &pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
            let Nodes { users, items } = &training.tables;
            let counts: Vec<f64> = match learned {
                Side::Items => {
                    let by_item = batch.to_items(context.isa, users, items, model.l2, &mut training.gradient);
                    (0..18).map(|item| by_item.row(item).len() as f64).collect()
                }
                Side::Users => {
                    batch.to_users(context.isa, users, items, model.l2, &by_user, &mut training.gradient);
                    (0..9).map(|user| by_user.row(user).len() as f64).collect()
                }
            };
            let loss = |tables: &Nodes, l2: f64| {
                let score = |user: u32, item: u32| -> f64 {
                    let rows = tables.users.row(user as usize).iter().zip(tables.items.row(item as usize));
                    rows.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let pairs = pairs.iter().zip(batch.negatives.chunks(3)).map(|(&(user, positive), negatives)| {
                    let own = score(user, positive);
                    (1.0 + negatives.iter().map(|&n| (score(user, n) - own).exp()).sum::<f64>()).ln()
                });
                let side = if learned == Side::Items { &tables.items } else { &tables.users };
                let squares = |row: usize| side.row(row).iter().map(|x| f64::from(x * x)).sum::<f64>();
                let penalty: f64 = counts.iter().enumerate().map(|(row, n)| n * squares(row)).sum();
                pairs.sum::<f64>() + 0.5 * l2 * penalty
            };
            assert!((batch.loss - loss(&training.tables, 0.0)).abs() < 1e-4);
            for (row, k) in [(0, 0), (1, 3), (2, 5), (3, 2)] {
                let shifted = |by: f32| {
                    let mut tables = training.tables.clone();
                    let side = if learned == Side::Items { &mut tables.items } else { &mut tables.users };
                    side.row_mut(row)[k] += by;
                    loss(&tables, f64::from(model.l2))
                };
                let want = (shifted(1e-3) - shifted(-1e-3)) / 2e-3;
                let got = f64::from(training.gradient.row(row)[k]);
                assert!((got - want).abs() < 1e-2 * want.abs().max(0.1), "{learned:?} {row} {k}: {got} {want}");
            }
        }
    }

    /// After a step every user of it has moved towards the new vectors of its positives, in their order, and nobody else has.
    #[test]
    fn users_follow_their_positives() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let model = model(Side::Items);
        let mut training = Training::new(&model, &context);
        let before = training.tables.clone();
        let pairs = [(2, 4), (5, 1), (2, 4), (2, 9)];
        training.step(&context, &pairs, 0.05, &mut context.rng("step")).unwrap();
        let after = &training.tables;
        assert_ne!(after.items.row(4), before.items.row(4));
        for user in 0..9 {
            let mut want = before.users.row(user).to_vec();
            for &(_, item) in pairs.iter().filter(|pair| pair.0 as usize == user) {
                want.iter_mut().zip(after.items.row(item as usize)).for_each(|(u, v)| *u = 0.9 * *u + 0.1 * v);
            }
            let error = want.iter().zip(after.users.row(user)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < 1e-6, "{user}: {error}");
        }
    }

    #[test]
    fn the_flipped_form_is_another() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let of = |learned| model(learned).learn(&context, "teacher").unwrap().tables;
        assert_ne!(of(Side::Items).items, of(Side::Users).items);
    }
}
