//! A part that is to be written.

use std::borrow::Cow;

use crate::element::Element;
use crate::error::{Error, Result};
use crate::part::{Extent, Part, rows_of};
use crate::rows::{Form, Rows};
use crate::value::MAX_PAYLOAD;

/// What a part is called, and what it is.
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: &'a str,
    pub(crate) shape: &'a [u64],
    /// Bytes of an element.
    pub(crate) element: usize,
    pub(crate) ragged: bool,
    pub(crate) derived: bool,
}

impl<'a> Plan<'a> {
    /// Of rows that are all alike.
    pub(crate) fn of<T: Element>(name: &'a str, shape: &'a [u64]) -> Plan<'a> {
        Plan { name, dtype: T::DTYPE, shape, element: size_of::<T>(), ragged: false, derived: false }
    }

    /// The rows of its data.
    pub(crate) fn rows<'d, T: Element>(&self, lengths: &'d [u32], data: &'d [T]) -> Rows<'d> {
        let rows = if self.ragged { lengths.len() } else { rows_of(self.shape) as usize };
        Rows {
            bytes: bytemuck::cast_slice(data),
            form: Form { rows, ragged: self.ragged, element: self.element },
            lengths,
        }
    }

    /// Refuses rows that do not fit the shape or their lengths.
    pub(crate) fn check(&self, rows: &Rows<'_>) -> Result<()> {
        let Plan { name, shape, .. } = self;
        let elements = rows.bytes.len() / self.element;
        let product = shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        if product != Some(elements as u64) {
            return Err(Error::invalid(format!(
                "part {name:?} has {elements} elements, which is not the shape {shape:?}"
            )));
        }
        let sum: u64 = rows.lengths.iter().map(|&length| u64::from(length)).sum();
        if self.ragged && (sum != elements as u64 || u32::try_from(rows.lengths.len()).is_err()) {
            let what =
                format!("part {name:?} has {elements} elements, which is not the sum of the lengths of its rows");
            return Err(Error::invalid(what));
        }
        Ok(())
    }

    /// The part of these rows, which lie nowhere yet.
    pub(crate) fn part(&self, rows: &Rows<'_>) -> Part {
        Part {
            name: self.name.to_owned(),
            dtype: self.dtype.to_owned(),
            shape: self.shape.to_vec(),
            rows: rows.form.rows as u64,
            ragged: self.ragged,
            derived: self.derived,
            bytes: rows.bytes.len() as u64,
            hash: rows.hash(),
            by_blocks: true,
            base: Extent::default(),
            patches: Vec::new(),
        }
    }
}

/// What follows one another, in pieces of the size of a payload.
pub(crate) fn payloads<'a>(pieces: &'a [&'a [u8]]) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let mut rest: Vec<&[u8]> = pieces.iter().rev().copied().filter(|piece| !piece.is_empty()).collect();
    std::iter::from_fn(move || {
        let first = rest.pop()?;
        if first.len() >= MAX_PAYLOAD || rest.is_empty() {
            let (payload, after) = first.split_at(first.len().min(MAX_PAYLOAD));
            rest.extend((!after.is_empty()).then_some(after));
            return Some(Cow::Borrowed(payload));
        }
        let mut payload = first.to_vec();
        while payload.len() < MAX_PAYLOAD
            && let Some(next) = rest.pop()
        {
            let (own, after) = next.split_at(next.len().min(MAX_PAYLOAD - payload.len()));
            payload.extend_from_slice(own);
            rest.extend((!after.is_empty()).then_some(after));
        }
        Some(Cow::Owned(payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_full_but_the_last_and_follow_one_another() {
        for lengths in [
            vec![0, 0],
            vec![5, 7],
            vec![MAX_PAYLOAD, 1],
            vec![3, 2 * MAX_PAYLOAD],
            vec![MAX_PAYLOAD + 9, 0, 4, MAX_PAYLOAD],
        ] {
            let pieces: Vec<Vec<u8>> = (1..).zip(&lengths).map(|(value, &length)| vec![value; length]).collect();
            let views: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let cut: Vec<Vec<u8>> = payloads(&views).map(Cow::into_owned).collect();
            assert_eq!(cut.concat(), pieces.concat());
            assert!(cut.iter().rev().skip(1).all(|payload| payload.len() == MAX_PAYLOAD), "{lengths:?}");
        }
    }
}
