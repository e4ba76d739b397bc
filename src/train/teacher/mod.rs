//! Teachers: models of full precision that a student learns from. One file each.

mod ials;

pub(crate) use ials::ImplicitAls;

use super::context::Context;
use super::layers::Layers;
use crate::Result;

/// A model of full precision.
pub(crate) trait Teacher {
    /// The name used in reports and errors.
    fn name(&self) -> &'static str;

    /// Learns from the graph of the context.
    ///
    /// # Errors
    /// `Cancelled`, and `Diverged` when a vector is no longer finite.
    fn fit(&self, context: &Context<'_>) -> Result<Layers>;
}
