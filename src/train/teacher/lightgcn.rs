//! LightGCN.

use rayon::prelude::*;

use super::descent::Descent;
use super::encoder::{Draw, Encoder, Parameters};
use super::masks::{MASKS, Masking, Masks};
use super::nodes::Nodes;
use super::{Fit, Teacher};
use crate::error::Result;
use crate::graph::Adjacency;
use crate::kernel::dense::{Isa, Matrix, add_scaled};
use crate::train::context::Context;
use crate::train::model::size::Size;

/// What becomes of the hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// Their mean is the one vector (He et al. 2020, equation 4 with equal weights).
    Mean,
    /// Each is a layer of its own, of weight `w_l = (l + 1) / (L + 1)` (Chen et al. 2022).
    Weighted,
}

/// LightGCN (He et al., SIGIR 2020): `V^(l+1) = A_hat V^(l)`, where only the table `V^(0)` is learned.
#[derive(Clone, Debug)]
pub(crate) struct LightGcn {
    pub(crate) descent: Descent,
    /// `L`.
    pub(crate) hops: usize,
    pub(crate) pooling: Pooling,
    /// Masks of every hop's edges, where they are learned.
    pub(crate) masking: Option<Masking>,
    /// Whether training scores hop by hop what is their mean in the end: negatives may then be mixed of the hops of several items.
    pub(crate) is_apart: bool,
}

impl Teacher for LightGcn {
    fn name(&self) -> &'static str {
        if self.masking.is_some() { "S-LightGCN" } else { "LightGCN" }
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        match self.pooling {
            Pooling::Mean => (vec![self.descent.factors], vec![1.0]),
            Pooling::Weighted => {
                let weights: Vec<f32> = self.weights().iter().map(|w| w * w).collect();
                (vec![self.descent.factors; weights.len()], weights)
            }
        }
    }

    /// Two hops on the way and the sum of the users'; with masks every hop and their logits; hops apart, gradients of each.
    fn floats(&self, size: Size) -> f64 {
        let layers = self.weights().len();
        let apart = if self.is_apart { layers } else { 0 };
        let masks = self.masking.as_ref().map_or(0.0, |masking| masking.floats(size, self.hops));
        let masked = if self.masking.is_some() { self.hops + 1 } else { 0 };
        self.descent.floats(size, layers, 3 + apart + masked) + masks
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        self.descent.run(context, self, |descent| Box::new(LightGcn { descent, ..self.clone() }))
    }
}

impl Encoder for LightGcn {
    /// The layers, where edges are masked.
    type Tape = Vec<Nodes>;

    fn weights(&self) -> Vec<f32> {
        let layers = (self.hops + 1) as f32;
        match self.pooling {
            Pooling::Mean => vec![1.0 / layers; if self.is_apart { self.hops + 1 } else { 1 }],
            Pooling::Weighted => (0..=self.hops).map(|l| (l + 1) as f32 / layers).collect(),
        }
    }

    fn matrices(&self, context: &Context<'_>) -> Vec<(&'static str, Matrix)> {
        self.masking.iter().map(|masking| (MASKS, masking.logits(context.graph, self.hops))).collect()
    }

    fn masking(&self) -> Option<&Masking> {
        self.masking.as_ref()
    }

    /// With the mean, the one layer is the sum of all hops, `V + A_hat (V + A_hat (V + ...))`; its weight makes it the mean. Where hops are scored apart,
    /// a layer holds one hop of the items and the sum of all hops of the users, so that the products of all layers add up to the same.
    fn forward(
        &self,
        context: &Context<'_>,
        Parameters { tables, .. }: &Parameters,
        draw: &Draw,
    ) -> Result<Option<(Vec<Nodes>, Vec<Nodes>)>> {
        let (mut layers, tape) = match self.masking.is_some() {
            true => self.masked(context, tables, &draw.masks)?,
            false => (self.plain(context, tables)?, Vec::new()),
        };
        if self.is_apart {
            let users = sum(context.isa, layers.iter().map(|layer| &layer.users));
            layers.iter_mut().for_each(|layer| layer.users.clone_from(&users));
        }
        Ok(Some((layers, tape)))
    }

