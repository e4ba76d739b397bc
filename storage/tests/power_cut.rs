//! Power cuts, simulated: an ext4 file system on a loop device is shut down in the middle of work without flushing its journal, mounted
//! again, and checked. Nothing acknowledged may be lost.
//!
//! With `KITHDB_DRILL_KEEP=DIR` a database that is refused is copied there. Needs root, loop devices and Linux; says so where it cannot run. Long, so not run by default:
//! `KITHDB_DRILL_ROUNDS=100 cargo test -p kithdb-storage --test power_cut -- --ignored --exact power_cuts_lose_nothing --nocapture`
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

mod drill;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use drill::{Random, Verdict, check_apart, rounds, seed, work};

#[test]
#[ignore = "the child of the drill"]
fn work_child() {
    drill::work_child();
}

#[test]
#[ignore = "the child of the drill"]
fn check_child() {
    drill::check_child();
}

fn run(program: &str, arguments: &[&Path]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// An ext4 file system in a file, unmounted when dropped.
struct Loop {
    image: PathBuf,
    mount: PathBuf,
}

impl Loop {
    fn make(dir: &Path) -> Option<Loop> {
        let (image, mount) = (dir.join("image"), dir.join("mount"));
        File::create(&image).and_then(|file| file.set_len(512 << 20)).unwrap();
        fs::create_dir(&mount).unwrap();
        let disk = Loop { image, mount };
        (run("mkfs.ext4", &[Path::new("-q"), &disk.image]) && disk.mount()).then_some(disk)
    }

    fn mount(&self) -> bool {
        run("mount", &[Path::new("-o"), Path::new("loop"), &self.image, &self.mount])
    }

    fn unmount(&self) -> bool {
        (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            run("umount", &[&self.mount])
        })
    }

    /// Cuts the power: from now on nothing reaches the image, and what the journal has not committed is gone.
    fn cut(&self) -> bool {
        /// `FS_IOC_SHUTDOWN`: `_IOR('X', 125, __u32)`.
        const SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
        /// `EXT4_GOING_FLAGS_NOLOGFLUSH`.
        const WITHOUT_LOG_FLUSH: u32 = 2;
        let directory = File::open(&self.mount).unwrap();
        // SAFETY: the operation reads one `u32` through the pointer, which is what `Setter` passes.
        unsafe {
            let order = rustix::ioctl::Setter::<SHUTDOWN, u32>::new(WITHOUT_LOG_FLUSH);
            rustix::ioctl::ioctl(&directory, order).is_ok()
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[test]
#[ignore = "long; needs root and loop devices"]
fn power_cuts_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::make(dir.path()) else {
        return eprintln!("power cut: SKIPPED, no ext4 can be mounted on a loop device here");
    };
    let mut random = Random(seed("power cut"));
    let rounds = rounds(10);
    let database = disk.mount.join("db");
    let (mut records, mut generation) = (0, 0);
    for round in 0..rounds {
        if round % 10 == 0 {
            let _ = fs::remove_dir_all(&database);
            (records, generation) = (0, 0);
        }
        let kind = ["append", "publish", "bulk"][(round % 3) as usize];
        let wait = Duration::from_millis(random.below(1500));
        let mut shut = false;
        let acknowledged = work(&database, kind, random.next(), |_| {
            thread::sleep(wait);
            shut = disk.cut();
        });
        assert!(shut, "the file system does not know the shutdown call");
        assert!(disk.unmount() && disk.mount(), "the file system did not come back");
        let story = format!("{kind} round {round}: {acknowledged:?}, {records} before");
        records = records.max(acknowledged.sequence);
        generation = generation.max(acknowledged.generation);
        match check_apart(&database, &story) {
            Verdict::Sound(last, current) => {
                assert!(last >= records, "{story}: the log ends with {last}");
                assert!(current >= generation, "{story}: generation {current} is current");
                (records, generation) = (last, current);
            }
            Verdict::Refused(error) => {
                if let Some(kept) = std::env::var_os("KITHDB_DRILL_KEEP") {
                    run("cp", &[Path::new("-a"), &database, Path::new(&kept)]);
                }
                panic!("{story}: {error}")
            }
        }
    }
    println!("{rounds} power cuts: 0 lost, 0 torn, 0 failed opens");
}
