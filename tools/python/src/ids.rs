//! Ids as Python has them, one at a time and as arrays.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use kithdb::Id;
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};
use pyo3_arrow::input::AnyArray;

use crate::column::IdColumn;
use crate::error::invalid;
use crate::given::is_masked;

/// Why an object is no id.
pub(crate) struct NoId {
    /// `None` where there is nothing at all.
    what: Option<String>,
    remedy: &'static str,
}

impl NoId {
    /// As the error of a call.
    fn raised(self) -> PyErr {
        invalid(self.what.as_deref().unwrap_or("no id"), self.remedy)
    }

    /// As the error of a place among many.
    fn at_place(self, place: usize) -> PyErr {
        match self.what {
            Some(what) => invalid(format!("{what} at place {place}"), self.remedy),
            None => invalid(format!("no id at place {place}"), "leave it out"),
        }
    }

    /// As the error of a row, whose `part` it should be.
    pub(crate) fn in_row(self, row: u64, part: &str) -> PyErr {
        match self.what {
            Some(what) => invalid(format!("row {row}: {what} for the {part}"), self.remedy),
            None => invalid(format!("row {row}: no {part}"), "leave out the rows that have none"),
        }
    }
}

/// An object as errors show it.
pub(crate) fn shown(object: &Bound<'_, PyAny>) -> String {
    object.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string())
}

/// The id of an object.
pub(crate) fn id(object: &Bound<'_, PyAny>) -> PyResult<Id> {
    read(object).map_err(NoId::raised)
}

/// The id of an object: an integer, numpy's included, a string or bytes.
pub(crate) fn read(object: &Bound<'_, PyAny>) -> Result<Id, NoId> {
    let refused = |what, remedy| Err(NoId { what: Some(what), remedy });
    if let Ok(text) = object.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok(Id::Str(text.to_owned())),
            Err(_) => refused(format!("id {}", shown(object)), "ids are text that UTF-8 can write"),
        };
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Id::from(bytes.as_bytes()));
    }
    if object.is_none() {
        return Err(NoId { what: None, remedy: "ids are integers, strings or bytes" });
    }
    if !object.is_instance_of::<PyBool>() && !object.is_instance_of::<PyFloat>() {
        if let Ok(number) = object.extract::<u64>() {
            return Ok(Id::Int(number));
        }
        if let Ok(number) = object.extract::<i64>() {
            return Ok(Id::from(number));
        }
        if object.is_instance_of::<PyInt>() {
            return refused(format!("id {object}"), "integer ids are from 0 to 2^64-1");
        }
    }
    let kind = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    if object.hasattr("__len__").unwrap_or_default() {
        let remedy = "an id is an integer, a string or bytes; many of them are passed as users= or items=";
        return refused(format!("a {kind} for an id"), remedy);
    }
    refused(format!("id {} of type {kind}", shown(object)), "ids are integers, strings or bytes")
}

/// The ids of a numpy array, a series, an Arrow array or a sequence; what is none among them is refused with its place.
pub(crate) fn many(object: &Bound<'_, PyAny>) -> PyResult<Vec<Id>> {
    all(object, NoId::at_place)
}

/// [`many`] for the column of a `part` of interactions: what is none is refused with its row.
pub(crate) fn column(object: &Bound<'_, PyAny>, part: &str) -> PyResult<Vec<Id>> {
    all(object, |no, row| no.in_row(row as u64, part))
}

fn all(object: &Bound<'_, PyAny>, refused: impl Fn(NoId, usize) -> PyErr) -> PyResult<Vec<Id>> {
    if object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>() {
        return Err(invalid("one id for many", "pass a sequence of ids"));
    }
    if is_masked(object) {
        return Err(invalid("ids of which some are masked", "leave those out"));
    }
    if let Some(ids) = of_numpy(object) {
        return Ok(ids);
    }
    if object.hasattr("__arrow_c_stream__")? || object.hasattr("__arrow_c_array__")? {
        match arrays(object) {
            Ok(arrays) => return of_arrow(&arrays, refused),
            // What Arrow has no type for, or none that is known here, may be walked through all the same, if that can be done twice.
            Err(error) if error.is_instance_of::<PyException>(object.py()) && object.len().is_ok() => {}
            Err(error) => return Err(error),
        }
    }
    let mut ids = Vec::with_capacity(object.len().unwrap_or(0));
    let objects = object.try_iter().map_err(|error| match error.is_instance_of::<PyTypeError>(object.py()) {
        true => invalid(format!("{} for many ids", shown(object)), "pass a sequence of ids"),
        false => error,
    })?;
    for (place, object) in objects.enumerate() {
        ids.push(read(&object?).map_err(|no| refused(no, place))?);
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

/// What an object has as arrays of Arrow.
fn arrays(object: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    match object.extract::<AnyArray>()? {
        AnyArray::Array(array) => Ok(vec![Arc::clone(array.array())]),
        AnyArray::Stream(stream) => {
            let arrays = stream.into_reader()?.collect::<Result<_, _>>();
            arrays.map_err(|error| invalid("ids", error))
        }
    }
}

fn of_arrow(arrays: &[ArrayRef], refused: impl Fn(NoId, usize) -> PyErr) -> PyResult<Vec<Id>> {
    let mut ids = Vec::with_capacity(arrays.iter().map(|array| array.len()).sum());
    for array in arrays {
        let column = IdColumn::of("ids", array)?;
        if let Some(row) = column.first_null() {
            return Err(refused(NoId { what: None, remedy: "leave it out" }, ids.len() + row));
        }
        ids.extend((0..array.len()).map(|row| column.id(row)));
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
