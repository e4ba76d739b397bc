//! The rows that were touched, fitted again with all others held.

use super::started::{Started, start, take};
use super::{Choices, Learned, Recoded};
use crate::error::Result;
use crate::graph::Bipartite;
use crate::kernel::dense::Isa;
use crate::train::context::Context;
use crate::train::measure::monitor::Monitor;
use crate::train::teacher::ImplicitAls;

/// What rows are fitted again.
pub(crate) struct Rows<'a> {
    /// Rising.
    pub(crate) users: &'a [u32],
    /// Rising.
    pub(crate) items: &'a [u32],
}

/// Fits the touched `rows` again to `graph`, those of nodes that came since `learned` included: users' factors to the items', items' to the users',
/// users' once more, since some of their items may be new; the neighbours of both; then the codes. No other row changes by a bit. Nothing is
/// held out and nothing is chosen. Where the codes are those that a student starts from, so are those of the rows. The cost follows the rows, but for Gram matrices and sums over all nodes: O(rows (bits (bits + list) +
/// width nodes + neighbours^3) + nodes (bits + width)^2).
///
/// # Errors
/// `Cancelled`.
pub(crate) fn minor(
    graph: &Bipartite,
    choices: &Choices,
    learned: Learned,
    rows: &Rows<'_>,
    planes: u32,
    monitor: &dyn Monitor,
) -> Result<(Learned, Recoded)> {
    let validation = crate::train::measure::validation::Validation::none();
    let context = Context {
        graph,
        validation: &validation,
        isa: Isa::chosen()?,
        popcount: super::kernel()?,
        seed: choices.seed,
        monitor,
    };
    let mut learned = learned.grown(graph.n_users(), graph.n_items());
    context.monitor.phase("teacher", 4);
    factors(&context, &choices.teacher, &mut learned, rows)?;
    let rows_of_both = (rows.users, rows.items);
    let all = |_: u32, _: &[u32], _: &[u32]| true;
    learned.neighbours = learned.neighbours.refitted(&context, choices.added, rows_of_both, (&all, &all))?;
    context.monitor.advance(4);
    let (teacher, mut tables) = learned.into_parts();
    let magnitudes;
    if choices.is_distilled {
        (tables, magnitudes) = choices.student.fit_rows(&context, &teacher, tables, rows.users, rows.items)?;
    } else {
        // Where no student found more, the rest of the codes are not in its units.
        let start = start(&context, &teacher, &tables, &Started::Rows(rows));
        let place = |rows: &[u32], row| rows.binary_search(&row).ok();
        take(&context, &start, &mut tables, [&|row, _| place(rows.users, row), &|row, _| place(rows.items, row)]);
        magnitudes = start.magnitudes;
    }
    let plain = tables.favour_rare(&graph.items().degrees(), choices.novelty);
    let recoded = Recoded::of(&tables, (rows.users, magnitudes), rows.items, planes)?;
    tables.item_scales = plain;
    Ok((Learned::of(teacher, tables), recoded))
}

