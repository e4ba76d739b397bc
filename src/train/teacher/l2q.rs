//! L2Q-GCN.

use rayon::prelude::*;

use super::descent::Descent;
use super::encoder::{Draw, Encoder, Parameters};
use super::lightgcn::hop;
use super::nodes::Nodes;
use super::{Fit, Teacher};
use crate::error::Result;
use crate::graph::Adjacency;
use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, multiply_by, sum_abs, write_signs};
use crate::train::context::Context;
use crate::train::model::size::Size;
use crate::train::optim::estimator::Estimator;

/// L2Q-GCN (Chen et al., "Towards Low-loss 1-bit Quantization of User-item Representations for Top-K Recommendation", arXiv 2112.01944): codes are
/// learned inside the convolution, at every depth. `V^(l+1) = A_hat Q^(l)`, `Q^(l) = a sign(V^(l))`, and the codes of all hops side by side are what
/// is scored, by BPR, without weights of layers and without a teacher. As "anl" it is scaled, so that the size `a` of a code is the mean magnitude of its
/// row, `|V|_1 / d`, and annealed, so that the gradient passes the sign by the slope of a hyperbolic tangent that grows steeper from the first step to
/// the last. Unscaled all codes are of one size, `d^(-1/4)`, by which the scores of random codes deviate by about one; without annealing the gradient
/// passes straight where magnitudes are below one.
#[derive(Clone, Debug)]
pub(crate) struct L2q {
    pub(crate) descent: Descent,
    /// `L`.
    pub(crate) hops: usize,
    /// Whether a code is as large as what it is the signs of.
    pub(crate) scaled: bool,
    /// The steepness at the first and the last step; `None` for gradients that pass straight.
    pub(crate) annealing: Option<(f32, f32)>,
    /// Whether signs are taken at all: without, it is the model of full precision that codes are held against.
    pub(crate) quantised: bool,
    /// Whether codes are propagated, or what they are the signs of.
    pub(crate) inside: bool,
}

impl Teacher for L2q {
    fn name(&self) -> &'static str {
        if self.annealing.is_some() { "L2Q-GCN_anl" } else { "L2Q-GCN" }
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.descent.factors; self.hops + 1], self.weights())
    }

    /// The values of every hop, and gradients of three on the way.
    fn floats(&self, size: Size) -> f64 {
        self.descent.floats(size, self.hops + 1, self.hops + 4)
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        self.descent.run(context, self, |descent| Box::new(L2q { descent, ..self.clone() }))
    }
}

impl L2q {
    /// The steepness grows by equal factors.
    fn steepness(&self, progress: f32) -> f32 {
        self.annealing.map_or(1.0, |(first, last)| first * (last / first).powf(progress))
    }

    fn quantise(&self, isa: Isa, values: &Nodes) -> Nodes {
        let mut codes = values.clone();
        if self.quantised {
            codes.each_mut(|side| {
                side.par_rows_mut().for_each(|row| {
                    let size = match self.scaled {
                        true => sum_abs(isa, row) / row.len() as f32,
                        false => (row.len() as f32).powf(-0.25),
                    };
                    let values = row.to_vec();
                    write_signs(isa, row, &values);
                    multiply_by(isa, row, size);
                });
            });
        }
        codes
    }

    /// Turns the gradient by [`L2q::quantise`]'s result into the one by the values, at a steepness. Unscaled that is the gradient by the signs
    /// themselves: their size, which makes up for the columns, is left out, so that hops weigh more. With it ML-1M's hold-out finds .148 in place of .181.
    fn through(&self, isa: Isa, steepness: f32, values: &Nodes, gradient: &mut Nodes) {
        if !self.quantised {
            return;
        }
        let estimator = match self.annealing {
            Some(_) => Estimator::Tanh { sharpness: steepness },
            None => Estimator::Clipped { range: 1.0 },
        };
        let side = |values: &Matrix, gradient: &mut Matrix| {
            gradient.par_rows_mut().zip(values.par_rows()).for_each(|(gradient, values)| {
                if !self.scaled {
                    return estimator.scale(isa, values, gradient);
                }
                let mut signs = vec![0.0; values.len()];
                write_signs(isa, &mut signs, values);
                let size = sum_abs(isa, values) / values.len() as f32;
                // The size is a function of the values too: its derivative by each is the sign over d.
                let by_size = dot(isa, gradient, &signs) / values.len() as f32;
                estimator.scale(isa, values, gradient);
                multiply_by(isa, gradient, size);
                add_scaled(isa, gradient, by_size, &signs);
            });
        };
        side(&values.users, &mut gradient.users);
        side(&values.items, &mut gradient.items);
    }
}

