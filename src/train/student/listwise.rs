//! Listwise distillation of a teacher into signs.

use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::{Student, Tables};
use crate::kernel::dense::{
    Factor, Isa, Matrix, View, add_scaled, difference_of_distributions, dot, exponentials, maximum, product,
};
use crate::train::adam::Adam;
use crate::train::context::Context;
use crate::train::layers::Layers;
use crate::train::random::{below, shuffle, subset};
use crate::train::report::Epoch;
use crate::train::teacher::Neighbours;
use crate::{Error, Result};

/// A student trained on lists. For a batch of users, a list of items is drawn that all share, and each user adds a few of its
/// own interactions. The loss of user u over its list is the cross-entropy
///
/// `- sum over list j of target_j log softmax_j(logits)`, `target = distil softmax(teacher scores / temperature) + (1 - distil) positives`
///
/// (ListNet's top-one probabilities, Cao et al. 2007, as a distillation loss), where the logits are those of the codes: the
/// signs of the latents times the scalers. The gradient passes the sign unchanged where `|latent| <= 1` and is zero elsewhere
/// (clipped straight-through, Hubara et al. 2016). A batch is three products of `batch x list x bits`. The rate falls
/// almost to zero, so the last epoch is the one to keep, and it is: picking the best of many noisy recalls would prefer luck to
/// learning. Only where the start did better on the held-out interactions does it stay.
#[derive(Clone, Debug)]
pub(crate) struct Listwise {
    pub(crate) epochs: usize,
    /// Users a step.
    pub(crate) batch: usize,
    /// Items of the shared list; a set with no more items is used whole.
    pub(crate) list: usize,
    /// Share of the list drawn in proportion to popularity: where the teacher's mass lies when a uniform list would miss it.
    pub(crate) popular: f32,
    /// Interactions each user adds.
    pub(crate) positives: usize,
    /// Weight of the teacher in the target.
    pub(crate) distil: f32,
    pub(crate) temperature: f32,
    /// Learning rate of the items' latents; falls linearly to a fiftieth.
    pub(crate) rate: f32,
    /// Learning rate of the users' latents. A user is updated once an epoch, on its whole list, an item once a batch.
    pub(crate) user_rate: f32,
    /// Learning rate of the logarithms of the scalers, falling alike.
    pub(crate) scale_rate: f32,
}

impl Student for Listwise {
    fn name(&self) -> &'static str {
        "listwise student"
    }

    fn distil(&self, context: &Context<'_>, teacher: &Layers, start: Tables) -> Result<(Tables, Vec<Epoch>)> {
        let untrained = start.recall(context)?.map(|recall| (recall, start.clone()));
        let mut training = Training::new(self, teacher, start)?;
        let degrees = context.graph.users().degrees();
        let mut order: Vec<u32> = (0..degrees.len() as u32).filter(|&user| degrees[user as usize] > 0).collect();
        let steps = (self.epochs * order.len().div_ceil(self.batch)) as u64;
        let mut rng = context.rng("listwise");
        let mut epochs = Vec::with_capacity(self.epochs);
        context.monitor.phase("student", steps);
        let mut step = 0;
        for epoch in 0..self.epochs {
            shuffle(&mut rng, &mut order);
            let mut loss = 0.0;
            for batch in order.chunks(self.batch) {
                let list = self.draw_list(context, &mut rng);
                let own = self.draw_positives(context, &mut rng, batch);
                let decay = 1.0 - 0.98 * step as f32 / steps as f32;
                loss += training.step(context, batch, &list, &own, decay)? * batch.len() as f64;
                step += 1;
                context.monitor.advance(step);
            }
            if !loss.is_finite() || !training.tables.is_finite() {
                let phase = format!("epoch {} of the student", epoch + 1);
                return Err(Error::Diverged { model: self.name(), phase, lower: "the learning rate" });
            }
            let recall = training.tables.recall(context)?;
            epochs.push(Epoch { loss: loss / order.len().max(1) as f64, recall });
            if let Some(recall) = recall {
                context.monitor.validation(epoch as u64 + 1, recall);
            }
        }
        let last = epochs.last().and_then(|epoch| epoch.recall).unwrap_or(0.0);
        let tables = match untrained {
            Some((recall, tables)) if recall > last => tables,
            _ => training.tables,
        };
        Ok((tables, epochs))
    }
}

