//! What lies in a directory at one moment, for everything that copies a database or compares two.
#![allow(dead_code, clippy::unwrap_used, reason = "not everybody needs all of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything below a directory by its path there: a file's bytes, and `None` for a directory. `LOCK` is everybody's and is left out.
pub type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub fn read(root: &Path) -> Files {
    let (mut found, mut open) = (Files::new(), vec![root.to_path_buf()]);
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
                    found.insert(name, Some(bytes));
                }
            }
        }
    }
    found
}

/// Names of what differs.
pub fn changed(before: &Files, after: &Files) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let story = |name: &PathBuf| match (before.get(name), after.get(name)) {
        (Some(_), None) => format!("{} is gone", name.display()),
        (None, Some(_)) => format!("{} is new", name.display()),
        _ => format!("{} differs", name.display()),
    };
    names.filter(|name| before.get(*name) != after.get(*name)).map(story).collect()
}

/// Copies a directory.
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