/// Solves the factors of the rows.
fn factors(context: &Context<'_>, als: &ImplicitAls, learned: &mut Learned, rows: &Rows<'_>) -> Result<()> {
    let graph = context.graph;
    let (of_users, of_items) = (graph.users().gather(rows.users), graph.items().gather(rows.items));
    let mut users = learned.users.gather(rows.users);
    als.solve(context, &of_users, &learned.items, &mut users)?;
    learned.users.scatter(rows.users, &users);
    context.monitor.advance(1);
    let mut items = learned.items.gather(rows.items);
    als.solve(context, &of_items, &learned.users, &mut items)?;
    learned.items.scatter(rows.items, &items);
    context.monitor.advance(2);
    als.solve(context, &of_users, &learned.items, &mut users)?;
    learned.users.scatter(rows.users, &users);
    context.monitor.advance(3);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Csr;
    use crate::train::model::options::{Preset, TrainOptions};
    use crate::train::student::Tables;
    use crate::train::teacher::layers::Layers;
    use crate::train::teacher::{Neighbours, Teacher, Weighting};

    /// The neighbours of touched rows, of both sides, are those of the graph as it is, and all others stay.
    #[test]
    fn neighbours_of_touched_rows_are_fitted_again() {
        let edges: Vec<(u32, u32, f32)> = (0..500u32).map(|at| (at * 7 % 40, at * at % 31, 1.0)).collect();
        let of = |edges: &[(u32, u32, f32)]| Bipartite::from_edges(40, 31, edges).unwrap();
        let old = of(&edges);
        let fresh = |user: u32| (0..31u32).find(|item| !old.users().row(user as usize).contains(item)).unwrap();
        let touched: Vec<(u32, u32)> = [3, 8].map(|user| (user, fresh(user))).to_vec();
        let new = of(&[edges.clone(), touched.iter().map(|&(user, item)| (user, item, 1.0)).collect()].concat());
        let (before, after) = (crate::train::tests::context(&old, &()), crate::train::tests::context(&new, &()));
        let teacher =
            ImplicitAls { factors: 8, sweeps: 8, steps: 3, unobserved: 0.2, regularisation: 0.01, exponent: 1.0 };
        let added = Weighting { items: Some((2.0, 0.5)), users: Some((3.0, 0.25)), damping: 0.2 };
        let layers =
            Layers { neighbours: Neighbours::fit(&before, added).unwrap(), ..teacher.fit(&before).unwrap().layers };
        let tables = Tables::rotated(&before, &layers, &[64]);
        let student = crate::train::student::Discrete { sweeps: 1, list: 10, emphasis: 0.4 };
        let choices = Choices { teacher, added, student, is_distilled: true, seed: 1, novelty: 0.0, half_life: None };
        let known = layers.neighbours.clone();
        let fitted = Neighbours::fit(&after, added).unwrap();
        let mut items: Vec<u32> = touched.iter().map(|edge| edge.1).collect();
        items.sort_unstable();
        items.dedup();
        let rows = Rows { users: &[3, 8], items: &items };
        let learned = minor(&new, &choices, Learned::of(layers, tables), &rows, 1, &()).unwrap().0;
        let by_item = |model: &Neighbours| model.items.as_ref().unwrap().by_item();
        let by_user = |model: &Neighbours| model.users.as_ref().unwrap().weights().clone();
        for (of, touched) in [(by_item as fn(&Neighbours) -> Csr, rows.items), (by_user, rows.users)] {
            let (known, fitted, now) = (of(&known), of(&fitted), of(&learned.neighbours));
            for row in 0..now.n_rows() {
                let want = if touched.contains(&(row as u32)) { &fitted } else { &known };
                assert_eq!(now.entries(row).collect::<Vec<_>>(), want.entries(row).collect::<Vec<_>>(), "{row}");
            }
            assert!(touched.iter().all(|&row| known.row(row as usize) != now.row(row as usize)
                || known.row_values(row as usize) != now.row_values(row as usize)));
        }
    }

    /// Codes that no student has made keep the units of the teacher, in which other rows are.
    #[test]
    fn rows_of_codes_that_were_not_distilled_stay_in_their_units() {
        let edges = |n: u64| -> Vec<(u32, u32, f32)> {
            let touch = |at: u64| {
                let x = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                let (user, item) = (x % 90, x / 90 % 15 * 4 + x % 4);
                (user as u32, item as u32)
            };
            let all: std::collections::BTreeSet<(u32, u32)> = (0..n).map(touch).collect();
            all.into_iter().map(|(user, item)| (user, item, 1.0)).collect()
        };
        let (before, after) = (edges(400), edges(420));
        let of = |edges: &[(u32, u32, f32)]| Bipartite::from_edges(90, 60, edges).unwrap();
        let (old, new) = (of(&before), of(&after));
        let context = crate::train::tests::context(&old, &());
        let teacher =
            ImplicitAls { factors: 8, sweeps: 8, steps: 3, unobserved: 0.2, regularisation: 0.01, exponent: 1.0 };
        let layers = teacher.fit(&context).unwrap().layers;
        let tables = Tables::rotated(&context, &layers, &[64]);
        let options = TrainOptions::new(Preset::Balanced);
        let settings = |on: bool| {
            let number = |name: &str, value: f64| (name.to_owned(), crate::train::SettingValue::Number(value));
            let mut settings = vec![
                number("teacher.factors", 8.0),
                number("teacher.sweeps", 8.0),
                number("teacher.steps", 3.0),
                number("teacher.unobserved", 0.2),
                number("teacher.regularisation", 0.01),
                number("teacher.exponent", 1.0),
                number("student.sweeps", 1.0),
                number("student.list", 10.0),
                number("student.emphasis", 0.5),
            ];
            if !on {
                settings.push(("student.distilled".to_owned(), crate::train::SettingValue::Switch(false)));
            }
            settings
        };
        let known: std::collections::BTreeSet<(u32, u32)> = before.iter().map(|edge| (edge.0, edge.1)).collect();
        let fresh: Vec<(u32, u32)> =
            after.iter().map(|edge| (edge.0, edge.1)).filter(|edge| !known.contains(edge)).collect();
        let rising = |side: fn(&(u32, u32)) -> u32| -> Vec<u32> {
            fresh.iter().map(side).collect::<std::collections::BTreeSet<u32>>().into_iter().collect()
        };
        let (users, items) = (rising(|edge| edge.0), rising(|edge| edge.1));
        assert!(!users.is_empty() && !items.is_empty() && items.len() < 60);
        let rows = Rows { users: &users, items: &items };
        assert!(Choices::of(&options, &settings(true)).unwrap().is_distilled);
        let choices = Choices::of(&options, &settings(false)).unwrap();
        let learned = Learned::of(layers.clone(), tables.clone());
        let started = minor(&new, &choices, learned, &rows, 1, &()).unwrap().0;
        let now = Layers::of(started.users.clone(), started.items.clone());
        let context = crate::train::tests::context(&new, &());
        let whole = Tables::rotated(&context, &now, &[64]);
        for &item in &items {
            assert_eq!(started.tables.items.row(item as usize), whole.items.row(item as usize));
            assert_eq!(started.tables.item_scales.row(item as usize), whole.item_scales.row(item as usize));
        }
        for &user in &users {
            assert_eq!(started.tables.users.row(user as usize), whole.users.row(user as usize));
        }
        for item in (0..60u32).filter(|item| !items.contains(item)) {
            assert_eq!(started.tables.items.row(item as usize), tables.items.row(item as usize));
            assert_eq!(started.tables.item_scales.row(item as usize), tables.item_scales.row(item as usize));
        }
    }
}
