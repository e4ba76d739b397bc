//! The header: a Python dictionary of element type, order and shape.

/// What every file begins with.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Data begins at a multiple of this.
const ALIGN: usize = 64;
/// The longest header that is read: its shape has a few numbers.
pub(super) const MAX_HEADER: usize = 1 << 16;

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// `uint8`.
    U8,
    /// `uint64`.
    U64,
    /// `float32`.
    F32,
    /// `float64`, read as `float32`.
    F64,
}

impl Dtype {
    pub(super) const ALL: [Dtype; 4] = [Dtype::U8, Dtype::U64, Dtype::F32, Dtype::F64];

    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::U8 => 1,
            Dtype::F32 => 4,
            Dtype::U64 | Dtype::F64 => 8,
        }
    }

    /// The type's name in NumPy.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::U8 => "uint8",
            Dtype::U64 => "uint64",
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
        }
    }

    /// How a header names the type.
    pub(super) fn descr(self) -> &'static str {
        match self {
            Dtype::U8 => "|u1",
            Dtype::U64 => "<u8",
            Dtype::F32 => "<f4",
            Dtype::F64 => "<f8",
        }
    }
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
}

impl Header {
    /// Elements of the array; `None` past 2^64.
    pub(super) fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent))
    }

    /// Reads the dictionary; otherwise what is wrong with it, and the remedy.
    pub(super) fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        const DAMAGED: &str = "save the array again with numpy.save";
        let damaged = || (format!("its header {text:?} is none of an array"), DAMAGED);
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(damaged)?.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest).ok_or_else(damaged)?;
            let value = after.trim_start().strip_prefix(':').ok_or_else(damaged)?.trim_start();
            let after = match key {
                "descr" if value.starts_with('[') => {
                    return Err(("it holds records of several fields".into(), "save one array of one type a file"));
                }
                "descr" => {
                    let (name, after) = quoted(value).ok_or_else(damaged)?;
                    descr = Some(name);
                    after
                }
                "fortran_order" => {
                    let known = [("True", true), ("False", false)];
                    let found = known.iter().find_map(|(name, is)| Some((*is, value.strip_prefix(name)?)));
                    let (is, after) = found.ok_or_else(damaged)?;
                    fortran = Some(is);
                    after
                }
                "shape" => {
                    let (inside, after) =
                        value.strip_prefix('(').and_then(|t| t.split_once(')')).ok_or_else(damaged)?;
                    let extents = inside.split(',').map(str::trim).filter(|extent| !extent.is_empty());
                    shape = Some(extents.map(|e| e.parse().map_err(|_| damaged())).collect::<Result<Vec<u64>, _>>()?);
                    after
                }
                _ => return Err(damaged()),
            };
            let after = after.trim_start();
            rest = after.strip_prefix(',').map_or(after, str::trim_start);
            if rest.len() == after.len() && !rest.is_empty() {
                return Err(damaged());
            }
        }
        let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else { return Err(damaged()) };
        if fortran {
            return Err(("it is in Fortran order".into(), "save numpy.ascontiguousarray(array)"));
        }
        let same = |dtype: &Dtype| dtype.descr() == descr || (*dtype == Dtype::U8 && descr.get(1..) == Some("u1"));
        let Some(dtype) = Dtype::ALL.into_iter().find(same) else {
            return Err((
                format!("its elements are of type {descr:?}"),
                "save array.astype('<f4') for vectors and scalers, array.astype('u1') for packed bits, array.astype('<u8') for ids",
            ));
        };
        Ok(Self { dtype, shape })
    }

    /// The bytes a file begins with: magic, version, length, dictionary.
    pub(super) fn encode(&self) -> Vec<u8> {
        let extents: String = self.shape.iter().map(|extent| format!("{extent}, ")).collect();
        let extents = if self.shape.len() == 1 { extents.trim_end() } else { extents.trim_end_matches(", ") };
        let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({extents}), }}", self.dtype.descr());
        // Magic, version and the length's two bytes come before; a newline ends the padding.
        let length = (10 + text.len() + 1).next_multiple_of(ALIGN) - 10;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&(length as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(10 + length - 1, b' ');
        bytes.push(b'\n');
        bytes
    }
}

/// A string literal without escapes at the front of `text`, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}
