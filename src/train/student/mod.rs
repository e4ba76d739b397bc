//! Students: models whose vectors are signs and scalers. One file each.

mod bigear;
mod discrete;
pub(crate) mod fold_in;
pub(crate) mod rotation;
mod signs;
mod tables;

pub(crate) use bigear::{Among, BiGear, Distillation, Ranking};
pub(crate) use discrete::Discrete;
pub(crate) use signs::Signs;
pub(crate) use tables::{Segment, Tables};

use crate::error::Result;
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::teacher::layers::Layers;

/// A model of layered codes, learned from a teacher.
pub(crate) trait Student {
    /// The name used in reports and errors.
    fn name(&self) -> &'static str;

    /// Learns tables whose signs and scalers are the codes; `start` holds those of an earlier training, to go on from.
    ///
    /// # Errors
    /// `Cancelled`, and `Diverged` when a table is no longer finite.
    fn distil(&self, context: &Context<'_>, teacher: &Layers, start: Tables) -> Result<(Tables, Vec<Epoch>)>;
}
