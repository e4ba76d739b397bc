//! The server under load, for a moment.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

#[test]
fn no_request_fails() {
    let run = Command::new(env!("CARGO_BIN_EXE_load")).args(["2", "2"]).output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{told}\n{}", String::from_utf8_lossy(&run.stderr));
    let kinds: Vec<&str> = told.lines().filter(|line| line.contains("requests")).collect();
    assert_eq!(kinds.len(), 4, "{told}");
    assert!(kinds.iter().all(|line| line.contains(", 0 failures,") && !line.contains(": 0 requests")), "{told}");
    assert!(told.contains("verified: sound"), "{told}");
}
