//! DGCN-BinCF: codes learned through a soft sign, from interactions and from the teacher's order of them.

mod objective;
mod penalty;

use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

pub(crate) use objective::{Listed, Ranks};
pub(crate) use penalty::Penalty;

use super::tables::{CLIP, segments};
use super::{Last, Student, Tables};
use crate::error::{Error, Result};
use crate::graph::Csr;
use crate::kernel::dense::{Isa, Matrix, SignMatrix, View, exponentials, product};
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::size::Size;
use crate::train::optim::adam::DenseAdam;
use crate::train::optim::random::shuffle;
use crate::train::optim::sampler::KnownItems;
use crate::train::optim::schedule::falling;
use crate::train::student::rotation::rotation;
use crate::train::teacher::Nodes;
use crate::train::teacher::layers::{Layers, centre_rows};
use objective::{Objective, Slopes};

/// The share of the learning rate that is left at the end.
const LEAST_RATE: f32 = 0.1;

/// The student of DGCN-BinCF (Wang et al., "Binarized Collaborative Filtering with Distilling Graph Convolutional Networks", IJCAI 2019).
///
/// Tables P and Q start as the vectors that the teacher scores with, by default less their means: behind a sigmoid all elements are positive, and so
/// would be all bits. The loss of `tanh P` and `tanh Q` is that of [`Objective`]:
///
/// `BPR + alpha T^2 L_rank + nu (E|eps_P|^2 + E|eps_Q|^2) + beta (|| |tanh P| - 1 ||^2 + || |tanh Q| - 1 ||^2)`
///
/// and the codes are `sign(P)` and `sign(Q)`, all of one size, so that the score is an inner product of signs. An epoch visits every user once, with as
/// many negatives as positives; penalties weigh once for every pair a row is in, as the teacher's regularisation does. It costs O(pairs bits).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BinCf {
    pub(crate) epochs: usize,
    /// Training stops after so many epochs in a row that were no better than the best.
    pub(crate) patience: usize,
    /// Users a step.
    pub(crate) batch: usize,
    /// Positives of a user in an epoch at most.
    pub(crate) draws: usize,
    /// Learning rate of Adam at the start; falls linearly to a tenth.
    pub(crate) rate: f32,
    /// Columns of P and Q. Vectors of another width are rotated at random.
    pub(crate) bits: usize,
    /// Whether the columns of P and of Q have mean 0 at the start.
    pub(crate) centred: bool,
    pub(crate) ranks: Ranks,
    pub(crate) penalty: Penalty,
}

