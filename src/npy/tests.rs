use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("array.npy");
    (dir, path)
}

/// A file as NumPy writes it, with this dictionary and data.
fn file(version: u8, dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    let text = format!("{dictionary}   \n");
    match version {
        1 => bytes.extend((text.len() as u16).to_le_bytes()),
        _ => bytes.extend((text.len() as u32).to_le_bytes()),
    }
    bytes.extend(text.bytes());
    bytes.extend(data);
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    let (_dir, path) = place();
    std::fs::write(&path, bytes).unwrap();
    NpyReader::open(&path).unwrap_err().to_string()
}

proptest! {
    #[test]
    fn arrays_come_back(extents in prop::collection::vec(0..6u64, 0..4), pieces in 1..7usize, seed: u64) {
        let (_dir, path) = place();
        let n = extents.iter().product::<u64>() as usize;
        let number = |k: usize| seed.wrapping_mul(2 * k as u64 + 1).rotate_left(17);
        for dtype in [Dtype::U8, Dtype::U64, Dtype::F32] {
            let integers: Vec<u64> = (0..n).map(number).collect();
            let floats: Vec<f32> = (0..n).map(|k| number(k) as i64 as f32 / 1e9).collect();
            let bytes: Vec<u8> = integers.iter().map(|&x| x as u8).collect();
            let mut writer = NpyWriter::create(&path, dtype, &extents).unwrap();
            for from in (0..n).step_by(pieces) {
                let range = from..(from + pieces).min(n);
                match dtype {
                    Dtype::U8 => writer.bytes(&bytes[range]).unwrap(),
                    Dtype::U64 => writer.integers(&integers[range]).unwrap(),
                    _ => writer.floats(&floats[range]).unwrap(),
                }
            }
            writer.finish().unwrap();
            let data = std::fs::read(&path).unwrap();
            prop_assert_eq!((data.len() - n * dtype.bytes()) % 64, 0, "data is aligned");

            let mut reader = NpyReader::open(&path).unwrap();
            prop_assert_eq!((reader.dtype(), reader.shape()), (dtype, extents.as_slice()));
            // From the start, some way, and again.
            for count in [n / 2, n] {
                reader.rewind().unwrap();
                match dtype {
                    Dtype::U8 => {
                        let mut out = vec![0; count];
                        reader.bytes(&mut out).unwrap();
                        prop_assert_eq!(out, &bytes[..count]);
                    }
                    Dtype::U64 => {
                        let mut out = vec![0; count];
                        reader.integers(&mut out).unwrap();
                        prop_assert_eq!(out, &integers[..count]);
                    }
                    _ => {
                        let mut out = vec![0.0; count];
                        reader.floats(&mut out).unwrap();
                        prop_assert_eq!(out, &floats[..count]);
                    }
                }
            }
        }
    }

    #[test]
    fn no_damage_is_a_panic(at in 0..200usize, bit in 0..8u32, cut in 0..200usize) {
        let dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }";
        let whole = file(1, dictionary, &[7; 48]);
        let (_dir, path) = place();
        let mut bad = whole.clone();
        bad[at % whole.len()] ^= 1 << bit;
        for bytes in [&bad[..], &whole[..cut % whole.len()]] {
            std::fs::write(&path, bytes).unwrap();
            // Whatever is still accepted holds exactly the elements its shape asks for.
            if let Ok(reader) = NpyReader::open(&path) {
                prop_assert_eq!(reader.shape().iter().product::<u64>() * reader.dtype().bytes() as u64, 48);
            }
        }
    }
}

#[test]
fn headers_of_other_writers_are_read() {
    let one: Vec<u8> = (0..6).flat_map(|k| (k as f64 / 2.0).to_le_bytes()).collect();
    for dictionary in [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }",
        "{\"shape\": (2,3), \"fortran_order\": False, \"descr\": \"<f8\"}",
        "{ 'fortran_order':False , 'descr':'<f8','shape': ( 2 , 3 ) }",
    ] {
        for version in [1, 2] {
            let (_dir, path) = place();
            std::fs::write(&path, file(version, dictionary, &one)).unwrap();
            let mut reader = NpyReader::open(&path).unwrap();
            let mut out = [0.0; 6];
            reader.floats(&mut out).unwrap();
            assert_eq!((reader.shape(), out), (&[2, 3][..], [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]));
        }
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_remedy() {
    let dictionary = |descr: &str, order: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
    };
    let good = file(1, &dictionary("'<f4'", "False", "(2, 2)"), &[0; 16]);
    for end in [0, 3, 7, 9, 20, good.len() - 17] {
        assert!(refusal(&good[..end]).contains("ends within its header"), "cut at {end}");
    }
    let with = |descr: &str, order: &str, shape: &str, bytes: usize| {
        refusal(&file(1, &dictionary(descr, order, shape), &vec![0; bytes]))
    };
    for (text, parts) in [
        (refusal(&good[..good.len() - 1]), ["bytes, but (2, 2) float32", "save it again"]),
        (refusal(&[&good[..], &[0]].concat()), ["bytes, but (2, 2) float32", "save it again"]),
        (refusal(b"PK\x03\x04 a zip archive, as .npz is"), ["no .npy file", "numpy.save"]),
        (refusal(&file(3, "{}", &[])), ["format 3.0", "1.0 or 2.0"]),
        (with("'<f2'", "False", "(2, 2)", 8), ["'<f2'", "astype('<f4')"].map(|t| t.trim_matches('\''))),
        (with("'>f4'", "False", "(2, 2)", 16), [">f4", "astype"]),
        (with("'<i8'", "False", "(2, 2)", 32), ["<i8", "astype('<u8')"]),
        (with("[('a', '<f4')]", "False", "(2,)", 8), ["several fields", "one array"]),
        (with("'<f4'", "True", "(2, 2)", 16), ["Fortran order", "ascontiguousarray"]),
        (with("'<f4'", "False", "(-2, 2)", 16), ["header", "numpy.save"]),
        (with("'<f4'", "False", "(4294967296, 4294967296)", 16), ["more than 2^64", "save it again"]),
        (with("'<f4'", "None", "(2, 2)", 16), ["header", "numpy.save"]),
        (refusal(&file(1, "{'descr': '<f4'}", &[])), ["header", "numpy.save"]),
        (refusal(&file(1, "['descr']", &[])), ["header", "numpy.save"]),
        (refusal(&file(2, &" ".repeat(1 << 17), &[])), ["header has", "numpy.save"]),
    ] {
        assert!(text.contains("array.npy") && parts.iter().all(|part| text.contains(part)), "{text} {parts:?}");
    }
}

#[test]
fn another_type_or_more_than_there_is_is_refused() {
    let (_dir, path) = place();
    let mut writer = NpyWriter::create(&path, Dtype::F32, &[3]).unwrap();
    assert!(writer.bytes(&[1]).unwrap_err().to_string().contains("float32"));
    writer.floats(&[1.0, 2.0]).unwrap();
    assert!(writer.finish().unwrap_err().to_string().contains("(3)"));
    let mut writer = NpyWriter::create(&path, Dtype::F32, &[3]).unwrap();
    writer.floats(&[1.0, 2.0, 3.0]).unwrap();
    writer.finish().unwrap();
    let mut reader = NpyReader::open(&path).unwrap();
    assert!(reader.bytes(&mut [0]).unwrap_err().to_string().contains("astype('uint8')"));
    assert!(reader.floats(&mut [0.0; 4]).unwrap_err().to_string().contains("3 elements are left"));
    reader.floats(&mut [0.0; 3]).unwrap();
    assert!(reader.floats(&mut [0.0; 1]).is_err());
}
