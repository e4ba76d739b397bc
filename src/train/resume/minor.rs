//! The rows that were touched, fitted again with all others held.

use super::{Choices, Learned, Recoded};
use crate::error::Result;
use crate::graph::Bipartite;
use crate::kernel::dense::Isa;
use crate::train::context::Context;
use crate::train::measure::monitor::Monitor;
use crate::train::teacher::{ImplicitAls, Neighbours};

/// What rows are fitted again.
pub(crate) struct Rows<'a> {
    /// Rising.
    pub(crate) users: &'a [u32],
    /// Rising.
    pub(crate) items: &'a [u32],
}

/// Fits the touched `rows` again to `graph`, those of nodes that came since `learned` included: users' factors to the items', items' to the users',
/// users' once more, since some of their items may be new; the neighbours of the items; then the codes. No other row changes by a bit. Nothing is
/// held out and nothing is chosen. The cost follows the rows, but for Gram matrices and sums over all nodes: O(rows (bits (bits + list) +
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
    let mut learned = learned.grown(graph.n_users(), graph.n_items())?;
    context.monitor.phase("teacher", 4);
    factors(&context, &choices.teacher, &mut learned, rows)?;
    if let (Some((regularisation, weight)), Some(neighbours)) = (choices.neighbours, learned.neighbours.take()) {
        let mut columns = Neighbours::columns(&context, rows.items, regularisation, |_, _| true)?;
        columns.iter_mut().flatten().for_each(|entry| entry.1 *= weight);
        let by_item = neighbours.by_item();
        drop(neighbours);
        learned.neighbours = Some(Neighbours::replaced(&by_item, graph.n_items(), rows.items, &columns)?);
    }
    context.monitor.advance(4);
    let teacher = learned.teacher();
    let mut tables = choices.student.fit_rows(&context, &teacher, learned.tables, rows.users, rows.items)?;
    let plain = tables.favour_rare(&graph.items().degrees(), choices.novelty);
    let recoded = Recoded::of(&tables, rows.users, rows.items, planes)?;
    tables.item_scales = plain;
    Ok((Learned { tables, ..learned }, recoded))
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