impl Student for BinCf {
    fn name(&self) -> &'static str {
        "BinCF student"
    }

    /// The tables, their slopes, a gradient, two moments, what is measured and the best of it.
    fn floats(&self, size: Size, bits: f64) -> f64 {
        6.0 * size.nodes() * bits
    }

    fn distil(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: Tables,
        _: Option<&Last<'_>>,
    ) -> Result<(Tables, Vec<Epoch>)> {
        let (of_users, of_items) = teacher.joined();
        let objective = Objective {
            context,
            teacher: (&of_users, &of_items),
            known: KnownItems::of(context.graph),
            draws: self.draws,
            ranks: self.ranks,
            penalty: self.penalty,
        };
        let mut training = Training::new(self.first(context, &of_users, &of_items), context);
        let mut best_recall = start.recall(context)?;
        let mut best = start;
        let rows = context.graph.users();
        let mut order: Vec<u32> = (0..rows.n_rows() as u32).filter(|&user| rows.degree(user as usize) > 0).collect();
        let steps = (self.epochs * order.len().div_ceil(self.batch)) as u64;
        context.monitor.phase("student", steps);
        let mut rng = context.rng("student");
        let (mut step, mut worse) = (0, 0);
        let mut epochs = Vec::new();
        for epoch in 1..=self.epochs as u64 {
            shuffle(&mut rng, &mut order);
            let (mut loss, mut pairs) = (0.0, 0);
            for batch in order.chunks(self.batch) {
                let rate = falling(self.rate, LEAST_RATE, step, steps);
                let done = training.step(&objective, batch, rate, &mut rng)?;
                (loss, pairs, step) = (loss + done.0, pairs + done.1, step + 1);
                context.monitor.advance(step);
            }
            let loss = loss / pairs.max(1) as f64;
            if !loss.is_finite() || !training.latent.is_finite() {
                let phase = format!("epoch {epoch} of the student");
                return Err(Error::Diverged { model: self.name(), phase, lower: "student.rate" });
            }
            let current = tables(context, &training.soft);
            let recall = current.recall(context)?;
            epochs.push(Epoch { loss, recall });
            if let Some(recall) = recall {
                context.monitor.validation(epoch, recall);
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

impl BinCf {
    /// The signs of the teacher's vectors: what the student starts from and has to beat.
    pub(crate) fn untrained(&self, context: &Context<'_>, teacher: &Layers) -> Tables {
        let (users, items) = teacher.joined();
        let mut start = self.first(context, &users, &items);
        soften(context.isa, &mut start.users);
        soften(context.isa, &mut start.items);
        tables(context, &start)
    }

    /// P and Q at the start.
    fn first(&self, context: &Context<'_>, users: &Matrix, items: &Matrix) -> Nodes {
        let isa = context.isa;
        let side = |matrix: &Matrix| {
            let mut matrix = matrix.clone();
            if self.centred {
                centre_rows(isa, &mut matrix);
            }
            if matrix.cols() == self.bits {
                return matrix;
            }
            let rotation = rotation(isa, &mut context.rng("student"), matrix.cols(), self.bits);
            product(isa, View::from(&matrix), (&rotation).into())
        };
        Nodes { users: side(users), items: side(items) }
    }
}

/// The state of a training.
struct Training {
    /// P and Q.
    latent: Nodes,
    /// `tanh P` and `tanh Q`.
    soft: Nodes,
    adam_users: DenseAdam,
    adam_items: DenseAdam,
    /// The users' gradient, as a step updates it.
    of_users: Matrix,
    of_items: Matrix,
}

impl Training {
    fn new(latent: Nodes, context: &Context<'_>) -> Training {
        let mut soft = latent.clone();
        soften(context.isa, &mut soft.users);
        soften(context.isa, &mut soft.items);
        let adam = |side: &Matrix| DenseAdam::new(side.rows(), side.cols());
        let zeros = |side: &Matrix| Matrix::zeros(side.rows(), side.cols());
        Training {
            adam_users: adam(&latent.users),
            adam_items: adam(&latent.items),
            of_users: zeros(&latent.users),
            of_items: zeros(&latent.items),
            latent,
            soft,
        }
    }

    /// One step; the sum of its losses and the number of its pairs.
    fn step(
        &mut self,
        objective: &Objective<'_>,
        batch: &[u32],
        rate: f32,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Result<(f64, usize)> {
        let isa = objective.context.isa;
        let drawn = objective.draw(batch, rng);
        let of_items = std::mem::replace(&mut self.of_items, Matrix::zeros(0, 0));
        let Slopes { loss, users, items, counts } = objective.gradient(&self.soft, &drawn, of_items)?;
        self.of_items = items;
        self.of_users.scatter(batch, &users);
        let mut is_drawn = vec![false; self.of_users.rows()];
        batch.iter().for_each(|&user| is_drawn[user as usize] = true);
        let scale = 1.0 / drawn.pairs().max(1) as f32;
        let users = (&mut self.latent.users, &mut self.soft.users, &mut self.of_users, &mut self.adam_users);
        descend(isa, users, scale, rate, |user| is_drawn[user]);
        let items = (&mut self.latent.items, &mut self.soft.items, &mut self.of_items, &mut self.adam_items);
        descend(isa, items, scale, rate, |item| counts[item] > 0);
        Ok((loss, drawn.pairs()))
    }
}

/// Takes the gradient by the soft codes of the touched rows back through tanh, moves the latents, and softens them again.
fn descend(
    isa: Isa,
    (latent, soft, gradient, adam): (&mut Matrix, &mut Matrix, &mut Matrix, &mut DenseAdam),
    scale: f32,
    rate: f32,
    touched: impl Fn(usize) -> bool + Sync,
) {
    let rows = gradient.par_rows_mut().zip(soft.par_rows()).enumerate().filter(|(row, _)| touched(*row));
    rows.for_each(|(_, (gradient, soft))| gradient.iter_mut().zip(soft).for_each(|(g, x)| *g *= 1.0 - x * x));
    adam.update(isa, latent, gradient, scale, rate, &touched);
    let rows = soft.par_rows_mut().zip(latent.par_rows()).enumerate().filter(|(row, _)| touched(*row));
    rows.for_each(|(_, (soft, latent))| {
        soft.copy_from_slice(latent);
        tanh(isa, soft);
    });
}

/// Replaces every element by its hyperbolic tangent.
fn soften(isa: Isa, matrix: &mut Matrix) {
    matrix.par_rows_mut().for_each(|row| tanh(isa, row));
}

/// With `e = exp(-2 |x|)`, which cannot overflow, `tanh |x| = (1 - e) / (1 + e)`.
fn tanh(isa: Isa, row: &mut [f32]) {
    let mut decayed: Vec<f32> = row.iter().map(|x| x.abs()).collect();
    exponentials(isa, &mut decayed, -2.0, 0.0);
    row.iter_mut().zip(&decayed).for_each(|(x, e)| *x = ((1.0 - e) / (1.0 + e)).copysign(*x));
}

/// The tables whose codes are the signs of soft codes, all with the same scalers; nodes without interactions have none.
fn tables(context: &Context<'_>, soft: &Nodes) -> Tables {
    let scales = |rows: &Csr| {
        let log = |row| if rows.degree(row) > 0 { 0.0 } else { f32::NEG_INFINITY };
        let mut scales = Matrix::zeros(rows.n_rows(), 1);
        scales.data_mut().iter_mut().enumerate().for_each(|(row, scale)| *scale = log(row));
        scales
    };
    let segments = segments(&[soft.users.cols()]);
    Tables {
        users: SignMatrix::of(context.isa, &soft.users, &segments),
        items: SignMatrix::of(context.isa, &soft.items, &segments),
        magnitudes: soft.users.clone(),
        served: None,
        segments,
        weights: vec![1.0],
        user_scales: scales(context.graph.users()),
        item_scales: scales(context.graph.items()),
        clip: CLIP,
        targets: Matrix::zeros(0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::normal_matrix;

    const MODEL: BinCf = BinCf {
        epochs: 40,
        patience: 40,
        batch: 16,
        draws: 8,
        rate: 0.05,
        bits: 64,
        centred: false,
        ranks: Ranks { weight: 1.0, temperature: 1.0, of: Listed::Both },
        penalty: Penalty { noise: 1e-3, temperature: 0.2, bounds: 1e-3 },
    };

    /// 40 users and 30 items; user 40 and item 30 have no interactions.
    fn graph() -> Bipartite {
        let edges: Vec<_> = (0..400u32).map(|e| (e * 7 % 40, (e * e + e / 40) % 30, 1.0)).collect();
        Bipartite::from_edges(41, 31, &edges).unwrap()
    }

    fn noise(context: &Context<'_>, width: usize) -> Layers {
        let mut rng = context.rng("noise");
        let mut table = |rows| normal_matrix(&mut rng, rows, width, 0.5);
        Layers::of(table(41), table(31))
    }

    #[test]
    fn soft_codes_are_hyperbolic_tangents() {
        for isa in Isa::available() {
            let values: Vec<f32> = (-400..=400).map(|at| at as f32 / 10.0).collect();
            let mut soft = values.clone();
            tanh(isa, &mut soft);
            for (x, soft) in values.iter().zip(&soft) {
                assert!((x.tanh() - soft).abs() < 1e-6, "{x}: {soft}");
            }
        }
    }

    #[test]
    fn a_step_lowers_the_loss_and_leaves_other_rows_as_they_are() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let teacher = noise(&context, 64);
        let objective = Objective {
            context: &context,
            teacher: (&teacher.users[0], &teacher.items[0]),
            known: KnownItems::of(context.graph),
            draws: 2,
            ranks: MODEL.ranks,
            penalty: MODEL.penalty,
        };
        let first = noise(&context, 64);
        let mut training =
            Training::new(Nodes { users: first.users[0].clone(), items: first.items[0].clone() }, &context);
        let before = training.latent.clone();
        let batch = [3u32, 11];
        let step =
            |training: &mut Training| training.step(&objective, &batch, 0.01, &mut context.rng("step")).unwrap().0;
        let losses: Vec<f64> = (0..5).map(|_| step(&mut training)).collect();
        assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
        let moved: Vec<usize> =
            (0..41).filter(|&user| training.latent.users.row(user) != before.users.row(user)).collect();
        assert_eq!(moved, [3, 11]);
        let moved = (0..31).filter(|&item| training.latent.items.row(item) != before.items.row(item)).count();
        assert!((1..=8).contains(&moved), "{moved}");
        for (latent, soft) in training.latent.items.data().iter().zip(training.soft.items.data()) {
            assert!((latent.tanh() - soft).abs() < 1e-6);
        }
    }

    /// With the penalties alone of weight, soft codes go to the nearer end: no bit flips, and all are nearer than before.
    #[test]
    fn penalties_draw_soft_codes_to_their_signs() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let teacher = noise(&context, 64);
        for penalty in [
            Penalty { noise: 100.0, temperature: 0.2, bounds: 0.0 },
            Penalty { noise: 0.0, temperature: 0.2, bounds: 100.0 },
        ] {
            // Long enough for users too, who are in fewer pairs than items are.
            let model = BinCf { penalty, ranks: Ranks { weight: 0.0, ..MODEL.ranks }, epochs: 160, ..MODEL };
            let start = model.untrained(&context, &teacher);
            let (end, _) = model.distil(&context, &teacher, start.clone(), None).unwrap();
            let mean = |tables: &Tables| {
                tables.magnitudes.data()[..40 * 64].iter().map(|x| x.abs()).sum::<f32>() / (40.0 * 64.0)
            };
            assert!(mean(&end) > 0.9 && mean(&start) < 0.5, "{} {}", mean(&start), mean(&end));
        }
    }

    #[test]
    fn codes_are_signs_of_one_size() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let teacher = noise(&context, 64);
        let start = MODEL.untrained(&context, &teacher);
        assert_eq!((start.segments.len(), start.segments[0].len()), (1, 64));
        for (table, of) in [(&start.users, &teacher.users[0]), (&start.items, &teacher.items[0])] {
            assert_eq!(table, &SignMatrix::of(context.isa, of, &start.segments));
        }
        for (scales, isolated) in [(&start.user_scales, 40), (&start.item_scales, 30)] {
            assert!(scales.data()[..isolated].iter().all(|&scale| scale == 0.0));
            assert_eq!(scales.data()[isolated], f32::NEG_INFINITY);
        }
        let centred = BinCf { centred: true, ..MODEL }.first(&context, &teacher.users[0], &teacher.items[0]);
        for col in 0..64 {
            let mean = centred.users.par_rows().map(|row| row[col]).sum::<f32>() / 41.0;
            assert!(mean.abs() < 1e-5, "{mean}");
        }
        // Of another width they are rotated, which keeps inner products where it grows.
        let turned = BinCf { bits: 128, ..MODEL }.first(&context, &teacher.users[0], &teacher.items[0]);
        let inner = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let before = inner(teacher.users[0].row(3), teacher.items[0].row(5));
        assert!((before - inner(turned.users.row(3), turned.items.row(5))).abs() < 1e-3);
    }
}
