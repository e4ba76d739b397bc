//! Writing the current generation as a folder of `.npy` files.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use kithdb_storage::Store;
use serde::Serialize;

use super::folder::{ITEMS, QUERIES, WEIGHTS, file};
use super::unfinished::Unfinished;
use crate::code::CodeShape;
use crate::error::{Error, Result};
use crate::generation::stored;
use crate::ids::{Id, IdKind, Side};
use crate::npy::{Dtype, NpyError, NpyWriter};
use crate::snapshot::Snapshot;

/// Rows written at a time.
const ROWS: usize = 4096;

/// What an export came to.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ExportOutcome {
    /// The generation it is of.
    pub generation: u64,
    /// Items written: those that have a code and are not retired.
    pub items: u64,
    /// Users written: those that have a code.
    pub users: u64,
    /// Bits of each layer.
    pub layer_bits: Vec<u32>,
    /// Bit planes of the users.
    pub query_bits: u32,
    /// Dimensions of the vectors in `items_float` and `queries_float`.
    pub float_dims: u64,
    /// Whether those vectors are the training's own, or read back from the codes.
    pub full_precision: bool,
}

/// The rows of one side that are written, in the order of their ids, and those.
struct Rows<'a> {
    /// The moment they are of.
    snapshot: &'a Snapshot,
    numbers: Vec<u32>,
    ids: Vec<Id>,
}

/// Writes what [`Db::export_npy`](crate::Db::export_npy) describes.
pub(crate) fn export(snapshot: &Snapshot, store: &Store, folder: &Path) -> Result<ExportOutcome> {
    let generation = snapshot.trained().ok_or(Error::NotTrained)?;
    let shape = generation.shape();
    let width = shape.widths()[0];
    if shape.widths().iter().any(|&other| other != width) || !width.is_multiple_of(8) {
        return Err(Error::InvalidArgument {
            what: format!("codes with layers of {:?} bits", shape.widths()),
            remedy: "a folder holds layers of one width, a multiple of 8: train with such, for example with one layer"
                .into(),
        });
    }
    let retired = snapshot.tail().retired();
    let shown = |&item: &u32| generation.has_item(item) && !retired.contains(item);
    let items = Rows::new(snapshot, Side::Item, generation.ranks(), shown);
    let ranks = snapshot.catalogues().users.ranks();
    let users = Rows::new(snapshot, Side::User, &ranks, |&user| generation.has_user(user));
    items.check_text()?;
    users.check_text()?;

    let unfinished = Unfinished::begin(folder)?;
    let folder = unfinished.path();
    let mut weights = NpyWriter::create(folder.join(WEIGHTS), Dtype::F32, &[shape.layers() as u64])?;
    weights.floats(shape.weights())?;
    weights.finish()?;
    items.write_ids(folder, ITEMS)?;
    users.write_ids(folder, QUERIES)?;
    items.write_scalers(folder, ITEMS, shape.layers(), |item, out| out.extend(generation.item(item).scalers()))?;
    let layers = shape.layers();
    let row =
        |user: u32, out: &mut Vec<f32>| out.extend(&generation.users().scalers()[user as usize * layers..][..layers]);
    users.write_scalers(folder, QUERIES, layers, row)?;
    let bytes = [shape.packed_bytes() as u64];
    let words = shape.words();
    let row = |item: usize, out: &mut Vec<u64>| out.extend(generation.item(item as u32).words());
    items.write_codes(folder, "items_codes.npy", shape, 1, &bytes, row)?;
    let planes = generation.users().planes();
    let all = words * planes as usize;
    let row = |user: usize, out: &mut Vec<u64>| {
        let planes = &generation.users().words()[user * all..][..all];
        // Of each layer the first plane, the sign.
        let layers = planes.chunks_exact(all / shape.layers());
        layers.for_each(|layer| out.extend(&layer[..words / shape.layers()]));
    };
    users.write_codes(folder, "queries_codes.npy", shape, 1, &bytes, row)?;
    if planes > 1 {
        let layers = shape.layers() as u64;
        let extents = [layers, u64::from(planes), bytes[0] / layers];
        let row = |user: usize, out: &mut Vec<u64>| out.extend(&generation.users().words()[user * all..][..all]);
        users.write_codes(folder, "queries_planes.npy", shape, planes, &extents, row)?;
    }
    let learned = stored::taught(store, generation)?;
    let float_dims = match &learned {
        Some(teacher) => {
            let (of_users, of_items) = teacher.vectors();
            items.write_floats(folder, ITEMS, of_items.cols(), |item, out| out.copy_from_slice(of_items.row(item)))?;
            users
                .write_floats(folder, QUERIES, of_users.cols(), |user, out| out.copy_from_slice(of_users.row(user)))?;
            of_items.cols()
        }
        None => {
            let bits = shape.bits() as usize;
            items.write_floats(folder, ITEMS, bits, |item, out| {
                let code = generation.item(item as u32);
                segments(shape, out).for_each(|(layer, out)| code.decode_into(0, layer, out));
                weigh(shape, out);
            })?;
            users.write_floats(folder, QUERIES, bits, |user, out| {
                // The row exists, which is all that is asked of it.
                segments(shape, out).for_each(|(layer, out)| drop(generation.users().decode_into(user, layer, out)));
                weigh(shape, out);
            })?;
            bits
        }
    };
    unfinished.finish()?;
    Ok(ExportOutcome {
        generation: generation.number(),
        items: items.ids.len() as u64,
        users: users.ids.len() as u64,
        layer_bits: shape.widths().to_vec(),
        query_bits: planes,
        float_dims: float_dims as u64,
        full_precision: learned.is_some(),
    })
}

