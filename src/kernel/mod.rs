//! The loops that decide the speed and the memory that is mapped or given back, the only places with `unsafe`.

pub(crate) mod dense;
pub(crate) mod heap;
pub(crate) mod popcount;
pub(crate) mod shared;
