//! Float vectors made elsewhere, in memory or in a file.

use std::path::Path;

use super::Metric;
use crate::code::{MAX_LAYERS, MAX_SCALER, MAX_WIDTH};
use crate::error::{Error, Result};
use crate::npy::{Dtype, NpyReader};

/// Floats handed on at a time.
const PIECE: usize = 1 << 22;
/// The longest vector that is encoded as it is: with it no scaler of a code leaves its range.
const MAX_LENGTH: f64 = MAX_SCALER as f64;

/// A table of float vectors, `[rows, layers, dims]`: a row is one vector per layer. Read in pieces, from memory or from a `.npy` file.
#[derive(Debug)]
pub struct Vectors {
    source: Source,
    rows: usize,
    layers: usize,
    dims: usize,
}

#[derive(Debug)]
enum Source {
    Memory(Vec<f32>),
    File(Box<NpyReader>),
}

impl Vectors {
    /// A table of row-major `data`, `[rows, layers, dims]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there are no layers or dimensions, or the data are no whole rows of them.
    pub fn new(data: Vec<f32>, layers: usize, dims: usize) -> Result<Self> {
        match layers.checked_mul(dims) {
            Some(row) if row > 0 && data.len().is_multiple_of(row) => {
                let rows = data.len() / row;
                check_row(format!("a row of {layers} layers of {dims} dimensions"), layers as u64, dims as u64)?;
                Ok(Self { rows, source: Source::Memory(data), layers, dims })
            }
            _ => Err(Error::InvalidArgument {
                what: format!("{} values for rows of {layers} layers of {dims} dimensions", data.len()),
                remedy: "pass whole rows, of one layer and one dimension or more".into(),
            }),
        }
    }

    /// The table in a `.npy` file of `float32` (or `float64`, rounded), `[rows, dims]` or `[rows, layers, dims]`. It is read when it is used.
    ///
    /// # Errors
    /// [`Error::Npy`]; [`Error::InvalidArgument`] for another shape.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let reader = NpyReader::open(&path)?;
        let shape = match *reader.shape() {
            [rows, dims] => Some([rows, 1, dims]),
            [rows, layers, dims] => Some([rows, layers, dims]),
            _ => None,
        };
        let what = |found: String| format!("{}: {found}", path.as_ref().display());
        let floats = matches!(reader.dtype(), Dtype::F32 | Dtype::F64);
        match shape.filter(|shape| shape[1] > 0 && shape[2] > 0) {
            Some(_) if !floats => Err(Error::InvalidArgument {
                what: what(format!("elements of type {}", reader.dtype().name())),
                remedy: "save array.astype('<f4')".into(),
            }),
            Some([rows, layers, dims]) => {
                check_row(what(format!("shape {:?}", reader.shape())), layers, dims)?;
                let (rows, layers, dims) = (rows as usize, layers as usize, dims as usize);
                Ok(Self { source: Source::File(Box::new(reader)), rows, layers, dims })
            }
            None => Err(Error::InvalidArgument {
                what: what(format!("shape {:?}", reader.shape())),
                remedy: "save vectors as [rows, dims] or [rows, layers, dims]".into(),
            }),
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Vectors per row.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Values a vector.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Visits all rows in order, whole rows at a time.
    ///
    /// # Errors
    /// [`Error::Npy`] where the file cannot be read; [`Error::InvalidArgument`] for a row that is not finite; those of `visit`.
    pub fn visit(&mut self, visit: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        self.visit_up_to(f64::INFINITY, visit)
    }

    /// [`Vectors::visit`] of vectors that are compared by `metric`.
    ///
    /// # Errors
    /// As [`Vectors::visit`], and [`Error::InvalidArgument`] for a row that is encoded as long as it is, and too long for the scalers of a code.
    pub(super) fn visit_for(&mut self, metric: Metric, visit: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let longest = match metric {
            Metric::Dot => MAX_LENGTH,
            Metric::Cosine => f64::INFINITY,
        };
        self.visit_up_to(longest, visit)
    }

    fn visit_up_to(&mut self, longest: f64, mut visit: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let row = self.layers * self.dims;
        let piece = (PIECE / row).max(1);
        let name = match &self.source {
            Source::Memory(_) => String::new(),
            Source::File(reader) => format!(" of {}", reader.path().display()),
        };
        let check = |first: usize, values: &[f32]| {
            if let Some(at) = values.iter().position(|x| !x.is_finite()) {
                return Err(Error::InvalidArgument {
                    what: format!("row {}{name} has a value that is {}", first + at / row, values[at]),
                    remedy: "leave out, or repair, vectors that are not finite".into(),
                });
            }
            let length = |row: &[f32]| row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            let long = |row: &&[f32]| longest.is_finite() && length(row) > longest;
            let Some((at, row)) = values.chunks_exact(row).enumerate().find(|(_, row)| long(row)) else {
                return Ok(());
            };
            let largest = row.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
            Err(Error::InvalidArgument {
                what: format!("row {}{name} has the value {largest:e} and a length above {longest:e}", first + at),
                remedy: "leave it out, or scale all vectors down by one factor".into(),
            })
        };
        match &mut self.source {
            Source::Memory(data) => {
                for (at, values) in data.chunks(piece * row).enumerate() {
                    check(at * piece, values)?;
                    visit(values)?;
                }
            }
            Source::File(reader) => {
                reader.rewind()?;
                let mut values = vec![0.0; piece.min(self.rows) * row];
                for first in (0..self.rows).step_by(piece) {
                    let values = &mut values[..piece.min(self.rows - first) * row];
                    reader.floats(values)?;
                    check(first, values)?;
                    visit(values)?;
                }
            }
        }
        Ok(())
    }
}

/// Refuses rows of more layers, or more values in one, than a code has.
fn check_row(what: String, layers: u64, dims: u64) -> Result<()> {
    if layers <= MAX_LAYERS as u64 && dims <= u64::from(MAX_WIDTH) {
        return Ok(());
    }
    let remedy = format!("a row has at most {MAX_LAYERS} layers of {MAX_WIDTH} values: reduce the vectors first");
    Err(Error::InvalidArgument { what, remedy })
}
