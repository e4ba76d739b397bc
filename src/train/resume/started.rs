//! Codes that a student starts from.

use std::borrow::Cow;

use super::Rows;
use crate::graph::Csr;
use crate::kernel::dense::{Matrix, SignMatrix};
use crate::train::context::Context;
use crate::train::student::Tables;
use crate::train::teacher::layers::Layers;

/// The codes that a training from nothing would start its student with, of layers as wide as those of `tables`.
pub(super) enum Started<'a> {
    /// Of all rows, with magnitudes, which are a float a bit of users, or without. O(nodes width bits).
    All { has_magnitudes: bool },
    /// Of some, in their order. O(rows width bits), and O(items width), with more layers than the teacher's own O(nodes width) too.
    Rows(&'a Rows<'a>),
}

/// Makes them.
pub(super) fn start(context: &Context<'_>, teacher: &Layers, tables: &Tables, of: &Started<'_>) -> Tables {
    let widths: Vec<usize> = tables.segments.iter().map(|segment| segment.len()).collect();
    let mut teacher = Cow::Borrowed(teacher);
    if widths.len() > 1 {
        teacher.to_mut().propagate(context.isa, context.graph, widths.len() - 1);
    }
    match of {
        Started::All { has_magnitudes: true } => Tables::rotated(context, &teacher, &widths),
        Started::All { has_magnitudes: false } => Tables::rotated_signs(context, &teacher, &widths),
        Started::Rows(rows) => Tables::rotated_rows(context, &teacher, &widths, (rows.users, rows.items)),
    }
}

/// Which row of the codes of a side that are started with takes the place of a node's, if any does; told whether the node has no code so far.
type Wanted<'a> = &'a dyn Fn(u32, bool) -> Option<usize>;

/// Takes from `start` the rows of both sides that are `wanted`, and takes codes from nodes that have no interactions any more.
pub(super) fn take(context: &Context<'_>, start: &Tables, tables: &mut Tables, wanted: [Wanted<'_>; 2]) {
    let Tables { users, items, user_scales, item_scales, .. } = tables;
    let [of_users, of_items] = wanted;
    let graph = context.graph;
    take_side(graph.users(), (users, user_scales), (&start.users, &start.user_scales), of_users);
    take_side(graph.items(), (items, item_scales), (&start.items, &start.item_scales), of_items);
}

fn take_side(
    graph: &Csr,
    (signs, scales): (&mut SignMatrix, &mut Matrix),
    (from, from_scales): (&SignMatrix, &Matrix),
    wanted: Wanted<'_>,
) {
    for row in 0..signs.rows() {
        let is_blank = scales.row(row).iter().all(|scale| *scale == f32::NEG_INFINITY);
        if graph.degree(row) == 0 {
            signs.row_mut(row).fill(0);
            scales.row_mut(row).fill(f32::NEG_INFINITY);
        } else if let Some(at) = wanted(row as u32, is_blank) {
            signs.row_mut(row).copy_from_slice(from.row(at));
            scales.row_mut(row).copy_from_slice(from_scales.row(at));
        }
    }
}
