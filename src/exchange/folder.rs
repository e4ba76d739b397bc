//! A folder of `.npy` files that holds codes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CodeSet, RowIds};
use crate::code::{CodeError, CodeShape, LayeredCodes, MAX_PLANES, PlaneCodes};
use crate::error::{Error, Result};
use crate::ids::{Id, Side};
use crate::npy::{NpyError, NpyReader};

/// Bytes of packed codes read at a time.
const PIECE: usize = 1 << 20;

/// The names of the two sides' files.
pub(super) const ITEMS: &str = "items";
pub(super) const QUERIES: &str = "queries";

/// The file of the layers' weights.
pub(super) const WEIGHTS: &str = "layer_weights.npy";

/// Where a part of a folder is.
pub(super) fn file(folder: &Path, side: &str, part: &str) -> PathBuf {
    folder.join(format!("{side}_{part}"))
}

/// Reads what [`CodeSet::read_folder`] describes.
pub(super) fn read(folder: &Path) -> Result<CodeSet> {
    let weights = floats(&folder.join(WEIGHTS), None)?;
    let items = NpyReader::open(file(folder, ITEMS, "codes.npy"))?;
    let shape = Arc::new(shape(&items, weights)?);
    let (rows, item_words) = words(items, &shape, &[shape.packed_bytes() as u64], 1)?;
    let item_scalers = scalers(folder, ITEMS, rows, &shape)?;
    let item_ids = ids(folder, ITEMS)?;

    let (codes, planes) = (file(folder, QUERIES, "codes.npy"), file(folder, QUERIES, "planes.npy"));
    let (planes, users, user_words) = if planes.exists() {
        let reader = NpyReader::open(planes)?;
        let layers = shape.layers() as u64;
        let count = reader.shape().get(2).copied().filter(|n| (1..=u64::from(MAX_PLANES)).contains(n)).unwrap_or(1);
        let row = [layers, count, shape.packed_bytes() as u64 / layers];
        let (users, words) = words(reader, &shape, &row, count as u32)?;
        (count as u32, users, words)
    } else if codes.exists() {
        let (users, words) = words(NpyReader::open(codes)?, &shape, &[shape.packed_bytes() as u64], 1)?;
        (1, users, words)
    } else {
        (1, 0, Vec::new())
    };
    let (user_scalers, user_ids) = match users {
        0 => (Vec::new(), RowIds::RowNumbers),
        _ => (scalers(folder, QUERIES, users, &shape)?, ids(folder, QUERIES)?),
    };
    let of = |side| move |error: CodeError| mismatch(folder, format!("{side} of it"), &error.to_string());
    let set = CodeSet {
        items: LayeredCodes::from_parts(Arc::clone(&shape), item_words, item_scalers).map_err(of("items"))?,
        item_ids,
        users: PlaneCodes::from_parts(shape, planes, user_words, user_scalers).map_err(of("queries"))?,
        user_ids,
    };
    set.check_sides()?;
    Ok(set)
}

/// The shape of codes whose layers have one width.
fn shape(items: &NpyReader, weights: Vec<f32>) -> Result<CodeShape> {
    let layers = weights.len() as u64;
    match *items.shape() {
        [_, bytes] if layers > 0 && bytes > 0 && bytes.is_multiple_of(layers) => {
            let width = u32::try_from((bytes / layers).saturating_mul(8)).unwrap_or(u32::MAX);
            Ok(CodeShape::new(vec![width; weights.len()], weights)?)
        }
        [_, bytes] if layers > 0 => Err(mismatch(
            items.path(),
            format!("rows of {bytes} bytes for {layers} layers"),
            "give every layer the same whole number of bytes, and layer_weights.npy one weight a layer",
        )),
        _ => Err(mismatch(
            items.path(),
            format!("shape {:?} with {layers} layer weights", items.shape()),
            "save codes as [rows, bytes] and layer_weights.npy as [layers], one layer or more",
        )),
    }
}

