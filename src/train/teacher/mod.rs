//! Teachers: models of full precision that a student learns from. One file each.

mod block;
mod descent;
mod encoder;
mod gcncf;
mod ials;
mod l2q;
pub(crate) mod layers;
mod lightgcn;
mod masks;
mod mf;
mod mixed;
mod neighbours;
mod ngcf;
mod nodes;
mod onebp;
mod pinsage;
pub(crate) mod scores;
mod spectralcf;

pub(crate) use descent::Descent;
pub(crate) use gcncf::GcnCf;
pub(crate) use ials::ImplicitAls;
pub(crate) use l2q::L2q;
pub(crate) use lightgcn::{LightGcn, Pooling, hop};
pub(crate) use masks::{MASKS, MaskGradient, Masking};
pub(crate) use mf::Mf;
pub(crate) use neighbours::{ItemNeighbours, Models, Neighbours, UserNeighbours, Wanted, Weighting};
pub(crate) use ngcf::Ngcf;
pub(crate) use nodes::Nodes;
pub(crate) use onebp::{OneBp, Side};
pub(crate) use pinsage::PinSage;
pub(crate) use spectralcf::{Activation, SpectralCf};

use crate::error::Result;
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::size::Size;
use crate::train::teacher::layers::Layers;

/// A model of full precision.
pub(crate) trait Teacher {
    /// The name used in reports and errors.
    fn name(&self) -> &'static str;

    /// The width of every layer it gives and the weight of its inner product in the score.
    fn layers(&self) -> (Vec<usize>, Vec<f32>);

    /// Floats that a fit holds at most, about, what it gives among them: tables with a row a node, counted and held against what processes took.
    fn floats(&self, size: Size) -> f64;

    /// Learns from the graph of the context.
    ///
    /// # Errors
    /// `Cancelled`, and `Diverged` when a vector is no longer finite.
    fn fit(&self, context: &Context<'_>) -> Result<Fit>;

    /// Learns from the graph of the context, which has little more than the one that `before` was learned from: where that helps, from there on.
    ///
    /// # Errors
    /// As [`Teacher::fit`].
    fn refit(&self, context: &Context<'_>, before: Layers) -> Result<Fit> {
        drop(before);
        self.fit(context)
    }

    /// The same teacher with `times` its regularisation, and what that is; `None` where there is nothing to choose.
    fn regularised(&self, times: f32) -> Option<(Box<dyn Teacher>, f32)> {
        let _ = times;
        None
    }
}

/// What a teacher learned.
pub(crate) struct Fit {
    pub(crate) layers: Layers,
    /// Those of a gradient teacher; others have none.
    pub(crate) epochs: Vec<Epoch>,
    /// What it chose on the held-out interactions, by the name of its setting.
    pub(crate) chosen: Vec<(&'static str, f32)>,
    /// The same teacher, set to do that again where it cannot see them; `None` where nothing was chosen.
    pub(crate) settled: Option<Box<dyn Teacher>>,
}
