//! A file system of a test's own, and what cannot be removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory, unmounted when dropped. `None` where nothing can be mounted.
pub struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    pub fn mount(megabytes: u64) -> Option<Tmpfs> {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), &format!("size={megabytes}m")).then(|| Tmpfs(dir))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Lets nothing be written any more.
    pub fn seal(&self) {
        assert!(mount(self.path(), "remount,ro"));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

fn mount(path: &Path, options: &str) -> bool {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "kithdb-drill"]).arg(path).output();
    mounted.is_ok_and(|output| output.status.success())
}

/// A directory that cannot be removed, until it is dropped. `None` where there is no such thing.
pub struct Stuck(PathBuf);

impl Stuck {
    pub fn at(path: PathBuf) -> Option<Stuck> {
        fs::create_dir(&path).unwrap();
        fs::write(path.join("db"), "x").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        // Those who may do everything cannot remove what is mounted.
        let stuck = Stuck(path);
        (fs::remove_file(stuck.0.join("db")).is_err() || mount(&stuck.0, "size=1m")).then_some(stuck)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
        let _ = Command::new("chmod").arg("u+w").arg(&self.0).output();
    }
}