/// The rows of a file of packed codes, each of the extents `row`, and their words.
fn words(mut reader: NpyReader, shape: &CodeShape, row: &[u64], planes: u32) -> Result<(usize, Vec<u64>)> {
    let rows = match reader.shape() {
        [rows, rest @ ..] if rest == row => *rows as usize,
        other => {
            let what = format!("shape {other:?}");
            let remedy = format!("save [rows, {}]", row.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
            return Err(mismatch(reader.path(), what, &remedy));
        }
    };
    let row_bytes = shape.packed_bytes() * planes as usize;
    let mut words = Vec::with_capacity(rows * shape.words() * planes as usize);
    let piece = (PIECE / row_bytes).max(1);
    let mut bytes = vec![0; piece.min(rows) * row_bytes];
    for first in (0..rows).step_by(piece) {
        let bytes = &mut bytes[..piece.min(rows - first) * row_bytes];
        reader.bytes(bytes)?;
        shape.unpack(planes, bytes, &mut words);
    }
    Ok((rows, words))
}

fn scalers(folder: &Path, side: &str, rows: usize, shape: &CodeShape) -> Result<Vec<f32>> {
    floats(&file(folder, side, "scalers.npy"), Some([rows as u64, shape.layers() as u64]))
}

/// All floats of a file: of this shape, or of one extent.
fn floats(path: &Path, shape: Option<[u64; 2]>) -> Result<Vec<f32>> {
    let mut reader = NpyReader::open(path)?;
    let (fits, wanted) = match shape {
        Some(shape) => (reader.shape() == shape, format!("{shape:?}")),
        None => (reader.shape().len() == 1, "[layers]".to_owned()),
    };
    if !fits {
        return Err(mismatch(path, format!("shape {:?}", reader.shape()), &format!("save {wanted}")));
    }
    let mut values = vec![0.0; reader.shape().iter().product::<u64>() as usize];
    reader.floats(&mut values)?;
    Ok(values)
}

/// The ids beside a side's codes; row numbers where there are none.
fn ids(folder: &Path, side: &str) -> Result<RowIds> {
    let (integers, lines) = (file(folder, side, "ids.npy"), file(folder, side, "ids.txt"));
    if integers.exists() {
        let mut reader = NpyReader::open(&integers)?;
        let &[rows] = reader.shape() else {
            return Err(mismatch(&integers, format!("shape {:?}", reader.shape()), "save [rows]"));
        };
        let mut ids = vec![0; rows as usize];
        reader.integers(&mut ids)?;
        return Ok(ids.into());
    }
    if lines.exists() {
        return listed(&lines, if side == "users" || side == "queries" { Side::User } else { Side::Item });
    }
    Ok(RowIds::RowNumbers)
}

/// Ids of a text, one a line.
fn listed(path: &Path, side: Side) -> Result<RowIds> {
    let opened = std::fs::File::open(path).map_err(|e| NpyError::io("open", path, e))?;
    let mut ids = Vec::new();
    for (line, bytes) in (1..).zip(BufReader::new(opened).split(b'\n')) {
        let bytes = bytes.map_err(|e| NpyError::io("read", path, e))?;
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(mismatch(path, format!("line {line} is not UTF-8"), "save ids as UTF-8"));
        };
        // A byte order mark is none of the first id.
        let id = Id::from(if line == 1 { text.trim_start_matches('\u{feff}') } else { text });
        match id.check(side) {
            Err(Error::InvalidArgument { what, remedy }) => {
                return Err(mismatch(path, format!("line {line}: {what}"), &remedy));
            }
            checked => checked?,
        }
        ids.push(id);
    }
    Ok(RowIds::Listed(ids))
}

fn mismatch(path: &Path, what: String, remedy: &str) -> Error {
    Error::InvalidArgument { what: format!("{}: {what}", path.display()), remedy: remedy.to_owned() }
}
