//! Some rows fitted again, all others held.
//!
//! A user's row depends on the items' codes and on the teacher's scores of that user; an item's on the users' codes and on the scores of that
//! item, shifted and scaled as each user's are. What that takes of users who are not fitted again is kept of them: the mean and the deviation of their
//! scores, and the least score of their list, which tells whether an item is in it.

use rayon::prelude::*;

use super::descent::{Descent, Side, Workspace};
use super::lists::{self, Drawn, best};
use super::{BLOCK, Discrete, Lists, MOST_OF_ITEM, column_mean, offsets, tells_apart};
use crate::error::Result;
use crate::kernel::dense::{Matrix, Rows as _, SignedMatrix, add_scaled, multiply_by};
use crate::train::context::Context;
use crate::train::student::Tables;
use crate::train::student::tables::TARGETS;
use crate::train::teacher::layers::Layers;
use crate::train::teacher::scores::Scores;

/// What a user's row and column of targets are measured by.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// What the teacher's scores are multiplied by: one over their deviation, or zero where there is nothing to fit.
    pub(super) unit: f32,
    /// The mean of the scores so multiplied.
    pub(super) mean: f32,
    /// The least of the teacher's scores in the user's list.
    pub(super) least: f32,
}

impl Target {
    const NONE: Target = Target { unit: 0.0, mean: 0.0, least: f32::INFINITY };

    pub(super) fn row(self) -> [f32; TARGETS] {
        [self.unit, self.mean, self.least]
    }

    fn of(row: &[f32]) -> Target {
        match *row {
            [unit, mean, least] => Target { unit, mean, least },
            _ => Target::NONE,
        }
    }
}

impl Discrete {
    /// Fits the rows of `users` and `items`, both rising, to the teacher's scores: users to the items as they are, and items to the users as they are
    /// then. All other rows stay as they are. `tables` has a row for every node; one that is all zeros is
    /// started anew. Also the magnitudes of `users`, in their order. O(rows (bits (bits + list) + width nodes) + nodes (bits + width)^2).
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn fit_rows(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        tables: Tables,
        users: &[u32],
        items: &[u32],
    ) -> Result<(Tables, Matrix)> {
        context.monitor.phase("student", 3);
        let mut rows = Rows::new(self, context, teacher, tables);
        // What was never measured, as of generations of before it was kept, is measured now.
        let unknown: Vec<u32> = rows.unmeasured();
        rows.aim(&unknown)?;
        let lists = rows.aim(users)?;
        context.monitor.advance(1);
        let (fitted, mut magnitudes) = rows.fit_users(users, &lists)?;
        rows.users.scatter(context.isa, users, &fitted);
        context.monitor.advance(2);
        rows.fit_items(items, users, &lists)?;
        context.monitor.advance(3);
        let tables = rows.tables(users, items);
        magnitudes.par_rows_mut().for_each(|row| {
            tables.segments.iter().for_each(|segment| Tables::spread(context.isa, &mut row[segment.clone()]));
        });
        Ok((tables, magnitudes))
    }
}

struct Rows<'a> {
    context: &'a Context<'a>,
    scores: Scores<'a>,
    /// All items.
    candidates: Vec<u32>,
    /// Length of a list.
    most: usize,
    /// Weight of an entry of a list.
    weight: f32,
    targets: Vec<Target>,
    /// Whether a target is known.
    measured: bool,
    /// Code vectors.
    users: SignedMatrix,
    items: SignedMatrix,
    tables: Tables,
}

/// A user, what they are fitted to, and their list with targets.
type Aim = (u32, Target, Vec<(u32, f32)>);

