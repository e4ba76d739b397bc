//! What is served of users beside their signs, made of their magnitudes as these come: as floats they are 32 times the signs.

use std::sync::Arc;

use super::fold_in::Fit;
use super::tables::{Segment, Tables, favour_rare};
use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
use crate::error::Result;
use crate::fold_in::FoldInMap;
use crate::graph::Bipartite;
use crate::kernel::dense::{Isa, Matrix, SignMatrix};

/// Users encoded at once where all magnitudes are there.
const PART: usize = 1024;

/// What is to be served of a training, for a student that learns for the last time.
#[derive(Clone, Copy)]
pub(crate) struct Last<'a> {
    /// Planes of users' codes.
    pub(crate) planes: u32,
    /// The interactions of every item, by which less popular ones are favoured.
    pub(crate) degrees: &'a [u32],
    /// How much less popular items are favoured.
    pub(crate) novelty: f32,
}

/// What was made of users' magnitudes that are not kept.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// The planes of all users, `[n_users][layer][plane][words]`; nothing of one plane, which is the signs.
    pub(crate) words: Vec<u64>,
    /// The fold-in map, `bits x bits`.
    pub(crate) map: Matrix,
}

/// Makes what is served of users who come one after the other.
pub(crate) struct Serving<'a> {
    shape: Arc<CodeShape>,
    planes: u32,
    clip: f32,
    words: Vec<u64>,
    fit: Fit<'a>,
}

impl<'a> Serving<'a> {
    /// For all users of a graph, whose magnitudes are clipped to `clip`, and items with these logarithms of scalers.
    pub(crate) fn new(
        (isa, graph): (Isa, &'a Bipartite),
        shape: CodeShape,
        clip: f32,
        mut item_scales: Matrix,
        last: &Last<'_>,
    ) -> Serving<'a> {
        favour_rare(&mut item_scales, last.degrees, last.novelty);
        // The sizes of the code vectors.
        let widths = shape.widths().iter().cycle();
        item_scales.data_mut().iter_mut().zip(widths).for_each(|(x, &width)| *x = x.exp() * (1.0 / width as f32));
        let kept = if last.planes > 1 { graph.n_users() * shape.words() * last.planes as usize } else { 0 };
        let fit = Fit::new(isa, graph, item_scales, shape.bits() as usize);
        Serving { shape: Arc::new(shape), planes: last.planes, clip, words: Vec::with_capacity(kept), fit }
    }

    /// Takes the users that come next: a row of `magnitudes` and the logarithms of their scalers each. `items` are the signs of all items, the same each time.
    /// What is left of the magnitudes is clipped. Parallel.
    ///
    /// # Errors
    /// Where they are not finite.
    pub(crate) fn add(&mut self, items: &SignMatrix, magnitudes: &mut [f32], scales: &[f32]) -> Result<()> {
        self.fit.add(items, magnitudes, scales);
        if self.planes > 1 {
            let scalers = scales.iter().map(|scale| scale.exp()).collect();
            let of = (&self.shape, items.segments());
            self.words.extend(plane_words(of, (magnitudes, self.clip), self.planes, scalers)?);
        }
        Ok(())
    }

    /// What it came to. O(bits^3).
    pub(crate) fn finish(self) -> Served {
        Served { words: self.words, map: self.fit.finish() }
    }
}

/// The words of the `planes` of users with a row of magnitudes each, which are clipped.
///
/// # Errors
/// Where they, or the scalers, are not finite.
pub(super) fn plane_words(
    (shape, segments): (&Arc<CodeShape>, &[Segment]),
    (magnitudes, clip): (&mut [f32], f32),
    planes: u32,
    scalers: Vec<f32>,
) -> Result<Vec<u64>> {
    magnitudes.iter_mut().for_each(|x| *x = x.clamp(-clip, clip));
    let bits = shape.bits() as usize;
    let layer = |segment: &Segment| -> Vec<f32> {
        magnitudes.chunks_exact(bits).flat_map(|row| &row[segment.clone()]).copied().collect()
    };
    let codes = match segments {
        [_] => PlaneCodes::encode_with_scalers(Arc::clone(shape), &[&*magnitudes], planes, scalers)?,
        _ => {
            let layers: Vec<Vec<f32>> = segments.iter().map(layer).collect();
            let layers: Vec<&[f32]> = layers.iter().map(Vec::as_slice).collect();
            PlaneCodes::encode_with_scalers(Arc::clone(shape), &layers, planes, scalers)?
        }
    };
    Ok(codes.into_parts().0)
}

impl Tables {
    /// Codes and the map for those who come later. Of a student that made nothing to be served, of all magnitudes.
    ///
    /// # Errors
    /// When a table is not finite.
    pub(crate) fn serve(
        &mut self,
        (isa, graph): (Isa, &Bipartite),
        last: &Last<'_>,
    ) -> Result<(PlaneCodes, LayeredCodes, FoldInMap)> {
        let shape = Arc::new(self.shape()?);
        let Served { words, map } = match self.served.take() {
            Some(served) => served,
            None => self.all_served((isa, graph), last)?,
        };
        self.magnitudes = Matrix::zeros(0, 0);
        let users = match last.planes {
            1 => self.encode_users(&shape, 1)?,
            planes => PlaneCodes::from_parts(Arc::clone(&shape), planes, words, self.user_scalers())?,
        };
        let fold_in = FoldInMap::new(&shape, map.into_data(), isa)?;
        // What is learned on from are the scales as they are.
        let mut scales = self.item_scales.clone();
        favour_rare(&mut scales, last.degrees, last.novelty);
        Ok((users, self.encode_items_with(&shape, &scales)?, fold_in))
    }

    fn all_served(&self, (isa, graph): (Isa, &Bipartite), last: &Last<'_>) -> Result<Served> {
        let (bits, layers) = (self.users.cols(), self.segments.len());
        let mut serving = Serving::new((isa, graph), self.shape()?, self.clip, self.item_scales.clone(), last);
        let mut part = vec![0.0; PART.min(self.users.rows()) * bits];
        for first in (0..self.users.rows()).step_by(PART) {
            let rows = first..self.users.rows().min(first + PART);
            let part = &mut part[..rows.len() * bits];
            self.write_magnitudes(first, part);
            serving.add(&self.items, part, &self.user_scales.data()[rows.start * layers..rows.end * layers])?;
        }
        Ok(serving.finish())
    }
}
