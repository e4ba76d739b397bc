//! A part as rows: how it is hashed, compared with the one before, and put together from a base and patches.

use std::iter;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Bytes of the rows that are hashed together, about.
const BLOCK: usize = 16 << 10;
/// Rows of different lengths that are hashed together.
const RAGGED_BLOCK: usize = 64;

/// What has to be known of a part to tell its rows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) rows: usize,
    /// Whether rows have a length of their own.
    pub(crate) ragged: bool,
    /// Bytes of an element.
    pub(crate) element: usize,
}

/// The bytes of a part, and where its rows end.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) form: Form,
    /// Elements of each row, where they are not all alike.
    pub(crate) lengths: &'a [u32],
}

impl<'a> Rows<'a> {
    /// Bytes of a row, where they are all alike.
    pub(crate) fn width(&self) -> usize {
        self.bytes.len().checked_div(self.form.rows).unwrap_or(0)
    }

    /// The rows in order.
    fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let (width, mut rest, mut lengths) = (self.width(), self.bytes, self.lengths.iter());
        let mut left = self.form.rows;
        iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let length = if self.form.ragged { *lengths.next()? as usize * self.form.element } else { width };
            let (row, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(row)
        })
    }

    /// The hash of the content, in hexadecimal: of the hashes of fixed blocks of rows, so that it depends neither on how the part is stored nor on the
    /// rows of other blocks.
    pub(crate) fn hash(&self) -> String {
        let mut hashes: Vec<u8> = Vec::new();
        let mut rest = self.bytes;
        let mut block = |lengths: &[u32], bytes: usize| {
            let (own, after) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
            rest = after;
            let mut hasher = Xxh3::new();
            hasher.update(bytemuck::cast_slice(lengths));
            hasher.update(own);
            hashes.extend_from_slice(&hasher.digest128().to_le_bytes());
        };
        if self.form.ragged {
            for lengths in self.lengths.chunks(RAGGED_BLOCK) {
                block(lengths, lengths.iter().map(|&length| length as usize).sum::<usize>() * self.form.element);
            }
        } else {
            let together = (BLOCK / self.width().max(1)).max(1);
            for first in (0..self.form.rows).step_by(together) {
                block(&[], together.min(self.form.rows - first) * self.width());
            }
        }
        format!("{:032x}", xxh3_128(&hashes))
    }

    /// Bytes of all rows as they are written, with their lengths where they have any.
    pub(crate) fn stored(&self) -> usize {
        self.bytes.len() + size_of_val(self.lengths)
    }

    /// The rows that are not as in `before`, ascending, those it does not have among them; `None` where it has more.
    pub(crate) fn changed(&self, before: &Rows<'_>) -> Option<Vec<u32>> {
        let added = self.form.rows.checked_sub(before.form.rows)?;
        let differ = self.iter().zip(before.iter()).zip(0..).filter(|((new, old), _)| new != old).map(|(_, row)| row);
        let first = before.form.rows as u32;
        Some(differ.chain((0..added as u32).map(|row| first + row)).collect())
    }

    /// The rows that are not as in `before`, and a patch of them; `None` where they are half of all, or rows are told apart otherwise.
    pub(crate) fn patch_over(&self, before: &Rows<'_>) -> Option<(Vec<u32>, Vec<u8>)> {
        let alike = (self.form.ragged || self.width() == before.width()) && u32::try_from(self.form.rows).is_ok();
        let is_same_form = (before.form.ragged, before.form.element) == (self.form.ragged, self.form.element);
        let changed = (alike && is_same_form).then(|| self.changed(before)).flatten()?;
        let patch = self.patch(&changed);
        (2 * patch.len() <= self.stored()).then_some((changed, patch))
    }

    /// A patch that holds these rows: their numbers, the lengths of those that have one, and their bytes, as [`assemble`] takes it.
    pub(crate) fn patch(&self, rows: &[u32]) -> Vec<u8> {
        let mut patch: Vec<u8> = bytemuck::cast_slice(rows).to_vec();
        if self.form.ragged {
            rows.iter().filter_map(|&row| self.lengths.get(row as usize)).for_each(|length| {
                patch.extend_from_slice(&length.to_le_bytes());
            });
        }
        let mut wanted = rows.iter().peekable();
        for (row, number) in self.iter().zip(0u32..) {
            if wanted.next_if(|&&next| next == number).is_some() {
                patch.extend_from_slice(row);
            }
        }
        patch
    }
}

