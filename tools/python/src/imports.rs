//! Codes and vectors made elsewhere, as numpy arrays.

use std::path::PathBuf;
use std::sync::Arc;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{CodeSet, EncodeOptions, Id, IdKind, Metric, RowIds, Vectors};
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::error::{OrRaise, invalid};
use crate::given::is_masked;
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
        return object.py().detach(|| Vectors::open(path)).or_raise();
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

/// One side's codes, scalers and ids, out of Python's hands.
struct Packed {
    codes: Vec<u8>,
    extents: Vec<usize>,
    scalers: Vec<f32>,
    ids: RowIds,
}

impl Packed {
    fn of(side: &'static str, given: &Side<'_, '_>) -> PyResult<Self> {
        let (codes, extents) = bytes(side, given.codes)?;
        let scalers = floats(&format!("{side} scalers"), given.scalers)?.0;
        Ok(Self { codes, extents, scalers, ids: row_ids(given.ids)? })
    }
}

/// Codes of items, `[items, bytes]`, and of users, `[users, bytes]` or `[users, layers, planes, bytes a layer]`; unpacked without the interpreter's lock.
pub(crate) fn codes(
    py: Python<'_>,
    items: &Side<'_, '_>,
    users: Option<&Side<'_, '_>>,
    weights: Vec<f32>,
) -> PyResult<CodeSet> {
    let items = Packed::of("item", items)?;
    let users = users.map(|users| Packed::of("user", users)).transpose()?;
    py.detach(|| unpacked(items, users, weights))
}

fn unpacked(items: Packed, users: Option<Packed>, weights: Vec<f32>) -> PyResult<CodeSet> {
    let layers = weights.len();
    let shape = match *items.extents.as_slice() {
        [_, bytes] if layers > 0 && bytes > 0 && bytes.is_multiple_of(layers) => {
            let width = u32::try_from(bytes / layers * 8).unwrap_or(u32::MAX);
            CodeShape::new(vec![width; layers], weights).map_err(kithdb::Error::from).or_raise()?
        }
        _ => {
            let remedy = "pass [items, bytes] of uint8, as many whole bytes a layer as there are layer_weights";
            return Err(invalid(format!("item codes of shape {:?} in {layers} layers", items.extents), remedy));
        }
    };
    let shape = Arc::new(shape);
    let mut words = Vec::new();
    shape.unpack(1, &items.codes, &mut words);
    let item_codes = LayeredCodes::from_parts(Arc::clone(&shape), words, items.scalers).map_err(kithdb::Error::from);
    let (mut planes, mut words, mut scalers, mut user_ids) = (1, Vec::new(), Vec::new(), RowIds::RowNumbers);
    if let Some(users) = users {
        planes = match *users.extents.as_slice() {
            [_, bytes] if bytes == shape.packed_bytes() => 1,
            [_, l, planes, bytes] if l == layers && bytes * layers == shape.packed_bytes() => planes as u32,
            _ => {
                let remedy = format!(
                    "pass [users, {}] or [users, {layers}, planes, {}] of uint8",
                    shape.packed_bytes(),
                    shape.packed_bytes() / layers
                );
                return Err(invalid(format!("user codes of shape {:?}", users.extents), remedy));
            }
        };
        shape.unpack(planes, &users.codes, &mut words);
        (scalers, user_ids) = (users.scalers, users.ids);
    }
    let users_codes = PlaneCodes::from_parts(shape, planes, words, scalers).map_err(kithdb::Error::from);
    Ok(CodeSet { items: item_codes.or_raise()?, item_ids: items.ids, users: users_codes.or_raise()?, user_ids })
}

/// All floats of an array, in the order of rows, and its extents; integers and floats of other widths become floats of 32 bits.
pub(crate) fn floats(name: &str, object: &Bound<'_, PyAny>) -> PyResult<(Vec<f32>, Vec<usize>)> {
    if is_masked(object) {
        return Err(invalid(format!("{name} with masked values"), "fill them, or leave their rows out"));
    }
    if let Ok(array) = object.extract::<PyReadonlyArrayDyn<'_, f32>>() {
        return Ok((array.as_array().iter().copied().collect(), array.shape().to_vec()));
    }
    if let Ok(array) = object.extract::<PyReadonlyArrayDyn<'_, f64>>() {
        return Ok((array.as_array().iter().map(|&value| value as f32).collect(), array.shape().to_vec()));
    }
    let kind = object.getattr("dtype").and_then(|dtype| dtype.getattr("kind")?.extract::<String>());
    if kind.is_ok_and(|kind| matches!(kind.as_str(), "f" | "i" | "u")) {
        let array = object.call_method1("astype", ("float32",))?;
        if let Ok(array) = array.extract::<PyReadonlyArrayDyn<'_, f32>>() {
            return Ok((array.as_array().iter().copied().collect(), array.shape().to_vec()));
        }
    }
    Err(invalid(format!("{name} is no array of numbers"), "pass a numpy array of float32 or float64"))
}

fn bytes(name: &str, object: &Bound<'_, PyAny>) -> PyResult<(Vec<u8>, Vec<usize>)> {
    let array = object
        .extract::<PyReadonlyArrayDyn<'_, u8>>()
        .map_err(|_| invalid(format!("{name} codes are no array of bytes"), "pass a numpy array of uint8"))?;
    Ok((array.as_array().iter().copied().collect(), array.shape().to_vec()))
}