    /// `A_hat` is symmetric, so the gradients go back by the same hops: `dV^(0) = G_0 + A_hat (G_1 + A_hat (G_2 + ...))`, where with the mean
    /// every `G_l` is the same.
    fn backward(
        &self,
        context: &Context<'_>,
        Parameters { tables, matrices }: &Parameters,
        draw: &Draw,
        tape: Vec<Nodes>,
        gradient: &[Nodes],
    ) -> Result<Parameters> {
        let apart: Vec<Nodes>;
        let gradient = match self.is_apart {
            true => {
                let users = sum(context.isa, gradient.iter().map(|layer| &layer.users));
                let of_hop = |layer: &Nodes| Nodes { users: users.clone(), items: layer.items.clone() };
                apart = gradient.iter().map(of_hop).collect();
                &apart
            }
            false => gradient,
        };
        let own = |layer: usize| gradient.get(layer).or(gradient.first());
        let mut by_masks = matrices.first().map(|logits| Matrix::zeros(logits.rows(), logits.cols()));
        let mut sum: Option<Nodes> = None;
        for layer in (0..self.hops).rev() {
            let Some(last) = sum.as_ref().or(own(layer + 1)) else { continue };
            if let (Some(masking), Some(logits), Some(by)) = (&self.masking, matrices.first(), &mut by_masks) {
                masking.add_pathwise(context, logits, layer, (&tape[layer], last), by);
            }
            sum = Some(hop(context, &draw.masks.adjacency(context.graph, layer), last, own(layer))?);
        }
        let tables = sum.or_else(|| own(0).cloned()).unwrap_or_else(|| tables.zeroed());
        Ok(Parameters { tables, matrices: by_masks.into_iter().collect() })
    }

    fn trained(&self, context: &Context<'_>, parameters: &Parameters, draw: &Draw) -> Result<(Vec<Nodes>, Vec<f32>)> {
        let pooled = LightGcn { is_apart: false, ..self.clone() };
        let layers = pooled.forward(context, parameters, draw)?.map(|(layers, _)| layers);
        Ok((layers.unwrap_or_default(), pooled.weights()))
    }
}

/// The sum of matrices of the same shape.
fn sum<'m>(isa: Isa, mut matrices: impl Iterator<Item = &'m Matrix>) -> Matrix {
    let mut sum = matrices.next().cloned().unwrap_or_default();
    for matrix in matrices {
        let rows = sum.par_rows_mut().zip(matrix.par_rows());
        rows.for_each(|(sum, row)| add_scaled(isa, sum, 1.0, row));
    }
    sum
}

impl LightGcn {
    /// The layers over all edges.
    fn plain(&self, context: &Context<'_>, tables: &Nodes) -> Result<Vec<Nodes>> {
        let adjacency = Adjacency::new(context.graph);
        let mut layers: Vec<Nodes> = Vec::with_capacity(self.hops + 1);
        for _ in 0..self.hops {
            let last = layers.last().unwrap_or(tables);
            if self.pooling == Pooling::Mean && !self.is_apart {
                layers = vec![hop(context, &adjacency, last, Some(tables))?];
            } else {
                let next = hop(context, &adjacency, last, None)?;
                layers.push(next);
            }
        }
        if self.pooling == Pooling::Weighted || self.is_apart || self.hops == 0 {
            layers.insert(0, tables.clone());
        }
        Ok(layers)
    }

