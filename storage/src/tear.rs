//! A tear in the last segments of a copied engine's log, which recovery does not look for by itself.
//!
//! Every segment begins with a header: the CRC-32 of what follows, the sequence of its first byte in the log, and up to where the log had been written
//! when the segment was begun. Recovery looks for a tear behind that point only, and steps over what it cannot read before it. But written is not
//! synced: a power cut may keep a segment and lose parts of those before it, and what is put together then never was, or makes recovery give up.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::engine::SEGMENT;
use crate::error::{Error, Result};

/// In how many segments before the last one a tear is looked for, one attempt after another. What a group writes between two syncs fits in four.
pub(crate) const ATTEMPTS: [u64; 3] = [1, 4, 16];

const HEADER: usize = 20;

/// What the numbers of a header are stored under.
const MASK: u64 = i64::MAX as u64;

/// Has recovery of the log in a data file look for a tear in so many segments before the last one. O(segments).
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn distrust(data: &Path, segments: u64) -> Result<()> {
    rewrite(data, segments).map_err(|e| Error::io("change", data, e))
}

fn rewrite(data: &Path, segments: u64) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(data)?;
    let starts = (0..file.metadata()?.len()).step_by(SEGMENT as usize);
    let mut headers = Vec::new();
    for start in starts {
        if let Some(header) = Header::read(&mut file, start)? {
            headers.push((start, header));
        }
    }
    let last = headers.iter().map(|(_, header)| header.begins).max().unwrap_or(0);
    let trusted = last.saturating_sub(segments * SEGMENT);
    for (start, header) in headers.into_iter().filter(|(_, header)| header.written > trusted) {
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&Header { written: trusted, ..header }.bytes())?;
    }
    Ok(())
}

/// Positions in the log.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Header {
    begins: u64,
    written: u64,
}

impl Header {
    /// `None` where there is no whole header, or it has no position in a log.
    fn read(file: &mut File, start: u64) -> std::io::Result<Option<Header>> {
        let mut bytes = [0; HEADER];
        file.seek(SeekFrom::Start(start))?;
        match file.read_exact(&mut bytes) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i])) ^ MASK;
        let header = Header { begins: number(4), written: number(12) };
        Ok((header.bytes() == bytes && header.begins <= MASK).then_some(header))
    }

    fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[4..12].copy_from_slice(&(self.begins ^ MASK).to_le_bytes());
        bytes[12..].copy_from_slice(&(self.written ^ MASK).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[4..]) ^ u32::MAX;
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}
