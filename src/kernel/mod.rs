//! The loops that decide the speed, and the only place with `unsafe`.

pub(crate) mod dense;
pub(crate) mod popcount;
