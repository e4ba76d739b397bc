//! The map by which somebody training has not seen is given a vector.

use super::{CodeError, CodeShape};
use crate::kernel::dense::{Isa, add_scaled, dot};

/// A linear map from a profile (the sum of the code vectors of what somebody touched) to the vector training would have given them; both run
/// over all bits, layer after layer.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldInMap {
    bits: usize,
    /// `[bits x bits]`, row-major; row k is what dimension k of the profile adds.
    weights: Vec<f32>,
    isa: Isa,
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
            None => Ok(Self { bits, weights, isa }),
        }
    }

    /// The weights, for storage.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The vector of a profile, `[bits]` both. O(bits^2).
    ///
    /// # Panics
    /// If the profile has another length.
    pub fn apply(&self, profile: &[f32]) -> Vec<f32> {
        assert_eq!(profile.len(), self.bits, "one value a bit");
        let mut vector = vec![0.0; self.bits];
        for (row, &value) in self.weights.chunks_exact(self.bits).zip(profile) {
            add_scaled(self.isa, &mut vector, value, row);
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
        self.weights.chunks_exact(self.bits).map(|row| dot(self.isa, row, direction)).collect()
    }
}
