//! BiGeaR and BiGeaR++: codes of every layer of a graph convolution, learned through the signs.

mod lists;
mod objective;
mod propagation;

use rayon::prelude::*;

pub(crate) use lists::{Among, Ranking};
pub(crate) use objective::Distillation;

use super::tables::START;
use super::{Last, Student, Tables};
use crate::error::{Error, Result};
use crate::graph::Adjacency;
use crate::kernel::dense::{Isa, Matrix, View, add_scaled, dot, product};
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::size::Size;
use crate::train::optim::adam::DenseAdam;
use crate::train::optim::estimator::Estimator;
use crate::train::optim::sampler::KnownItems;
use crate::train::optim::schedule::falling;
use crate::train::optim::synthesis::Synthesis;
use crate::train::student::rotation::rotation;
use crate::train::teacher::layers::Layers;
use crate::train::teacher::{Neighbours, Nodes};
use lists::Lists;
use objective::Objective;
use propagation::{Propagation, quantise, through_signs};

/// A mean loss this many times that of a model that scores all items alike is no noise; Adam's steps are bounded, so that a table that
/// explodes may stay finite.
const EXPLODED: f64 = 10.0;

/// Draws of a step at most: 4 GB of what is kept of each.
const MOST_DRAWS: usize = 1 << 27;

/// The share of the learning rate that is left at the end.
const LEAST_RATE: f32 = 0.1;

/// As a share of the mean magnitude, what is near enough to flipping for queries of several planes to tell. The student learned signs, all of
/// one size, so magnitudes above it say nothing: recall on held-out interactions of ML-1M, 1-bit against 4-bit queries, was 0.2316 against 0.2276
/// with 1/2 and 0.2319 against 0.2333 with 1/6.
const UNSURE: f32 = 1.0 / 6.0;

/// The student of BiGeaR (KDD 2022) and BiGeaR++ (TOIS 2025, arXiv 2506.02750).
///
/// The trained table `V^(0)` starts as the teacher's and is propagated in full precision, `V^(l+1) = A_hat V^(l)`; the code of layer
/// l, `Q^(l) = mean|V^(l)| sign(V^(l))`, is a side branch. The score is `sum over l of w_l^2 <Q_u^(l), Q_i^(l)>`, and the loss
///
/// `BPR(one synthesised negative) + mean over l of L_ID^(l) + decay / 2 (|V_u^(0)|^2 + |V_p^(0)|^2 + |V_n^(0)|^2)`
///
/// with L_ID the inference distillation from the teacher's lists ([`Ranking`]).
///
/// The authors propagate the whole graph twice a batch. Here a step holds `V` for a draw of `draws` positives of every user, sums the
/// gradients of all layers by node, goes back through the graph once, and moves the table by one step of Adam with a rate sixty times
/// theirs: two passes over the graph serve tens of thousands of pairs. A step costs
/// O(hops edges d + users (draws candidates + R1 + R2) (hops + 1) d).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BiGear {
    /// Passes over as many pairs as there are interactions, each followed by a validation.
    pub(crate) epochs: usize,
    /// Training stops after so many epochs in a row that were no better than the best.
    pub(crate) patience: usize,
    /// Positives drawn for every user and step.
    pub(crate) draws: usize,
    /// Learning rate of Adam at the start; falls linearly to a tenth.
    pub(crate) rate: f32,
    /// Weight of the squared norms of the rows drawn.
    pub(crate) decay: f32,
    /// `w_l`, a weight per layer.
    pub(crate) weights: Vec<f32>,
    /// Hops of the propagation.
    pub(crate) hops: usize,
    /// Bits of a segment, `d`.
    pub(crate) width: usize,
    /// Quantises `sum over layers of w_l V^(l)`, the only segment, in place of every layer.
    pub(crate) pooled: bool,
    pub(crate) estimator: Estimator,
    pub(crate) synthesis: Synthesis,
    /// The teacher's lists; `None` leaves the distillation out.
    pub(crate) ranking: Option<Ranking>,
    pub(crate) distillation: Distillation,
}

