//! Columns of Arrow as the library takes them: ids, weights and times, whatever types they came as.

use std::sync::Arc;

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
        if array.is_empty() {
            return Ok(Self::Unsigned(UInt64Array::new_null(0)));
        }
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
            // Nulls are refused by their rows, and where there are no rows nothing is.
            DataType::Null => Ok(Self::Unsigned(UInt64Array::new_null(array.len()))),
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

/// A column as what its values are, where it is a dictionary of them.
fn plain(name: &str, array: &ArrayRef) -> PyResult<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => {
            cast(array, values).map_err(|error| invalid(format!("column {name:?}"), error))
        }
        _ => Ok(Arc::clone(array)),
    }
}

/// A column of weights.
pub(crate) fn weights(name: &str, array: &ArrayRef) -> PyResult<Float32Array> {
    let array = &plain(name, array)?;
    if array.is_empty() || array.data_type() == &DataType::Null {
        return Ok(Float32Array::new_null(array.len()));
    }
    if !array.data_type().is_numeric() {
        return Err(invalid(format!("column {name:?} is of {}", array.data_type()), "weights are numbers above 0"));
    }
    let floats = cast(array, &DataType::Float32).map_err(|error| invalid(format!("column {name:?}"), error))?;
    Ok(floats.as_primitive::<Float32Type>().clone())
}

/// A column of times in milliseconds since 1970, that of which a time falls into: of timestamps, dates, or integers that are such milliseconds. Rows are counted
/// from `before` where one is refused, whose time 64 bits do not hold.
pub(crate) fn times(name: &str, array: &ArrayRef, before: usize) -> PyResult<Int64Array> {
    let array = &plain(name, array)?;
    if array.is_empty() || array.data_type() == &DataType::Null {
        return Ok(Int64Array::new_null(array.len()));
    }
    let milliseconds: fn(i64) -> Option<i64> = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => |seconds| seconds.checked_mul(1000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => |micros| Some(micros.div_euclid(1000)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => |nanos| Some(nanos.div_euclid(1_000_000)),
        DataType::Date32 => |days| days.checked_mul(86_400_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => Some,
        kind if kind.is_integer() => Some,
        other => {
            let remedy = "times are timestamps, dates, or whole milliseconds since 1970";
            return Err(invalid(format!("column {name:?} is of {other}"), remedy));
        }
    };
    // Dates of 32 bits become numbers of 32 bits first.
    let narrow = match array.data_type() {
        DataType::Date32 => cast(array, &DataType::Int32),
        _ => Ok(Arc::clone(array)),
    };
    let numbers = narrow.and_then(|narrow| cast(&narrow, &DataType::Int64));
    let numbers = numbers.map_err(|error| invalid(format!("column {name:?}"), error))?;
    let numbers = numbers.as_primitive::<Int64Type>();
    // A number too large is a null of the cast; the least is what stands for none elsewhere.
    let times: Int64Array =
        numbers.iter().map(|number| number.and_then(milliseconds).filter(|&time| time != i64::MIN)).collect();
    match (0..array.len()).find(|&row| array.is_valid(row) && times.is_null(row)) {
        None => Ok(times),
        Some(row) => Err(invalid(
            format!("row {}: a time in column {name:?} that 64 bits do not hold in milliseconds", before + row),
            "times are timestamps, dates, or whole milliseconds since 1970; none where there is none",
        )),
    }
}
