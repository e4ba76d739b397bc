//! Students: models whose vectors are signs and scalers. One file each.

mod bigear;
mod bincf;
mod discrete;
pub(crate) mod fold_in;
mod kept;
pub(crate) mod rotation;
pub(crate) mod served;
mod signs;
pub(crate) mod tables;

pub(crate) use bigear::{Among, BiGear, Distillation, Ranking};
pub(crate) use bincf::{BinCf, Listed, Penalty, Ranks};
pub(crate) use discrete::Discrete;
pub(crate) use served::Last;
pub(crate) use signs::Signs;
pub(crate) use tables::{Segment, Tables};

use crate::error::Result;
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::size::Size;
use crate::train::teacher::layers::Layers;

/// A model of layered codes, learned from a teacher.
pub(crate) trait Student {
    /// The name used in reports and errors.
    fn name(&self) -> &'static str;

    /// Floats that learning codes of so many bits holds at most, about, beside the teacher's vectors, as [`Teacher::floats`](super::teacher::Teacher::floats).
    fn floats(&self, size: Size, bits: f64) -> f64;

    /// Learns tables whose signs and scalers are the codes, from those of `start` on. Unless it is the `last` time, they need no more than that:
    /// magnitudes, for queries of several planes, can be left out. The last time they have these, or what is served of them.
    ///
    /// # Errors
    /// `Cancelled`, and `Diverged` when a table is no longer finite.
    fn distil(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: Tables,
        last: Option<&Last<'_>>,
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
        last: &Last<'_>,
    ) -> Result<Tables> {
        drop(before);
        Ok(self.distil(context, teacher, start()?, Some(last))?.0)
    }
}
