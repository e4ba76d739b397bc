//! A generation is a base and patches of rows, read as one: what is written follows what is touched, and how it lies on the disk shows in nothing
//! else.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use drill::Random;
use drill::files::read;
use kithdb_storage::{Draft, Error, Manifest, Merging, Store, StoreOptions};

const WIDTH: usize = 12;

/// Tables as a training leaves them: codes of all rows, lists of some, an order that follows, and state.
#[derive(Clone)]
struct Tables {
    codes: Vec<[u64; WIDTH]>,
    lists: Vec<Vec<u32>>,
    small: Vec<f32>,
    table: Vec<[f32; WIDTH]>,
}

impl Tables {
    fn new(rows: u64) -> Tables {
        let row = |n: u64| std::array::from_fn(|at| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at as u32));
        Tables {
            codes: (0..rows).map(row).collect(),
            lists: (0..rows as u32).map(|n| (0..n % 37).collect()).collect(),
            small: vec![0.5; 3],
            table: (0..rows).map(|n| [n as f32; WIDTH]).collect(),
        }
    }

    /// Changes some rows and adds some; their bytes.
    fn touch(&mut self, random: &mut Random, rows: u64) -> u64 {
        let mut bytes = 0;
        for n in 0..rows {
            let row = if n % 10 == 9 { self.codes.len() } else { random.below(self.codes.len() as u64) as usize };
            if row == self.codes.len() {
                self.codes.push([0; WIDTH]);
                self.lists.push(Vec::new());
                self.table.push([0.0; WIDTH]);
            }
            self.codes[row] = std::array::from_fn(|_| random.next());
            self.lists[row] = (0..random.below(40) as u32).collect();
            self.table[row][3] += 1.5;
            bytes += (8 * WIDTH + 4 * self.lists[row].len() + 4 * WIDTH) as u64;
        }
        self.small[0] += 1.0;
        bytes
    }

    fn publish(&self, store: &Store, anew: bool) -> Arc<Manifest> {
        let mut writer = store.begin_generation().unwrap();
        if anew {
            writer.merge();
        }
        let rows = self.codes.len() as u64;
        writer.part("codes", &[rows, WIDTH as u64], self.codes.as_flattened()).unwrap();
        let lengths: Vec<u32> = self.lists.iter().map(|list| list.len() as u32).collect();
        writer.ragged("lists", &lengths, &self.lists.concat()).unwrap();
        writer.part("small", &[self.small.len() as u64], &self.small).unwrap();
        writer.derived("order", &[rows], &(0..rows as u32).rev().collect::<Vec<_>>()).unwrap();
        writer.state_part("table", &[rows, WIDTH as u64], self.table.as_flattened()).unwrap();
        writer.ragged_state("lists", &[1, lengths.iter().sum::<u32>().into()], &lengths, &self.lists.concat()).unwrap();
        let manifest = writer.publish(Draft::default()).unwrap();
        store.tidy().unwrap();
        manifest
    }

    fn check(&self, store: &Store, manifest: &Arc<Manifest>) {
        let reader = store.read_generation(Arc::clone(manifest));
        assert_eq!(reader.part::<u64>("codes").unwrap(), self.codes.as_flattened());
        let (lengths, lists) = reader.ragged::<u32>("lists").unwrap();
        assert_eq!(lengths, self.lists.iter().map(|list| list.len() as u32).collect::<Vec<_>>());
        assert_eq!(lists, self.lists.concat());
        assert_eq!(reader.part::<f32>("small").unwrap(), self.small);
        let state = store.read_state(manifest).unwrap().unwrap();
        assert_eq!(state.part::<f32>("table").unwrap().unwrap(), self.table.as_flattened());
        assert_eq!(state.part::<u32>("lists").unwrap().unwrap(), self.lists.concat());
        assert_eq!(state.shape("table").unwrap(), [self.table.len() as u64, WIDTH as u64]);
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &StoreOptions::default()).unwrap()
}

