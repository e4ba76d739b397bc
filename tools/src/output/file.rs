//! A file that a subcommand makes, whole or not at all.

use std::ffi::OsString;
use std::fmt::Arguments;
use std::fs::File;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// Bytes that go into one frame of Zstandard.
const FRAME: usize = 4 << 20;

/// Links from one to another that are followed.
const LINKS: usize = 40;

/// Whether a path is that of stdout, of which more is printed than rows: `-`, or a name the system gives it.
pub(crate) fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Where rows are written to: stdout, or a file that appears under its name when it is whole, compressed as its name ends.
pub(crate) struct ResultFile {
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    Stdout(BufWriter<StdoutLock<'static>>),
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
            _ if is_stdout(path) => Sink::Stdout(BufWriter::new(io::stdout().lock())),
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

    /// Writes what comes next.
    ///
    /// # Errors
    /// Where that fails; [`super::Closed`] where nobody reads stdout any more.
    pub(crate) fn put(&mut self, text: Arguments<'_>) -> anyhow::Result<()> {
        let done = self.write_fmt(text);
        told(done, &self.path)
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// Where that, or what was written before, fails.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Self { path, sink } = self;
        let ended = match sink {
            Sink::Stdout(mut stdout) => stdout.flush(),
            Sink::Plain(file) => file.finish(),
            Sink::Gzip(file) => file.finish().and_then(Beside::finish),
            Sink::Zstd(file) => file.finish().and_then(Beside::finish),
        };
        told(ended, &path)
    }
}

/// Says which file could not be written.
fn told(outcome: io::Result<()>, path: &Path) -> anyhow::Result<()> {
    super::written(outcome).with_context(|| format!("cannot write {}", path.display()))
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
    file: BufWriter<File>,
    /// What it is called until it is finished, and from then on; `None` where it is written in place.
    names: Option<(PathBuf, PathBuf)>,
}

impl Beside {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let place = followed(path);
        // A device or a pipe is no place to put a file in, nor is a folder of the system's own names for what is open.
        let is_special = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
        let cannot = || format!("cannot write {}", path.display());
        if is_special || place.metadata().is_ok_and(|there| !there.is_file()) {
            let file = File::create(path).with_context(cannot)?;
            return Ok(Self { file: BufWriter::new(file), names: None });
        }
        let (file, beside) = unfinished(&place).with_context(cannot)?;
        Ok(Self { file: BufWriter::new(file), names: Some((beside, place)) })
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some((beside, place)) = &self.names {
            self.file.get_ref().sync_all()?;
            std::fs::rename(beside, place)?;
        }
        self.names = None;
        Ok(())
    }
}

/// Where a path leads if it is that of a link, so that what it leads to is written and the link stays.
fn followed(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    for _ in 0..LINKS {
        match place.read_link() {
            Ok(to) => place = place.parent().map_or_else(|| to.clone(), |folder| folder.join(&to)),
            Err(_) => break,
        }
    }
    place
}

/// A new file beside a place, and its name: another file's is not taken.
fn unfinished(place: &Path) -> io::Result<(File, PathBuf)> {
    let mut at = 0;
    loop {
        let mut name = place.file_name().map_or_else(OsString::new, ToOwned::to_owned);
        name.push(format!(".{}-{at}.part", std::process::id()));
        let beside = place.with_file_name(name);
        match File::create_new(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => at += 1,
            outcome => return outcome.map(|file| (file, beside)),
        }
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
        if let Some((beside, _)) = &self.names {
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
