//! Ids as Python has them, one at a time and as arrays.

use std::collections::HashMap;

use arrow_array::Array;
use kithdb::Id;
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};
use pyo3_arrow::input::AnyArray;

use crate::column::IdColumn;
use crate::error::invalid;

/// An id of an object: an integer, numpy's included, a string or bytes.
pub(crate) fn id(object: &Bound<'_, PyAny>) -> PyResult<Id> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Id::Str(text.to_str()?.to_owned()));
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Id::from(bytes.as_bytes()));
    }
    let refused = object.is_instance_of::<PyBool>() || object.is_instance_of::<PyFloat>();
    if !refused {
        if let Ok(number) = object.extract::<u64>() {
            return Ok(Id::Int(number));
        }
        if let Ok(number) = object.extract::<i64>() {
            return Ok(Id::from(number));
        }
        if object.is_instance_of::<PyInt>() {
            return Err(invalid(format!("id {object}"), "integer ids are from 0 to 2^64-1"));
        }
    }
    let kind = object.get_type().name()?;
    if object.hasattr("__len__")? {
        let remedy = "an id is an integer, a string or bytes; many of them are passed as users= or items=";
        return Err(invalid(format!("a {kind} for an id"), remedy));
    }
    Err(invalid(format!("id {} of type {kind}", object.repr()?), "ids are integers, strings or bytes"))
}

/// The ids of a numpy array, a series, an Arrow array or a sequence; `None` among them is refused with its place.
pub(crate) fn many(object: &Bound<'_, PyAny>) -> PyResult<Vec<Id>> {
    if object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>() {
        return Err(invalid("one id for many", "pass a sequence of ids"));
    }
    if let Some(ids) = of_numpy(object) {
        return Ok(ids);
    }
    if object.hasattr("__arrow_c_stream__")? || object.hasattr("__arrow_c_array__")? {
        return of_arrow(object);
    }
    let mut ids = Vec::with_capacity(object.len().unwrap_or(0));
    for (place, object) in object.try_iter()?.enumerate() {
        let object = object?;
        if object.is_none() {
            return Err(invalid(format!("no id at place {place}"), "leave it out"));
        }
        ids.push(id(&object)?);
    }
    Ok(ids)
}

/// The ids of a one-dimensional array of integers.
fn of_numpy(object: &Bound<'_, PyAny>) -> Option<Vec<Id>> {
    fn read<T: numpy::Element + Copy>(object: &Bound<'_, PyAny>, id: impl Fn(T) -> Id) -> Option<Vec<Id>> {
        let array = object.extract::<PyReadonlyArray1<'_, T>>().ok()?;
        Some(array.as_array().iter().map(|&value| id(value)).collect())
    }
    read::<i64>(object, Id::from)
        .or_else(|| read::<u64>(object, Id::Int))
        .or_else(|| read::<i32>(object, Id::from))
        .or_else(|| read::<u32>(object, Id::from))
}

fn of_arrow(object: &Bound<'_, PyAny>) -> PyResult<Vec<Id>> {
    let mut ids = Vec::new();
    let mut append = |array: &dyn Array| -> PyResult<()> {
        let column = IdColumn::of("ids", array)?;
        if let Some(row) = column.first_null() {
            return Err(invalid(format!("no id at place {}", ids.len() + row), "leave it out"));
        }
        ids.extend((0..array.len()).map(|row| column.id(row)));
        Ok(())
    };
    match object.extract::<AnyArray>()? {
        AnyArray::Array(array) => append(array.array())?,
        AnyArray::Stream(stream) => {
            for array in stream.into_reader()? {
                append(&array.map_err(|error| invalid("ids", error))?)?;
            }
        }
    }
    Ok(ids)
}

/// An id as the object it was.
pub(crate) fn object(py: Python<'_>, id: &Id) -> PyResult<Py<PyAny>> {
    Ok(match id {
        Id::Int(number) => number.into_pyobject(py)?.into_any().unbind(),
        Id::Negative(number) => number.into_pyobject(py)?.into_any().unbind(),
        Id::Str(text) => PyString::new(py, text).into_any().unbind(),
        Id::Bytes(bytes) => PyBytes::new(py, bytes).into_any().unbind(),
    })
}

/// Ids as a numpy array, `None` where there is none: of int64, with -1 for none, where they are integers that fit; of uint64, with the largest for none, where
/// one does not; of objects elsewhere, with `None`. `integers` says what an array without ids is of.
pub(crate) fn array<'py>(
    py: Python<'py>,
    ids: &[Option<&Id>],
    integers: bool,
    shape: [usize; 2],
) -> PyResult<Bound<'py, PyAny>> {
    let number = |id: &Option<&Id>| id.map(|id| id.as_u64());
    if ids.iter().flatten().next().map_or(integers, |id| id.as_u64().is_some()) {
        let largest = ids.iter().filter_map(number).flatten().max().unwrap_or(0);
        if i64::try_from(largest).is_ok() {
            let values = ids.iter().map(|id| number(id).flatten().map_or(-1, |id| id as i64)).collect();
            return Ok(PyArray1::<i64>::from_vec(py, values).reshape(shape)?.into_any());
        }
        let values = ids.iter().map(|id| number(id).flatten().unwrap_or(u64::MAX)).collect();
        return Ok(PyArray1::<u64>::from_vec(py, values).reshape(shape)?.into_any());
    }
    // An object an id, however often it comes.
    let mut objects: HashMap<&Id, Py<PyAny>> = HashMap::new();
    let mut values = Vec::with_capacity(ids.len());
    for id in ids {
        values.push(match id {
            None => py.None(),
            Some(id) => match objects.get(id) {
                Some(object) => object.clone_ref(py),
                None => {
                    let object = object(py, id)?;
                    objects.insert(id, object.clone_ref(py));
                    object
                }
            },
        });
    }
    Ok(PyArray1::from_vec(py, values).reshape(shape)?.into_any())
}
