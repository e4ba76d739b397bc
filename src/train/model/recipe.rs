//! Settings chosen from the graph itself.

use super::options::{Preset, TrainOptions};
use super::size::Size;
use crate::train::student::Discrete;
use crate::train::teacher::ImplicitAls;

/// The models of a preset, with settings for one graph.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) teacher: ImplicitAls,
    pub(crate) student: Discrete,
    /// Whether neighbours' scores are added to the teacher's, unless the caller says.
    pub(crate) has_neighbours: bool,
    /// Regularisation of the neighbours of items and of those of users.
    pub(crate) neighbours: (f32, f32),
}

impl Recipe {
    /// Looks at size and density. The share of pairs that are observed decides how much an unobserved one weighs and how much
    /// a term regularises; the two curves go through the best settings on held-out interactions of three sets, from 0.07 % to
    /// 3.3 % observed.
    pub(crate) fn new(options: &TrainOptions, size: Size) -> Recipe {
        // Its codes are fitted to the scores of all items. With ten times as many items as have interactions (ML-100k) `fast` finds .289 so, and .281 by the
        // density of those alone, where it finds .301 without the others.
        let density = size.density_of_all();
        let is_fast = options.preset == Preset::Fast;
        let is_dense = density > 0.01;
        let factors = if is_fast || is_dense { 128 } else { 512 };
        // More factors than the smaller side has structure for only memorise it.
        let nodes = size.users.min(size.items);
        let factors = factors.min((nodes / 16).next_multiple_of(8).max(8));
        let teacher = ImplicitAls {
            factors,
            sweeps: if is_fast { 8 } else { 10 },
            steps: 3,
            unobserved: (0.5 * density.sqrt()) as f32,
            regularisation: (0.025 * density.powf(0.27)) as f32,
            exponent: 1.0,
        };
        let (sweeps, list) = match options.preset {
            Preset::Fast => (1, 80),
            Preset::Balanced => (2, list_length(size.items)),
            Preset::Best => (4, 2 * list_length(size.items)),
        };
        let student = Discrete { sweeps, list, emphasis: 0.4 };
        // The counts that a pair of items shares grow with the degrees, and so does what steadies them.
        let ridge = |nodes: usize| 10.0 + 1.5 * size.edges as f32 / nodes.max(1) as f32;
        let neighbours = (ridge(size.touched), ridge(size.users));
        Recipe { teacher, student, has_neighbours: !is_fast, neighbours }
    }
}

/// The length of a user's list: among more items more of them are near the border of what is recommended, up to where an entry weighs too little.
fn list_length(items: usize) -> usize {
    let length = 100.0 * (items as f64 / 4000.0).powf(0.6);
    length.clamp(100.0, 300.0) as usize
}