fn bytes_of(dir: &Path, names: &[String]) -> u64 {
    let of = |path: &Path| path.iter().next().unwrap().to_str().unwrap().to_owned();
    let files = read(dir);
    files
        .iter()
        .filter(|(path, _)| names.contains(&of(path)))
        .flat_map(|(_, bytes)| bytes)
        .map(|bytes| bytes.len() as u64)
        .sum()
}

#[test]
fn what_is_written_follows_what_was_touched() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut random = Random(7);
    let mut tables = Tables::new(60_000);
    let mut store = open(dir);
    let first = tables.publish(&store, false);
    assert!(first.part("order").is_some());
    tables.check(&store, &first);
    let base = read(dir).into_iter().filter(|(path, _)| path.components().any(|name| name.as_os_str() == "gen-1"));
    let base: Vec<_> = base.collect();
    for generation in 2..=5u64 {
        let touched = tables.touch(&mut random, 2_000);
        let manifest = tables.publish(&store, false);
        assert_eq!(manifest.generation, generation);
        let written = bytes_of(dir, &[format!("gen-{generation}"), format!("state-{generation}.bin")]);
        assert!(written <= 3 * touched + (1 << 20), "{written} bytes for {touched} touched");
        assert!(manifest.part("codes").unwrap().patched_bytes() > 0);
        assert!(manifest.part("order").is_none(), "what follows is left out beside a few rows");
        tables.check(&store, &manifest);
        if generation == 3 {
            store.close().unwrap();
            store = open(dir);
            tables.check(&store, &store.manifest().unwrap());
        }
        // However it lies on the disk, it is the same content.
        let other = tempfile::tempdir().unwrap();
        let whole = tables.publish(&open(other.path()), false);
        assert_eq!(whole.content_hash, manifest.content_hash);
        assert!(whole.parts.iter().all(|part| part.patched_bytes() == 0));
    }
    let after = read(dir);
    assert!(
        base.iter().all(|(path, bytes)| after.get(path) == Some(bytes)),
        "rows that were not touched keep their bytes"
    );
    assert!(store.verify().unwrap().is_sound());
    // Nothing touched: nothing is written, and merging what there is changes no content.
    let last = store.manifest().unwrap();
    let same = tables.publish(&store, false);
    assert!(!dir.join("gen-6").exists() && same.content_hash == last.content_hash);
    let merged = tables.publish(&store, true);
    assert_eq!(merged.content_hash, last.content_hash);
    assert!(merged.parts.iter().all(|part| part.written_by() == 7) && merged.part("order").is_some());
    tables.check(&store, &merged);
    // The one before is kept.
    tables.check(&store, &same);
    // What nobody holds and is not kept goes.
    drop((first, last, same));
    tables.touch(&mut random, 10);
    tables.publish(&store, false);
    assert!((1..7).all(|generation| !dir.join(format!("gen-{generation}")).exists()));
    assert!(store.verify().unwrap().warnings.is_empty());
}

#[test]
fn patches_that_have_outgrown_their_base_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut random = Random(11);
    let mut tables = Tables::new(60_000);
    let store = open(dir);
    let content = tables.publish(&store, false).bytes();
    let mut bases = 0;
    for _ in 0..30 {
        tables.touch(&mut random, 2_000);
        let manifest = tables.publish(&store, false);
        bases += u64::from(manifest.part("codes").unwrap().written_by() == manifest.generation);
        // Two generations are kept, which share what they can.
        let on_disk = store.disk_usage().unwrap().generations;
        assert!(on_disk < 4 * content, "{on_disk} bytes for {content}");
    }
    assert!((2..=12).contains(&bases), "{bases}");
    tables.check(&store, &store.manifest().unwrap());
    let state = store.manifest().unwrap().state_bytes();
    assert!(state < 2 * content, "{state}");
}