impl Student for BiGear {
    fn name(&self) -> &'static str {
        "BiGeaR student"
    }

    /// Layers, their codes, gradients on the way back, what is measured and the best of it; lists and pairs of every user.
    fn floats(&self, size: Size, bits: f64) -> f64 {
        let listed = self.ranking.map_or(0, |ranking| ranking.first + ranking.second) * self.segment_weights().len();
        5.5 * size.nodes() * bits + size.users as f64 * (4 * listed + 8 * self.draws) as f64
    }

    fn distil(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: Tables,
        _: Option<&Last<'_>>,
    ) -> Result<(Tables, Vec<Epoch>)> {
        let n_users = context.graph.n_users();
        if n_users * self.draws > MOST_DRAWS {
            return Err(Error::InvalidArgument {
                what: format!("student.draws = {} of each of {n_users} users a step", self.draws),
                remedy: format!("choose at most {}: a step holds all of them in memory", (MOST_DRAWS / n_users).max(1)),
            });
        }
        let propagation = self.propagation(context);
        let mut table = self.first_layer(context, teacher);
        let mut segments = propagation.forward(context, &table)?;
        let objective = Objective {
            context,
            known: KnownItems::of(context.graph),
            synthesis: self.synthesis,
            draws: self.draws,
            distillation: self.distillation,
            lists: self.lists(context, &segments)?,
        };
        let mut best_recall = start.recall(context)?;
        let mut best = start;
        let mut adam = [&table.users, &table.items].map(|side| DenseAdam::new(side.rows(), side.cols()));
        let mut epochs = Vec::with_capacity(self.epochs);
        let mut worse = 0;
        let steps_each = context.graph.n_edges().div_ceil((objective.n_active() * self.draws).max(1));
        let steps = (self.epochs * steps_each) as u64;
        context.monitor.phase("student", steps);
        let mut step = 0;
        for epoch in 0..self.epochs as u64 {
            let mut loss = 0.0;
            for _ in 0..steps_each {
                let rate = falling(self.rate, LEAST_RATE, step, steps);
                loss += self.step(&objective, &mut table, &segments, &mut adam, (step, rate), &propagation)?;
                segments = propagation.forward(context, &table)?;
                step += 1;
                context.monitor.advance(step);
            }
            let loss = loss / steps_each.max(1) as f64;
            if loss.is_nan() || loss > EXPLODED * objective.indifference() || !table.is_finite() {
                let phase = format!("epoch {} of the student", epoch + 1);
                return Err(Error::Diverged { model: self.name(), phase, lower: "student.rate or student.sharpness" });
            }
            let current = tables(context, &segments, &self.segment_weights());
            let recall = current.recall(context)?;
            epochs.push(Epoch { loss, recall });
            if let Some(recall) = recall {
                context.monitor.validation(epoch + 1, recall);
            }
            worse += 1;
            if recall.is_none() || recall > best_recall {
                (best, best_recall, worse) = (current, recall, 0);
            }
            if worse >= self.patience {
                break;
            }
        }
        if step < steps {
            context.monitor.advance(steps);
        }
        Ok((best, epochs))
    }
}

impl BiGear {
    /// Width of every segment.
    pub(crate) fn widths(&self) -> Vec<usize> {
        vec![self.width; self.segment_weights().len()]
    }

    /// Weight of every segment.
    pub(crate) fn segment_weights(&self) -> Vec<f32> {
        if self.pooled { vec![1.0] } else { self.weights.clone() }
    }

