//! A database directory as a folder of gzip files, small enough to keep.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// What every opening makes for itself: the lock, and room to give back.
const LEFT_OUT: [&str; 2] = ["LOCK", "RESERVE"];

/// Files and directories below `root`, relative to it and sorted; directories come before what is in them.
fn entries(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            found.push(entry.path().strip_prefix(root).unwrap().to_path_buf());
        }
    }
    found.sort_unstable();
    found
}

/// Packs the database `from` into the folder `to`: `files.txt` lists directories and files, every file lies beside it as `PATH.gz`.
pub fn pack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut list = String::new();
    for path in entries(from).into_iter().filter(|path| !LEFT_OUT.iter().any(|name| path == Path::new(name))) {
        let (source, name) = (from.join(&path), path.to_str().unwrap());
        if source.is_dir() {
            list += &format!("directory {name}\n");
            continue;
        }
        let bytes = fs::read(&source).unwrap();
        list += &format!("file {} {name}\n", bytes.len());
        let target = to.join(format!("{name}.gz"));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut encoder = GzEncoder::new(File::create(target).unwrap(), Compression::best());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap();
    }
    fs::write(to.join("files.txt"), list).unwrap();
}

/// Makes the database directory `to` from the folder `from`.
pub fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for line in fs::read_to_string(from.join("files.txt")).unwrap().lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["directory", name] => fs::create_dir_all(to.join(name)).unwrap(),
            ["file", length, name] => {
                let mut bytes = Vec::new();
                GzDecoder::new(File::open(from.join(format!("{name}.gz"))).unwrap()).read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len().to_string(), length, "{name}");
                fs::write(to.join(name), bytes).unwrap();
            }
            _ => panic!("a list of files says {line:?}"),
        }
    }
}
