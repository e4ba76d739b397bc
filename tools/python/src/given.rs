//! Arguments as callers pass them.

use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::error::invalid;
use crate::ids::shown;

/// A type that arguments are of.
pub(crate) trait Argument {
    /// What is asked for where it is not passed.
    const REMEDY: &'static str;
}

impl Argument for u32 {
    const REMEDY: &'static str = "pass a whole number from 0 to 2^32-1";
}

impl Argument for u64 {
    const REMEDY: &'static str = "pass a whole number from 0 to 2^64-1";
}

impl Argument for usize {
    const REMEDY: &'static str = "pass a whole number from 0 to 2^64-1";
}

impl Argument for f32 {
    const REMEDY: &'static str = "pass a number";
}

impl Argument for f64 {
    const REMEDY: &'static str = "pass a number";
}

impl Argument for String {
    const REMEDY: &'static str = "pass a string";
}

/// An argument, or what was passed for one: it is refused under the name of its argument, which is known where it is taken.
pub(crate) struct Given<T>(Result<T, String>);

impl<T> Given<T> {
    /// What an argument is that is not passed.
    pub(crate) const fn of(value: T) -> Self {
        Self(Ok(value))
    }
}

impl<T: Argument> Given<T> {
    /// What was passed.
    ///
    /// # Errors
    /// `InvalidArgumentError` with the name of the argument.
    pub(crate) fn named(self, name: &str) -> PyResult<T> {
        self.0.map_err(|shown| invalid(format!("{name} = {shown}"), T::REMEDY))
    }
}

/// What was passed for an argument that may be left out.
pub(crate) fn optional<T: Argument>(name: &str, given: Option<Given<T>>) -> PyResult<Option<T>> {
    given.map(|given| given.named(name)).transpose()
}

impl<'a, 'py, T: FromPyObject<'a, 'py>> FromPyObject<'a, 'py> for Given<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        // Python takes True for 1, which nobody means by a number here.
        let number = if object.is_instance_of::<PyBool>() { None } else { T::extract(object).ok() };
        Ok(Self(number.ok_or_else(|| shown(&object))))
    }
}

/// Whether an array of numpy hides some of what it holds behind a mask, which those who read its memory would not see.
pub(crate) fn is_masked(object: &Bound<'_, PyAny>) -> bool {
    let any = object.getattr("mask").and_then(|mask| mask.call_method0("any"));
    any.and_then(|any| any.is_truthy()).unwrap_or(false)
}