    /// The codes of the teacher's first layer and its propagation: signs after training, what the student starts from and has to beat.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn untrained(&self, context: &Context<'_>, teacher: &Layers) -> Result<Tables> {
        let segments = self.propagation(context).forward(context, &self.first_layer(context, teacher))?;
        Ok(tables(context, &segments, &self.segment_weights()))
    }

    fn propagation<'a>(&self, context: &Context<'a>) -> Propagation<'a> {
        Propagation::new(Adjacency::new(context.graph), self.weights.clone(), self.pooled)
    }

    /// The teacher's first layer, rotated at random where it has another width, which keeps inner products when it grows.
    fn first_layer(&self, context: &Context<'_>, teacher: &Layers) -> Nodes {
        let (users, items) = (&teacher.users[0], &teacher.items[0]);
        if users.cols() == self.width {
            return Nodes { users: users.clone(), items: items.clone() };
        }
        let rotation = rotation(context.isa, &mut context.rng("first layer"), users.cols(), self.width);
        let turned = |matrix: &Matrix| product(context.isa, View::from(matrix), (&rotation).into());
        Nodes { users: turned(users), items: turned(items) }
    }

    /// The teacher's lists of every segment; none where nothing of the distillation is wanted.
    fn lists(&self, context: &Context<'_>, teacher: &[Nodes]) -> Result<Vec<Lists>> {
        let Some(ranking) = self.ranking.filter(|ranking| ranking.first + ranking.second > 0) else {
            return Ok(Vec::new());
        };
        let list = |(at, segment)| Lists::new(context, &ranking, segment, &format!("lists {at}"));
        teacher.iter().enumerate().map(list).collect()
    }

    /// One step at `(step, rate)`; the loss before it.
    fn step(
        &self,
        objective: &Objective<'_>,
        table: &mut Nodes,
        segments: &[Nodes],
        adam: &mut [DenseAdam; 2],
        (step, rate): (u64, f32),
        propagation: &Propagation<'_>,
    ) -> Result<f64> {
        let isa = objective.context.isa;
        let weights = self.segment_weights();
        let codes: Vec<Nodes> = segments.iter().zip(&weights).map(|(s, &weight)| quantise(isa, s, weight)).collect();
        let draws = objective.draw(&codes, step)?;
        let (mut loss, mut gradients) = objective.gradient(&codes, &draws)?;
        for ((gradient, segment), &weight) in gradients.iter_mut().zip(segments).zip(&weights) {
            through_signs(isa, self.estimator, segment, weight, gradient);
        }
        objective.context.check()?;
        let Some(mut gradient) = propagation.backward(objective.context, gradients)? else { return Ok(loss) };
        let share = self.decay / (objective.n_active() * self.draws).max(1) as f32;
        let draws_of =
            |user: usize| if objective.context.graph.users().degree(user) > 0 { self.draws as u32 } else { 0 };
        let users: Vec<u32> = (0..table.users.rows()).map(draws_of).collect();
        loss += regularise(isa, &mut gradient.users, &table.users, &users, share);
        let items = draws.counts(table.items.rows());
        loss += regularise(isa, &mut gradient.items, &table.items, &items, share);
        let [users, items] = adam;
        users.update(isa, &mut table.users, &gradient.users, 1.0, rate, |_| true);
        items.update(isa, &mut table.items, &gradient.items, 1.0, rate, |_| true);
        Ok(loss)
    }
}

/// Adds `share * count * row` to every row of a gradient; the loss whose derivative that is.
fn regularise(isa: Isa, gradient: &mut Matrix, table: &Matrix, counts: &[u32], share: f32) -> f64 {
    let rows = gradient.par_rows_mut().zip(table.par_rows()).zip(counts);
    let losses: Vec<f64> = rows
        .map(|((gradient, row), &count)| {
            add_scaled(isa, gradient, share * count as f32, row);
            0.5 * f64::from(share * count as f32) * f64::from(dot(isa, row, row))
        })
        .collect();
    losses.iter().sum()
}

