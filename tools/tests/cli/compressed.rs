//! `.gz` and `.zst` are read as they are, all of them.

use std::io::Write;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::program::{Place, run, run_with_stdin};

fn gz(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zst(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

/// `1 10 11\n2 10\n3 12 13 14\n` as `zstd -19 --check` writes it: made by another encoder than the one above.
const FRAME: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0xad, 0x00, 0x00, 0x82, 0x41, 0x04, 0x07, 0xd0, 0x3d, 0x84, 0xc1, 0x08, 0xc5,
    0x08, 0xe8, 0xe1, 0xd9, 0x21, 0x74, 0x86, 0x8f, 0xce, 0x01, 0x00, 0xbf, 0x23, 0xa1, 0xf0,
];

#[test]
fn every_member_and_every_frame_is_loaded() {
    let place = Place::new();
    let (one, two) = (b"1 10 11\n2 10\n".as_slice(), b"3 12 13 14\n".as_slice());
    let files = [
        ("a.txt.gz", [gz(one), gz(two)].concat()),
        ("a.txt.zst", [zst(one), zst(two)].concat()),
        // The name does not matter to what is inside.
        ("a.txt", zst(&[one, two].concat())),
    ];
    for (name, bytes) in files {
        let (db, file) = (place.path(&format!("{name}.kith")), place.file(name, &bytes));
        let loaded = run(["load", &db, &file, "--json"]).ok().json();
        assert_eq!(
            (&loaded["interactions"], &loaded["users"], &loaded["items"]),
            (&6.into(), &3.into(), &5.into()),
            "{name}"
        );
        let loaded = run_with_stdin(["load", &db, "-", "--format", "lightgcn", "--json"], &bytes).ok().json();
        assert_eq!(loaded["interactions"], 6, "{name}");
    }
}

#[test]
fn what_zstd_itself_wrote_is_loaded() {
    let place = Place::new();
    let loaded = run(["load", &place.path("db"), &place.file("a.txt.zst", FRAME), "--json"]).ok().json();
    assert_eq!(loaded["interactions"], 6);
}

#[test]
fn compression_cut_short_is_an_error_that_says_what_is_stored() {
    let place = Place::new();
    let text: String = (0..30_000).map(|n| format!("u{n} i{}\n", n * 7919 % 1000)).collect();
    for (name, whole) in [("a.txt.gz", gz(text.as_bytes())), ("a.txt.zst", zst(text.as_bytes()))] {
        let (db, file) = (place.path(&format!("{name}.kith")), place.file(name, &whole[..whole.len() - 3]));
        run(["load", &db, &file]).fails(2, &[name, "stopped after", "loading again is safe"]);
    }
}
