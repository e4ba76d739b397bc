//! What the planner's choices cost against the best engine, had one known it.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;

use super::questions::Questions;
use super::timed::Timed;
use super::{Asked, Choice};
use crate::output::Table;

/// Medians over rounds in which every engine answered the same queries in turn.
#[derive(Debug, Serialize)]
pub(super) struct Regret {
    #[serde(flatten)]
    asked: Asked,
    rounds: usize,
    /// How many asked at a time.
    threads: usize,
    /// Each engine's median over the rounds of a round's median time of a query, in microseconds; `auto` is the planner.
    p50_us: BTreeMap<&'static str, f64>,
    /// Which engines the planner chose, and for how many queries a round.
    engines: BTreeMap<&'static str, u64>,
    /// The engine with the least median.
    best: &'static str,
    /// The median of auto divided by that of the best.
    regret: f64,
    pub(super) short_answers: u64,
}

/// Runs the rounds. The order of the engines moves on by one a round, so that none always follows the same other.
pub(super) fn measure(
    questions: &Questions<'_>,
    asked: Asked,
    rounds: usize,
    threads: usize,
) -> anyhow::Result<Regret> {
    let choices = Choice::value_variants();
    let mut medians: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let (mut engines, mut short_answers) = (BTreeMap::new(), 0);
    // Tables that are made when they are first asked for are made before the rounds.
    for choice in choices {
        Timed::by_threads(questions, choice.engine(), 1, 1)?;
    }
    for round in 0..rounds {
        for choice in choices.iter().cycle().skip(round % choices.len()).take(choices.len()) {
            let timed = Timed::by_threads(questions, choice.engine(), asked.queries, threads)?;
            medians.entry(choice.name()).or_default().push(timed.percentile(0.5));
            short_answers += timed.short;
            if *choice == Choice::Auto {
                engines = timed.engines;
            }
        }
    }
    let p50_us: BTreeMap<&'static str, f64> =
        medians.into_iter().map(|(name, mut rounds)| (name, median(&mut rounds))).collect();
    let forced = p50_us.iter().filter(|(name, _)| **name != Choice::Auto.name());
    let (best, least) =
        forced.min_by(|a, b| a.1.total_cmp(b.1)).map_or((Choice::Auto.name(), 0.0), |(name, p50)| (*name, *p50));
    let auto = p50_us.get(Choice::Auto.name()).copied().unwrap_or_default();
    Ok(Regret {
        asked,
        rounds,
        threads,
        engines,
        best,
        regret: auto / least.max(f64::MIN_POSITIVE),
        short_answers,
        p50_us,
    })
}

/// The middle value, or the mean of the two.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or_default();
    if values.len() % 2 == 1 {
        upper
    } else {
        values.get(values.len() / 2 - 1).map_or(upper, |lower| (lower + upper) / 2.0)
    }
}

pub(super) fn text(regret: &Regret) -> String {
    let mut table = Table::new(&["engine", ">p50 us"]);
    for (name, p50) in &regret.p50_us {
        table.row([(*name).to_owned(), format!("{p50:.1}")]);
    }
    format!(
        "{}, {} rounds, {} threads\n\n{}\n\nauto takes {:.2} times as long as {}",
        regret.asked.text(),
        regret.rounds,
        regret.threads,
        table.text(),
        regret.regret,
        regret.best
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((median(&mut [7.0]), median(&mut [])), (7.0, 0.0));
    }
}
