use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::NpyError;
use super::header::{Dtype, Header, MAGIC, MAX_HEADER};

/// Bytes converted at a time where a file's type is not the one asked for.
const PIECE: usize = 1 << 16;

/// An open `.npy` file, read front to back.
///
/// ```
/// # fn main() -> Result<(), kithdb::npy::NpyError> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("vectors.npy");
/// use kithdb::npy::{Dtype, NpyReader, NpyWriter};
/// let mut writer = NpyWriter::create(&path, Dtype::F32, &[2, 3])?;
/// writer.floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// writer.finish()?;
/// let mut reader = NpyReader::open(&path)?;
/// assert_eq!(reader.shape(), [2, 3]);
/// let mut row = [0.0; 3];
/// reader.floats(&mut row)?;
/// assert_eq!(row, [1.0, 2.0, 3.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NpyReader {
    path: PathBuf,
    file: File,
    header: Header,
    /// Where the elements begin in the file.
    start: u64,
    /// Elements not read yet.
    left: u64,
}

impl NpyReader {
    /// Opens a file and reads its header. That the file is as long as the header says is checked here.
    ///
    /// # Errors
    /// [`NpyError::Io`]; [`NpyError::Content`] where the file is no array, is cut short or too long, is of an unknown version, in Fortran
    /// order, big-endian, or of another element type than those of [`Dtype`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, NpyError> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|e| NpyError::io("open", path, e))?;
        let again = "save the array again with numpy.save";
        let bytes = file.metadata().map_err(|e| NpyError::io("open", path, e))?.len();
        let mut take = |buffer: &mut [u8]| {
            file.read_exact(buffer).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => NpyError::content(path, "it ends within its header", again),
                _ => NpyError::io("read", path, error),
            })
        };
        let mut front = [0; 8];
        take(&mut front)?;
        if front[..6] != *MAGIC {
            return Err(NpyError::content(path, "it is no .npy file", again));
        }
        let (length, field) = match front[6] {
            1 => {
                let mut length = [0; 2];
                take(&mut length)?;
                (u16::from_le_bytes(length) as usize, 2)
            }
            2 => {
                let mut length = [0; 4];
                take(&mut length)?;
                (u32::from_le_bytes(length) as usize, 4)
            }
            version => {
                let found = format!("it is of format {version}.{}", front[7]);
                return Err(NpyError::content(path, found, "save format 1.0 or 2.0"));
            }
        };
        if length > MAX_HEADER {
            return Err(NpyError::content(path, format!("its header has {length} bytes"), again));
        }
        let mut text = vec![0; length];
        take(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let header = Header::parse(&text).map_err(|(found, remedy)| NpyError::content(path, found, remedy))?;
        let start = (front.len() + field + length) as u64;
        let size = header.dtype.bytes() as u64;
        let whole = header.elements().and_then(|n| n.checked_mul(size)).and_then(|n| n.checked_add(start));
        if whole != Some(bytes) {
            let found = format!(
                "it has {bytes} bytes, but {} {} elements need {}",
                shape_text(&header.shape),
                header.dtype.name(),
                whole.map_or("more than 2^64".to_owned(), |whole| whole.to_string()),
            );
            return Err(NpyError::content(path, found, "copy or save it again"));
        }
        let left = (bytes - start) / size;
        Ok(Self { path: path.to_owned(), file, header, start, left })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Extents, outermost first.
    pub fn shape(&self) -> &[u64] {
        &self.header.shape
    }

    /// The elements' type.
    pub fn dtype(&self) -> Dtype {
        self.header.dtype
    }

    /// Goes back to the first element.
    ///
    /// # Errors
    /// [`NpyError::Io`].
    pub fn rewind(&mut self) -> Result<(), NpyError> {
        self.file.seek(SeekFrom::Start(self.start)).map_err(|e| NpyError::io("read", &self.path, e))?;
        self.left = self.header.elements().unwrap_or(0);
        Ok(())
    }

    /// Reads the next bytes of a `uint8` array.
    ///
    /// # Errors
    /// [`NpyError::Content`] for another type, or fewer elements left; [`NpyError::Io`].
    pub fn bytes(&mut self, out: &mut [u8]) -> Result<(), NpyError> {
        self.expect(&[Dtype::U8], out.len())?;
        self.fill(out)
    }

    /// Reads the next integers of a `uint64` array.
    ///
    /// # Errors
    /// As [`NpyReader::bytes`].
    pub fn integers(&mut self, out: &mut [u64]) -> Result<(), NpyError> {
        self.expect(&[Dtype::U64], out.len())?;
        self.fill(bytemuck::cast_slice_mut(out))
    }

    /// Reads the next floats of a `float32` array, or of a `float64` one, rounded.
    ///
    /// # Errors
    /// As [`NpyReader::bytes`].
    pub fn floats(&mut self, out: &mut [f32]) -> Result<(), NpyError> {
        self.expect(&[Dtype::F32, Dtype::F64], out.len())?;
        if self.header.dtype == Dtype::F32 {
            return self.fill(bytemuck::cast_slice_mut(out));
        }
        let mut piece = [0; PIECE];
        for out in out.chunks_mut(PIECE / 8) {
            let bytes = &mut piece[..8 * out.len()];
            self.fill(bytes)?;
            for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(8)) {
                *out = f64::from_le_bytes(bytes.try_into().unwrap_or_default()) as f32;
            }
        }
        Ok(())
    }

    /// Checks that `count` elements of one of these types are left, and counts them as read.
    fn expect(&mut self, types: &[Dtype], count: usize) -> Result<(), NpyError> {
        let Some(&wanted) = types.first().filter(|_| !types.contains(&self.header.dtype)) else {
            let left = self.left.checked_sub(count as u64).ok_or_else(|| {
                let found = format!("{} elements are left where {count} are asked for", self.left);
                NpyError::content(&self.path, found, "read no more than its shape holds")
            })?;
            self.left = left;
            return Ok(());
        };
        let found = format!("its elements are {}", self.header.dtype.name());
        Err(NpyError::content(&self.path, found, format!("save array.astype('{}')", wanted.name())))
    }

    // Numbers lie in memory as the file has them: storage compiles on little-endian machines only.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NpyError> {
        self.file.read_exact(out).map_err(|e| NpyError::io("read", &self.path, e))
    }
}

/// A shape as Python writes it.
pub(super) fn shape_text(shape: &[u64]) -> String {
    let extents: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("({})", extents.join(", "))
}
