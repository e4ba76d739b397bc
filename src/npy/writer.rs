use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::NpyError;
use super::header::{Dtype, Header};
use super::reader::shape_text;

/// A `.npy` file being written, front to back. It is whole after [`NpyWriter::finish`].
#[derive(Debug)]
pub struct NpyWriter {
    path: PathBuf,
    file: BufWriter<File>,
    header: Header,
    written: u64,
}

impl NpyWriter {
    /// Creates a file for an array of this type and shape, outermost extent first. A file that is there is replaced.
    ///
    /// # Errors
    /// [`NpyError::Io`].
    pub fn create(path: impl AsRef<Path>, dtype: Dtype, shape: &[u64]) -> Result<Self, NpyError> {
        let path = path.as_ref().to_owned();
        let file = File::create(&path).map_err(|e| NpyError::io("create", &path, e))?;
        let mut file = BufWriter::with_capacity(1 << 18, file);
        let header = Header { dtype, shape: shape.to_vec() };
        file.write_all(&header.encode()).map_err(|e| NpyError::io("write", &path, e))?;
        Ok(Self { path, file, header, written: 0 })
    }

    /// Appends to a `uint8` array.
    ///
    /// # Errors
    /// [`NpyError::Io`]; [`NpyError::Content`] where the array is of another type.
    pub fn bytes(&mut self, data: &[u8]) -> Result<(), NpyError> {
        self.append(Dtype::U8, data.len(), data)
    }

    /// Appends to a `uint64` array.
    ///
    /// # Errors
    /// As [`NpyWriter::bytes`].
    pub fn integers(&mut self, data: &[u64]) -> Result<(), NpyError> {
        self.append(Dtype::U64, data.len(), bytemuck::cast_slice(data))
    }

    /// Appends to a `float32` array.
    ///
    /// # Errors
    /// As [`NpyWriter::bytes`].
    pub fn floats(&mut self, data: &[f32]) -> Result<(), NpyError> {
        self.append(Dtype::F32, data.len(), bytemuck::cast_slice(data))
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// [`NpyError::Io`]; [`NpyError::Content`] where more or fewer elements were written than the shape has.
    pub fn finish(mut self) -> Result<(), NpyError> {
        if self.header.elements() != Some(self.written) {
            let found = format!("{} elements were written", self.written);
            let remedy = format!("write as many as its shape has, {}", shape_text(&self.header.shape));
            return Err(NpyError::content(&self.path, found, remedy));
        }
        self.file.flush().map_err(|e| NpyError::io("write", &self.path, e))
    }

    // Numbers lie in memory as the file has them: storage compiles on little-endian machines only.
    fn append(&mut self, dtype: Dtype, elements: usize, bytes: &[u8]) -> Result<(), NpyError> {
        if dtype != self.header.dtype {
            let found = format!("{} elements for an array of {}", dtype.name(), self.header.dtype.name());
            return Err(NpyError::content(&self.path, found, "write the type it was created with"));
        }
        self.written += elements as u64;
        self.file.write_all(bytes).map_err(|e| NpyError::io("write", &self.path, e))
    }
}
