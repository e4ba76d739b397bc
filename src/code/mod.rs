//! Layered binary codes: what is stored of a node, and what a query is made of.
//!
//! A node x has one segment a layer l: `d_l` bits b and a scaler alpha. An item keeps one bit a dimension ([`LayeredCodes`]); a user
//! keeps B bit planes ([`PlaneCodes`]), of which a query may use as many of the most significant as it likes ([`QueryCode`]).
//!
//! # The score, bit for bit
//! With `q_k = 2 t_k - (2^B - 1)` the odd integer of the query's B-plane code `t_k` and `sigma_k = +1` where the item's bit is set, `-1`
//! elsewhere:
//!
//! ```text
//! p_l = sum_k q_k sigma_k = sum_b 2^b (d_l - 2 popcount(plane_b XOR item))       exact, in integers
//! c_l = w_l^2 (alpha_u (d_l / sum_k |q_k|))                                      f32, each operation rounded
//! s = +0.0;  for l from L down to 0:  s = s + alpha_i (c_l p_l)                  f32, each operation rounded, no fused operations
//! ```
//!
//! One plane gives `sum |q| = d` and with it the layered weighted score of BiGeaR++ (TOIS 2025, arXiv 2506.02750):
//! `w^2 alpha_u alpha_i (d - 2 popcount)`.
//!
//! # Bounds
//! A layer has at most [`MAX_WIDTH`] bits, so `|p_l| <= 65,536 * 255 < 2^24` converts to f32 without rounding. Scalers are in
//! `0..=`[`MAX_SCALER`], weights in `0..=`[`MAX_WEIGHT`] and layers at most [`MAX_LAYERS`]; since `|p_l| <= sum_k |q_k|`, a term is at
//! most `w^2 alpha_u alpha_i d` and `|s|` at most `32 * 2^16 * 1e12 * 1e12 * 2^16 < 1.4e35`: no infinity and no NaN can arise. `s` starts
//! at `+0.0` and is never `-0.0`.

mod encoder;
mod error;
mod layered;
mod packed;
mod planes;
mod quantiser;
mod query;
mod shape;

pub(crate) use encoder::{Encoder, normalise};
pub use error::CodeError;
pub use layered::{LayeredCodes, Row};
pub use planes::PlaneCodes;
pub use query::QueryCode;
pub use shape::{CodeShape, MAX_LAYERS, MAX_SCALER, MAX_WEIGHT, MAX_WIDTH};

/// The most bit planes of a query.
pub const MAX_PLANES: u32 = 8;

#[cfg(test)]
pub(crate) mod tests;
