//! A folder of packed codes becomes a database that answers.

use crate::program::{Place, run};

/// A `.npy` file as NumPy writes it.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let padding = " ".repeat(63 - (10 + text.len()) % 64);
    let length = (text.len() + padding.len() + 1) as u16;
    [&b"\x93NUMPY\x01\x00"[..], &length.to_le_bytes(), text.as_bytes(), padding.as_bytes(), b"\n", data].concat()
}

pub fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("<f4", shape, &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
}

/// Four items and two users of two layers of eight bits.
fn folder() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("set")).unwrap();
    place.file("set/items_codes.npy", npy("|u1", "(4, 2)", &[0xff, 0xff, 0x0f, 0xff, 0x00, 0xff, 0xff, 0x00]));
    place.file("set/items_scalers.npy", floats("(4, 2)", &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 2.0]));
    place.file("set/layer_weights.npy", floats("(2,)", &[1.0, 0.5]));
    place.file("set/queries_codes.npy", npy("|u1", "(2, 2)", &[0xff, 0xff, 0x00, 0x00]));
    place.file("set/queries_scalers.npy", floats("(2, 2)", &[1.0, 1.0, 2.0, 1.0]));
    place
}

#[test]
fn rows_are_ids_and_scores_are_weighted() {
    let place = folder();
    let (db, set) = (place.db(), place.path("set"));
    let imported = run(["import-codes", &db, "--dir", &set, "--json"]).ok().json();
    assert_eq!((&imported["items"], &imported["users"], &imported["generation"]), (&4.into(), &2.into(), &1.into()));
    assert_eq!(imported["layer_bits"], serde_json::json!([8, 8]));
    // Layer 1 counts a quarter: 8 + 2, 0 + 2, -8 + 2, 4 - 4.
    let hits = run(["query", &db, "--user", "0", "--json"]).ok().json();
    let expected = serde_json::json!([
        {"id": 0, "score": 10.0}, {"id": 1, "score": 2.0}, {"id": 3, "score": 0.0}, {"id": 2, "score": -6.0}
    ]);
    assert_eq!(hits["hits"], expected);
    let hits = run(["query", &db, "--user", "1", "-k", "1", "--json"]).ok().json();
    assert_eq!(hits["hits"], serde_json::json!([{"id": 2, "score": 14.0}]));
    // Again, as the next generation, with names.
    place.file("set/items_ids.txt", "grinder\nkettle\nmug\ntea pot\n");
    run(["import-codes", &db, "--dir", &set]).fails(2, &["string id", "u64"]);
    let fresh = place.path("fresh");
    let text = run(["import-codes", &fresh, "--dir", &set]).ok().stdout;
    assert!(text.contains("4 items and 2 users of 16 bits in 2 layers"), "{text}");
    let hits = run(["similar", &fresh, "tea pot", "-k", "1", "--json"]).ok().json();
    assert_eq!(hits["hits"][0]["id"], "grinder");
}

#[test]
fn a_bad_folder_is_refused_by_name_and_makes_no_database() {
    let good = |name: &str| std::fs::read(folder().path(&format!("set/{name}"))).unwrap();
    let whole = good("items_codes.npy");
    for (name, content, parts) in [
        ("items_codes.npy", whole[..whole.len() - 1].to_vec(), ["items_codes.npy", "save it again"]),
        ("items_codes.npy", npy("|u1", "(4, 3)", &[0; 12]), ["rows of 3 bytes for 2 layers", "whole number of bytes"]),
        ("items_codes.npy", npy("|u1", "(8,)", &[0; 8]), ["shape [8]", "[rows, bytes]"]),
        ("items_codes.npy", npy("<f4", "(4, 2)", &[0; 32]), ["elements are float32", "uint8"]),
        ("items_scalers.npy", floats("(3, 2)", &[1.0; 6]), ["items_scalers.npy", "save [4, 2]"]),
        (
            "items_scalers.npy",
            floats("(4, 2)", &[1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]),
            ["row 1, layer 1", "scaler -1"],
        ),
        ("queries_scalers.npy", floats("(2, 2)", &[1.0, f32::NAN, 1.0, 1.0]), ["row 0, layer 1", "scaler NaN"]),
        ("layer_weights.npy", floats("(0,)", &[]), ["0 layer weights", "one layer or more"]),
        ("layer_weights.npy", floats("(2,)", &[1.0, 1e9]), ["layer 1 has weight", "finite"]),
        ("queries_codes.npy", npy("|u1", "(1, 4)", &[0; 4]), ["queries_codes.npy", "save [rows, 2]"]),
        ("items_ids.npy", npy("<u8", "(4,)", &[7; 32]), ["rows 0 and 1", "each id once"]),
        ("items_ids.txt", b"a\nb\nc\n".to_vec(), ["3 item ids for 4 rows", "one id a row"]),
    ] {
        let place = folder();
        place.file(&format!("set/{name}"), content);
        run(["import-codes", &place.db(), "--dir", &place.path("set")]).fails(2, &parts);
        assert!(!std::path::Path::new(&place.db()).exists(), "{name}");
    }
    let place = Place::new();
    run(["import-codes", &place.db(), "--dir", &place.path("absent")]).fails(2, &["layer_weights.npy", "cannot open"]);
}

#[test]
fn what_is_wrong_with_a_folder_is_told_with_its_place_and_makes_no_database() {
    let place = folder();
    let (db, set) = (place.db(), place.path("set"));
    let import = || run(["import-codes", &db, "--dir", &set]);
    place.file("set/items_ids.txt", "grinder\n\nmug\ntea pot\n");
    import().fails(2, &["items_ids.txt", "line 2", "0 bytes"]);
    place.file("set/items_ids.txt", b"grinder\nkettle\nm\xffg\ntea pot\n");
    import().fails(2, &["items_ids.txt", "line 3", "UTF-8"]);
    std::fs::remove_file(place.path("set/items_ids.txt")).unwrap();
    place.file("set/queries_scalers.npy", floats("(2, 2)", &[1.0, 1.0, f32::NAN, 1.0]));
    import().fails(2, &["set", "queries", "row 1, layer 0", "NaN"]);
    place.file("set/items_codes.npy", npy("|u1", "(0, 2)", &[]));
    place.file("set/items_scalers.npy", floats("(0, 2)", &[]));
    place.file("set/queries_scalers.npy", floats("(2, 2)", &[1.0; 4]));
    import().fails(2, &["set", "no items"]);
    assert!(!std::path::Path::new(&db).exists());
}
