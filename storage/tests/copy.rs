//! Where a copy may be made.
#![allow(clippy::unwrap_used)]

mod drill;

use std::fs;

use drill::{append_next, check, open, publish_next};
use kithdb_storage::Error;

#[test]
fn a_copy_is_not_made_inside_what_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = open(&path).unwrap();
    append_next(&store, 10).unwrap();
    let before = drill::files::read(dir.path());
    fs::create_dir(dir.path().join("other")).unwrap();
    for inside in ["db/inside", "db/deep/down", "other/../db/inside", "db"] {
        let error = store.copy_to(&dir.path().join(inside)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{inside}: {error}");
    }
    fs::remove_dir(dir.path().join("other")).unwrap();
    assert_eq!(drill::files::changed(&before, &drill::files::read(dir.path())), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_to_an_empty_directory_and_nowhere_else() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let store = open(&path("db")).unwrap();
    append_next(&store, 10).unwrap();
    publish_next(&store, false).unwrap();
    fs::create_dir_all(path("elsewhere/empty")).unwrap();
    symlink(path("elsewhere/empty"), path("link")).unwrap();
    symlink(path("nowhere"), path("loose")).unwrap();
    symlink(path("db"), path("back")).unwrap();
    store.copy_to(&path("link")).unwrap();
    assert!(path("link").is_symlink() && path("elsewhere/empty/FORMAT").exists());
    assert_eq!(check(&path("elsewhere/empty")).unwrap(), (10, 1));
    for name in ["loose", "back/inside", "link"] {
        let error = store.copy_to(&path(name)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{name}: {error}");
    }
    assert!(!path("nowhere").exists());
}
