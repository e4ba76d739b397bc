//! A database directory as a folder of gzip files, small enough to keep.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// What every opening makes for itself, beside the lock: room to give back.
const RESERVE: &str = "RESERVE";

/// Packs the database `from` into the folder `to`: `files.txt` lists directories and files, every file lies beside it as `PATH.gz`.
pub fn pack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut list = String::new();
    for (path, bytes) in crate::files::read(from).into_iter().filter(|(path, _)| path != Path::new(RESERVE)) {
        let name = path.to_str().unwrap();
        let Some(bytes) = bytes else {
            list += &format!("directory {name}\n");
            continue;
        };
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
