//! `.npy` files: a header is refused or tells the truth about the bytes that follow it, and what reads arrays ends.

use std::path::Path;

use kithdb::npy::{Dtype, NpyReader};
use kithdb::{CodeSet, Db, Embeddings, EncodeOptions, Metric, RowIds, Vectors};
use kithdb_fuzz::{corpus, fuzz};

const TOKENS: &[&[u8]] = &[
    b"'descr'",
    b"'fortran_order'",
    b"'shape'",
    b"True",
    b"False",
    b"(",
    b")",
    b",",
    b"'<f4'",
    b"'>f4'",
    b"'|u1'",
    b"'<u8'",
    b"'<f8'",
    b"'<i4'",
    b"0",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-1",
    b"()",
    b"(0, 4294967296, 4294967296)",
    b"\x93NUMPY",
    b"\x01\x00",
    b"\x02\x00",
    b"\x03\x00",
    b"\n",
    b" ",
    b"nan",
    b"\0\0\xc0\x7f",
];

/// Values that an array is imported at, at most: importing is not what is tried here.
const SMALL: u64 = 4_096;

fn read(path: &Path, length: u64) -> Option<u64> {
    let mut reader = NpyReader::open(path).ok()?;
    let elements = reader
        .shape()
        .iter()
        .try_fold(1u64, |product, &extent| product.checked_mul(extent))
        .expect("a shape that fits");
    let width = reader.dtype().bytes() as u64;
    assert!(elements.saturating_mul(width) <= length, "{elements} elements in {length} bytes");
    for _ in 0..2 {
        let mut left = elements;
        let (mut floats, mut integers, mut bytes) = ([0.0; 100], [0; 100], [0; 100]);
        while left > 0 {
            let piece = left.min(100) as usize;
            let outcome = match reader.dtype() {
                Dtype::U8 => reader.bytes(&mut bytes[..piece]),
                Dtype::U64 => reader.integers(&mut integers[..piece]),
                Dtype::F32 | Dtype::F64 => reader.floats(&mut floats[..piece]),
            };
            outcome.expect("what the header promises is there");
            left -= piece as u64;
        }
        reader.rewind().unwrap();
    }
    Some(elements)
}

#[test]
fn arrays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("array.npy");
    let db = Db::open(directory.path().join("db")).unwrap();
    fuzz("npy", corpus("npy"), TOKENS, 3_000, move |bytes| {
        let _keep = &directory;
        std::fs::write(&path, bytes).unwrap();
        let Some(elements) = read(&path, bytes.len() as u64) else { return "refused" };
        let Ok(items) = Vectors::open(&path) else { return "no vectors" };
        if elements > SMALL {
            return "large";
        }
        let embeddings = Embeddings { items, item_ids: RowIds::RowNumbers, users: None, user_ids: RowIds::RowNumbers };
        match db.import_embeddings(embeddings, &EncodeOptions::new(Metric::Dot).bits(64)) {
            Ok(_) => "imported",
            Err(_) => "not imported",
        }
    });
}

#[test]
fn folders_of_codes() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_path_buf();
    // A file a corpus entry, told apart by its first byte: which of the folder's files is the mutated one.
    const FILES: [&str; 4] = ["items_codes.npy", "items_scalers.npy", "layer_weights.npy", "items_ids.txt"];
    let whole: Vec<Vec<u8>> = FILES
        .iter()
        .map(|name| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/folder").join(name)).unwrap())
        .collect();
    for (name, bytes) in FILES.iter().zip(&whole) {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    assert!(
        CodeSet::read_folder(&folder).is_ok(),
        "the corpus is a folder of codes: {:?}",
        CodeSet::read_folder(&folder).err()
    );
    let seeds = whole.iter().zip(0..).map(|(bytes, n)| [vec![n], bytes.clone()].concat()).collect();
    fuzz("folder", seeds, TOKENS, 3_000, move |bytes| {
        let _keep = &directory;
        let Some((&which, bytes)) = bytes.split_first() else { return "refused" };
        let which = which as usize % FILES.len();
        std::fs::write(folder.join(FILES[which]), bytes).unwrap();
        let outcome = CodeSet::read_folder(&folder).is_ok();
        std::fs::write(folder.join(FILES[which]), &whole[which]).unwrap();
        if outcome { "read" } else { "refused" }
    });
}
