//! Codes and vectors made elsewhere, as numpy arrays.

use std::path::PathBuf;
use std::sync::Arc;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{CodeSet, EncodeOptions, Id, IdKind, Metric, RowIds, Vectors};
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::error::{OrRaise, invalid};
use crate::ids;

/// The ids of rows; row numbers where there are none.
pub(crate) fn row_ids(object: Option<&Bound<'_, PyAny>>) -> PyResult<RowIds> {
    let Some(object) = object else { return Ok(RowIds::RowNumbers) };
    let ids = ids::many(object)?;
    let numbers: Option<Vec<u64>> = ids.iter().map(Id::as_u64).collect();
    Ok(match numbers {
        Some(numbers) if ids.first().is_none_or(|id| id.kind() == IdKind::U64) => numbers.into(),
        _ => ids.into(),
    })
}

/// An array of floats of two or three extents, rows, layers where there are three, dimensions; or the path of a .npy file of one, which is read a piece at a time.
pub(crate) fn vectors(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Vectors> {
    if let Ok(path) = object.extract::<PathBuf>() {
        return Vectors::open(path).or_raise();
    }
    let (data, shape) = floats(name, object)?;
    match *shape.as_slice() {
        [_, dims] => Vectors::new(data, 1, dims).or_raise(),
        [_, layers, dims] => Vectors::new(data, layers, dims).or_raise(),
        _ => Err(invalid(format!("{name} of shape {shape:?}"), "pass [rows, dims] or [rows, layers, dims]")),
    }
}

/// How vectors become codes.
pub(crate) fn encoding(
    metric: &str,
    bits: Option<u32>,
    passes: Option<u32>,
    query_bits: u32,
    seed: u64,
) -> PyResult<EncodeOptions> {
    let metric = match metric {
        "dot" => Metric::Dot,
        "cosine" => Metric::Cosine,
        other => return Err(invalid(format!("metric {other:?}"), "choose dot or cosine")),
    };
    let mut options = EncodeOptions::new(metric).query_planes(query_bits).seed(seed);
    if let Some(bits) = bits {
        options = options.bits(bits);
    }
    if let Some(passes) = passes {
        options = options.passes(passes);
    }
    Ok(options)
}

/// One side's packed codes and scalers.
pub(crate) struct Side<'a, 'py> {
    pub(crate) codes: &'a Bound<'py, PyAny>,
    pub(crate) scalers: &'a Bound<'py, PyAny>,
    pub(crate) ids: Option<&'a Bound<'py, PyAny>>,
}

/// Codes of items, `[items, bytes]`, and of users, `[users, bytes]` or `[users, layers, planes, bytes a layer]`.
pub(crate) fn codes(items: &Side<'_, '_>, users: Option<&Side<'_, '_>>, weights: Vec<f32>) -> PyResult<CodeSet> {
    let (packed, extents) = bytes("items", items.codes)?;
    let layers = weights.len();
    let shape = match *extents.as_slice() {
        [_, bytes] if layers > 0 && bytes > 0 && bytes.is_multiple_of(layers) => {
            let width = u32::try_from(bytes / layers * 8).unwrap_or(u32::MAX);
            CodeShape::new(vec![width; layers], weights).map_err(kithdb::Error::from).or_raise()?
        }
        _ => {
            let remedy = "pass [items, bytes] of uint8, as many whole bytes a layer as there are layer_weights";
            return Err(invalid(format!("item codes of shape {extents:?} in {layers} layers"), remedy));
        }
    };
    let shape = Arc::new(shape);
    let mut words = Vec::new();
    shape.unpack(1, &packed, &mut words);
    let scalers = floats("item scalers", items.scalers)?.0;
    let item_codes = LayeredCodes::from_parts(Arc::clone(&shape), words, scalers).map_err(kithdb::Error::from);
    let (mut planes, mut words, mut scalers) = (1, Vec::new(), Vec::new());
    if let Some(users) = users {
        let (packed, extents) = bytes("users", users.codes)?;
        planes = match *extents.as_slice() {
            [_, bytes] if bytes == shape.packed_bytes() => 1,
            [_, l, planes, bytes] if l == layers && bytes * layers == shape.packed_bytes() => planes as u32,
            _ => {
                let remedy = format!(
                    "pass [users, {}] or [users, {layers}, planes, {}] of uint8",
                    shape.packed_bytes(),
                    shape.packed_bytes() / layers
                );
                return Err(invalid(format!("user codes of shape {extents:?}"), remedy));
            }
        };
        shape.unpack(planes, &packed, &mut words);
        scalers = floats("user scalers", users.scalers)?.0;
    }
    let users_codes = PlaneCodes::from_parts(shape, planes, words, scalers).map_err(kithdb::Error::from);
    Ok(CodeSet {
        items: item_codes.or_raise()?,
        item_ids: row_ids(items.ids)?,
        users: users_codes.or_raise()?,
        user_ids: row_ids(users.and_then(|users| users.ids))?,
    })
}

/// All floats of an array, in the order of rows, and its extents.
pub(crate) fn floats(name: &str, object: &Bound<'_, PyAny>) -> PyResult<(Vec<f32>, Vec<usize>)> {
    if let Ok(array) = object.extract::<PyReadonlyArrayDyn<'_, f32>>() {
        return Ok((array.as_array().iter().copied().collect(), array.shape().to_vec()));
    }
    if let Ok(array) = object.extract::<PyReadonlyArrayDyn<'_, f64>>() {
        return Ok((array.as_array().iter().map(|&value| value as f32).collect(), array.shape().to_vec()));
    }
    Err(invalid(format!("{name} is no array of floats"), "pass a numpy array of float32 or float64"))
}

fn bytes(name: &str, object: &Bound<'_, PyAny>) -> PyResult<(Vec<u8>, Vec<usize>)> {
    let array = object
        .extract::<PyReadonlyArrayDyn<'_, u8>>()
        .map_err(|_| invalid(format!("codes of {name} are no array of bytes"), "pass a numpy array of uint8"))?;
    Ok((array.as_array().iter().copied().collect(), array.shape().to_vec()))
}
