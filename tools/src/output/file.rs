//! A file that a subcommand makes, whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// Bytes that go into one frame of Zstandard.
const FRAME: usize = 4 << 20;

/// Where rows are written to: stdout for `-`, otherwise a file that appears under its name when it is whole, compressed as its name ends.
pub(crate) struct ResultFile {
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    Stdout(io::StdoutLock<'static>),
    Plain(Beside),
    Gzip(GzEncoder<Beside>),
    Zstd(Frames),
}

impl ResultFile {
    /// Begins a file.
    ///
    /// # Errors
    /// Where it cannot be made beside where it is to be.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let sink = match path.extension().and_then(|ending| ending.to_str()) {
            _ if path == Path::new("-") => Sink::Stdout(io::stdout().lock()),
            Some("gz") => Sink::Gzip(GzEncoder::new(Beside::create(path)?, flate2::Compression::default())),
            Some("zst") => Sink::Zstd(Frames { file: Beside::create(path)?, waiting: Vec::new() }),
            _ => Sink::Plain(Beside::create(path)?),
        };
        Ok(Self { path: path.to_owned(), sink })
    }

    /// Whether rows go to stdout.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.sink, Sink::Stdout(_))
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// Where that, or what was written before, fails.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Self { path, sink } = self;
        let ended = match sink {
            Sink::Stdout(mut stdout) => stdout.flush(),
            Sink::Plain(file) => file.finish(&path),
            Sink::Gzip(file) => file.finish().and_then(|file| file.finish(&path)),
            Sink::Zstd(file) => file.finish().and_then(|file| file.finish(&path)),
        };
        super::written(ended).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Write for ResultFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Stdout(sink) => sink.write(bytes),
            Sink::Plain(sink) => sink.file.write(bytes),
            Sink::Gzip(sink) => sink.write(bytes),
            Sink::Zstd(sink) => sink.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stdout(sink) => sink.flush(),
            _ => Ok(()),
        }
    }
}

/// A file under another name beside where it is to be; it goes where it is not finished.
struct Beside {
    file: io::BufWriter<File>,
    /// `None` where it is written in place, and from when it is finished.
    path: Option<PathBuf>,
}

impl Beside {
    fn create(path: &Path) -> anyhow::Result<Self> {
        // A device or a pipe is no place to put a file in.
        let in_place = path.metadata().is_ok_and(|there| !there.is_file());
        let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
        name.push(".part");
        let beside = if in_place { path.to_owned() } else { path.with_file_name(name) };
        let file = File::create(&beside).with_context(|| format!("cannot write {}", beside.display()))?;
        Ok(Self { file: io::BufWriter::new(file), path: Some(beside).filter(|_| !in_place) })
    }

    fn finish(mut self, path: &Path) -> io::Result<()> {
        self.file.flush()?;
        if let Some(beside) = &self.path {
            self.file.get_ref().sync_all()?;
            std::fs::rename(beside, path)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(beside) = &self.path {
            // What is left of it tells by its name what it is.
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// A file of frames of Zstandard, one after another.
struct Frames {
    file: Beside,
    waiting: Vec<u8>,
}

impl Frames {
    fn frame(&mut self) -> io::Result<()> {
        let frame = compress_to_vec(&self.waiting[..], CompressionLevel::Fastest);
        self.waiting.clear();
        self.file.write_all(&frame)
    }

    fn finish(mut self) -> io::Result<Beside> {
        self.frame()?;
        Ok(self.file)
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= FRAME {
            self.frame()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
