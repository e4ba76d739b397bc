//! Float vectors are imported, asked by, and exported as codes.

use crate::import_codes::floats;
use crate::program::{Place, run, trained};

/// Thirty items around three directions, and one user along each.
fn vectors() -> Place {
    let place = Place::new();
    let centre = |group: usize, at: usize| if at % 3 == group { 1.0 } else { 0.0 };
    let noise = |row: usize, at: usize| ((row * 131 + at * 37) % 17) as f32 / 60.0;
    let items: Vec<f32> = (0..30).flat_map(|row| (0..12).map(move |at| centre(row % 3, at) + noise(row, at))).collect();
    let users: Vec<f32> = (0..3).flat_map(|user| (0..12).map(move |at| centre(user, at))).collect();
    place.file("items.npy", floats("(30, 12)", &items));
    place.file("users.npy", floats("(3, 12)", &users));
    place
}

#[test]
fn vectors_are_imported_and_asked_by() {
    let place = vectors();
    let (db, items, users) = (place.db(), place.path("items.npy"), place.path("users.npy"));
    let args = ["import-embeddings", &db, "--items", &items, "--users", &users, "--bits", "128", "--json"];
    let imported = run(args).ok().json();
    assert_eq!((&imported["items"], &imported["users"]), (&30.into(), &3.into()));
    assert_eq!(imported["layer_bits"], serde_json::json!([64, 64]));
    let answers = run(["query", &db, "--vector", &users, "-k", "10", "--json"]).ok().json();
    for (user, answer) in answers["answers"].as_array().unwrap().iter().enumerate() {
        let hits = answer["hits"].as_array().unwrap();
        assert!(hits.len() == 10 && hits.iter().all(|hit| hit["id"].as_u64().unwrap() % 3 == user as u64), "{hits:?}");
        let same = run(["query", &db, "--user", &user.to_string(), "-k", "10", "--json"]).ok().json();
        assert_eq!(same["hits"], answer["hits"]);
    }
    let text = run(["query", &db, "--vector", &users, "-k", "2", "--query-bits", "1"]).ok().stdout;
    assert_eq!(text.matches("generation 1").count(), 3, "{text}");
    let text = run(["import-embeddings", &db, "--items", &items, "--metric", "cosine"]).ok().stdout;
    assert!(text.contains("generation 2") && text.contains("30 items and 0 users of 64 bits in 1 layers"), "{text}");
}

#[test]
fn vectors_that_do_not_fit_are_refused_by_name() {
    let place = vectors();
    let (db, items) = (place.db(), place.path("items.npy"));
    let flat = place.file("flat.npy", floats("(4,)", &[0.0; 4]));
    run(["import-embeddings", &db, "--items", &flat]).fails(2, &["flat.npy", "[rows, dims]"]);
    let broken = place.file("broken.npy", floats("(2, 2)", &[0.0, 1.0, f32::NAN, 1.0]));
    run(["import-embeddings", &db, "--items", &broken]).fails(2, &["row 1 of", "broken.npy"]);
    run(["import-embeddings", &db, "--items", &items, "--users", &broken]).fails(2, &["users of 1 x 2 values"]);
    let huge = place.file("huge.npy", floats("(1, 12)", &[3e38; 12]));
    run(["import-embeddings", &db, "--items", &items, "--users", &huge]).fails(2, &["row 0 of", "huge.npy", "3e38"]);
    let none = place.file("none.npy", floats("(0, 12)", &[]));
    run(["import-embeddings", &db, "--items", &none]).fails(2, &["no items"]);
    run(["import-embeddings", &db, "--items", &items, "--bits", "100"]).fails(2, &["100 bits", "multiple of 64"]);
    assert!(!std::path::Path::new(&db).exists(), "vectors are checked before the database is made");
    run(["import-embeddings", &db, "--items", &items]).ok();
    run(["query", &db, "--vector", &broken]).fails(2, &["row 1 of", "broken.npy"]);
    let short = place.file("short.npy", floats("(1, 2)", &[0.0, 1.0]));
    run(["query", &db, "--vector", &short]).fails(2, &["a vector of 2 values", "pass 12 values"]);
}

#[test]
fn a_folder_is_exported_and_imported_again() {
    let place = trained();
    let (db, folder, copy) = (place.db(), place.path("folder"), place.path("copy.kith"));
    run(["export", &db, &folder]).ok();
    let exported = run(["export", &db, &folder, "--npy", "--json"]).ok().json();
    assert_eq!((&exported["users"], &exported["full_precision"]), (&400.into(), &true.into()));
    run(["import-codes", &copy, "--dir", &folder]).ok();
    run(["load", &copy, &place.path("history.csv")]).ok();
    let history = std::fs::read_to_string(place.path("history.csv")).unwrap();
    let user = history.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    let ask = |db: &str| run(["query", db, "--user", &user, "--json"]).ok().json()["hits"].clone();
    assert_eq!(ask(&copy), ask(&db));
    let text = run(["export", &copy, &place.path("again"), "--npy"]).ok().stdout;
    assert!(text.contains("read back from the codes"), "{text}");
}

#[test]
fn a_vector_that_cannot_be_asked_by_is_named_by_its_row() {
    let place = vectors();
    let (db, items) = (place.db(), place.path("items.npy"));
    run(["import-embeddings", &db, "--items", &items]).ok();
    let rows = [[1.0; 12], [0.0; 12], [0.5; 12]];
    let asked = place.file("asked.npy", floats("(3, 12)", rows.as_flattened()));
    run(["query", &db, "--vector", &asked]).fails(2, &["row 1 of", "asked.npy", "zeros"]);
}
