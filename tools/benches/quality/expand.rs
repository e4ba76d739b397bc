//! Larger sets made of a set: every user and item several times, and of the interactions of all these copies a share.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use kithdb::{Id, IdKind};
use kithdb_tools::input::{Format, IdKinds, Reader, ReaderOptions, Row, Source};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::sets::Files;

/// The share of these that is held out.
const HELD_OUT: f64 = 0.02;
const SEED: u64 = 1;

/// How much larger a set becomes.
#[derive(Clone, Copy)]
pub struct Expansion {
    /// Of every user and item.
    pub copies: u64,
    /// The share of the copies' interactions there are.
    pub kept: f64,
}

impl Expansion {
    /// The share of the tables.
    pub const KEPT: f64 = 0.75;

    /// The name of a set so expanded.
    pub fn name(self, set: &str) -> String {
        let kept = if self.kept == Self::KEPT { String::new() } else { format!(", {} % kept", 100.0 * self.kept) };
        format!("{set} x{}{kept}", self.copies * self.copies)
    }
}

/// Writes a set with copies of every user and item of the training data of another: a share of the `copies^2` interactions that each of
/// its interactions becomes, drawn at random, of which 2 % are to test with. Degrees keep their distribution, `copies * kept` times as large; copies of
/// an item say of each other what no real set says of two items, so that teachers do well on it. The same set gives the same files.
pub fn expand(files: &Files, expansion: Expansion, folder: &Path) -> anyhow::Result<Files> {
    let Expansion { copies, kept } = expansion;
    let parts = Files { train: folder.join("train.txt"), test: folder.join("test.txt"), format: "lightgcn" };
    let mut train = BufWriter::new(File::create_new(&parts.train)?);
    let mut test = BufWriter::new(File::create_new(&parts.test)?);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut draw = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let mut write = |user: u64, items: &[u64]| -> anyhow::Result<()> {
        for copy in 0..copies {
            let user = user * copies + copy;
            let (mut learned, mut held_out) = (user.to_string(), user.to_string());
            for item in items.iter().flat_map(|item| (0..copies).map(move |copy| item * copies + copy)) {
                let at = draw();
                if at < kept {
                    let line = if at < kept * HELD_OUT { &mut held_out } else { &mut learned };
                    line.push(' ');
                    line.push_str(&item.to_string());
                }
            }
            for (file, line) in [(&mut train, learned), (&mut test, held_out)] {
                // A user with nothing in a part has no line there.
                if line.contains(' ') {
                    writeln!(file, "{line}")?;
                }
            }
        }
        Ok(())
    };
    let mut current: Option<(u64, Vec<u64>)> = None;
    each_interaction(&files.train, |user, item| {
        match &mut current {
            Some((of, items)) if *of == user => items.push(item),
            _ => {
                if let Some((of, items)) = current.replace((user, vec![item])) {
                    write(of, &items)?;
                }
            }
        }
        Ok(())
    })?;
    let (user, items) = current.context("a set without interactions")?;
    write(user, &items)?;
    train.flush()?;
    test.flush()?;
    Ok(parts)
}

/// Reads the users and items of a LightGCN file, in its order.
pub fn each_interaction(file: &Path, mut each: impl FnMut(u64, u64) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let ids = IdKinds { user: IdKind::U64, item: IdKind::U64 };
    let options = ReaderOptions { format: Some(Format::Lightgcn), ..ReaderOptions::of(ids) };
    let number = |id: &Id| id.to_string().parse::<u64>().with_context(|| format!("the id {id} is no number"));
    for row in Reader::open(&Source::from(file.to_path_buf()), &options)? {
        let Row::Interaction(row) = row? else { continue };
        each(number(&row.user)?, number(&row.item)?)?;
    }
    Ok(())
}
