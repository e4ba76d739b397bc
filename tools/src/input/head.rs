//! The beginning of a file, looked at before it is read.

use std::io::{self, BufRead, Cursor, Read};

use super::lines::MAX_LINE;

/// How much is looked at, unless the first line is longer.
const ENOUGH: usize = 64 << 10;
/// How many lines are enough, so that whoever pipes a few lines at a time is not waited for.
const ENOUGH_LINES: usize = 1000;

/// The first bytes of a source.
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Whether there are no more.
    whole: bool,
}

impl Head {
    /// Reads the beginning of `source`; what gives all of its bytes again, and its error where it has one.
    ///
    /// # Errors
    /// Where there is an error and nothing before it.
    pub(super) fn of(mut source: Box<dyn BufRead>) -> io::Result<(Self, Box<dyn BufRead>)> {
        let (mut bytes, mut lines) = (Vec::new(), 0);
        let (whole, failure) = loop {
            if bytes.len() >= MAX_LINE || (lines > 0 && bytes.len() >= ENOUGH) || lines >= ENOUGH_LINES {
                break (false, None);
            }
            match source.fill_buf() {
                Ok([]) => break (true, None),
                Ok(more) => {
                    let more = more.get(..ENOUGH).unwrap_or(more);
                    bytes.extend_from_slice(more);
                    lines += more.iter().filter(|&&byte| byte == b'\n').count();
                    let taken = more.len();
                    source.consume(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if bytes.is_empty() => return Err(error),
                Err(error) => break (true, Some(error)),
            }
        };
        let again = Cursor::new(bytes.clone());
        let all: Box<dyn BufRead> = match failure {
            Some(_) => Box::new(again.chain(Failed(failure))),
            None => Box::new(again.chain(source)),
        };
        Ok((Self { bytes, whole }, all))
    }

    /// The bytes as they are.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The lines that are there whole, without a byte order mark; of one line that is not, what there is.
    pub(super) fn text(&self) -> &[u8] {
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes);
        match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(end) if !self.whole => bytes.get(..=end).unwrap_or(bytes),
            _ => bytes,
        }
    }
}

/// Says once what went wrong.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

impl BufRead for Failed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.take().map_or(Ok(&[]), Err)
    }

    fn consume(&mut self, _: usize) {}
}
