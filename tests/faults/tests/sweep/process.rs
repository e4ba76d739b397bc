//! The program under test as a child: what it says, line by line, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A program that says nothing for so long hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_kithdb-scripted");

/// The library to preload lies beside this test, or a directory above.
pub fn shim() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let places = test.ancestors().skip(1).take(2).map(|directory| directory.join("libkithdb_faults.so"));
    let found: Vec<PathBuf> = places.filter(|path| path.is_file()).collect();
    // Cargo builds the first and may leave an older one in the second.
    found.into_iter().next().expect("cargo has built the library to preload")
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Well,
    Badly(String),
    Hung,
}

pub struct Talk {
    child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

impl Talk {
    pub fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Talk {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .envs(variables.iter().copied())
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Talk { child, lines, errors: Some(errors) }
    }

    /// The next line; `None` when there will be no more. `Err` when it hangs.
    pub fn next(&mut self) -> Result<Option<String>, ()> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(()),
        }
    }

    pub fn go_on(&mut self) {
        // Whoever has died does not go on.
        let _ = self.child.stdin.as_mut().unwrap().write_all(b"go\n");
    }

    /// Waits for the end, after which there are only the lines of the standard error stream.
    pub fn end(mut self, hung: bool) -> (End, String) {
        // What has closed its standard output may still hang.
        let mut patience = DEADLINE.as_millis() / 5;
        let end = loop {
            match self.child.try_wait().unwrap() {
                Some(status) if status.success() => break End::Well,
                Some(status) => break End::Badly(status.to_string()),
                None if hung || patience == 0 => {
                    self.kill();
                    break End::Hung;
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
            patience -= 1;
        };
        (end, self.errors.take().unwrap().join().unwrap())
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a base in a process of its own.
pub fn make(base: &str, database: &Path) {
    let mut talk = Talk::with(&["make", base, database.to_str().unwrap()], &[]);
    let line = talk.next().unwrap();
    assert_eq!(line.as_deref(), Some("MADE"), "{base}");
    if base == "killed" {
        return talk.kill();
    }
    assert_eq!(talk.end(false), (End::Well, String::new()), "{base}");
}

/// Looks into a database in a process of its own, without a fault: its facts, or why it does not open.
pub fn look(database: &Path) -> Result<Vec<String>, String> {
    let mut talk = Talk::with(&["look", database.to_str().unwrap()], &[]);
    let mut facts = Vec::new();
    let verdict = loop {
        match talk.next() {
            Ok(Some(line)) if line == "SOUND" => break Ok(()),
            Ok(Some(line)) if line.starts_with("REFUSED") => break Err(line),
            Ok(Some(line)) => facts.push(line),
            Ok(None) => break Err("it died".to_owned()),
            Err(()) => break Err("it hangs".to_owned()),
        }
    };
    let hung = verdict == Err("it hangs".to_owned());
    let (end, errors) = talk.end(hung);
    verdict?;
    if end == End::Well && errors.is_empty() { Ok(facts) } else { Err(format!("{end:?} {errors}")) }
}
