//! Matrix factorisation by gradients.

use super::descent::Descent;
use super::encoder::{Draw, Encoder, Parameters};
use super::nodes::Nodes;
use super::{Fit, Teacher};
use crate::error::Result;
use crate::train::context::Context;
use crate::train::model::size::Size;

/// Free tables of users and items: the vectors are what is learned (Rendle et al. 2009 with BPR; cosines and a sampled softmax as in Wu et
/// al., "On the Effectiveness of Sampled Softmax Loss for Item Recommendation", 2022). A step touches only the rows it scores.
#[derive(Clone, Debug)]
pub(crate) struct Mf {
    pub(crate) descent: Descent,
}

impl Teacher for Mf {
    fn name(&self) -> &'static str {
        "matrix factorisation"
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.descent.factors], vec![1.0])
    }

    fn floats(&self, size: Size) -> f64 {
        self.descent.floats(size, 1, 0)
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        self.descent.run(context, self, |descent| Box::new(Mf { descent }))
    }
}

impl Encoder for Mf {
    type Tape = ();

    fn weights(&self) -> Vec<f32> {
        vec![1.0]
    }

    fn forward(&self, _: &Context<'_>, _: &Parameters, _: &Draw) -> Result<Option<(Vec<Nodes>, ())>> {
        Ok(None)
    }

    /// Never asked for, since there is no way forward.
    fn backward(&self, _: &Context<'_>, parameters: &Parameters, _: &Draw, (): (), _: &[Nodes]) -> Result<Parameters> {
        Ok(parameters.clone())
    }
}