impl Listwise {
    /// The shared list: a part drawn by popularity, the rest uniformly among all items.
    fn draw_list(&self, context: &Context<'_>, rng: &mut Xoshiro256PlusPlus) -> Vec<u32> {
        let n_items = context.graph.n_items();
        if self.list >= n_items {
            return (0..n_items as u32).collect();
        }
        let targets = context.graph.users().targets();
        let popular = (self.popular * self.list as f32) as usize;
        let mut list = subset(rng, n_items, self.list - popular);
        list.extend((0..popular).map(|_| targets[below(rng, targets.len())]));
        list.sort_unstable();
        list.dedup();
        list
    }

    /// Up to `positives` distinct interactions of each user of the batch.
    fn draw_positives(&self, context: &Context<'_>, rng: &mut Xoshiro256PlusPlus, batch: &[u32]) -> Vec<Vec<u32>> {
        batch
            .iter()
            .map(|&user| {
                let row = context.graph.users().row(user as usize);
                subset(rng, row.len(), self.positives).iter().map(|&at| row[at as usize]).collect()
            })
            .collect()
    }
}

/// The state of a training.
struct Training<'a> {
    model: &'a Listwise,
    teacher_users: Matrix,
    teacher_items: Matrix,
    neighbours: Option<Neighbours>,
    tables: Tables,
    adam_users: Adam,
    adam_items: Adam,
    /// Position in the current list of every item, or `u32::MAX`.
    slots: Vec<u32>,
}

/// One user's own item: `(position among the touched items, gradient of the logit)`.
type Own = Vec<(u32, f32)>;

