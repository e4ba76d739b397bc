//! Files of a database, as they are at one moment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

/// Every file below a directory but `LOCK`, with its length and hash; directories have neither.
pub type Snapshot = BTreeMap<PathBuf, Option<(u64, u128)>>;

pub fn snapshot(root: &Path) -> Snapshot {
    let (mut found, mut open) = (Snapshot::new(), vec![root.to_path_buf()]);
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for path in entries.map_while(Result::ok).map(|entry| entry.path()) {
            let name = path.strip_prefix(root).unwrap().to_path_buf();
            if path.is_dir() {
                found.insert(name, None);
                open.push(path);
            } else if name != Path::new("LOCK") {
                // What an engine thread of a handle just closed removes in this moment is not there.
                if let Ok(bytes) = fs::read(&path) {
                    found.insert(name, Some((bytes.len() as u64, xxh3_128(&bytes))));
                }
            }
        }
    }
    found
}

/// Names of what differs between two snapshots.
pub fn changed(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let story = |name: &PathBuf| match (before.get(name), after.get(name)) {
        (Some(_), None) => format!("{} is gone", name.display()),
        (None, Some(_)) => format!("{} is new", name.display()),
        _ => format!("{} differs", name.display()),
    };
    names.filter(|name| before.get(*name) != after.get(*name)).map(story).collect()
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
