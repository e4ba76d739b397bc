//! Students: models whose vectors are signs and scalers. One file each.

mod bigear;
mod bincf;
mod discrete;
pub(crate) mod fold_in;
pub(crate) mod rotation;
mod signs;
pub(crate) mod tables;

pub(crate) use bigear::{Among, BiGear, Distillation, Ranking};
pub(crate) use bincf::{BinCf, Listed, Penalty, Ranks};
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

    /// Learns tables whose signs and scalers are the codes, from those of `start` on. Unless it is the `last` time, they need no more than that:
    /// magnitudes, for queries of several planes, can be left out.
    ///
    /// # Errors
    /// `Cancelled`, and `Diverged` when a table is no longer finite.
    fn distil(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: Tables,
        last: bool,
    ) -> Result<(Tables, Vec<Epoch>)>;

    /// Learns again, for the last time, from a teacher of nearly the same graph. `before` holds the tables learned the first time, with a row for
    /// every node of this graph; a student may go on from there. `start` gives those of the signs of the new teacher.
    ///
    /// # Errors
    /// As [`Student::distil`].
    fn refit(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: &dyn Fn() -> Result<Tables>,
        before: Tables,
    ) -> Result<Tables> {
        drop(before);
        Ok(self.distil(context, teacher, start()?, true)?.0)
    }
}
