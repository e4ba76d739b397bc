//! The map by which somebody training has not seen is given a vector.

use crate::code::{CodeError, CodeShape};
use crate::kernel::dense::{Isa, add_scaled, dot};

/// A linear map from a profile (the sum of the code vectors of what somebody touched) to the vector training would have given them; both run
/// over all bits, layer after layer. Where nothing was learned the profile is the vector.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldInMap {
    bits: usize,
    map: Map,
    isa: Isa,
}

#[derive(Debug, Clone, PartialEq)]
enum Map {
    /// `[bits x bits]`, row-major; row k is what dimension k of the profile adds.
    Learned(Vec<f32>),
    /// Groups of `passes` consecutive layers of `width` bits stand for one vector, their sum, which meets each of them. One pass is the
    /// identity.
    Summed { passes: usize, width: usize },
}

impl FoldInMap {
    /// A map from its stored weights, `[bits x bits]` for the bits of `shape`.
    ///
    /// # Errors
    /// If there are not that many weights or one is not finite.
    pub(crate) fn new(shape: &CodeShape, weights: Vec<f32>, isa: Isa) -> Result<Self, CodeError> {
        let bits = shape.bits() as usize;
        CodeError::check_length("weights of the fold-in map", bits * bits, weights.len())?;
        match weights.iter().position(|weight| !weight.is_finite()) {
            Some(at) => Err(CodeError::NotFinite { row: at / bits, layer: 0 }),
            None => Ok(Self { bits, map: Map::Learned(weights), isa }),
        }
    }

    /// The map that changes nothing.
    pub(crate) fn identity(shape: &CodeShape, isa: Isa) -> Self {
        let bits = shape.bits() as usize;
        Self { bits, map: Map::Summed { passes: 1, width: bits }, isa }
    }

    /// The map of codes whose vectors are sums of `passes` layers, all of one width, as an encoder's are.
    pub(crate) fn of_passes(shape: &CodeShape, passes: usize, isa: Isa) -> Self {
        let map = Map::Summed { passes, width: shape.widths()[0] as usize };
        Self { bits: shape.bits() as usize, map, isa }
    }

    /// The weights, for storage; `None` where nothing was learned.
    pub fn weights(&self) -> Option<&[f32]> {
        match &self.map {
            Map::Learned(weights) => Some(weights),
            Map::Summed { .. } => None,
        }
    }

    /// The vector of a profile, `[bits]` both. O(bits^2); O(bits) where nothing was learned.
    ///
    /// # Panics
    /// If the profile has another length.
    pub fn apply(&self, profile: &[f32]) -> Vec<f32> {
        assert_eq!(profile.len(), self.bits, "one value a bit");
        let mut vector = vec![0.0; self.bits];
        match &self.map {
            Map::Learned(weights) => {
                for (row, &value) in weights.chunks_exact(self.bits).zip(profile) {
                    add_scaled(self.isa, &mut vector, value, row);
                }
            }
            &Map::Summed { passes, width } => {
                let groups = vector.chunks_exact_mut(passes * width).zip(profile.chunks_exact(passes * width));
                for (out, profile) in groups {
                    for out in out.chunks_exact_mut(width) {
                        profile.chunks_exact(width).for_each(|pass| add_scaled(self.isa, out, 1.0, pass));
                    }
                }
            }
        }
        vector
    }

    /// How much each dimension of a profile adds to the inner product of the vector with `direction`, `[bits]` both: with x the profile and z the
    /// direction, `apply(x) . z = x . pull_back(z)`. O(bits^2).
    ///
    /// # Panics
    /// If the direction has another length.
    pub(crate) fn pull_back(&self, direction: &[f32]) -> Vec<f32> {
        assert_eq!(direction.len(), self.bits, "one value a bit");
        match &self.map {
            Map::Learned(weights) => weights.chunks_exact(self.bits).map(|row| dot(self.isa, row, direction)).collect(),
            // Symmetric: every pass adds to every pass of its group.
            Map::Summed { .. } => self.apply(direction),
        }
    }
}
