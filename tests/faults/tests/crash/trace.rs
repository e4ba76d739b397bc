//! What the shim has recorded of a program's work (its `trace.rs` has the layout), preceded by what the files were before.

use std::fs;
use std::path::Path;

/// A call, with where it worked; a path begins behind that of the directory.
#[derive(Debug, PartialEq)]
pub enum Event<'a> {
    Created {
        path: &'a str,
        inode: u64,
    },
    /// The directory that was recorded has an empty path.
    Made {
        path: &'a str,
        inode: u64,
    },
    Renamed {
        old: &'a str,
        new: &'a str,
    },
    Removed {
        path: &'a str,
    },
    Written {
        inode: u64,
        at: usize,
        data: &'a [u8],
    },
    Truncated {
        inode: u64,
        length: usize,
    },
    /// Whatever came before the event `begun` is durable: of one inode, or of all.
    Synced {
        inode: Option<u64>,
        begun: usize,
    },
    Said(&'a str),
    WrittenBack,
    /// All before it was there when the program started.
    Begun,
}

fn record(to: &mut Vec<u8>, kind: u8, a: u64, b: u64, bytes: &[u8]) {
    to.extend_from_slice(&(17 + bytes.len() as u32).to_le_bytes());
    to.push(kind);
    to.extend_from_slice(&a.to_le_bytes());
    to.extend_from_slice(&b.to_le_bytes());
    to.extend_from_slice(bytes);
}

/// Records that make a directory what it is, in place of those that once did, and say what was said by then.
pub fn of_directory(root: &Path, said: &str) -> Vec<u8> {
    use std::os::unix::fs::MetadataExt;
    let (mut trace, mut open) = (Vec::new(), vec![root.to_path_buf()]);
    record(&mut trace, 2, fs::metadata(root).unwrap().ino(), 0, &[]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            let name = &path.to_str().unwrap()[root.to_str().unwrap().len()..];
            if metadata.is_dir() {
                record(&mut trace, 2, metadata.ino(), 0, name.as_bytes());
                open.push(path);
            } else {
                record(&mut trace, 1, metadata.ino(), 0, name.as_bytes());
                record(&mut trace, 5, metadata.ino(), 0, &fs::read(&path).unwrap());
            }
        }
    }
    record(&mut trace, 8, 0, 0, said.as_bytes());
    record(&mut trace, 10, 0, 0, &[]);
    trace
}

/// Reads what [`of_directory`] and then the shim wrote.
pub fn parse(mut bytes: &[u8]) -> Vec<Event<'_>> {
    let (mut events, mut first) = (Vec::new(), 0);
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (whole, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        bytes = rest;
        let number = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap());
        let (inode, b, data) = (number(1), number(9) as usize, &whole[17..]);
        let text = || std::str::from_utf8(data).unwrap();
        events.push(match whole[0] {
            1 => Event::Created { path: text(), inode },
            2 => Event::Made { path: text(), inode },
            3 => {
                let (old, new) = text().split_once('\0').unwrap();
                Event::Renamed { old, new }
            }
            4 => Event::Removed { path: text() },
            5 => Event::Written { inode, at: b, data },
            6 => Event::Truncated { inode, length: b },
            7 => Event::Synced { inode: Some(inode).filter(|&inode| inode != 0), begun: first + b },
            8 => Event::Said(text()),
            9 => Event::WrittenBack,
            10 => {
                first = events.len() + 1;
                Event::Begun
            }
            other => panic!("no record has the kind {other}"),
        });
    }
    events
}
