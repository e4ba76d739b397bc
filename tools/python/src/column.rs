//! Columns of Arrow as the library takes them: ids, weights and times, whatever types they came as.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float32Array, Int64Array, LargeBinaryArray, LargeStringArray, UInt64Array};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use kithdb::Id;
use pyo3::prelude::*;

use crate::error::invalid;

/// A column of ids.
#[derive(Debug)]
pub(crate) enum IdColumn {
    Signed(Int64Array),
    Unsigned(UInt64Array),
    Text(LargeStringArray),
    Bytes(LargeBinaryArray),
}

impl IdColumn {
    /// The ids of a column of integers, strings or bytes, of a dictionary of them too.
    pub(crate) fn of(name: &str, array: &dyn Array) -> PyResult<Self> {
        let plain = match array.data_type() {
            DataType::Dictionary(_, values) => values,
            plain => plain,
        };
        let to = |wide: &DataType| cast(array, wide).map_err(|error| invalid(format!("column {name:?}"), error));
        match plain {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Ok(Self::Signed(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()))
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
                Ok(Self::Unsigned(to(&DataType::UInt64)?.as_primitive::<UInt64Type>().clone()))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Ok(Self::Text(to(&DataType::LargeUtf8)?.as_string::<i64>().clone()))
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Ok(Self::Bytes(to(&DataType::LargeBinary)?.as_binary::<i64>().clone()))
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Err(invalid(
                format!("column {name:?} is of {plain}"),
                "ids are integers, strings or bytes; pandas makes floats of integers where some are missing: drop the rows \
                 without an id and cast the column to int64",
            )),
            DataType::Null => Err(invalid(format!("column {name:?} holds nulls only"), "pass ids")),
            other => Err(invalid(format!("column {name:?} is of {other}"), "ids are integers, strings or bytes")),
        }
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Signed(array) => array,
            Self::Unsigned(array) => array,
            Self::Text(array) => array,
            Self::Bytes(array) => array,
        }
    }

    /// The first row without an id.
    pub(crate) fn first_null(&self) -> Option<usize> {
        first_null(self.array())
    }

    /// The id of a row, which has one.
    pub(crate) fn id(&self, row: usize) -> Id {
        match self {
            Self::Signed(array) => Id::from(array.value(row)),
            Self::Unsigned(array) => Id::Int(array.value(row)),
            Self::Text(array) => Id::from(array.value(row)),
            Self::Bytes(array) => Id::from(array.value(row)),
        }
    }
}

/// The first row that is null.
pub(crate) fn first_null(array: &dyn Array) -> Option<usize> {
    if array.null_count() == 0 {
        return None;
    }
    (0..array.len()).find(|&row| array.is_null(row))
}

/// A column of weights.
pub(crate) fn weights(name: &str, array: &ArrayRef) -> PyResult<Float32Array> {
    if !array.data_type().is_numeric() {
        return Err(invalid(format!("column {name:?} is of {}", array.data_type()), "weights are numbers above 0"));
    }
    let floats = cast(array, &DataType::Float32).map_err(|error| invalid(format!("column {name:?}"), error))?;
    Ok(floats.as_primitive::<Float32Type>().clone())
}

/// A column of times in milliseconds since 1970: of timestamps, dates, or integers that are such milliseconds.
pub(crate) fn times(name: &str, array: &ArrayRef) -> PyResult<Int64Array> {
    let milliseconds = match array.data_type() {
        DataType::Timestamp(_, zone) => Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone())),
        DataType::Date32 | DataType::Date64 => Some(DataType::Timestamp(TimeUnit::Millisecond, None)),
        kind if kind.is_integer() => None,
        other => {
            let remedy = "times are timestamps, dates, or whole milliseconds since 1970";
            return Err(invalid(format!("column {name:?} is of {other}"), remedy));
        }
    };
    let stamps = milliseconds.map_or_else(|| Ok(array.clone()), |kind| cast(array, &kind));
    let whole = stamps.and_then(|stamps| cast(&stamps, &DataType::Int64));
    let whole = whole.map_err(|error| invalid(format!("column {name:?}"), error))?;
    Ok(whole.as_primitive::<Int64Type>().clone())
}