impl<'a> Rows<'a> {
    fn new(model: &Discrete, context: &'a Context<'a>, teacher: &'a Layers, tables: Tables) -> Rows<'a> {
        let (n_users, n_items) = (tables.users.rows(), tables.items.rows());
        let [users, items] = tables.code_vectors();
        let most = model.length(n_users);
        let measured = tables.targets.cols() == TARGETS;
        let targets = match measured {
            true => (0..n_users).map(|user| Target::of(tables.targets.row(user))).collect(),
            false => vec![Target::NONE; n_users],
        };
        Rows {
            users,
            items,
            candidates: (0..n_items as u32).collect(),
            weight: model.emphasis * n_items as f32 / most as f32,
            scores: Scores::new(context, teacher).turned(),
            context,
            most,
            targets,
            measured,
            tables,
        }
    }

    /// Users with interactions whose targets are not known.
    fn unmeasured(&self) -> Vec<u32> {
        let users = self.context.graph.users();
        (0..users.n_rows() as u32).filter(|&user| !self.measured && users.degree(user as usize) > 0).collect()
    }

    /// Measures what these users, rising, are fitted to, and finds their lists, with targets: a row for each of them. Where lists are drawn from
    /// candidates, those of users without a code are drawn from all items.
    fn aim(&mut self, users: &[u32]) -> Result<Lists> {
        let mut lists = Lists::default();
        if users.is_empty() {
            return Ok(lists);
        }
        let n_items = self.items.rows();
        let mut ones = Matrix::zeros(n_items, 1);
        ones.data_mut().fill(1.0 / n_items.max(1) as f32);
        let means = self.scores.rows_times(users, &ones).into_data();
        let has_candidates = lists::has_candidates(n_items);
        let is_coded = |user: u32| has_candidates && !self.users.is_zero(user as usize);
        let (coded, others): (Vec<_>, Vec<_>) = users.iter().copied().zip(means).partition(|&(user, _)| is_coded(user));
        let mut found = self.drawn(coded.into_iter().unzip())?;
        found.extend(self.scored(others.into_iter().unzip())?);
        found.sort_unstable_by_key(|&(user, ..)| user);
        for (user, target, list) in found {
            self.targets[user as usize] = target;
            lists.push(list.into_iter());
        }
        Ok(lists)
    }

    /// The targets and lists of some users, from candidates.
    fn drawn(&self, (users, means): (Vec<u32>, Vec<f32>)) -> Result<Vec<Aim>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let of = (&users[..], &means[..]);
        let Drawn { lists, deviations } = lists::draw_some(self.context, &self.scores, &self.tables, of, self.most)?;
        let all = users.iter().zip(means).zip(lists.into_iter().zip(deviations));
        Ok(all.map(|((&user, mean), (list, deviation))| self.aimed(user, mean, deviation, || list)).collect())
    }

    /// The same, from the scores of all items.
    fn scored(&self, (users, means): (Vec<u32>, Vec<f32>)) -> Result<Vec<Aim>> {
        let mean_of = |user: usize| users.binary_search(&(user as u32)).map_or(0.0, |at| means[at]);
        self.scores.map_some(self.context, &users, &self.candidates, |user, row| {
            let mean = mean_of(user);
            let squares = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
            let deviation = (squares / row.len().max(1) as f32).sqrt();
            let seen = self.context.graph.users().row(user);
            self.aimed(user as u32, mean, deviation, || best(&self.candidates, row, seen, self.most))
        })
    }

    /// What a user is fitted to whose scores have this mean and deviation.
    fn aimed(&self, user: u32, mean: f32, deviation: f32, list: impl FnOnce() -> Vec<(u32, f32)>) -> Aim {
        if self.context.graph.users().degree(user as usize) == 0 || !tells_apart(mean, deviation) {
            return (user, Target::NONE, Vec::new());
        }
        let (unit, mut list) = (1.0 / deviation, list());
        let least = list.iter().map(|entry| entry.1).fold(f32::INFINITY, f32::min);
        list.iter_mut().for_each(|entry| entry.1 = entry.1 * unit - mean * unit);
        (user, Target { unit, mean: mean * unit, least }, list)
    }