impl Encoder for L2q {
    /// The values of every hop.
    type Tape = Vec<Nodes>;

    fn weights(&self) -> Vec<f32> {
        vec![1.0; self.hops + 1]
    }

    fn forward(
        &self,
        context: &Context<'_>,
        Parameters { tables, .. }: &Parameters,
        _: &Draw,
    ) -> Result<Option<(Vec<Nodes>, Vec<Nodes>)>> {
        let adjacency = Adjacency::new(context.graph);
        let mut values = vec![tables.clone()];
        let mut codes = vec![self.quantise(context.isa, tables)];
        for _ in 0..self.hops {
            let from = if self.inside { codes.last() } else { values.last() };
            let next = hop(context, &adjacency, from.unwrap_or(tables), None)?;
            codes.push(self.quantise(context.isa, &next));
            values.push(next);
        }
        Ok(Some((codes, values)))
    }

    fn backward(
        &self,
        context: &Context<'_>,
        Parameters { tables, .. }: &Parameters,
        draw: &Draw,
        values: Vec<Nodes>,
        gradient: &[Nodes],
    ) -> Result<Parameters> {
        let adjacency = Adjacency::new(context.graph);
        let steepness = self.steepness(draw.progress);
        // By the values of the layer above.
        let mut above: Option<Nodes> = None;
        for (values, by_codes) in values.iter().zip(gradient).rev() {
            let mut by_values = by_codes.clone();
            if self.inside {
                if let Some(above) = &above {
                    by_values = hop(context, &adjacency, above, Some(by_codes))?;
                }
                self.through(context.isa, steepness, values, &mut by_values);
            } else {
                self.through(context.isa, steepness, values, &mut by_values);
                if let Some(above) = &above {
                    by_values = hop(context, &adjacency, above, Some(&by_values))?;
                }
            }
            above = Some(by_values);
        }
        Ok(Parameters { tables: above.unwrap_or_else(|| tables.zeroed()), matrices: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optim::random::normal_matrix;
    use crate::train::teacher::descent::tests::small;
    use crate::train::teacher::encoder::tests::assert_gradients_equal_finite_differences;

    /// Without signs nothing stands in for a derivative.
    #[test]
    fn gradients_of_full_precision_equal_finite_differences() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        for inside in [false, true] {
            let model = L2q { descent: small(), hops: 2, scaled: false, annealing: None, quantised: false, inside };
            assert_gradients_equal_finite_differences(&context, &model, model.descent.factors);
        }
    }

    /// Where every magnitude is below one a straight gradient passes all signs, and is that of the linear model. Where those of the table are not, its own
    /// signs pass nothing: of codes that are propagated nothing reaches the table then, and of values what comes from the hops above.
    #[test]
    fn gradients_pass_signs_where_they_are_near_to_flipping() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let mut nodes = |deviation| Nodes {
            users: normal_matrix(&mut rng, 10, 4, deviation),
            items: normal_matrix(&mut rng, 13, 4, deviation),
        };
        let gradient: Vec<Nodes> = (0..3).map(|_| nodes(1.0)).collect();
        let near = Parameters { tables: nodes(0.05), matrices: Vec::new() };
        let mut far = near.clone();
        far.tables.each_mut(|side| side.data_mut().iter_mut().for_each(|x| *x = 3.0 * x.signum()));
        let back = |model: &L2q, parameters: &Parameters| {
            let (_, values) = model.forward(&context, parameters, &Draw::default()).unwrap().unwrap();
            model.backward(&context, parameters, &Draw::default(), values, &gradient).unwrap().tables
        };
        let linear = L2q { descent: small(), hops: 2, scaled: false, annealing: None, quantised: false, inside: false };
        let want = back(&linear, &near);
        for inside in [false, true] {
            let model = L2q { quantised: true, inside, ..linear.clone() };
            for (got, want) in back(&model, &near).users.data().iter().zip(want.users.data()) {
                assert!((got - want).abs() < 1e-5, "{inside}: {got} {want}");
            }
            let got = back(&model, &far).users;
            if inside {
                assert!(got.data().iter().all(|&got| got == 0.0), "{got:?}");
                continue;
            }
            // What the layers' own signs stop, and nothing of what comes through the hops above.
            let (_, values) = model.forward(&context, &far, &Draw::default()).unwrap().unwrap();
            let stopped = |by: &Matrix, values: &Matrix| {
                let pass = |(&by, x): (&f32, &f32)| if x.abs() <= 1.0 { by } else { 0.0 };
                let data = by.data().iter().zip(values.data()).map(pass).collect();
                Matrix::from_data(by.rows(), by.cols(), data).unwrap()
            };
            let layers = gradient.iter().zip(&values);
            let own: Vec<Nodes> = layers.map(|(by, values)| by.zip(values, stopped)).collect();
            assert!(own[1].users.data().iter().any(|&by| by != 0.0) && own[0].users.data().iter().all(|&by| by == 0.0));
            let want = linear.backward(&context, &far, &Draw::default(), values, &own).unwrap().tables.users;
            for (got, want) in got.data().iter().zip(want.data()) {
                assert!((got - want).abs() < 1e-5, "{got} {want}");
            }
        }
    }

    /// The codes are signs of one size a row, and that size's part of the gradient is its derivative: with a surrogate that passes nothing, the sum of a
    /// row changes as the size does.
    #[test]
    fn codes_are_signs_times_the_mean_magnitude() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let isa = context.isa;
        let model =
            L2q { descent: small(), hops: 0, scaled: true, annealing: Some((1.0, 8.0)), quantised: true, inside: true };
        let values = Nodes {
            users: Matrix::from_data(1, 4, vec![0.5, -2.0, 1.5, 0.0]).unwrap(),
            items: Matrix::from_data(1, 4, vec![1.0; 4]).unwrap(),
        };
        let codes = model.quantise(isa, &values);
        assert_eq!(codes.users.data().iter().map(|x| x.abs()).collect::<Vec<_>>(), [1.0; 4]);
        assert_eq!(codes.users.data()[..3], [1.0, -1.0, 1.0]);
        let mut gradient =
            Nodes { users: Matrix::from_data(1, 4, vec![3.0, 1.0, 0.0, 0.0]).unwrap(), items: Matrix::zeros(1, 4) };
        // So steep that only the size passes.
        model.through(isa, 1e4, &values, &mut gradient);
        for (got, want) in gradient.users.data()[..3].iter().zip([0.5, -0.5, 0.5]) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        // Straight through, what is small passes beside it.
        let straight = L2q { annealing: None, ..model.clone() };
        gradient.users.data_mut().copy_from_slice(&[3.0, 1.0, 0.0, 0.0]);
        straight.through(isa, 1.0, &values, &mut gradient);
        assert_eq!(gradient.users.data()[..3], [3.5, -0.5, 0.5]);
        // Of one size all that is far from flipping is lost, and what is near passes as it is.
        let unscaled = L2q { scaled: false, ..model.clone() };
        assert!(unscaled.quantise(isa, &values).users.data().iter().all(|x| (x.abs() - 0.5f32.sqrt()).abs() < 1e-6));
        gradient.users.data_mut().copy_from_slice(&[3.0, 1.0, 0.0, 0.0]);
        unscaled.through(isa, 1e4, &values, &mut gradient);
        assert!(gradient.users.data()[..3].iter().all(|by| by.abs() < 1e-5));
        let at = |progress| model.steepness(progress);
        assert!((at(0.0) - 1.0).abs() < 1e-6 && (at(1.0) - 8.0).abs() < 1e-4 && at(0.5) > 2.0 && at(0.5) < 4.0);
    }
}
