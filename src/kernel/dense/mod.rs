//! Dense float loops of training: products of matrices, softmax rows, optimiser steps.
//!
//! Each loop is written once, as portable Rust in [`loops`] and [`mod@product`], and compiled for every instruction set in
//! [`Isa`]; the set is chosen at run time, since users build for a baseline CPU. Reductions run over sixteen fixed lanes and
//! products add their terms in the order of the inner index, so a result depends neither on the number of threads nor on
//! the width of the vectors: every set with fused multiply-add gives the same bits, and only the baseline differs.
#![allow(unsafe_code)]

mod halves;
mod isa;
mod loops;
mod matrix;
mod product;
mod signed;

pub(crate) use halves::Halves;
pub(crate) use isa::Isa;
pub(crate) use loops::*;
pub(crate) use matrix::Matrix;
pub(crate) use product::{Factor, Gram, View, product};
pub(crate) use signed::{Rows, SignMatrix, SignedMatrix};