    /// The code vectors of `users`, fitted, and the magnitudes that go with their signs.
    fn fit_users(&self, users: &[u32], lists: &Lists) -> Result<(Matrix, Matrix)> {
        let (isa, context) = (self.context.isa, self.context);
        let mut vectors = self.users.gather(isa, users);
        let mut magnitudes = Matrix::zeros(users.len(), self.users.cols());
        let (n_items, bits) = (self.items.rows() as f32, self.items.cols());
        let mean = column_mean(isa, &self.items);
        let mut cross = self.scores.rows_times(users, &self.items);
        let side = Side::new(isa, &self.items, mean.clone());
        let block = (BLOCK * bits).max(1);
        let blocks = vectors.data_mut().par_chunks_mut(block).zip(magnitudes.data_mut().par_chunks_mut(block));
        blocks.zip(cross.data_mut().par_chunks_mut(block)).enumerate().try_for_each_init(
            Workspace::default,
            |workspace, (block, ((vectors, magnitudes), cross))| -> Result<()> {
                let rows = || users.iter().skip(block * BLOCK);
                for ((vector, cross), &user) in
                    vectors.chunks_exact_mut(bits).zip(cross.chunks_exact_mut(bits)).zip(rows())
                {
                    let target = self.targets[user as usize];
                    if target.unit > 0.0 {
                        // Of centred items: S (W - 1 m') = S W - (S 1) m'.
                        multiply_by(isa, cross, target.unit);
                        add_scaled(isa, cross, -n_items * target.mean, &mean);
                        start(&side, cross, vector);
                    } else {
                        vector.fill(0.0);
                    }
                }
                let images = side.images(vectors);
                magnitudes.copy_from_slice(vectors);
                let both = vectors.chunks_exact_mut(bits).zip(magnitudes.chunks_exact_mut(bits));
                for (at, ((vector, magnitudes), &user)) in both.zip(rows()).enumerate() {
                    context.check()?;
                    if self.unit(user) > 0.0 {
                        let list = lists.row(block * BLOCK + at).map(|(&item, &goal)| (item, goal));
                        let (place, cross) = ((&images, at), &cross[at * bits..][..bits]);
                        let mut descent = Descent::new(&side, workspace, magnitudes, place, cross, list, self.weight);
                        descent.fit();
                        vector.copy_from_slice(descent.vector());
                        descent.relax();
                    }
                }
                Ok(())
            },
        )?;
        Ok((vectors, magnitudes))
    }

    /// Fits `items` to all users. `lists` are those of `users`.
    fn fit_items(&mut self, items: &[u32], users: &[u32], lists: &Lists) -> Result<()> {
        let (isa, context) = (self.context.isa, self.context);
        let entries = self.entries(items, users, lists)?;
        let mean = column_mean(isa, &self.items);
        // What the mean item adds to a user's scores; the targets are raised by it in place of centring the items.
        let offsets = offsets(isa, &self.users, &mean);
        let units: Vec<f32> = self.targets.iter().map(|target| target.unit).collect();
        let mut cross = self.scores.rows_transposed_times(items, &self.users, &units);
        let bits = mean.len();
        let mut shift = vec![0.0; bits];
        for (user, target) in self.targets.iter().enumerate() {
            self.users.add_row(isa, user, offsets[user] - target.mean, &mut shift);
        }
        let side = Side::new(isa, &self.users, vec![0.0; bits]);
        let mut vectors = self.items.gather(isa, items);
        let block = (BLOCK * bits).max(1);
        let blocks = vectors.data_mut().par_chunks_mut(block).zip(cross.data_mut().par_chunks_mut(block));
        blocks.enumerate().try_for_each_init(
            Workspace::default,
            |workspace, (block, (vectors, cross))| -> Result<()> {
                let rows = || items.iter().zip(&entries).skip(block * BLOCK);
                let has_edges = |item: u32| context.graph.items().degree(item as usize) > 0;
                for ((vector, cross), (&item, _)) in
                    vectors.chunks_exact_mut(bits).zip(cross.chunks_exact_mut(bits)).zip(rows())
                {
                    add_scaled(isa, cross, 1.0, &shift);
                    if has_edges(item) { start(&side, cross, vector) } else { vector.fill(0.0) }
                }
                let images = side.images(vectors);
                let both = vectors.chunks_exact_mut(bits).zip(cross.chunks_exact(bits));
                for (at, ((vector, cross), (&item, own))) in both.zip(rows()).enumerate() {
                    context.check()?;
                    if !has_edges(item) {
                        continue;
                    }
                    let step = own.len().div_ceil(MOST_OF_ITEM).max(1);
                    let list = own.iter().step_by(step).map(|&(user, goal)| (user, goal + offsets[user as usize]));
                    let weight = self.weight * own.len() as f32 / own.len().div_ceil(step).max(1) as f32;
                    Descent::new(&side, workspace, vector, (&images, at), cross, list, weight).fit();
                }
                Ok(())
            },
        )?;
        self.items.scatter(isa, items, &vectors);
        Ok(())
    }