impl<'a> Training<'a> {
    fn new(model: &'a Listwise, teacher: &Layers, tables: Tables) -> Result<Training<'a>> {
        let (mut teacher_users, teacher_items) = teacher.joined();
        let temperature = model.temperature;
        teacher_users.data_mut().par_iter_mut().for_each(|x| *x /= temperature);
        Ok(Training {
            model,
            teacher_users,
            teacher_items,
            neighbours: teacher
                .neighbours
                .clone()
                .map(|neighbours| neighbours.scaled(1.0 / temperature))
                .transpose()?,
            adam_users: Adam::new(tables.users.rows(), tables.users.cols(), tables.segments.len()),
            adam_items: Adam::new(tables.items.rows(), tables.items.cols(), tables.segments.len()),
            slots: vec![u32::MAX; tables.items.rows()],
            tables,
        })
    }

    /// One step on a batch of users with a shared list; the mean loss.
    ///
    /// # Errors
    /// `Cancelled`, which leaves the tables as they were.
    fn step(
        &mut self,
        context: &Context<'_>,
        batch: &[u32],
        list: &[u32],
        own: &[Vec<u32>],
        decay: f32,
    ) -> Result<f64> {
        let isa = context.isa;
        context.check()?;
        let bits = self.tables.users.cols();
        // Touched items: the list, then the users' own items that are not on it.
        let mut touched = list.to_vec();
        list.iter().enumerate().for_each(|(at, &item)| self.slots[item as usize] = at as u32);
        for &item in own.iter().flatten() {
            let slot = &mut self.slots[item as usize];
            if *slot == u32::MAX {
                *slot = touched.len() as u32;
                touched.push(item);
            }
        }
        let mut users = Matrix::zeros(batch.len(), bits);
        users.par_rows_mut().zip(batch).for_each(|(row, &user)| self.tables.write_user(isa, user as usize, row));
        let mut items = Matrix::zeros(touched.len(), bits);
        items.par_rows_mut().zip(&touched).for_each(|(row, &item)| self.tables.write_item(isa, item as usize, row));

        let listed = View::new(items.data(), list.len(), bits);
        let mut logits = product(isa, (&users).into(), listed.transposed());
        let teacher_users = self.teacher_users.gather(batch);
        let teacher_items = self.teacher_items.gather(&touched);
        let teacher_listed = View::new(teacher_items.data(), list.len(), teacher_items.cols());
        let mut scores = product(isa, (&teacher_users).into(), teacher_listed.transposed());
        let mut near = Matrix::zeros(batch.len(), touched.len());
        if let Some(neighbours) = &self.neighbours {
            let slot = |item: u32| Some(self.slots[item as usize] as usize).filter(|&slot| slot < touched.len());
            let rows = near.par_rows_mut().zip(scores.par_rows_mut()).zip(batch);
            rows.for_each(|((near, scores), &user)| {
                neighbours.add_scores(context.graph.users().row(user as usize), slot, near);
                add_scaled(isa, scores, 1.0, &near[..list.len()]);
            });
        }

        let outcome: Vec<(f64, Own)> = logits
            .par_rows_mut()
            .zip(scores.par_rows_mut())
            .enumerate()
            .map(|(row, (logits, scores))| {
                let slots: Vec<u32> = own[row].iter().map(|&item| self.slots[item as usize]).collect();
                let pair = |slot: u32| {
                    let slot = slot as usize;
                    (
                        dot(isa, users.row(row), items.row(slot)),
                        dot(isa, teacher_users.row(row), teacher_items.row(slot)) + near.row(row)[slot],
                    )
                };
                list_gradient(isa, self.model.distil, logits, scores, &slots, pair)
            })
            .collect();
        let gradients = logits;

        context.check()?;
        let mut to_users = product(isa, (&gradients).into(), listed);
        to_users.par_rows_mut().zip(&outcome).for_each(|(row, (_, own))| {
            own.iter().for_each(|&(slot, g)| add_scaled(isa, row, g, items.row(slot as usize)));
        });
        let mut to_items = Matrix::zeros(touched.len(), bits);
        Factor::pack(isa, (&users).into()).par_multiply(
            View::from(&gradients).transposed(),
            &mut to_items.data_mut()[..list.len() * bits],
            false,
        );
        let mut by_item: Vec<Own> = vec![Vec::new(); touched.len()];
        for (row, (_, own)) in outcome.iter().enumerate() {
            own.iter().for_each(|&(slot, g)| by_item[slot as usize].push((row as u32, g)));
        }
        to_items.par_rows_mut().zip(&by_item).for_each(|(row, own)| {
            own.iter().for_each(|&(user, g)| add_scaled(isa, row, g, users.row(user as usize)));
        });

        let rates = |latents: f32| (latents * decay, self.model.scale_rate * decay);
        let (user_rates, item_rates) = (rates(self.model.user_rate), rates(self.model.rate));
        let tables = &mut self.tables;
        let segments = &tables.segments;
        self.adam_users.update(
            isa,
            batch,
            segments,
            &users,
            &to_users,
            (&mut tables.users, &mut tables.user_scales),
            user_rates,
        );
        self.adam_items.update(
            isa,
            &touched,
            segments,
            &items,
            &to_items,
            (&mut tables.items, &mut tables.item_scales),
            item_rates,
        );
        touched.iter().for_each(|&item| self.slots[item as usize] = u32::MAX);
        Ok(outcome.iter().map(|(loss, _)| loss).sum::<f64>() / batch.len() as f64)
    }
}

/// The loss of one user's list and its gradient. On entry `logits` and `scores` hold the student's and the teacher's logits of
/// the shared list; on return `logits` holds the gradient. `own` are the slots of the user's own items: those below the list's
/// length are on it, the others extend it, with the logits given by `pair`.
fn list_gradient(
    isa: Isa,
    distil: f32,
    logits: &mut [f32],
    scores: &mut [f32],
    own: &[u32],
    pair: impl Fn(u32) -> (f32, f32),
) -> (f64, Own) {
    let extra: Vec<(u32, f32, f32)> = own
        .iter()
        .filter(|&&slot| slot as usize >= logits.len())
        .map(|&slot| {
            let (logit, score) = pair(slot);
            (slot, logit, score)
        })
        .collect();
    let top = extra.iter().fold(maximum(isa, logits), |top, e| top.max(e.1));
    let top_score = extra.iter().fold(maximum(isa, scores), |top, e| top.max(e.2));
    let positive = if own.is_empty() { 0.0 } else { (1.0 - distil) / own.len() as f32 };
    let distil = if own.is_empty() { 1.0 } else { distil };

    let mut mass = exponentials(isa, scores, 1.0, top_score);
    let extra_mass: Vec<f32> = extra.iter().map(|e| (e.2 - top_score).exp()).collect();
    mass += extra_mass.iter().sum::<f32>();
    let mut agreement = f64::from(distil / mass) * f64::from(dot(isa, scores, logits));
    for (e, m) in extra.iter().zip(&extra_mass) {
        agreement += f64::from(distil * m / mass + positive) * f64::from(e.1);
    }
    for logit in own.iter().filter_map(|&slot| logits.get(slot as usize)) {
        agreement += f64::from(positive) * f64::from(*logit);
    }
    let mut total = exponentials(isa, logits, 1.0, top);
    let extra_total: Vec<f32> = extra.iter().map(|e| (e.1 - top).exp()).collect();
    total += extra_total.iter().sum::<f32>();

    difference_of_distributions(isa, logits, 1.0 / total, scores, distil / mass);
    for &slot in own {
        if let Some(gradient) = logits.get_mut(slot as usize) {
            *gradient -= positive;
        }
    }
    let gradients = extra
        .iter()
        .zip(extra_total.iter().zip(&extra_mass))
        .map(|(e, (x, m))| (e.0, x / total - distil * m / mass - positive))
        .collect();
    (f64::from(top) + f64::from(total).ln() - agreement, gradients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::random::normal;
    use rand_xoshiro::rand_core::SeedableRng;

    /// The loss in f64, from its definition: `student` and `teacher` are the logits of the whole list.
    fn loss(student: &[f64], teacher: &[f64], positives: &[usize], distil: f64) -> f64 {
        let softmax = |x: &[f64]| {
            let total: f64 = x.iter().map(|x| x.exp()).sum();
            x.iter().map(|x| x.exp() / total).collect::<Vec<_>>()
        };
        let distil = if positives.is_empty() { 1.0 } else { distil };
        let mut target: Vec<f64> = softmax(teacher).iter().map(|t| distil * t).collect();
        positives.iter().for_each(|&at| target[at] += (1.0 - distil) / positives.len() as f64);
        -softmax(student).iter().zip(&target).map(|(p, t)| t * p.ln()).sum::<f64>()
    }

    #[test]
    fn the_gradient_of_a_list_equals_finite_differences() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        // A list of 20, three items of the user's own past it, and one of its own on it.
        let student: Vec<f64> = (0..23).map(|_| 2.0 * f64::from(normal(&mut rng))).collect();
        let teacher: Vec<f64> = (0..23).map(|_| 3.0 * f64::from(normal(&mut rng))).collect();
        for (own, distil) in
            [(vec![20u32, 21, 22, 4], 0.7f32), (vec![4, 9], 0.0), (vec![20, 21, 22], 1.0), (vec![], 0.5)]
        {
            let len = if own.contains(&20) { 23 } else { 20 };
            let positives: Vec<usize> = own.iter().map(|&slot| slot as usize).collect();
            let of = |student: &[f64]| loss(&student[..len], &teacher[..len], &positives, f64::from(distil));
            for isa in Isa::available() {
                let mut logits: Vec<f32> = student[..20].iter().map(|&x| x as f32).collect();
                let mut scores: Vec<f32> = teacher[..20].iter().map(|&x| x as f32).collect();
                let pair = |slot: u32| (student[slot as usize] as f32, teacher[slot as usize] as f32);
                let (value, extra) = list_gradient(isa, distil, &mut logits, &mut scores, &own, pair);
                assert!((value - of(&student)).abs() < 1e-4, "{value} {}", of(&student));
                let mut gradient = logits;
                gradient.extend(extra.iter().map(|&(_, g)| g));
                assert_eq!(gradient.len(), len);
                for at in 0..len {
                    let shifted = |by: f64| {
                        let mut student = student.clone();
                        student[at] += by;
                        of(&student)
                    };
                    let want = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                    assert!((f64::from(gradient[at]) - want).abs() < 1e-5, "{isa:?} {at}: {} {want}", gradient[at]);
                }
            }
        }
    }

    /// With the signs held, the loss is a smooth function of the scalers' logarithms; one small step of the student changes
    /// them against its gradient.
    #[test]
    fn a_step_lowers_the_loss() {
        let edges: Vec<(u32, u32, f32)> = (0..200u32).map(|e| (e % 20, e * e % 31, 1.0)).collect();
        let graph = crate::graph::Bipartite::from_edges(20, 31, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let matrix = |rng: &mut _, rows| crate::train::random::normal_matrix(rng, rows, 8, 0.5);
        let teacher = Layers {
            users: vec![matrix(&mut rng, 20)],
            items: vec![matrix(&mut rng, 31)],
            weights: vec![1.0],
            neighbours: None,
        };
        let start = Tables::rotated(&context, &teacher, &[64], 0.3);
        let model = Listwise {
            epochs: 1,
            batch: 20,
            list: 31,
            popular: 0.0,
            positives: 3,
            distil: 0.8,
            temperature: 0.3,
            rate: 0.02,
            user_rate: 0.02,
            scale_rate: 0.02,
        };
        let mut training = Training::new(&model, &teacher, start).unwrap();
        let users: Vec<u32> = (0..20).collect();
        let list: Vec<u32> = (0..31).collect();
        let own = model.draw_positives(&context, &mut rng, &users);
        let losses: Vec<f64> = (0..60).map(|_| training.step(&context, &users, &list, &own, 1.0).unwrap()).collect();
        assert!(losses[59] < losses[0] - 0.01, "{losses:?}");
    }
}
