//! Storage against the bare disk, in one run: `cargo bench -p kithdb-storage`.
//!
//! Prints one line a figure; `-- single`, `grouped` or `generation` picks one. Writes below the directory named by `KITHDB_BENCH_DIR`, or the temporary directory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kithdb_storage::{Draft, Record, Result, Store, StoreOptions};

/// `cargo test --benches` runs a small version.
fn scale() -> u32 {
    if std::env::args().any(|argument| argument == "--bench") { 10 } else { 1 }
}

fn main() -> Result<()> {
    let base = std::env::var_os("KITHDB_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base).map_err(|source| kithdb_storage::Error::Io {
        action: "create",
        path: "the bench directory".into(),
        source,
    })?;
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|other| other == name);
    if wanted("single") {
        single(dir.path())?;
    }
    if wanted("grouped") {
        grouped(dir.path())?;
    }
    if wanted("generation") {
        generation(dir.path())?;
    }
    Ok(())
}

fn insert(n: u32) -> Record {
    Record::Insert { user: n.wrapping_mul(2_654_435_761) >> 8, item: n % 50_000, weight: 1.0, time: None }
}

fn quantile(samples: &mut [Duration], q: f64) -> Duration {
    samples.sort_unstable();
    samples[((samples.len() - 1) as f64 * q) as usize]
}

/// One durable insert against one plain append + fdatasync, in alternating blocks so that both see the same disk.
fn single(dir: &Path) -> Result<()> {
    let store = Store::open(&dir.join("single"), &StoreOptions::default())?;
    let mut file = File::create(dir.join("plain")).expect("a plain file");
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for block in 0..20 * scale() {
        for _ in 0..20 {
            let start = Instant::now();
            file.write_all(&[7; 32]).and_then(|()| file.sync_data()).expect("a plain append");
            plain.push(start.elapsed());
        }
        for n in 0..20 {
            let start = Instant::now();
            store.append(&[insert(block * 20 + n)])?;
            ours.push(start.elapsed());
        }
    }
    let (p50, o50) = (quantile(&mut plain, 0.5), quantile(&mut ours, 0.5));
    let (p99, o99) = (quantile(&mut plain, 0.99), quantile(&mut ours, 0.99));
    println!("plain append + fdatasync   p50 {p50:?}  p99 {p99:?}");
    println!("one insert                 p50 {o50:?}  p99 {o99:?}");
    println!("ratio                      p50 {:.2}", o50.as_secs_f64() / p50.as_secs_f64());
    Ok(())
}

/// Groups of 100 and of 65,536 records, and reading them back.
fn grouped(dir: &Path) -> Result<()> {
    for (size, groups) in [(100, 100 * scale()), (65_536, 8 * scale())] {
        let path = dir.join(format!("groups-{size}"));
        let store = Store::open(&path, &StoreOptions::default())?;
        let records: Vec<Record> = (0..size).map(insert).collect();
        let start = Instant::now();
        for _ in 0..groups {
            store.append(&records)?;
        }
        let rate = f64::from(size * groups) / start.elapsed().as_secs_f64();
        let bytes = store.disk_usage()?.store as f64 / f64::from(size * groups);
        println!("groups of {size:<6}           {:.2} M records/s, {bytes:.1} bytes a record on disk", rate / 1e6);
        store.close()?;
        let start = Instant::now();
        let store = Store::open(&path, &StoreOptions::default())?;
        let opened = start.elapsed();
        let mut count = 0u32;
        store.replay(0, &mut |_, _| count += 1)?;
        assert_eq!(count, size * groups);
        let rate = f64::from(count) / (start.elapsed() - opened).as_secs_f64();
        println!("  reopened in {opened:?}, replayed {:.2} M records/s", rate / 1e6);
    }
    Ok(())
}

/// A generation written and read, alone and with appends going on.
fn generation(dir: &Path) -> Result<()> {
    let words: Vec<u64> =
        (0..u64::from(scale()) * (40 << 20) / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let megabytes = (words.len() * 8) as f64 / 1e6;
    let store = Arc::new(Store::open(&dir.join("generation"), &StoreOptions::default())?);
    for contended in [false, true] {
        let stop = Arc::new(AtomicBool::new(false));
        let appender = contended.then(|| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            thread::spawn(move || {
                let mut samples = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    if store.append(&[insert(1)]).is_err() {
                        break;
                    }
                    samples.push(start.elapsed());
                    thread::sleep(Duration::from_millis(1));
                }
                samples
            })
        });
        let start = Instant::now();
        let mut writer = store.begin_generation()?;
        writer.part("words", &[words.len() as u64], &words)?;
        let written = start.elapsed();
        let manifest = writer.publish(Draft::default())?;
        let published = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        println!(
            "generation of {megabytes:.0} MB written at {:.0} MB/s, {:.0} MB/s with publication{}",
            megabytes / written.as_secs_f64(),
            megabytes / published.as_secs_f64(),
            if contended { ", beside appends" } else { "" }
        );
        if let Some(mut samples) = appender.and_then(|thread| thread.join().ok()) {
            let (p50, p99) = (quantile(&mut samples, 0.5), quantile(&mut samples, 0.99));
            println!("  appends meanwhile p50 {p50:?} p99 {p99:?} of {}", samples.len());
        }
        let start = Instant::now();
        let read: Vec<u64> = store.read_part(&manifest, "words")?;
        assert!(read == words);
        println!("  read at {:.0} MB/s", megabytes / start.elapsed().as_secs_f64());
    }
    let usage = store.disk_usage()?;
    println!("  generations take {:.2} times their content", usage.generations as f64 / usage.live as f64);
    Ok(())
}
