//! What lies between the parameters of a teacher trained by gradients and its scores.

use super::masks::{Masking, Masks};
use super::nodes::Nodes;
use crate::error::Result;
use crate::kernel::dense::Matrix;
use crate::train::context::Context;

/// What a model learns.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    /// A row of every node.
    pub(crate) tables: Nodes,
    /// What else its encoder has, in the order of [`Encoder::matrices`].
    pub(crate) matrices: Vec<Matrix>,
}

impl Parameters {
    pub(super) fn is_finite(&self) -> bool {
        self.tables.is_finite() && self.matrices.iter().all(Matrix::is_finite)
    }
}

/// What a step has of its own.
#[derive(Default)]
pub(crate) struct Draw {
    /// The share of all steps that is done.
    pub(crate) progress: f32,
    /// The masks of edges, where they are learned.
    pub(crate) masks: Masks,
}

/// What lies between the parameters that are learned and the vectors that are scored.
pub(crate) trait Encoder: Sync {
    /// What the way forward leaves for the way back.
    type Tape;

    /// The weight of every layer of vectors; scores are those of [`Scored`].
    fn weights(&self) -> Vec<f32>;

    /// The matrices that are learned beside the tables, with the names they are kept by, as they are at the start.
    fn matrices(&self, context: &Context<'_>) -> Vec<(&'static str, Matrix)> {
        let _ = context;
        Vec::new()
    }

    /// The masks of edges, where they are learned: their logits are the last of the matrices.
    fn masking(&self) -> Option<&Masking> {
        None
    }

    /// The layers of the parameters under a draw; `None` where the tables themselves are the only one.
    ///
    /// # Errors
    /// `Cancelled`.
    fn forward(
        &self,
        context: &Context<'_>,
        parameters: &Parameters,
        draw: &Draw,
    ) -> Result<Option<(Vec<Nodes>, Self::Tape)>>;

    /// The layers that are handed on once trained, and their weights: what is scored in training, unless the same scores take fewer layers.
    ///
    /// # Errors
    /// `Cancelled`.
    fn trained(&self, context: &Context<'_>, parameters: &Parameters, draw: &Draw) -> Result<(Vec<Nodes>, Vec<f32>)> {
        let encoded = self.forward(context, parameters, draw)?;
        let layers = encoded.map_or_else(|| vec![parameters.tables.clone()], |(layers, _)| layers);
        Ok((layers, self.weights()))
    }

    /// The gradient by the parameters from that by the layers, whose tape this is: the transposed derivative of [`Encoder::forward`].
    ///
    /// # Errors
    /// `Cancelled`.
    fn backward(
        &self,
        context: &Context<'_>,
        parameters: &Parameters,
        draw: &Draw,
        tape: Self::Tape,
        gradient: &[Nodes],
    ) -> Result<Parameters>;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::train::optim::random::normal_matrix;

    /// The sum of inner products of layers.
    pub(crate) fn inner(a: &[Nodes], b: &[Nodes]) -> f64 {
        let side = |a: &Matrix, b: &Matrix| -> f64 {
            a.data().iter().zip(b.data()).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        a.iter().zip(b).map(|(a, b)| side(&a.users, &b.users) + side(&a.items, &b.items)).sum()
    }

    /// Parameters of an encoder whose elements are normal numbers, and as many for every element of its layers.
    pub(crate) fn random<E: Encoder>(
        context: &Context<'_>,
        encoder: &E,
        factors: usize,
        draw: impl Fn(&Parameters) -> Draw,
    ) -> (Parameters, Vec<Nodes>) {
        let mut rng = context.rng("differences");
        let (n_users, n_items) = (context.graph.n_users(), context.graph.n_items());
        let mut random = |rows, cols| normal_matrix(&mut rng, rows, cols, 0.7);
        let tables = Nodes { users: random(n_users, factors), items: random(n_items, factors) };
        let matrices = encoder.matrices(context);
        let matrices = matrices.iter().map(|(_, matrix)| random(matrix.rows(), matrix.cols())).collect();
        let parameters = Parameters { tables, matrices };
        let (layers, _) = encoder.forward(context, &parameters, &draw(&parameters)).unwrap().unwrap();
        let mut like = |layer: &Nodes| Nodes {
            users: random(n_users, layer.users.cols()),
            items: random(n_items, layer.items.cols()),
        };
        let gradient = layers.iter().map(&mut like).collect();
        (parameters, gradient)
    }

    /// Asserts that [`Encoder::backward`] is the derivative of [`Encoder::forward`], by central differences of a random linear function of the layers
    /// by some elements of every table and matrix.
    pub(crate) fn assert_gradients_equal_finite_differences<E: Encoder>(
        context: &Context<'_>,
        encoder: &E,
        factors: usize,
    ) {
        let halfway = || Draw { progress: 0.5, masks: Masks::default() };
        let draw = halfway();
        let (parameters, gradient) = random(context, encoder, factors, |_| halfway());
        let (layers, tape) = encoder.forward(context, &parameters, &draw).unwrap().unwrap();
        assert_eq!(layers.len(), encoder.weights().len());
        let value = |parameters: &Parameters| -> f64 {
            inner(&encoder.forward(context, parameters, &draw).unwrap().unwrap().0, &gradient)
        };
        let mut back = encoder.backward(context, &parameters, &draw, tape, &gradient).unwrap();
        assert_eq!(back.matrices.len(), parameters.matrices.len());
        fn places(parameters: &mut Parameters) -> Vec<&mut Matrix> {
            let Nodes { users, items } = &mut parameters.tables;
            [users, items].into_iter().chain(&mut parameters.matrices).collect()
        }
        for (place, got) in places(&mut back).into_iter().enumerate() {
            for at in (0..got.data().len()).step_by((got.data().len() / 23).max(1)) {
                let shifted = |by: f32| {
                    let mut parameters = parameters.clone();
                    places(&mut parameters)[place].data_mut()[at] += by;
                    value(&parameters)
                };
                // Short steps, since activations have corners.
                let want = (shifted(1e-3) - shifted(-1e-3)) / 2e-3;
                let got = f64::from(got.data()[at]);
                assert!((got - want).abs() < 0.02 * want.abs().max(1.0), "matrix {place}, element {at}: {got} {want}");
            }
        }
    }
}
