//! Queries by a vector.

use std::sync::Arc;

use crate::code::{CodeError, CodeShape, QueryCode};
use crate::error::{Error, Result};
use crate::generation::Generation;

/// The query of a vector like those the generation's codes were made of, or, where they were not made of vectors, of one float a bit.
pub(crate) fn vector_query(generation: &Generation, vector: &[f32], planes: u32) -> Result<QueryCode> {
    let shape = generation.shape();
    let (expected, kind) = match generation.encoder() {
        Some(encoder) => (encoder.len(), "as the imported vectors have, all layers of a row one after another"),
        None => (shape.bits() as usize, "one a bit of the code, layer after layer"),
    };
    if vector.len() != expected {
        return Err(Error::InvalidArgument {
            what: format!("a vector of {} values", vector.len()),
            remedy: format!("pass {expected} values, {kind}"),
        });
    }
    if let Some(at) = vector.iter().position(|x| !x.is_finite()) {
        return Err(Error::InvalidArgument {
            what: format!("a vector with {} at {at}", vector[at]),
            remedy: "pass finite values".into(),
        });
    }
    if vector.iter().all(|&x| x == 0.0) {
        return Err(Error::InvalidArgument {
            what: "a vector of zeros".into(),
            remedy: "it points nowhere, and no item is nearer to it than another: pass one with a value other than 0"
                .into(),
        });
    }
    let query = match generation.encoder() {
        Some(encoder) => encoder.query(vector, planes),
        None => encode_segments(shape, vector, planes),
    };
    query.map_err(|error| match error {
        // The vector is finite: what is not came of turning it.
        CodeError::Scaler { .. } | CodeError::NotFinite { .. } => {
            let (at, largest) = vector
                .iter()
                .enumerate()
                .fold((0, 0.0), |most: (usize, f32), (at, &x)| if x.abs() > most.1.abs() { (at, x) } else { most });
            Error::InvalidArgument {
                what: format!("a vector too large to encode, with {largest:e} at {at}"),
                remedy: "divide all its values by one factor, which changes no ranking".into(),
            }
        }
        other => other.into(),
    })
}

/// Encodes a vector of one float a bit, layer after layer.
pub(super) fn encode_segments(shape: &Arc<CodeShape>, vector: &[f32], planes: u32) -> Result<QueryCode, CodeError> {
    let mut rest = vector;
    let mut layers = Vec::with_capacity(shape.layers());
    for &width in shape.widths() {
        let (segment, after) = rest.split_at(width as usize);
        layers.push(segment);
        rest = after;
    }
    QueryCode::encode(Arc::clone(shape), &layers, planes)
}