/// What a part is stored as: its rows from the first on, and later ones, row by row in place of earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// The rows of the base: lengths first where rows have one, then bytes.
    pub(crate) base: Vec<u8>,
    pub(crate) base_rows: usize,
    /// How many rows each patch has, and what [`Rows::patch`] made of them.
    pub(crate) patches: Vec<(usize, Vec<u8>)>,
}

/// Puts the rows together in `data`; the lengths of rows that have one. `None` where the pieces do not fit: what a hash of the whole does not tell.
pub(crate) fn assemble(form: Form, pieces: &Pieces, data: &mut [u8]) -> Option<Vec<u32>> {
    if form.ragged { ragged(form, pieces, data) } else { even(form, pieces, data) }
}

fn even(form: Form, pieces: &Pieces, data: &mut [u8]) -> Option<Vec<u32>> {
    data.get_mut(..pieces.base.len())?.copy_from_slice(&pieces.base);
    overlay(form, &pieces.patches, data)?;
    Some(Vec::new())
}

/// Puts patches over rows that are all alike, of which `data` has those of the base. `None` where they do not fit.
pub(crate) fn overlay(form: Form, patches: &[(usize, Vec<u8>)], data: &mut [u8]) -> Option<()> {
    let width = data.len().checked_div(form.rows).unwrap_or(0);
    for (rows, patch) in patches {
        let (numbers, mut bytes) = numbers(patch, *rows)?;
        for number in numbers {
            let (row, after) = bytes.split_at_checked(width)?;
            let start = (number as usize).checked_mul(width)?;
            data.get_mut(start..start.checked_add(width)?)?.copy_from_slice(row);
            bytes = after;
        }
        bytes.is_empty().then_some(())?;
    }
    Some(())
}

fn ragged(form: Form, pieces: &Pieces, data: &mut [u8]) -> Option<Vec<u32>> {
    let mut rows: Vec<&[u8]> = vec![&[]; form.rows];
    let (lengths, bytes) = numbers(&pieces.base, pieces.base_rows)?;
    place(&mut rows, 0..pieces.base_rows, lengths, bytes, form.element)?;
    for (n, patch) in &pieces.patches {
        let (own, rest) = numbers(patch, *n)?;
        let (lengths, bytes) = numbers(rest, *n)?;
        place(&mut rows, own.map(|row| row as usize), lengths, bytes, form.element)?;
    }
    let mut rest = data;
    for row in &rows {
        let (own, after) = rest.split_at_mut_checked(row.len())?;
        own.copy_from_slice(row);
        rest = after;
    }
    rest.is_empty().then(|| rows.iter().map(|row| row.len().checked_div(form.element).unwrap_or(0) as u32).collect())
}

/// Has these rows begin and end where their lengths say.
fn place<'a>(
    rows: &mut [&'a [u8]],
    numbers: impl Iterator<Item = usize>,
    lengths: impl Iterator<Item = u32>,
    mut bytes: &'a [u8],
    element: usize,
) -> Option<()> {
    for (row, length) in numbers.zip(lengths) {
        let (own, after) = bytes.split_at_checked((length as usize).checked_mul(element)?)?;
        *rows.get_mut(row)? = own;
        bytes = after;
    }
    bytes.is_empty().then_some(())
}

