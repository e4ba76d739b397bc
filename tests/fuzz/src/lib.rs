//! Inputs made from a corpus by mutation, on stable Rust, as plain tests.
//!
//! `cargo test --release --manifest-path tests/fuzz/Cargo.toml` tries a few thousand inputs of each kind;
//! `KITHDB_FUZZ_ROUNDS=1000000` is a long run, `KITHDB_FUZZ_SEED` one that was had before. An input that fails is written to the
//! directory for temporary files and named.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Far longer than any input takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Splitmix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The files of a folder of the corpus.
pub fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Numbers at which something tends to overflow, as bytes.
fn numbers(random: &mut Random) -> Vec<u8> {
    let values =
        [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 62, i64::MAX as u64, u64::MAX];
    let value = values[random.below(values.len())];
    let width = [1, 2, 4, 8][random.below(4)];
    value.to_le_bytes()[..width].to_vec()
}

/// One of the seeds, changed in a few places; `tokens` are pieces that mean something to the reader.
pub fn mutate(seeds: &[Vec<u8>], tokens: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..random.below(8) {
        let at = random.below(bytes.len() + 1);
        let length = random.below(1 + (bytes.len() - at).min(16));
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let piece = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            4 => {
                let piece = numbers(random);
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => bytes.truncate(at),
            7 => {
                let byte = random.next() as u8;
                bytes.splice(at..at, vec![byte; 1 + random.below(40)]);
            }
            _ => {
                let token =
                    if tokens.is_empty() { numbers(random) } else { tokens[random.below(tokens.len())].to_vec() };
                let end = if random.below(2) == 0 { at } else { (at + token.len()).min(bytes.len()) };
                bytes.splice(at..end, token);
            }
        }
    }
    bytes
}

/// Tries every seed as it is, then as many mutations as `KITHDB_FUZZ_ROUNDS` says, or `rounds`. `attempt` panics where the reader is
/// wrong; what it returns is counted, so that a run shows how far its inputs got.
pub fn fuzz(
    name: &str,
    seeds: Vec<Vec<u8>>,
    tokens: &'static [&'static [u8]],
    rounds: u64,
    attempt: impl Fn(&[u8]) -> &'static str + Send + 'static,
) {
    let rounds = variable("KITHDB_FUZZ_ROUNDS").unwrap_or(rounds);
    let seed = variable("KITHDB_FUZZ_SEED")
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_nanos() as u64));
    println!("{name}: KITHDB_FUZZ_SEED={seed}");
    let (inputs, todo) = mpsc::channel::<Vec<u8>>();
    let (done, outcomes) = mpsc::channel();
    std::thread::spawn(move || {
        for input in todo {
            let outcome = catch_unwind(AssertUnwindSafe(|| attempt(&input)));
            if done.send(outcome.map_err(drop)).is_err() {
                return;
            }
        }
    });
    let mut random = Random(seed);
    let mut counts = std::collections::BTreeMap::<&str, u64>::new();
    let mutated = (0..rounds).map(|_| mutate(&seeds, tokens, &mut random));
    for (at, input) in seeds.iter().cloned().chain(mutated).enumerate() {
        inputs.send(input.clone()).unwrap();
        let wrong = match outcomes.recv_timeout(PATIENCE) {
            Ok(Ok(outcome)) => {
                *counts.entry(outcome).or_default() += 1;
                continue;
            }
            Ok(Err(())) => "panicked",
            Err(_) => "hangs",
        };
        let path = std::env::temp_dir().join(format!("kithdb-{name}-{seed}-{at}"));
        std::fs::write(&path, &input).unwrap();
        panic!(
            "{name} {wrong} on input {at} of seed {seed}, {}: {}",
            path.display(),
            input[..input.len().min(200)].escape_ascii()
        );
    }
    println!("{name}: {rounds} rounds, {counts:?}");
}
