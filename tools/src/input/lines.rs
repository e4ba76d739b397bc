//! Lines of a stream, numbered, of bounded length.

use std::io::{self, BufRead, Read};

/// The longest line that is kept, in bytes; a LightGCN line of two million items fits.
pub(super) const MAX_LINE: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one line after another. Line ends (`\n`, `\r\n`) stay on; a byte order mark is taken off the first line.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    number: u64,
    limit: usize,
}

/// What [`Lines::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A line, with its number from 1.
    Line(u64),
    /// A line longer than the limit: the buffer holds its beginning, the rest was passed over.
    TooLong(u64),
    /// Nothing is left.
    End,
}

impl Lines {
    pub(super) fn new(source: Box<dyn BufRead>) -> Self {
        Self { source, number: 0, limit: MAX_LINE }
    }

    #[cfg(test)]
    fn with_limit(source: &'static [u8], limit: usize) -> Self {
        Self { limit, ..Self::new(Box::new(source)) }
    }

    /// Reads the next line into `line`, replacing what was there. Memory is bounded by the limit, whatever the stream holds.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> io::Result<Found> {
        line.clear();
        self.source.by_ref().take(self.limit as u64).read_until(b'\n', line)?;
        if line.is_empty() {
            return Ok(Found::End);
        }
        self.number += 1;
        if self.number == 1 {
            if line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff") {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "is UTF-16; convert it to UTF-8"));
            }
            if line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
        }
        if line.len() < self.limit || line.ends_with(b"\n") || self.source.fill_buf()?.is_empty() {
            return Ok(Found::Line(self.number));
        }
        self.source.skip_until(b'\n')?;
        Ok(Found::TooLong(self.number))
    }
}

/// A line without its end, which a conversion too many may have made `\r\r\n`.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let mut line = line.strip_suffix(b"\n").unwrap_or(line);
    while let Some(shorter) = line.strip_suffix(b"\r") {
        line = shorter;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut lines: Lines) -> Vec<(Found, Vec<u8>)> {
        let (mut out, mut line) = (Vec::new(), Vec::new());
        loop {
            match lines.read(&mut line).unwrap() {
                Found::End => return out,
                read => out.push((read, line.clone())),
            }
        }
    }

    #[test]
    fn lines_are_numbered_and_a_last_one_needs_no_end() {
        let lines = all(Lines::new(Box::new(&b"\xef\xbb\xbfa b\r\n\nlast"[..])));
        let expected: [(u64, &[u8]); 3] = [(1, b"a b\r\n"), (2, b"\n"), (3, b"last")];
        assert_eq!(lines, expected.map(|(number, line)| (Found::Line(number), line.to_vec())));
        assert_eq!(without_end(b"a b\r\n"), b"a b");
        assert_eq!((without_end(b"a\r"), without_end(b"a\r\r\n")), (&b"a"[..], &b"a"[..]));
    }

    #[test]
    fn a_line_over_the_limit_is_passed_over_and_reading_goes_on() {
        let lines = all(Lines::with_limit(b"abcd\nabcdefghijkl\nabcde", 5));
        assert_eq!(lines[0], (Found::Line(1), b"abcd\n".to_vec()));
        assert_eq!(lines[1], (Found::TooLong(2), b"abcde".to_vec()));
        assert_eq!(lines[2], (Found::Line(3), b"abcde".to_vec()));
    }

    #[test]
    fn utf_16_is_named() {
        let error = Lines::new(Box::new(&b"\xff\xfeu\0s\0"[..])).read(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("UTF-16"));
    }
}
