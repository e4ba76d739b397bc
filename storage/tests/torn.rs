//! Pages that an append of a large group wrote are lost, while all the others reached the disk: what was acknowledged before is there, though `ACKED`
//! does not know of all of it yet, and nothing is made up. One page at a time, and runs of pages.
//!
//! Thirty of each; `KITHDB_DRILL_ROUNDS=2000` loses every page.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;
use std::path::{Path, PathBuf};

use drill::files::copy;
use drill::{Random, append_next, open, rounds, seed};

const PAGE: usize = 4096;

/// The data file of the one store in a database.
fn data(database: &Path) -> PathBuf {
    let stores = fs::read_dir(database).unwrap().map(|entry| entry.unwrap().path());
    let mut stores = stores.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("store-"));
    let store = stores.next().unwrap();
    assert!(stores.next().is_none(), "one store");
    store.join("db")
}

/// A database before and after a group that nobody acknowledged.
struct Group {
    dir: tempfile::TempDir,
    /// The last record that was acknowledged.
    last: u64,
    old: Vec<u8>,
    new: Vec<u8>,
    /// Where the pages begin in which the two differ.
    pages: Vec<usize>,
}

fn page(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut page: Vec<u8> = bytes.get(at..).unwrap_or_default().iter().copied().take(PAGE).collect();
    page.resize(PAGE, 0);
    page
}

impl Group {
    fn make() -> Group {
        let dir = tempfile::tempdir().unwrap();
        let [live, before] = ["live", "before"].map(|name| dir.path().join(name));
        let store = open(&live).unwrap();
        append_next(&store, 2_000).unwrap();
        let acked = fs::read(live.join("ACKED")).unwrap();
        for group in [40, 9_000, 1] {
            append_next(&store, group).unwrap();
        }
        let last = store.last_sequence();
        copy(&live, &before);
        fs::write(before.join("ACKED"), acked).unwrap();
        append_next(&store, 40_000).unwrap();
        let (old, new) = (fs::read(data(&before)).unwrap(), fs::read(data(&live)).unwrap());
        store.close().unwrap();
        let pages = (0..new.len()).step_by(PAGE).filter(|&at| page(&old, at) != page(&new, at)).collect();
        Group { dir, last, old, new, pages }
    }

    /// Opens what is left when these pages were not written.
    fn lose(&self, lost: &[usize]) {
        let mut bytes = self.new.clone();
        for &at in lost {
            let end = bytes.len().min(at + PAGE);
            bytes[at..end].copy_from_slice(&page(&self.old, at)[..end - at]);
        }
        let image = self.dir.path().join("image");
        copy(&self.dir.path().join("before"), &image);
        let lost = format!("{} pages from {} of {}", lost.len(), lost[0], self.new.len());
        fs::write(data(&image), bytes).unwrap();
        let store = open(&image).unwrap_or_else(|error| panic!("without {lost}: {error}"));
        assert!(store.last_sequence() >= self.last, "without {lost}");
        assert!(store.verify().unwrap().damage.is_empty(), "without {lost}");
        let mut next = 1;
        let mut visit = |sequence, record| {
            assert_eq!((sequence, record), (next, drill::record(next)), "without {lost}");
            next += 1;
        };
        store.replay(0, &mut visit).unwrap();
        assert_eq!(next, store.last_sequence() + 1);
        drop(store);
        fs::remove_dir_all(&image).unwrap();
    }
}

#[test]
fn pages_that_a_power_cut_took_cost_nothing_that_was_acknowledged() {
    let group = Group::make();
    let rounds = rounds(30).min(group.pages.len() as u64) as usize;
    let mut random = Random(seed("torn"));
    for round in 0..rounds {
        group.lose(&[group.pages[round * group.pages.len() / rounds]]);
        let start = random.below(group.pages.len() as u64) as usize;
        let run = 1 + random.below(200) as usize;
        group.lose(&group.pages[start..group.pages.len().min(start + run)]);
    }
    println!("{rounds} pages, and runs of pages, of {}: 0 lost, 0 refused", group.pages.len());
}