/// The tables whose codes are those of the segments. Nodes without interactions have no code, though their rows need not be zero.
fn tables(context: &Context<'_>, segments: &[Nodes], weights: &[f32]) -> Tables {
    let layers = Layers {
        users: segments.iter().map(|segment| segment.users.clone()).collect(),
        items: segments.iter().map(|segment| segment.items.clone()).collect(),
        weights: weights.iter().map(|weight| weight * weight).collect(),
        neighbours: Neighbours::default(),
        matrices: Vec::new(),
    };
    let mut tables = Tables { clip: UNSURE * START, ..Tables::of_signs(context.isa, &layers) };
    for (scales, rows) in
        [(&mut tables.user_scales, context.graph.users()), (&mut tables.item_scales, context.graph.items())]
    {
        for row in (0..rows.n_rows()).filter(|&row| rows.degree(row) == 0) {
            scales.row_mut(row).fill(f32::NEG_INFINITY);
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::normal_matrix;

    const MODEL: BiGear = BiGear {
        epochs: 30,
        patience: 30,
        draws: 4,
        rate: 0.1,
        decay: 1e-4,
        weights: Vec::new(),
        hops: 1,
        width: 64,
        pooled: false,
        estimator: Estimator::Dirac { sharpness: 1.0 },
        synthesis: Synthesis { candidates: 4, most: 1.0 },
        ranking: None,
        distillation: Distillation::Ranks,
    };

    /// Two blocks of 20 users and 16 items; a user touches some of its block's items. User 40 and item 32 have no interactions.
    fn blocks() -> Bipartite {
        let touches = |user: u32| (0..16u32).filter(move |item| (user * 7 + item * 5 + user * item / 3) % 5 < 2);
        let edges: Vec<_> =
            (0..40u32).flat_map(|user| touches(user).map(move |item| (user, item + 16 * (user / 20), 1.0))).collect();
        Bipartite::from_edges(41, 33, &edges).unwrap()
    }

    fn noise(context: &Context<'_>, width: usize) -> Layers {
        let mut rng = context.rng("noise");
        let mut table = |rows| normal_matrix(&mut rng, rows, width, 0.1);
        Layers::of(table(41), table(33))
    }

    /// The share of pairs of an item of the user's block and one of the other that are in order.
    fn in_order(isa: Isa, tables: &Tables) -> f64 {
        let [users, items] = tables.code_vectors();
        let users = users.gather(isa, &(0..users.rows() as u32).collect::<Vec<_>>());
        let items = items.gather(isa, &(0..items.rows() as u32).collect::<Vec<_>>());
        let mut good = 0;
        for user in 0..40 {
            let scores: Vec<f32> = (0..32).map(|item| dot(isa, users.row(user), items.row(item))).collect();
            let (own, other) = if user < 20 { scores.split_at(16) } else { (&scores[16..], &scores[..16]) };
            good += own.iter().map(|a| other.iter().filter(|b| a > b).count()).sum::<usize>();
        }
        good as f64 / (40.0 * 256.0)
    }

    #[test]
    fn blocks_are_learned_from_noise_with_every_estimator() {
        let graph = blocks();
        let context = crate::train::tests::context(&graph, &());
        let weights = vec![0.5, 1.0];
        for (estimator, pooled, synthesis) in [
            (MODEL.estimator, false, MODEL.synthesis),
            (MODEL.estimator, false, Synthesis::NONE),
            (MODEL.estimator, true, MODEL.synthesis),
            (Estimator::Clipped { range: 1.0 }, false, MODEL.synthesis),
            (Estimator::Tanh { sharpness: 2.0 }, false, MODEL.synthesis),
            (Estimator::Sigmoid { sharpness: 2.0 }, false, MODEL.synthesis),
        ] {
            let model = BiGear { estimator, pooled, synthesis, weights: weights.clone(), ..MODEL };
            let teacher = noise(&context, 64);
            let start = model.untrained(&context, &teacher).unwrap();
            let before = in_order(context.isa, &start);
            let (tables, epochs) = model.distil(&context, &teacher, start, None).unwrap();
            let after = in_order(context.isa, &tables);
            assert!(after > 0.97 && before < 0.9, "{estimator:?} {pooled}: {before} {after}");
            assert!(epochs[29].loss < epochs[0].loss, "{epochs:?}");
            for isolated in [tables.user_scales.row(40), tables.item_scales.row(32)] {
                assert!(isolated.iter().all(|&scale| scale == f32::NEG_INFINITY));
            }
        }
    }

    #[test]
    fn more_draws_than_memory_holds_are_refused_before_they_are_drawn() {
        let graph = blocks();
        let context = crate::train::tests::context(&graph, &());
        let model = BiGear { draws: MOST_DRAWS / 41 + 1, weights: vec![0.5, 1.0], ..MODEL };
        let teacher = noise(&context, 64);
        let start = model.untrained(&context, &teacher).unwrap();
        let error = model.distil(&context, &teacher, start, None).err().unwrap().to_string();
        assert!(error.contains("student.draws") && error.contains(&(MOST_DRAWS / 41).to_string()), "{error}");
    }

    /// The lists alone, with no pair drawn to tell what is good, make the student rank as the teacher does.
    #[test]
    fn distillation_follows_the_teacher() {
        let graph = blocks();
        let context = crate::train::tests::context(&graph, &());
        let ranking = Ranking { first: 8, among: Among::All, second: 0, lambda1: 20.0, lambda2: 0.1, noise: 0.0 };
        for distillation in [Distillation::Ranks, Distillation::Divergence, Distillation::Squares] {
            let model = BiGear { ranking: Some(ranking), distillation, weights: vec![0.5, 1.0], ..MODEL };
            let teacher = noise(&context, 64);
            let lists = model
                .lists(
                    &context,
                    &model.propagation(&context).forward(&context, &model.first_layer(&context, &teacher)).unwrap(),
                )
                .unwrap();
            assert_eq!(lists.len(), 2);
            assert_eq!(lists[0].of(3).len(), 8);
            assert!(lists[0].of(40).is_empty());
            let start = model.untrained(&context, &teacher).unwrap();
            let (with, _) = model.distil(&context, &teacher, start.clone(), None).unwrap();
            let (without, _) = BiGear { ranking: None, ..model }.distil(&context, &teacher, start, None).unwrap();
            assert_ne!(with.users, without.users, "{distillation:?}");
        }
    }

    #[test]
    fn the_gradient_of_the_penalty_equals_finite_differences() {
        let graph = blocks();
        let context = crate::train::tests::context(&graph, &());
        let table = noise(&context, 3).items[0].clone();
        let counts: Vec<u32> = (0..33).map(|row| row % 4).collect();
        let of = |table: &Matrix| regularise(context.isa, &mut Matrix::zeros(33, 3), table, &counts, 0.7);
        let mut gradient = Matrix::zeros(33, 3);
        regularise(context.isa, &mut gradient, &table, &counts, 0.7);
        for at in 0..99 {
            let shifted = |by: f32| {
                let mut table = table.clone();
                table.data_mut()[at] += by;
                of(&table)
            };
            let want = (shifted(0.01) - shifted(-0.01)) / 0.02;
            assert!((f64::from(gradient.data()[at]) - want).abs() < 1e-4, "{at}");
        }
    }

    #[test]
    fn a_teacher_of_another_width_is_rotated() {
        let graph = blocks();
        let context = crate::train::tests::context(&graph, &());
        let model = BiGear { weights: vec![0.5, 1.0], ..MODEL };
        let teacher = noise(&context, 16);
        let first = model.first_layer(&context, &teacher);
        assert_eq!((first.users.cols(), first.items.cols()), (64, 64));
        let (before, after) = (
            dot(context.isa, teacher.users[0].row(3), teacher.items[0].row(5)),
            dot(context.isa, first.users.row(3), first.items.row(5)),
        );
        assert!((before - after).abs() < 1e-4);
        assert_eq!(model.untrained(&context, &teacher).unwrap().segments, [0..64, 64..128]);
    }
}
