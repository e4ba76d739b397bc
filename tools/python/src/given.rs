//! Numbers as callers pass them.

use pyo3::prelude::*;

use crate::error::invalid;
use crate::ids::shown;

/// A type of numbers that arguments are of.
pub(crate) trait Number {
    /// What is asked for where it is not passed.
    const REMEDY: &'static str;
}

impl Number for u32 {
    const REMEDY: &'static str = "pass a whole number from 0 to 2^32-1";
}

impl Number for u64 {
    const REMEDY: &'static str = "pass a whole number from 0 to 2^64-1";
}

impl Number for usize {
    const REMEDY: &'static str = "pass a whole number from 0 to 2^64-1";
}

impl Number for f32 {
    const REMEDY: &'static str = "pass a number";
}

impl Number for f64 {
    const REMEDY: &'static str = "pass a number";
}

/// A number, or what was passed for one: it is refused under the name of its argument, which is known where it is taken.
pub(crate) struct Given<T>(Result<T, String>);

impl<T> Given<T> {
    /// What an argument is that is not passed.
    pub(crate) const fn of(number: T) -> Self {
        Self(Ok(number))
    }
}

impl<T: Number> Given<T> {
    /// The number.
    ///
    /// # Errors
    /// `InvalidArgumentError` with the name of the argument.
    pub(crate) fn named(self, name: &str) -> PyResult<T> {
        self.0.map_err(|shown| invalid(format!("{name} = {shown}"), T::REMEDY))
    }
}

/// The number of an argument that may be left out.
pub(crate) fn optional<T: Number>(name: &str, number: Option<Given<T>>) -> PyResult<Option<T>> {
    number.map(|number| number.named(name)).transpose()
}

impl<'a, 'py, T: FromPyObject<'a, 'py>> FromPyObject<'a, 'py> for Given<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(T::extract(object).map_err(|_| shown(&object))))
    }
}
