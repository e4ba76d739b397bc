//! Whoever reads the output may stop reading.

use crate::program::{command, trained};

#[test]
fn a_closed_stdout_is_a_success() {
    let place = trained();
    let db = place.db();
    let query = ["query", &db, "--items", "tea/classic-teapot", "-k", "1000000"];
    for args in [
        &[&query[..], &["--json"]].concat()[..],
        &query,
        &["dump", &db, "-o", "-"],
        &["recommend", &db, "--all", "-o", "-"],
        &["report", &db, "-o", "-"],
    ] {
        let mut child = command(args).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    }
}
