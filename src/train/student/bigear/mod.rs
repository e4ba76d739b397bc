//! BiGeaR and BiGeaR++: codes of every layer of a graph convolution, learned through the signs.

mod grouping;
mod lists;
mod objective;
mod propagation;

use rayon::prelude::*;

pub(crate) use lists::{Among, Ranking};
pub(crate) use objective::Distillation;

use super::{Student, Tables};
use crate::graph::Adjacency;
use crate::kernel::dense::{AdamStep, Isa, Matrix, View, adam_plain, add_scaled, dot, product};
use crate::train::context::Context;
use crate::train::estimator::Estimator;
use crate::train::layers::Layers;
use crate::train::report::Epoch;
use crate::train::rotation::rotation;
use crate::train::synthesis::Synthesis;
use crate::{Error, Result};
use lists::Lists;
use objective::Objective;
use propagation::{Nodes, Propagation, quantise, through_signs};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-10;

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
/// gradients of all layers by node, goes back through the graph once, and moves the table by one step of Adam with a rate ten times
/// theirs: two passes over the graph serve hundreds of thousands of pairs. A step costs
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
    /// `w_l`, a weight a layer.
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

    fn distil(&self, context: &Context<'_>, teacher: &Layers, start: Tables) -> Result<(Tables, Vec<Epoch>)> {
        let isa = context.isa;
        let propagation = self.propagation(context);
        let mut table = self.first_layer(context, teacher);
        let mut segments = propagation.forward(isa, &table);
        let objective = Objective {
            context,
            synthesis: self.synthesis,
            draws: self.draws,
            distillation: self.distillation,
            lists: self.lists(context, &segments)?,
        };
        let mut best_recall = start.recall(context)?;
        let mut best = start;
        let mut adam = Moments { first: table.zeros_like(), second: table.zeros_like(), steps: 0 };
        let mut epochs = Vec::with_capacity(self.epochs);
        let mut worse = 0;
        let steps_each = context.graph.n_edges().div_ceil((objective.n_active() * self.draws).max(1));
        let steps = (self.epochs * steps_each) as u64;
        context.monitor.phase("student", steps);
        let mut step = 0;
        for epoch in 0..self.epochs as u64 {
            let mut loss = 0.0;
            for _ in 0..steps_each {
                let rate = self.rate * (1.0 - 0.9 * step as f32 / steps as f32);
                loss += self.step(&objective, &mut table, &segments, &mut adam, (step, rate), &propagation)?;
                segments = propagation.forward(isa, &table);
                step += 1;
                context.monitor.advance(step);
            }
            if !loss.is_finite() || !table.users.is_finite() || !table.items.is_finite() {
                let phase = format!("epoch {} of the student", epoch + 1);
                return Err(Error::Diverged { model: self.name(), phase, lower: "student.rate or student.sharpness" });
            }
            let current = tables(isa, &segments, &self.segment_weights());
            let recall = current.recall(context)?;
            epochs.push(Epoch { loss: loss / steps_each as f64, recall });
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
    pub(crate) fn untrained(&self, context: &Context<'_>, teacher: &Layers) -> Tables {
        let segments = self.propagation(context).forward(context.isa, &self.first_layer(context, teacher));
        tables(context.isa, &segments, &self.segment_weights())
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
        adam: &mut Moments,
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
        let Some(mut gradient) = propagation.backward(isa, gradients) else { return Ok(loss) };
        let share = self.decay / (objective.n_active() * self.draws).max(1) as f32;
        let draws_of =
            |user: usize| if objective.context.graph.users().degree(user) > 0 { self.draws as u32 } else { 0 };
        let users: Vec<u32> = (0..table.users.rows()).map(draws_of).collect();
        loss += regularise(isa, &mut gradient.users, &table.users, &users, share);
        let items = draws.counts(table.items.rows());
        loss += regularise(isa, &mut gradient.items, &table.items, &items, share);
        adam.update(isa, table, &gradient, rate);
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

/// The tables whose codes are those of the segments.
fn tables(isa: Isa, segments: &[Nodes], weights: &[f32]) -> Tables {
    Tables::of_signs(
        isa,
        &Layers {
            users: segments.iter().map(|segment| segment.users.clone()).collect(),
            items: segments.iter().map(|segment| segment.items.clone()).collect(),
            weights: weights.iter().map(|weight| weight * weight).collect(),
        },
    )
}

/// Adam's moments of a table (Kingma and Ba 2015).
struct Moments {
    first: Nodes,
    second: Nodes,
    steps: i32,
}

impl Moments {
    fn update(&mut self, isa: Isa, table: &mut Nodes, gradient: &Nodes, rate: f32) {
        self.steps += 1;
        let step = AdamStep {
            rate: rate / (1.0 - BETA1.powi(self.steps)),
            beta1: BETA1,
            beta2: BETA2,
            correct2: 1.0 / (1.0 - BETA2.powi(self.steps)),
            epsilon: EPSILON,
            scale: 1.0,
        };
        for (table, first, second, gradient) in [
            (&mut table.users, &mut self.first.users, &mut self.second.users, &gradient.users),
            (&mut table.items, &mut self.first.items, &mut self.second.items, &gradient.items),
        ] {
            table
                .par_rows_mut()
                .zip(first.par_rows_mut())
                .zip(second.par_rows_mut())
                .zip(gradient.par_rows())
                .for_each(|(((row, first), second), gradient)| adam_plain(isa, row, first, second, gradient, &step));
        }
    }
}