/// So many numbers, and what follows them.
fn numbers(bytes: &[u8], n: usize) -> Option<(impl Iterator<Item = u32>, &[u8])> {
    let (numbers, rest) = bytes.split_at_checked(n.checked_mul(4)?)?;
    Some((numbers.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(rows: &[Vec<u8>]) -> (Vec<u8>, Vec<u32>) {
        (rows.concat(), rows.iter().map(|row| row.len() as u32).collect())
    }

    fn view<'a>((bytes, lengths): &'a (Vec<u8>, Vec<u32>), ragged: bool) -> Rows<'a> {
        let form = Form { rows: lengths.len(), ragged, element: 1 };
        Rows { bytes, form, lengths: if ragged { lengths } else { &[] } }
    }

    fn base(rows: Rows<'_>) -> Pieces {
        let mut base: Vec<u8> = bytemuck::cast_slice(rows.lengths).to_vec();
        base.extend_from_slice(rows.bytes);
        Pieces { base, base_rows: rows.form.rows, patches: Vec::new() }
    }

    proptest! {
        /// A chain of tables, each patched over the one before, is put together as it was, and hashed alike however it is stored.
        #[test]
        fn patches_over_a_base_give_the_rows(
            ragged in any::<bool>(),
            first in proptest::collection::vec(proptest::collection::vec(0..3u8, 0..4), 0..200),
            edits in proptest::collection::vec(
                proptest::collection::vec((any::<prop::sample::Index>(), proptest::collection::vec(0..3u8, 0..4)), 0..20), 0..5),
        ) {
            let even = |rows: &[Vec<u8>]| -> Vec<Vec<u8>> {
                let fit = |row: &Vec<u8>| { let mut row = row.clone(); if !ragged { row.resize(3, 1) }; row };
                rows.iter().map(fit).collect()
            };
            let mut rows = even(&first);
            let before = flat(&rows);
            let mut pieces = base(view(&before, ragged));
            let mut last = before.clone();
            for edit in edits {
                for (at, row) in edit {
                    let at = at.index(rows.len() + 2);
                    let row = even(&[row]).remove(0);
                    if at < rows.len() { rows[at] = row } else { rows.push(row) }
                }
                let next = flat(&rows);
                let changed = view(&next, ragged).changed(&view(&last, ragged)).unwrap();
                prop_assert!(changed.is_sorted());
                pieces.patches.push((changed.len(), view(&next, ragged).patch(&changed)));
                last = next;
            }
            let mut data = vec![9; last.0.len()];
            let lengths = assemble(view(&last, ragged).form, &pieces, &mut data).unwrap();
            prop_assert_eq!(&data, &last.0);
            if ragged { prop_assert_eq!(&lengths, &last.1); }
            let found = (data, last.1.clone());
            prop_assert_eq!(view(&found, ragged).hash(), view(&last, ragged).hash());
            if last != before {
                prop_assert_ne!(view(&last, ragged).hash(), view(&before, ragged).hash());
            }
        }
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused() {
        let form = Form { rows: 2, ragged: true, element: 4 };
        let mut data = [0; 8];
        let good = Pieces {
            base: [1u32, 1, 7, 8].iter().flat_map(|n| n.to_le_bytes()).collect(),
            base_rows: 2,
            patches: Vec::new(),
        };
        assert_eq!(assemble(form, &good, &mut data), Some(vec![1, 1]));
        let with = |rows: usize, patch: &[u32]| Pieces {
            base: good.base.clone(),
            base_rows: 2,
            patches: vec![(rows, patch.iter().flat_map(|n| n.to_le_bytes()).collect())],
        };
        assert!(assemble(form, &with(1, &[1, 1, 9]), &mut data).is_some());
        for bad in [
            with(1, &[2, 1, 9]),
            with(1, &[1, 2, 9]),
            with(1, &[1, 1, 9, 9]),
            with(9, &[1, 1, 9]),
            with(1, &[1, 2, 9, 9]),
        ] {
            assert_eq!(assemble(form, &bad, &mut data), None, "{bad:?}");
        }
        assert_eq!(assemble(form, &Pieces { base_rows: 3, ..with(0, &[]) }, &mut data), None);
        let even = Form { ragged: false, ..form };
        assert_eq!(assemble(even, &Pieces { base: vec![0; 12], base_rows: 3, patches: Vec::new() }, &mut data), None);
        assert_eq!(
            assemble(
                even,
                &Pieces { base: vec![0; 8], base_rows: 2, patches: vec![(1, vec![2, 0, 0, 0, 1, 1, 1, 1])] },
                &mut data
            ),
            None
        );
    }
}
