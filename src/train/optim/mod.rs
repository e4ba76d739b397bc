//! What models that are trained by gradients share, and random numbers.

pub(crate) mod adam;
pub(crate) mod estimator;
pub(crate) mod grouping;
pub(crate) mod loss;
pub(crate) mod mixing;
pub(crate) mod random;
pub(crate) mod sampler;
pub(crate) mod schedule;
pub(crate) mod synthesis;
