//! What is trained on first, what is inserted later, and what is measured on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use kithdb::{Id, IdKind, Interaction};
use kithdb_tools::input::{Columns, Format, IdKinds, Reader, ReaderOptions, Row, Source};

/// The data sets.
pub const SETS: [&str; 3] = ["ml-100k", "ml-1m", "gowalla"];

/// The share of all interactions by time that is measured on.
const TEST: f64 = 0.2;

/// A user and an item.
pub type Pair = (u64, u64);

/// Users, and the items that are to be found for each.
pub type Truth = Vec<(Id, Vec<Id>)>;

/// A data set in three parts.
pub struct Parts {
    pub first: Vec<Pair>,
    pub inserted: Vec<Pair>,
    /// Of users that the first two parts know.
    pub truth: Truth,
    /// Of it, the items that only the second part has.
    pub truth_of_new: Truth,
}

impl Parts {
    /// Those of a set in its folder of `data`; `None` where there is none.
    pub fn of(set: &str, data: &Path, share: f64, seed: u64) -> Option<anyhow::Result<Parts>> {
        let folder =
            [set.to_owned(), format!("{set}-bigear")].map(|name| data.join(name)).into_iter().find(|f| f.is_dir())?;
        let file = |name: &str| {
            ["", ".zst", ".gz"].map(|end| folder.join(format!("{name}{end}"))).into_iter().find(|path| path.is_file())
        };
        match set {
            "ml-100k" => file("u.data").map(|path| Parts::by_time(path, share)),
            _ => {
                file("train.txt").zip(file("test.txt")).map(|(train, test)| Parts::at_random(train, test, share, seed))
            }
        }
    }

    /// By time: the last fifth is the test, the last `share` before it is inserted.
    fn by_time(path: PathBuf, share: f64) -> anyhow::Result<Parts> {
        let columns =
            Columns { user: Some("1".into()), item: Some("2".into()), time: Some("4".into()), ..Columns::default() };
        let mut rows = read(path, ReaderOptions { columns, ..options() })?;
        rows.sort_by_key(|row| (row.time, row.user.clone(), row.item.clone()));
        let pairs = rows.iter().map(pair).collect::<anyhow::Result<Vec<Pair>>>()?;
        let test = ((1.0 - TEST) * pairs.len() as f64) as usize;
        let inserted = test - (share * pairs.len() as f64) as usize;
        Ok(Parts::new(pairs[..inserted].to_vec(), pairs[inserted..test].to_vec(), &pairs[test..]))
    }

    /// `share` of the interactions is inserted: all of one user in so many that half a share of them come only then, all of as many items, and
    /// of the rest as much as is missing.
    fn at_random(train: PathBuf, test: PathBuf, share: f64, seed: u64) -> anyhow::Result<Parts> {
        let format = || ReaderOptions { format: Some(Format::Lightgcn), ..options() };
        let pairs = |path| read(path, format())?.iter().map(pair).collect::<anyhow::Result<Vec<Pair>>>();
        let (all, test) = (pairs(train)?, pairs(test)?);
        let drawn = |salt: u64, n: u64| mix(mix(seed ^ salt << 32) ^ n) as f64 / u64::MAX as f64;
        let is_new = |&(user, item): &Pair| drawn(1, user) < share / 2.0 || drawn(2, item) < share / 2.0;
        let (mut inserted, mut rest): (Vec<Pair>, Vec<Pair>) = all.iter().partition(|pair| is_new(pair));
        let missing = (share * all.len() as f64) as usize;
        rest.sort_by_key(|&(user, item)| mix(mix(seed) ^ user << 32 ^ item));
        inserted.extend(rest.drain(rest.len() - missing.saturating_sub(inserted.len())..));
        rest.sort_unstable();
        Ok(Parts::new(rest, inserted, &test))
    }

    /// A number drawn for a user, the same every time.
    pub fn draw(&self, user: u64) -> u64 {
        mix(mix(0xf01d) ^ user)
    }

    /// The interactions of both parts at random, as they come day by day: those of the time before, and as many slices of `share` of all as `days`
    /// says. Measured are users of the time before.
    pub fn days(self, days: usize, share: f64, seed: u64) -> (Vec<Pair>, Vec<Vec<Pair>>, Truth) {
        let mut all: Vec<Pair> = self.first.into_iter().chain(self.inserted).collect();
        all.sort_by_key(|&(user, item)| mix(mix(seed ^ 0x5eed) ^ user << 32 ^ item));
        let slice = (share * all.len() as f64) as usize;
        let late = all.split_off(all.len() - days * slice);
        let known: BTreeSet<Id> = all.iter().map(|pair| pair.0.into()).collect();
        let truth = self.truth.into_iter().filter(|(user, _)| known.contains(user)).collect();
        (all, late.chunks(slice).map(<[Pair]>::to_vec).collect(), truth)
    }

    fn new(first: Vec<Pair>, inserted: Vec<Pair>, test: &[Pair]) -> Parts {
        let known: BTreeSet<u64> = first.iter().chain(&inserted).map(|pair| pair.0).collect();
        let mut truth: BTreeMap<u64, Vec<Id>> = BTreeMap::new();
        for &(user, item) in test.iter().filter(|pair| known.contains(&pair.0)) {
            truth.entry(user).or_default().push(item.into());
        }
        let items = |part: &[Pair]| part.iter().map(|pair| Id::from(pair.1)).collect::<BTreeSet<Id>>();
        let (old, new) = (items(&first), items(&inserted));
        let truth: Truth = truth.into_iter().map(|(user, items)| (user.into(), items)).collect();
        let is_new = |item: &&Id| new.contains(item) && !old.contains(item);
        let own = |(user, items): &(Id, Vec<Id>)| (user.clone(), items.iter().filter(is_new).cloned().collect());
        let truth_of_new = truth.iter().map(own).filter(|(_, items): &(Id, Vec<Id>)| !items.is_empty()).collect();
        eprintln!("{} first, {} inserted, {} to measure on", first.len(), inserted.len(), test.len());
        Parts { first, inserted, truth, truth_of_new }
    }
}

fn options() -> ReaderOptions {
    ReaderOptions::of(IdKinds { user: IdKind::U64, item: IdKind::U64 })
}

fn read(path: PathBuf, options: ReaderOptions) -> anyhow::Result<Vec<Interaction>> {
    let mut rows = Vec::new();
    for row in Reader::open(&Source::from(path), &options)? {
        if let Row::Interaction(row) = row? {
            rows.push(row);
        }
    }
    Ok(rows)
}

fn pair(row: &Interaction) -> anyhow::Result<Pair> {
    let number = |id: &Id| id.to_string().parse().with_context(|| format!("{id} is no number"));
    Ok((number(&row.user)?, number(&row.item)?))
}

/// A number that depends on its argument alone.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
