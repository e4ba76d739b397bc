//! Where bytes come from: a file or stdin, decompressed on the way.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::zstd;

/// Bytes read from the system at a time.
const BUFFER: usize = 256 << 10;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A place to read from: a path, or `-` for stdin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, or whatever else opens by a path.
    Path(PathBuf),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::Path(path) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// Opens the source for reading, decompressed.
    ///
    /// # Errors
    /// What the system says, without the name.
    pub fn open(&self) -> io::Result<Box<dyn BufRead>> {
        self.open_through(|raw| raw)
    }

    /// [`Source::open`] with something of the caller's between the raw bytes and the decompression, such as a progress bar.
    ///
    /// # Errors
    /// What the system says, without the name.
    pub fn open_through(&self, wrap: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
        let raw: Box<dyn Read> = match self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::Path(path) => {
                let file = File::open(path)?;
                if file.metadata()?.is_dir() {
                    return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory; give files"));
                }
                Box::new(file)
            }
        };
        decompressed(wrap(raw))
    }

    /// Bytes on disk; `None` for stdin, pipes and whatever else has no size.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::Path(path) => path.metadata().ok().filter(|m| m.is_file()).map(|m| m.len()),
        }
    }

    /// Whether opening it takes nothing from it: not so for stdin, pipes and the like.
    pub fn opens_twice(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::Path(path) => path.metadata().map_or(true, |m| m.is_file() || m.is_dir()),
        }
    }

    /// The extension below `.zst` and `.gz`, in lower case.
    pub(super) fn extension(&self) -> Option<String> {
        let Self::Path(path) = self else { return None };
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let name = [".zst", ".gz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        name.rsplit_once('.').map(|(_, extension)| extension.to_owned())
    }
}

/// Decompresses what begins like gzip or zstd. Neither beginning is valid UTF-8, so no text is mistaken for them, and compressed stdin needs
/// no option.
fn decompressed(raw: Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    let mut head = Vec::with_capacity(zstd::MAGIC.len());
    let mut raw = raw;
    raw.by_ref().take(zstd::MAGIC.len() as u64).read_to_end(&mut head)?;
    // A skippable zstd frame begins with any of sixteen values; pzstd writes one first.
    let skippable = matches!(head[..], [low, 0x2a, 0x4d, 0x18] if low >> 4 == 5);
    let (gzip, zst) = (head.starts_with(&GZIP), head == zstd::MAGIC || skippable);
    let whole = BufReader::with_capacity(BUFFER, io::Cursor::new(head).chain(raw));
    Ok(match (gzip, zst) {
        (true, _) => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole))),
        (_, true) => Box::new(BufReader::with_capacity(BUFFER, zstd::Frames::new(whole))),
        _ => Box::new(whole),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        decompressed(Box::new(io::Cursor::new(bytes)))?.read_to_string(&mut text).map(|_| text)
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compression_is_recognised_by_its_first_bytes() {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        let text = "0 1 2 3\n";
        assert_eq!(read(text.into()).unwrap(), text);
        assert_eq!(read(Vec::new()).unwrap(), "");
        assert_eq!(read(vec![b'x']).unwrap(), "x");
        assert_eq!(read([gzip(b"0 1 "), gzip(b"2 3\n")].concat()).unwrap(), text);
        assert_eq!(read(compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)).unwrap(), text);
        let skippable = [
            &[0x5e, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..],
            &compress_to_vec(text.as_bytes(), CompressionLevel::Fastest),
        ];
        assert_eq!(read(skippable.concat()).unwrap(), text);
    }

    #[test]
    fn gzip_cut_short_is_an_error() {
        let whole = gzip(b"0 1 2 3\n");
        assert!(read(whole[..whole.len() - 4].to_vec()).is_err());
    }

    #[test]
    fn the_extension_is_that_below_the_compression() {
        let extension = |path: &str| Source::from(PathBuf::from(path)).extension();
        assert_eq!(extension("a/b.CSV.gz").as_deref(), Some("csv"));
        assert_eq!(extension("train.txt.zst").as_deref(), Some("txt"));
        assert_eq!(extension("a.b/plain"), None);
        assert_eq!(extension("-"), None);
    }
}
