//! Users who come after the training, beside the same users trained.

use std::collections::HashSet;
use std::time::Instant;

use anyhow::Context;
use kithdb::{Db, Id};

use crate::parts::Parts;
use crate::{Arguments, K, quiet};

/// One user in so many comes later.
const LATER: u64 = 10;
/// Items of the histories that are timed, and how many of these.
const HISTORY: usize = 50;
const TIMED: usize = 2000;

/// Measures one set.
pub fn measure(set: &str, parts: &Parts, arguments: &Arguments) -> anyhow::Result<()> {
    let is_later = |user: u64| parts.draw(user).is_multiple_of(LATER);
    let all = || parts.first.iter().chain(&parts.inserted).copied();
    let later: HashSet<Id> = all().filter(|pair| is_later(pair.0)).map(|pair| pair.0.into()).collect();
    let truth: Vec<(Id, Vec<Id>)> = parts.truth.iter().filter(|(user, _)| later.contains(user)).cloned().collect();
    let scratch = tempfile::tempdir()?;
    let path = |name: &str| scratch.path().join(name);
    arguments.trained(&format!("{set}-whole"), &path("whole"), all())?;
    arguments.trained(&format!("{set}-without"), &path("without"), all().filter(|pair| !is_later(pair.0)))?;
    let (whole, without) = (quiet(&path("whole"))?, quiet(&path("without"))?);
    without.insert_many(all().filter(|pair| is_later(pair.0)))?;
    println!("| set | users | | recall@20 of them trained | folded in | |");
    println!("|---|---|---|---|---|---|");
    for bits in [1, 4] {
        let recall = |db: &Db| -> anyhow::Result<f64> {
            Ok(db.evaluate(&truth, &[K], Some(bits))?.at(K).context("no such cut-off")?.recall)
        };
        let (trained, folded) = (recall(&whole)?, recall(&without)?);
        let share = 100.0 * folded / trained;
        println!("| {set} | {} | {bits} bits | {trained:.4} | {folded:.4} | {share:.1} % |", truth.len());
    }
    for bits in [1, 4] {
        let (code, basket) = times(&without, &truth, bits)?;
        println!(
            "{bits} bits: {code:.1} us a query of a trained user, {basket:.1} us one of {HISTORY} items: {:.1} us for the fold-in",
            basket - code
        );
    }
    Ok(())
}

/// Microseconds of a query at the median: of a trained user, and of a history of so many items.
fn times(db: &Db, truth: &[(Id, Vec<Id>)], bits: u32) -> anyhow::Result<(f64, f64)> {
    let snapshot = db.snapshot();
    let newcomers: HashSet<&Id> = truth.iter().map(|(user, _)| user).collect();
    let (mut codes, mut baskets) = (Vec::new(), Vec::new());
    for user in db.users().into_iter().filter(|user| !newcomers.contains(user)) {
        let items: Vec<Id> = snapshot.history(user.clone())?.into_iter().map(|x| x.item).take(HISTORY).collect();
        if items.len() < HISTORY || codes.len() == TIMED {
            continue;
        }
        let start = Instant::now();
        snapshot.query().user(user).query_bits(bits).k(K).run()?;
        codes.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        snapshot.query().items(items).query_bits(bits).k(K).run()?;
        baskets.push(start.elapsed().as_secs_f64());
    }
    let median = |mut times: Vec<f64>| {
        times.sort_unstable_by(f64::total_cmp);
        1e6 * times.get(times.len() / 2).copied().unwrap_or(0.0)
    };
    Ok((median(codes), median(baskets)))
}
