//! Ctrl-C ends what writes files, and leaves none that is half written.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Place, command, run};

/// Users of a shop whose lists take seconds.
const USERS: usize = 200_000;

fn press(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Waits for a file to be begun; whether it was before the program ended.
fn begun(child: &mut Child, path: &str) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none() {
        if Path::new(path).exists() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn a_file_that_is_not_whole_is_not_there() {
    let place = Place::new();
    let rows: String = (0..USERS).map(|user| format!("u{user},i{}\n", user % 500)).collect();
    run(["load", &place.db(), &place.file("history.csv", format!("user,item\n{rows}"))]).ok();
    let out = place.path("recs.csv");
    for earlier in [None, Some("earlier")] {
        earlier.iter().for_each(|text| std::fs::write(&out, text).unwrap());
        let args = ["recommend", &place.db(), "--all", "--popular", "-k", "400", "-o", &out];
        let mut child = command(args).stdout(Stdio::null()).spawn().unwrap();
        let part = format!("{out}.{}-0.part", child.id());
        assert!(begun(&mut child, &part));
        press(&child);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("cancelled"));
        assert!(!Path::new(&part).exists());
        assert_eq!(std::fs::read_to_string(&out).ok().as_deref(), earlier);
    }
    // The database is as it was.
    run(["verify", &place.db()]).ok();
}

#[test]
fn pressing_twice_ends_it_at_once() {
    let place = Place::new();
    let rows: String = (0..USERS).map(|user| format!("u{user},i{}\n", user % 500)).collect();
    run(["load", &place.db(), &place.file("history.csv", format!("user,item\n{rows}"))]).ok();
    let mut child = command(["dump", &place.db(), "-o", "-"]).spawn().unwrap();
    // Nobody reads more than that it has begun: it waits for that, and does not come to look whether it goes on.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    press(&child);
    std::thread::sleep(Duration::from_millis(200));
    // On a machine that had no time for it to get there, the first was enough.
    if child.try_wait().unwrap().is_none() {
        press(&child);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
