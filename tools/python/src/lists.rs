//! Answers as Python has them: a list of pairs for one, two arrays for many.

use kithdb::{Hits, Id};
use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::error::invalid;
use crate::ids;

/// Places that the arrays of one answer have at most: some gigabytes.
const PLACES: usize = 1 << 28;

/// Refuses arrays of `[answers, k]` that no memory holds, whatever is found.
pub(crate) fn check_size(answers: usize, k: usize) -> PyResult<()> {
    match answers.checked_mul(k).filter(|&places| places <= PLACES) {
        Some(_) => Ok(()),
        None => Err(invalid(
            format!("k = {k} for {answers} users"),
            format!(
                "arrays have at most {PLACES} places: choose a k below the number of items, or ask for fewer users at a time"
            ),
        )),
    }
}

/// The hits of one answer as a list of (id, score), best first; an empty one where there is no answer.
pub(crate) fn list<'py>(py: Python<'py>, hits: Option<&Hits>) -> PyResult<Bound<'py, PyAny>> {
    let hits = hits.into_iter().flat_map(Hits::iter);
    let pairs = hits.map(|hit| (ids::object(py, &hit.id)?, f64::from(hit.score)).into_pyobject(py));
    Ok(PyList::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?.into_any())
}

/// Many answers as an array of ids and one of scores, `[answers, k]`: in a row that is shorter the rest has no id, and NaN for a score.
pub(crate) fn arrays<'py>(
    py: Python<'py>,
    answers: &[Option<Hits>],
    k: usize,
    integers: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    let mut ids: Vec<Option<&Id>> = Vec::with_capacity(answers.len() * k);
    let mut scores: Vec<f32> = Vec::with_capacity(answers.len() * k);
    for (row, answer) in (1..).zip(answers) {
        for hit in answer.iter().flat_map(Hits::iter) {
            ids.push(Some(&hit.id));
            scores.push(hit.score);
        }
        ids.resize(row * k, None);
        scores.resize(row * k, f32::NAN);
    }
    let shape = [answers.len(), k];
    let scores = PyArray1::from_vec(py, scores).reshape(shape)?;
    PyTuple::new(py, [ids::array(py, &ids, integers, shape)?, scores.into_any()])
}