    /// The users in whose list each of `items` is, rising, with targets: `users` by their `lists`, all others by the least score of theirs.
    fn entries(&self, items: &[u32], users: &[u32], lists: &Lists) -> Result<Vec<Vec<(u32, f32)>>> {
        let others: Vec<u32> = (0..self.users.rows() as u32)
            .filter(|user| self.unit(*user) > 0.0 && users.binary_search(user).is_err())
            .collect();
        let holders = lists.holders(self.items.rows());
        let least: Vec<f32> = others.iter().map(|&user| self.targets[user as usize].least).collect();
        self.scores.map_items(self.context, items, &others, |item, scores| {
            let own = holders.of(item as usize).iter();
            let own = own.filter_map(|&at| Some((users[at as usize], lists.goal(at as usize, item)?)));
            let mut entries: Vec<(u32, f32)> = own.collect();
            let listed = reaching(scores, &least).filter_map(|at| {
                let (user, score) = (others[at], scores[at]);
                let target = self.targets[user as usize];
                let is_new = self.context.graph.users().row(user as usize).binary_search(&item).is_err();
                is_new.then_some((user, score * target.unit - target.mean))
            });
            entries.extend(listed);
            entries.sort_unstable_by_key(|&(user, _)| user);
            entries
        })
    }

    fn unit(&self, user: u32) -> f32 {
        self.targets[user as usize].unit
    }

    /// The tables with the rows that were fitted.
    fn tables(self, users: &[u32], items: &[u32]) -> Tables {
        let mut tables = self.tables;
        for (layer, segment) in tables.segments.iter().enumerate() {
            let (square, width) = (tables.weights[layer] * tables.weights[layer], segment.len() as f32);
            for &user in users {
                let size = self.users.sizes.row(user as usize)[layer];
                tables.user_scales.row_mut(user as usize)[layer] = (size * (1.0 / square)).ln();
            }
            for &item in items {
                let size = self.items.sizes.row(item as usize)[layer];
                tables.item_scales.row_mut(item as usize)[layer] = (size * width).ln();
            }
        }
        // Of rows that were not fitted they are as they were.
        (tables.users, tables.items) = (self.users.signs, self.items.signs);
        let mut targets = Matrix::zeros(self.targets.len(), TARGETS);
        targets.par_rows_mut().zip(&self.targets).for_each(|(row, target)| row.copy_from_slice(&target.row()));
        Tables { targets, ..tables }
    }
}

/// Where scores reach what is the `least` there, rising. Few do: whole stretches are passed over at once.
fn reaching<'s>(scores: &'s [f32], least: &'s [f32]) -> impl Iterator<Item = usize> + 's {
    const STRETCH: usize = 16;
    let stretches = scores.chunks(STRETCH).zip(least.chunks(STRETCH)).enumerate();
    let any =
        |scores: &[f32], least: &[f32]| scores.iter().zip(least).fold(false, |any, (s, least)| any | (s >= least));
    stretches.filter(move |(_, (scores, least))| any(scores, least)).flat_map(|(stretch, (scores, least))| {
        let each = scores.iter().zip(least).enumerate();
        each.filter(|(_, (score, least))| score >= least).map(move |(at, _)| stretch * STRETCH + at)
    })
}

