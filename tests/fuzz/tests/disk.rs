//! Values of the log and manifests with every checksum right and what is inside mutated, and the small files around them: opening a
//! database ends in a database or an error. The bytes are laid out after FORMAT.md, not by the code that reads them.

#[path = "../../../storage/tests/drill/files.rs"]
mod files;

use std::fs;
use std::path::{Path, PathBuf};

use files::copy;
use kithdb::{Db, Preset, TrainOptions};
use kithdb_fuzz::fuzz;

/// Seals a payload for a key of a tree.
fn seal(tree: &str, key: &[u8], kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut value = vec![0x56, 0x6b, 1, kind];
    value.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    value.extend_from_slice(&[0; 8]);
    value.extend_from_slice(payload);
    let covered = [tree.as_bytes(), key, &value[..8], &value[12..]].concat();
    value[8..12].copy_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
    value
}

const PIECE: usize = 6_128;

/// The live store of a database.
fn store(database: &Path) -> PathBuf {
    let current = fs::read_to_string(database.join("CURRENT")).unwrap();
    database.join(current.split(' ').next().unwrap())
}

fn with_engine<T>(database: &Path, work: impl FnOnce(&sled::Db) -> T) -> T {
    let engine = sled::Config::new().path(store(database)).flush_every_ms(None).open().unwrap();
    let outcome = work(&engine);
    engine.flush().unwrap();
    outcome
}

struct Base {
    directory: tempfile::TempDir,
    path: PathBuf,
}

/// A database with records of all kinds, and with a generation if asked for.
fn base(trained: bool) -> Base {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("base");
    let db = Db::open(&path).unwrap();
    db.insert_many(
        (0..12u64).flat_map(|user| (0..8u64).filter(move |item| user % 2 == item % 2).map(move |item| (user, item))),
    )
    .unwrap();
    db.retire_item(3u64).unwrap();
    let said = kithdb::Attributes::titled("Kettle").set("price", 49.5).set("new", true).set("tags", ["sale", "steel"]);
    db.set_item(5u64, said).unwrap();
    if trained {
        db.train(TrainOptions::new(Preset::Fast).bits(64).threads(1)).unwrap().wait().unwrap();
    }
    db.insert_interaction(kithdb::Interaction::new(1u64, 70u64).weight(2.5).time(-1)).unwrap();
    db.remove(1u64, 1u64).unwrap();
    db.set_item(5u64, kithdb::Attributes::new().set("new", false).unset("tags")).unwrap();
    db.forget_user(2u64).unwrap();
    Base { directory, path }
}

/// Opens a database and uses it: any error will do, but no panic, and what opens is read to its end.
fn opened(path: &Path) -> &'static str {
    let Ok(db) = Db::open(path) else { return "refused" };
    for user in db.users() {
        for edge in db.history(&user).unwrap() {
            assert!(edge.weight.is_finite() && edge.weight > 0.0, "{edge:?}");
        }
        let _ = db.nearest(&user, 3);
    }
    let _ = db.verify();
    match db.insert(1u64, 5u64) {
        Ok(()) => "opened",
        Err(_) => "opened, without a write",
    }
}

#[test]
fn log_records() {
    let base = base(false);
    let payloads = with_engine(&base.path, |engine| {
        let log = engine.open_tree("log").unwrap();
        let values: Vec<_> = log.iter().map(|entry| entry.unwrap()).collect();
        values.iter().map(|(key, value)| [key.to_vec(), value[16..].to_vec()].concat()).collect::<Vec<_>>()
    });
    assert!(payloads.len() > 3, "each append is a value");
    // An input is the key of the value it replaces, then the payload.
    fuzz(
        "log",
        payloads,
        &[
            b"\x01\x00",
            b"\x01\x01\x02",
            b"\x02",
            b"\xc2",
            b"\x03",
            b"\x04",
            b"\x05",
            b"\x07\x01",
            b"\x05price\x03",
            b"\xff\xff\xff\xff",
        ],
        300,
        move |bytes| {
            let path = base.directory.path().join("tried");
            let _ = fs::remove_dir_all(&path);
            copy(&base.path, &path);
            let (key, payload) = bytes.split_at(bytes.len().min(8));
            let payload = &payload[..payload.len().min(PIECE)];
            with_engine(&path, |engine| {
                engine.open_tree("log").unwrap().insert(key, seal("log", key, 1, payload)).unwrap();
            });
            opened(&path)
        },
    );
}

#[test]
fn manifests() {
    let base = base(true);
    let (generation, manifest) = with_engine(&base.path, |engine| {
        let meta = engine.open_tree("meta").unwrap();
        let pieces: Vec<_> = meta.range(vec![1u8]..vec![2u8]).map(|entry| entry.unwrap()).collect();
        let generation: [u8; 8] = pieces[0].0[1..9].try_into().unwrap();
        (generation, pieces.iter().flat_map(|(_, value)| value[16..].to_vec()).collect::<Vec<u8>>())
    });
    assert!(manifest.len() > 500, "the manifest is in pieces under its tag");
    fuzz(
        "manifest",
        vec![manifest],
        &[
            b"users.ids",
            b"gen-1",
            b"gen-2",
            b"../gen-1",
            b"u64",
            b"f32",
            b"",
            b"state-1.bin",
            b"/etc/passwd",
            b"\xff\xfe",
        ],
        300,
        move |bytes| {
            let path = base.directory.path().join("tried");
            let _ = fs::remove_dir_all(&path);
            copy(&base.path, &path);
            with_engine(&path, |engine| {
                let meta = engine.open_tree("meta").unwrap();
                let key =
                    |tag: u8, generation: [u8; 8], piece: u32| [&[tag][..], &generation, &piece.to_be_bytes()].concat();
                let pieces: Vec<&[u8]> = bytes.chunks(PIECE).collect();
                for (piece, payload) in (0..).zip(&pieces) {
                    let key = key(1, generation, piece);
                    meta.insert(&key, seal("meta", &key, 2, payload)).unwrap();
                }
                let mut pointer = u64::from_be_bytes(generation).to_le_bytes().to_vec();
                pointer.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
                pointer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                pointer.extend_from_slice(&xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes());
                let key = key(0, [0; 8], 0);
                meta.insert(&key, seal("meta", &key, 3, &pointer)).unwrap();
            });
            opened(&path)
        },
    );
}

#[test]
fn small_files() {
    const FILES: [&str; 4] = ["FORMAT", "CURRENT", "ACKED", "state-1.bin"];
    let base = base(true);
    let read = |(name, n): (&&str, u8)| [vec![n], fs::read(base.path.join(name)).unwrap()].concat();
    let seeds = FILES.iter().zip(0u8..).map(read).collect();
    // The first byte of an input says which of the files it is.
    fuzz(
        "small-files",
        seeds,
        &[b"kithdb 1", b"kithdb 4", b"store-1", b"store-2", b"kithack1", b"kithstat", b"\n"],
        300,
        move |bytes| {
            let Some((&which, bytes)) = bytes.split_first() else { return "refused" };
            let path = base.directory.path().join("tried");
            let _ = fs::remove_dir_all(&path);
            copy(&base.path, &path);
            fs::write(path.join(FILES[which as usize % FILES.len()]), bytes).unwrap();
            opened(&path)
        },
    );
}