    /// The layers under masks, and every hop.
    fn masked(&self, context: &Context<'_>, tables: &Nodes, masks: &Masks) -> Result<(Vec<Nodes>, Vec<Nodes>)> {
        let mut hops = vec![tables.clone()];
        for at in 0..self.hops {
            let next = hop(context, &masks.adjacency(context.graph, at), &hops[at], None)?;
            hops.push(next);
        }
        let layers = match self.pooling {
            Pooling::Mean if !self.is_apart => vec![Nodes {
                users: sum(context.isa, hops.iter().map(|hop| &hop.users)),
                items: sum(context.isa, hops.iter().map(|hop| &hop.items)),
            }],
            _ => hops.clone(),
        };
        Ok((layers, hops))
    }
}

/// `base + A_hat from`.
pub(crate) fn hop(
    context: &Context<'_>,
    adjacency: &Adjacency<'_>,
    from: &Nodes,
    base: Option<&Nodes>,
) -> Result<Nodes> {
    context.check()?;
    let users = adjacency.to_users_onto(context.isa, &from.items, base.map(|base| &base.users));
    context.check()?;
    let items = adjacency.to_items_onto(context.isa, &from.users, base.map(|base| &base.items));
    Ok(Nodes { users, items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::model::Loss;
    use crate::train::optim::random::normal_matrix;
    use crate::train::teacher::descent::tests::small;
    use crate::train::teacher::encoder::tests::inner;
    use crate::train::teacher::masks::MaskGradient;
    use crate::train::teacher::masks::tests::assert_pathwise_is_the_derivative;

    fn model(hops: usize, pooling: Pooling) -> LightGcn {
        LightGcn { descent: small(), hops, pooling, masking: None, is_apart: false }
    }

    /// `<forward x, g> = <x, backward g>` for all x and g says that one is the transpose of the other.
    #[test]
    fn the_way_back_is_the_transpose_of_the_way_forward() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let mut nodes =
            || Nodes { users: normal_matrix(&mut rng, 10, 4, 1.0), items: normal_matrix(&mut rng, 13, 4, 1.0) };
        for (pooling, is_apart) in [(Pooling::Mean, false), (Pooling::Mean, true), (Pooling::Weighted, false)] {
            for hops in 0..4 {
                let model = LightGcn { is_apart, ..model(hops, pooling) };
                let parameters = Parameters { tables: nodes(), matrices: Vec::new() };
                let masks = Draw::default();
                let (layers, tape) = model.forward(&context, &parameters, &masks).unwrap().unwrap();
                let tables = &parameters.tables;
                assert_eq!(layers.len(), model.weights().len());
                let gradient: Vec<Nodes> = layers.iter().map(|_| nodes()).collect();
                let back = model.backward(&context, &parameters, &masks, tape, &gradient).unwrap().tables;
                let forth = inner(&layers, &gradient);
                let error = (forth - inner(std::slice::from_ref(tables), &[back])).abs();
                assert!(error < 1e-3, "{pooling:?} {is_apart} {hops}: {forth} differs by {error}");
            }
        }
    }

    /// Under drawn masks the way back is still the derivative by the tables.
    #[test]
    fn the_way_back_under_masks_is_the_transpose_too() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let mut nodes =
            || Nodes { users: normal_matrix(&mut rng, 10, 4, 1.0), items: normal_matrix(&mut rng, 13, 4, 1.0) };
        let masking = Masking { start: 0.3, gradient: MaskGradient::Pathwise, sparsity: 0.0, nuclear: 0.0, rank: 1 };
        for pooling in [Pooling::Mean, Pooling::Weighted] {
            let model = LightGcn { masking: Some(masking.clone()), ..model(2, pooling) };
            let matrices: Vec<Matrix> = model.matrices(&context).into_iter().map(|(_, matrix)| matrix).collect();
            let parameters = Parameters { tables: nodes(), matrices };
            let masks = masking.draw(&graph, &parameters.matrices[0], &mut context.rng("draw"));
            let masks = Draw { progress: 0.0, masks };
            let (layers, tape) = model.forward(&context, &parameters, &masks).unwrap().unwrap();
            let gradient: Vec<Nodes> = layers.iter().map(|_| nodes()).collect();
            let forth = inner(&layers, &gradient);
            let back = model.backward(&context, &parameters, &masks, tape, &gradient).unwrap();
            assert!((forth - inner(&[parameters.tables], &[back.tables])).abs() < 1e-3, "{pooling:?}");
            assert_pathwise_is_the_derivative(&context, &model, model.descent.factors);
        }
    }

    /// Item vectors of one training, whose cosines keep the items' lengths to three powers: alike in direction, and as long as the power says.
    #[test]
    fn items_keep_a_power_of_their_lengths() {
        let edges: Vec<_> = (0..40u32).map(|e| (e * 7 % 9, e * 13 % 12, 1.0)).collect();
        let graph = Bipartite::from_edges(9, 12, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let items = |length: f32| {
            let mut model = model(2, Pooling::Mean);
            model.descent = Descent { cosine: true, length: Some(length), loss: Loss::Softmax, ..model.descent };
            model.fit(&context).unwrap().layers.items.remove(0)
        };
        let [unit, root, whole] = [0.0, 0.5, 1.0].map(items);
        let norm = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
        let lengths: Vec<f32> = whole.par_rows().map(norm).collect();
        assert!(lengths.iter().any(|&length| length < 0.9) && lengths.iter().all(|&length| length < 1.0 + 1e-5));
        for (item, &length) in lengths.iter().enumerate() {
            for (at, &x) in unit.row(item).iter().enumerate() {
                assert!((root.row(item)[at] - x * length.sqrt()).abs() < 1e-5);
                assert!((whole.row(item)[at] - x * length).abs() < 1e-5);
            }
        }
    }

    /// Hops that are scored apart come to the scores of their mean.
    #[test]
    fn hops_apart_score_as_their_mean() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let tables = Nodes { users: normal_matrix(&mut rng, 10, 4, 1.0), items: normal_matrix(&mut rng, 13, 4, 1.0) };
        let parameters = Parameters { tables, matrices: Vec::new() };
        let apart = LightGcn { is_apart: true, ..model(3, Pooling::Mean) };
        let (hops, _) = apart.forward(&context, &parameters, &Draw::default()).unwrap().unwrap();
        let (mean, weights) = apart.trained(&context, &parameters, &Draw::default()).unwrap();
        assert_eq!((hops.len(), mean.len()), (4, 1));
        for (user, item) in [(0, 0), (3, 7), (9, 12), (8, 2)] {
            let score = |layers: &[Nodes], weights: &[f32]| -> f32 {
                let product = |nodes: &Nodes| -> f32 {
                    nodes.users.row(user).iter().zip(nodes.items.row(item)).map(|(a, b)| a * b).sum()
                };
                layers.iter().zip(weights).map(|(nodes, weight)| weight * weight * product(nodes)).sum()
            };
            let (hops, mean) = (score(&hops, &apart.weights()), score(&mean, &weights));
            assert!((hops - mean).abs() < 1e-4, "{user} {item}: {hops} {mean}");
        }
    }

    #[test]
    fn the_mean_and_the_weighted_layers_are_the_same_hops() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let tables = Nodes { users: normal_matrix(&mut rng, 10, 4, 1.0), items: normal_matrix(&mut rng, 13, 4, 1.0) };
        let parameters = Parameters { tables, matrices: Vec::new() };
        let forward = |pooling| model(2, pooling).forward(&context, &parameters, &Draw::default()).unwrap().unwrap().0;
        let (sum, layers) = (forward(Pooling::Mean).remove(0), forward(Pooling::Weighted));
        for (at, &sum) in sum.items.data().iter().enumerate() {
            let want: f32 = layers.iter().map(|layer| layer.items.data()[at]).sum();
            assert!((sum - want).abs() < 1e-5, "{sum} {want}");
        }
    }
}