/// Gives a vector that is all zeros something to descend from.
fn start(side: &Side<'_>, cross: &[f32], vector: &mut [f32]) {
    if vector.iter().all(|&x| x == 0.0) {
        side.start(cross, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Training, Visit};
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::{below, normal_matrix};
    use crate::train::teacher::{Neighbours, Weighting};

    fn graph(n_users: u32, n_items: u32) -> Bipartite {
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("rows");
        let edges: Vec<(u32, u32, f32)> = (0..n_users)
            .flat_map(|user| (0..n_items).map(move |item| (user, item, 1.0)))
            .filter(|edge| edge.0 != 7 && edge.1 != 5 && below(&mut rng, 5) == 0)
            .collect();
        Bipartite::from_edges(n_users as usize, n_items as usize, &edges).unwrap()
    }

    fn teacher(context: &Context<'_>) -> Layers {
        let mut rng = context.rng("teacher");
        let mut users = normal_matrix(&mut rng, context.graph.n_users(), 6, 1.0);
        let mut items = normal_matrix(&mut rng, context.graph.n_items(), 6, 1.0);
        // Nothing is learned of nodes without interactions.
        users.row_mut(7).fill(0.0);
        items.row_mut(5).fill(0.0);
        let added = Weighting { items: Some((2.0, 0.3)), users: Some((1.0, 0.2)), damping: 0.2 };
        let neighbours = Neighbours::fit(context, added).unwrap();
        Layers { neighbours, ..Layers::of(users, items) }
    }

    /// All rows fitted again are, bit for bit, those of a whole sweep of the student, but for the magnitudes of users, which are those of the items that they
    /// were fitted to.
    #[test]
    fn all_rows_are_a_sweep() {
        let graph = graph(50, 40);
        let context = crate::train::tests::context(&graph, &());
        let mut teacher = teacher(&context);
        teacher.propagate(context.isa, &graph, 1);
        let model = Discrete { sweeps: 1, list: 6, emphasis: 0.5 };
        let start = Tables::rotated(&context, &teacher, &[64, 64]);
        let start = Tables { weights: vec![1.0, 0.5], ..start };
        let (whole, _) = super::super::Student::distil(&model, &context, &teacher, start.clone(), None).unwrap();
        let (users, items): (Vec<u32>, Vec<u32>) = ((0..50).collect(), (0..40).collect());
        let mut training = Training::new(&model, &context, &teacher, start.clone()).unwrap();
        let mut relaxed = Vec::new();
        let see = |_: &_, seen: &mut [f32], _: &[f32]| {
            relaxed.extend_from_slice(seen);
            Ok(())
        };
        training.each_user(Visit::FitAndRelax, see).unwrap();
        let relaxed = Matrix::from_data(50, 128, relaxed).unwrap();
        let settled = training.into_tables();
        let (again, magnitudes) = model.fit_rows(&context, &teacher, start, &users, &items).unwrap();
        for (user, degree) in graph.users().degrees().into_iter().enumerate().filter(|&(_, degree)| degree > 0) {
            assert_eq!(magnitudes.row(user), relaxed.row(user), "user {user} of {degree}");
            assert_eq!(again.users.row(user), settled.users.row(user), "user {user} of {degree}");
            assert_eq!(again.users.row(user), whole.users.row(user), "user {user} of {degree}");
            assert_eq!(again.user_scales.row(user), whole.user_scales.row(user));
            assert_eq!(again.targets.row(user), whole.targets.row(user));
        }
        for (item, _) in graph.items().degrees().into_iter().enumerate().filter(|&(_, degree)| degree > 0) {
            assert_eq!(again.items.row(item), whole.items.row(item), "item {item}");
            assert_eq!(again.item_scales.row(item), whole.item_scales.row(item));
        }
    }

    /// Some rows fitted again are those of a sweep over all in which the others are held, and the others are not touched.
    #[test]
    fn some_rows_are_those_of_all_and_leave_the_others() {
        let graph = graph(50, 40);
        let context = crate::train::tests::context(&graph, &());
        let teacher = teacher(&context);
        let model = Discrete { sweeps: 2, list: 6, emphasis: 0.5 };
        let start = Tables::rotated(&context, &teacher, &[64]);
        let (parent, _) = super::super::Student::distil(&model, &context, &teacher, start, None).unwrap();
        let (users, items) = (vec![2, 3, 30], vec![0, 9, 39]);
        let (child, _) = model.fit_rows(&context, &teacher, parent.clone(), &users, &items).unwrap();
        for user in (0..50u32).filter(|user| !users.contains(user)) {
            assert_eq!(child.users.row(user as usize), parent.users.row(user as usize));
            assert_eq!(child.user_scales.row(user as usize), parent.user_scales.row(user as usize));
            assert_eq!(child.targets.row(user as usize), parent.targets.row(user as usize));
        }
        for item in (0..40u32).filter(|item| !items.contains(item)) {
            assert_eq!(child.items.row(item as usize), parent.items.row(item as usize));
            assert_eq!(child.item_scales.row(item as usize), parent.item_scales.row(item as usize));
        }
        // The oracle: all items fitted to the same users.
        let mut training = Training::new(&model, &context, &teacher, parent.clone()).unwrap();
        let isa = context.isa;
        let (held, before) = (training.users.clone(), training.items.clone());
        training.fit_users().unwrap();
        let mut mixed = held;
        let fitted = training.users.gather(isa, &users);
        mixed.scatter(isa, &users, &fitted);
        (training.users, training.items) = (mixed, before);
        training.fit_items().unwrap();
        let want = training.finish(None).unwrap();
        for &item in &items {
            assert_eq!(child.items.row(item as usize), want.items.row(item as usize), "item {item}");
            assert_eq!(child.item_scales.row(item as usize), want.item_scales.row(item as usize));
        }
        for &user in &users {
            assert_eq!(child.users.row(user as usize), want.users.row(user as usize), "user {user}");
            assert_eq!(child.user_scales.row(user as usize), want.user_scales.row(user as usize));
        }
        // Targets that were not kept are measured.
        let forgotten = Tables { targets: Matrix::zeros(0, 0), ..parent };
        let (again, _) = model.fit_rows(&context, &teacher, forgotten, &users, &items).unwrap();
        assert_eq!(again.items, child.items);
        assert_eq!(again.targets, child.targets);
    }

    /// A row without a code is started from what it is to be fitted to, and comes near it.
    #[test]
    fn a_new_row_gets_a_code() {
        let graph = graph(60, 40);
        let context = crate::train::tests::context(&graph, &());
        let teacher = Layers { neighbours: Neighbours::default(), ..teacher(&context) };
        let model = Discrete { sweeps: 2, list: 6, emphasis: 0.5 };
        let (parent, _) = super::super::Student::distil(
            &model,
            &context,
            &teacher,
            Tables::rotated(&context, &teacher, &[128]),
            None,
        )
        .unwrap();
        let mut blank = parent.clone();
        let (user, item) = (12usize, 17usize);
        blank.users.row_mut(user).fill(0);
        blank.user_scales.row_mut(user).fill(f32::NEG_INFINITY);
        blank.items.row_mut(item).fill(0);
        blank.item_scales.row_mut(item).fill(f32::NEG_INFINITY);
        let (child, _) = model.fit_rows(&context, &teacher, blank, &[user as u32], &[item as u32]).unwrap();
        let agreement = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| (a ^ b).count_zeros()).sum::<u32>();
        assert!(agreement(child.users.row(user), parent.users.row(user)) > 90);
        assert!(agreement(child.items.row(item), parent.items.row(item)) > 90);
        assert!(child.user_scales.row(user)[0].is_finite() && child.item_scales.row(item)[0].is_finite());
    }
}
