//! Running the program, and databases to run it on.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use kithdb_tools::shop::Shop;
use serde_json::Value;
use tempfile::TempDir;

use crate::files;

/// How a run ended.
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts an exit status and that stderr has every one of these texts.
    #[track_caller]
    pub fn fails(self, status: i32, texts: &[&str]) -> Self {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in {:?}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {:?}", self.stdout));
        assert!(
            value.is_object() && self.stdout.ends_with('\n') && self.stdout.lines().count() == 1,
            "{}",
            self.stdout
        );
        value
    }
}

/// The program, ready to run.
pub fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kithdb"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program.
pub fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    ended(command(args).spawn().unwrap())
}

/// Runs the program with bytes on its stdin.
pub fn run_with_stdin<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, stdin: &[u8]) -> Run {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    ended(child)
}

fn ended(child: std::process::Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        status: output.status.code().unwrap_or_else(|| panic!("killed: {}", output.status)),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A directory of a test's own.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path inside, as text for arguments.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file; its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Where the database of [`trained`] is.
    pub fn db(&self) -> String {
        self.path("shop.kith")
    }
}

/// A place with a small shop: `shop.kith` loaded and trained, `history.csv`, `held-out.csv`. Made once, copied for every test.
pub fn trained() -> Place {
    static MADE: OnceLock<Place> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let (place, shop) = (Place::new(), Shop::new(400, 3));
        shop.write_csv(&shop.history, Path::new(&place.path("history.csv"))).unwrap();
        shop.write_csv(&shop.held_out, Path::new(&place.path("held-out.csv"))).unwrap();
        run(["load", &place.db(), &place.path("history.csv")]).ok();
        run(["train", &place.db(), "--preset", "fast"]).ok();
        place
    });
    let place = Place::new();
    files::copy(made.0.path(), place.0.path());
    place
}
