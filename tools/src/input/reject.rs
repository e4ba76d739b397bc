//! The file rejected rows go to.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use super::{Rejected, Source};

/// Rejected rows as csv: `file,line,reason,row`, the row byte for byte as it was.
pub struct RejectFile {
    writer: csv::Writer<BufWriter<File>>,
}

impl RejectFile {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(BufWriter::new(File::create(path)?));
        writer.write_record(["file", "line", "reason", "row"])?;
        Ok(Self { writer })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&mut self, source: &Source, row: &Rejected) -> io::Result<()> {
        let (source, line) = (source.to_string(), row.line.to_string());
        let cells: [&[u8]; 4] = [source.as_bytes(), line.as_bytes(), row.reason.as_bytes(), &row.raw];
        Ok(self.writer.write_record(cells)?)
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