/// Every threshold merges by itself, where the others would not for long: what was written over the parts, over the state, and how often.
#[test]
fn when_patches_are_merged_is_adjustable() {
    let never = Merging { parts: f64::INFINITY, state: f64::INFINITY, patches: usize::MAX };
    for merging in
        [never, Merging { parts: 0.0, ..never }, Merging { state: 0.0, ..never }, Merging { patches: 3, ..never }]
    {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &StoreOptions { merging, ..StoreOptions::default() }).unwrap();
        let (mut random, mut tables) = (Random(11), Tables::new(60_000));
        let mut merges = [Vec::new(), Vec::new()];
        tables.publish(&store, false);
        for generation in 2..=9u64 {
            tables.touch(&mut random, 2_000);
            let manifest = tables.publish(&store, false);
            tables.check(&store, &manifest);
            let is_whole = [manifest.part("codes").unwrap().patched_bytes() == 0, manifest.state.len() == 1];
            merges.iter_mut().zip(is_whole).filter(|(_, whole)| *whole).for_each(|(merges, _)| merges.push(generation));
        }
        let all: Vec<u64> = (2..=9).collect();
        match merging {
            Merging { patches: 3, .. } => assert_eq!(merges, [[5, 9], [5, 9]], "{merging:?}"),
            // A base, which nothing was written over yet, and a patch, in turn.
            Merging { state: 0.0, .. } => assert_eq!(merges, [vec![], vec![3, 5, 7, 9]], "{merging:?}"),
            // State goes with the parts.
            Merging { parts: 0.0, .. } => {
                assert!(!merges[0].is_empty() && merges[0] != all && merges[0] == merges[1], "{merging:?}: {merges:?}");
            }
            _ => assert!(merges.iter().all(Vec::is_empty), "{merging:?}: {merges:?}"),
        }
    }
}

/// A patch is a part of the generation as its base is: damage is named. State costs a cold training.
#[test]
fn damage_of_a_patch_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut random = Random(3);
    let mut tables = Tables::new(60_000);
    let store = open(dir);
    tables.publish(&store, false);
    for _ in 0..2 {
        tables.touch(&mut random, 500);
        tables.publish(&store, false);
    }
    store.close().unwrap();
    for name in ["gen-2/db", "gen-1/db", "gen-3/places"] {
        let path = dir.join(name);
        let good = fs::read(&path).unwrap();
        let mut refused = 0;
        for at in (0..good.len()).step_by(good.len() / 24 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            match Store::open(dir, &StoreOptions::default()) {
                Ok(store) => tables.check(&store, &store.manifest().unwrap()),
                Err(Error::Corrupt { path, .. }) => {
                    assert!(path.to_str().unwrap().contains(name.split('/').next().unwrap()));
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused > 3, "{name}: {refused}");
        fs::write(&path, &good).unwrap();
    }
    fs::remove_file(dir.join("state-2.bin")).unwrap();
    let store = open(dir);
    let manifest = store.manifest().unwrap();
    assert!(store.read_state(&manifest).unwrap().is_none());
    assert!(!store.verify().unwrap().warnings.is_empty());
    // The next is whole.
    let whole = tables.publish(&store, false);
    tables.check(&store, &whole);
}

/// Where most rows have nothing, their lengths are most of what a part takes: a row more is a patch all the same, and no reason to merge.
#[test]
fn lengths_of_rows_without_anything_are_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = open(dir);
    let publish = |lengths: &[u32]| {
        let mut writer = store.begin_generation().unwrap();
        let data: Vec<u8> = (0..lengths.iter().sum::<u32>()).map(|n| n as u8).collect();
        writer.ragged("attributes", lengths, &data).unwrap();
        let manifest = writer.publish(Draft::default()).unwrap();
        store.tidy().unwrap();
        manifest
    };
    let mut lengths = vec![0u32; 4_000_000];
    (0..500).for_each(|at| lengths[at * 7_000] = 40);
    publish(&lengths);
    for generation in 2..=5u64 {
        lengths.push(3);
        let manifest = publish(&lengths);
        let part = manifest.part("attributes").unwrap();
        assert!(part.written_by() == 1 && part.patched_bytes() > 0, "{part:?}");
        let written = bytes_of(dir, &[format!("gen-{generation}")]);
        assert!(written <= 1 << 20, "{written} bytes for a row");
    }
    let (read, data) = store.read_generation(publish(&lengths)).ragged::<u8>("attributes").unwrap();
    assert_eq!((read, data.len()), (lengths, 500 * 40 + 4 * 3));
}
