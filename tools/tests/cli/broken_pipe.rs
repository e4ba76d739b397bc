//! Whoever reads the output may stop reading.

use crate::program::{command, trained};

#[test]
fn a_closed_stdout_is_a_success() {
    let place = trained();
    let db = place.db();
    for json in [&["--json"][..], &[]] {
        let args = [&["query", &db, "--items", "tea/classic-teapot", "-k", "1000000"], json].concat();
        let mut child = command(args).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    }
}
