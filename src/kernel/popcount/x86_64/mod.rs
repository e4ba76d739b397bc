//! The loops under x86-64's instruction sets.

pub(super) mod avx2;
pub(super) mod avx512;