impl<'a> Rows<'a> {
    /// Those rows of `ranks` that are wanted and have an id.
    fn new(snapshot: &'a Snapshot, side: Side, ranks: &[u32], wanted: impl Fn(&u32) -> bool) -> Self {
        let catalogues = snapshot.catalogues();
        let catalogue = match side {
            Side::User => &catalogues.users,
            Side::Item => &catalogues.items,
        };
        let mut numbers: Vec<u32> = (0..ranks.len() as u32).filter(wanted).collect();
        numbers.sort_unstable_by_key(|&row| ranks[row as usize]);
        let count = numbers.len();
        let mut rows = Self { snapshot, numbers: Vec::with_capacity(count), ids: Vec::with_capacity(count) };
        for row in numbers {
            if let Some(id) = catalogue.id(row) {
                rows.numbers.push(row);
                rows.ids.push(id);
            }
        }
        rows
    }

    /// The rows' numbers, some at a time, for as long as the export goes on.
    ///
    /// # Errors
    /// `Cancelled`, and those of `visit`.
    fn visit(&self, mut visit: impl FnMut(&[u32]) -> Result<()>) -> Result<()> {
        self.numbers.chunks(ROWS).try_for_each(|rows| self.snapshot.check().and_then(|()| visit(rows)))
    }

    /// Refuses ids that are no line of text.
    fn check_text(&self) -> Result<()> {
        let broken = |id: &&Id| matches!(id, Id::Str(text) if text.contains(['\n', '\r']));
        match self.ids.iter().find(broken) {
            None => Ok(()),
            Some(id) => Err(Error::InvalidArgument {
                what: format!("id {:?}", id.to_string()),
                remedy: "ids are written one a line: ids with line breaks cannot be exported".into(),
            }),
        }
    }

    /// Integers as `.npy`, others as text, bytes in hexadecimal.
    fn write_ids(&self, folder: &Path, side: &str) -> Result<()> {
        let (integers, lines) = (file(folder, side, "ids.npy"), file(folder, side, "ids.txt"));
        if self.ids.first().is_none_or(|id| id.kind() == IdKind::U64) {
            let values: Vec<u64> =
                self.ids.iter().filter_map(|id| if let Id::Int(n) = id { Some(*n) } else { None }).collect();
            let mut writer = NpyWriter::create(&integers, Dtype::U64, &[values.len() as u64])?;
            writer.integers(&values)?;
            return Ok(writer.finish()?);
        }
        let write = || {
            let mut writer = BufWriter::new(std::fs::File::create(&lines)?);
            self.ids.iter().try_for_each(|id| writeln!(writer, "{id}"))?;
            writer.flush()
        };
        Ok(write().map_err(|e| NpyError::io("write", &lines, e))?)
    }

    /// Scalers, `[n x layers]`; `scalers` appends those of a row.
    fn write_scalers(
        &self,
        folder: &Path,
        side: &str,
        layers: usize,
        scalers: impl Fn(u32, &mut Vec<f32>),
    ) -> Result<()> {
        let shape = [self.numbers.len() as u64, layers as u64];
        let mut writer = NpyWriter::create(file(folder, side, "scalers.npy"), Dtype::F32, &shape)?;
        let mut gathered = Vec::with_capacity(layers * ROWS);
        self.visit(|rows| {
            gathered.clear();
            rows.iter().for_each(|&row| scalers(row, &mut gathered));
            Ok(writer.floats(&gathered)?)
        })?;
        Ok(writer.finish()?)
    }

    /// Packed codes, a row of the extents `row`; `words` appends those of a row.
    fn write_codes(
        &self,
        folder: &Path,
        name: &str,
        shape: &CodeShape,
        planes: u32,
        row: &[u64],
        words: impl Fn(usize, &mut Vec<u64>),
    ) -> Result<()> {
        let extents = [&[self.numbers.len() as u64], row].concat();
        let mut writer = NpyWriter::create(folder.join(name), Dtype::U8, &extents)?;
        let (mut gathered, mut packed) = (Vec::new(), Vec::new());
        self.visit(|rows| {
            gathered.clear();
            packed.clear();
            rows.iter().for_each(|&row| words(row as usize, &mut gathered));
            shape.pack(planes, &gathered, &mut packed);
            Ok(writer.bytes(&packed)?)
        })?;
        Ok(writer.finish()?)
    }

    fn write_floats(&self, folder: &Path, side: &str, dims: usize, fill: impl Fn(usize, &mut [f32])) -> Result<()> {
        let extents = [self.numbers.len() as u64, dims as u64];
        let mut writer = NpyWriter::create(file(folder, side, "float.npy"), Dtype::F32, &extents)?;
        let mut values = vec![0.0; dims];
        self.visit(|rows| {
            rows.iter().try_for_each(|&row| {
                fill(row as usize, &mut values);
                Ok(writer.floats(&values)?)
            })
        })?;
        Ok(writer.finish()?)
    }
}

/// The layers of a row of one float per bit.
fn segments<'a>(shape: &Arc<CodeShape>, row: &'a mut [f32]) -> impl Iterator<Item = (usize, &'a mut [f32])> {
    row.chunks_exact_mut(shape.widths()[0] as usize).enumerate()
}

/// Multiplies each layer by its weight: with both sides weighed, the inner product has the weights' squares, as the score has.
fn weigh(shape: &Arc<CodeShape>, row: &mut [f32]) {
    segments(shape, row).for_each(|(layer, out)| out.iter_mut().for_each(|x| *x *= shape.weights()[layer]));
}
