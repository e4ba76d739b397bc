//! The database at one moment.

use std::sync::Arc;

use rayon::prelude::*;

use crate::attributes::{Attributes, ValueKind};
use crate::cancel::CancelToken;
use crate::catalogue::Catalogues;
use crate::error::{Error, Result};
use crate::eval::{self, Evaluation, Tally};
use crate::filter::{Condition, FilterError, evaluate};
use crate::generation::{Cut, Generation};
use crate::graph::postings::Edge;
use crate::ids::{Id, IdKind, Side};
use crate::index::{Effort, TOGETHER};
use crate::interaction::Interaction;
use crate::pool::Pool;
use crate::query::{self, Explanation, Hits, ItemSet, Query};
use crate::tail::Tail;

/// A database as it was at one moment, from [`Db::snapshot`](crate::Db::snapshot): interactions, ids, retirements and codes all of that moment,
/// whatever is written or trained meanwhile. Any number of queries over it read the same state.
///
/// It is a pointer to copy and to send between threads. While it is held, so is the memory of what has changed since. Nothing it does waits
/// for a write.
///
/// ```
/// # fn main() -> kithdb::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
/// db.insert("alice", "grinder")?;
/// let morning = db.snapshot();
/// db.insert("alice", "kettle")?;
/// assert_eq!((morning.history("alice")?.len(), db.history("alice")?.len()), (1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Snapshot {
    state: Arc<State>,
    /// What ends the long calls over it.
    token: Option<CancelToken>,
}

/// What is shared: every part is a copy of its own, which nothing changes.
#[derive(Clone)]
pub(crate) struct State {
    /// Told apart from every other opening of a database in this process.
    pub(crate) opening: u64,
    pub(crate) catalogues: Catalogues,
    pub(crate) tail: Tail,
    /// How much a query does for its answer where it does not say.
    pub(crate) effort: Effort,
    /// The database's threads.
    pub(crate) pool: Arc<Pool>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("last_sequence", &self.last_sequence()).finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn of(state: Arc<State>) -> Self {
        Self { state, token: None }
    }

    /// The same moment, whose long calls end with [`Error::Cancelled`] once the token is cancelled or its time over: queries for many users
    /// ([`Query::run_for`]), of which each list that is not begun by then says so, and evaluations. A single query takes microseconds and is not broken off.
    pub fn cancelled_by(&self, token: &CancelToken) -> Self {
        Self { token: Some(token.clone()), ..self.clone() }
    }

    pub(crate) fn token(&self) -> Option<&CancelToken> {
        self.token.as_ref()
    }

    /// Whether long calls over it go on.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn check(&self) -> Result<()> {
        CancelToken::check(self.token())
    }

    pub(crate) fn opening(&self) -> u64 {
        self.state.opening
    }

    pub(crate) fn catalogues(&self) -> &Catalogues {
        &self.state.catalogues
    }

    pub(crate) fn tail(&self) -> &Tail {
        &self.state.tail
    }

    pub(crate) fn effort(&self) -> Effort {
        self.state.effort
    }

    /// What a generation made of this moment is made from. O(edges).
    pub(crate) fn cut(&self) -> Cut {
        Cut::of(self.catalogues(), self.tail())
    }

    /// The same moment by another generation.
    pub(crate) fn over(&self, generation: Arc<Generation>) -> Self {
        let users = &self.catalogues().users;
        let tail = self.tail().over(generation, users.forgotten(), users.len());
        Self::of(Arc::new(State { tail, ..State::clone(&self.state) }))
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.state.pool
    }

    pub(crate) fn trained(&self) -> Option<&Arc<Generation>> {
        self.tail().generation().filter(|generation| generation.is_trained())
    }

    /// The number of the last operation it has seen; larger for later moments of one database.
    pub fn last_sequence(&self) -> u64 {
        self.tail().applied()
    }

    /// The generation whose codes answer; `None` before the first training.
    pub fn generation(&self) -> Option<u64> {
        self.trained().map(|generation| generation.number())
    }

    /// A set of items to filter queries with, as [`Db::item_set`](crate::Db::item_set).
    ///
    /// # Errors
    /// [`Error::WrongIdKind`].
    pub fn item_set<I: Into<Id>>(&self, items: impl IntoIterator<Item = I>) -> Result<ItemSet> {
        ItemSet::of(self.opening(), &self.catalogues().items, items.into_iter().map(Into::into))
    }

    /// A query to build, over this snapshot; see [`Query`].
    pub fn query<'a>(&self) -> Query<'a> {
        Query::new(self.clone())
    }

    /// The `k` nearest items a user does not have yet.
    ///
    /// # Errors
    /// As [`Query::run`].
    pub fn nearest(&self, user: impl Into<Id>, k: usize) -> Result<Hits> {
        self.query().user(user).k(k).run()
    }

    /// [`Snapshot::nearest`] for many users at once, on all cores, as [`Db::nearest_batch`](crate::Db::nearest_batch).
    pub fn nearest_batch<U: Into<Id> + Clone + Sync>(&self, users: &[U], k: usize) -> Vec<Result<Hits>> {
        self.query().k(k).run_for(users)
    }

    /// The `k` items most similar to an item.
    ///
    /// # Errors
    /// As [`Query::run`].
    pub fn similar_items(&self, item: impl Into<Id>, k: usize) -> Result<Hits> {
        self.query().similar_to(item).k(k).run()
    }

    /// The `k` users most similar to a user, by trained codes.
    ///
    /// # Errors
    /// As [`Db::similar_users`](crate::Db::similar_users).
    pub fn similar_users(&self, user: impl Into<Id>, k: usize) -> Result<Hits> {
        let user = user.into();
        self.pool().run(|| query::similar_users(self, &user, k))
    }

    /// Why `item` has the score that a query of `user` gives it, as [`Db::explain`](crate::Db::explain).
    ///
    /// # Errors
    /// As [`Db::explain`](crate::Db::explain).
    pub fn explain(&self, user: impl Into<Id>, item: impl Into<Id>) -> Result<Explanation> {
        query::explain(self, &user.into(), &item.into())
    }

    /// The interactions a user has, in no particular order; none for a user nobody knows.
    ///
    /// # Errors
    /// [`Error::WrongIdKind`].
    pub fn history(&self, user: impl Into<Id>) -> Result<Vec<Interaction>> {
        let user = user.into();
        let Some(dense) = self.catalogues().users.get(&user)? else { return Ok(Vec::new()) };
        let interaction = |(item, Edge { weight, time })| {
            Some(Interaction { user: user.clone(), item: self.catalogues().items.id(item)?, weight, time })
        };
        Ok(self.tail().history(dense).into_iter().filter_map(interaction).collect())
    }

    /// What is said of an item, as [`Db::item`](crate::Db::item).
    ///
    /// # Errors
    /// [`Error::WrongIdKind`].
    pub fn item(&self, item: impl Into<Id>) -> Result<Option<Attributes>> {
        let Catalogues { items, attributes, .. } = self.catalogues();
        Ok(items.get(&item.into())?.map(|item| attributes.items.get(item)))
    }

    /// The items whose attributes fulfil a condition, as [`Db::items_where`](crate::Db::items_where).
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn items_where<C>(&self, condition: C) -> Result<Vec<Id>>
    where
        C: TryInto<Condition>,
        FilterError: From<C::Error>,
    {
        let Catalogues { items, attributes, .. } = self.catalogues();
        let condition = condition.try_into().map_err(FilterError::from)?;
        Ok(evaluate(&condition, &attributes.items, items.len())?.iter().filter_map(|item| items.id(item)).collect())
    }

    /// What is said of a user, as [`Db::user`](crate::Db::user).
    ///
    /// # Errors
    /// [`Error::WrongIdKind`].
    pub fn user(&self, user: impl Into<Id>) -> Result<Option<Attributes>> {
        let Catalogues { users, attributes, .. } = self.catalogues();
        Ok(users.get(&user.into())?.map(|user| attributes.users.get(user)))
    }

    /// The names of a side's attributes and the kind of their values, by name.
    pub fn attribute_names(&self, side: Side) -> Vec<(String, ValueKind)> {
        self.catalogues().attributes.of(side).names().map(|(name, kind)| (name.to_owned(), kind)).collect()
    }

    /// Every user's id, in the order in which they came.
    pub fn users(&self) -> Vec<Id> {
        let users = &self.catalogues().users;
        (0..users.len()).filter_map(|user| users.id(user)).collect()
    }

    /// Every item's id, in the order in which they came.
    pub fn items(&self) -> Vec<Id> {
        let items = &self.catalogues().items;
        (0..items.len()).filter_map(|item| items.id(item)).collect()
    }

    /// The ids of items that are retired, in the order in which they came.
    pub fn retired_items(&self) -> Vec<Id> {
        self.tail().retired().iter().filter_map(|item| self.catalogues().items.id(item)).collect()
    }

    /// The users [`Query::recall`] was calibrated on: leave them out where you measure it yourself. None where the search is always exact.
    pub fn calibration_users(&self) -> Vec<Id> {
        let users = &self.catalogues().users;
        let calibrated = self.trained().filter(|generation| generation.item_index().calibration().is_some());
        let sample = calibrated.map(|generation| generation.measured_users()).unwrap_or_default();
        sample.into_iter().filter_map(|user| users.id(user)).collect()
    }

    /// The kind of a side's ids; `None` before its first insert.
    pub fn id_kind(&self, side: Side) -> Option<IdKind> {
        match side {
            Side::User => self.catalogues().users.kind(),
            Side::Item => self.catalogues().items.kind(),
        }
    }

    /// Measures recommendations to every user of `truth`, as [`Db::evaluate`](crate::Db::evaluate).
    ///
    /// # Errors
    /// As [`Db::evaluate`](crate::Db::evaluate).
    pub fn evaluate(&self, truth: &[(Id, Vec<Id>)], cuts: &[usize], query_bits: Option<u32>) -> Result<Evaluation> {
        self.evaluate_with(truth, cuts, |query| match query_bits {
            Some(bits) => query.query_bits(bits),
            None => query,
        })
    }

    /// [`Snapshot::evaluate`] of plain popularity: what every model has to beat.
    ///
    /// # Errors
    /// As [`Snapshot::evaluate`], but for [`Error::NotTrained`].
    pub fn evaluate_popularity(&self, truth: &[(Id, Vec<Id>)], cuts: &[usize]) -> Result<Evaluation> {
        self.evaluate_popularity_with(truth, cuts, |query| query)
    }

    /// [`Snapshot::evaluate_popularity`] of queries as `shape` makes them, as for [`Snapshot::evaluate_with`]: what those have to beat.
    ///
    /// # Errors
    /// As [`Snapshot::evaluate_with`], but for [`Error::NotTrained`].
    pub fn evaluate_popularity_with<'a>(
        &self,
        truth: &[(Id, Vec<Id>)],
        cuts: &[usize],
        shape: impl Fn(Query<'a>) -> Query<'a> + Sync,
    ) -> Result<Evaluation> {
        self.evaluate_with(truth, cuts, |query| shape(query).popular_only())
    }

    /// [`Snapshot::evaluate`] of queries as `shape` makes them of those of the users, whose length is settled: with filters, or with what the
    /// users have already where they buy things again.
    ///
    /// # Errors
    /// As [`Snapshot::evaluate`], and what a query made so ends in.
    pub fn evaluate_with<'a>(
        &self,
        truth: &[(Id, Vec<Id>)],
        cuts: &[usize],
        shape: impl Fn(Query<'a>) -> Query<'a> + Sync,
    ) -> Result<Evaluation> {
        self.evaluate_lists(truth, cuts, |chunk, most| {
            let list = |hits: Result<Hits>| match hits {
                Ok(hits) => Ok(hits.into_iter().map(|hit| hit.id).collect()),
                Err(
                    Error::UnknownUser { .. }
                    | Error::NoHistory { .. }
                    | Error::NoDirection { .. }
                    | Error::NoItemCodes,
                ) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            let query = |(user, _): &(Id, _)| shape(self.query().user(user).k(most).recall(1.0));
            let together = |users: &[(Id, Vec<Id>)]| {
                let queries: Vec<Query<'_>> = users.iter().map(query).collect();
                // A list that is diversified is chosen from more than it has.
                let longest = cuts.iter().copied().max().unwrap_or(0);
                let depth = queries.iter().map(|query| query.depth_of(longest)).fold(most, usize::max);
                Query::run_together(self, &queries, depth)
            };
            chunk.par_chunks(TOGETHER).flat_map_iter(together).map(list).collect()
        })
    }

    /// Measures the lists of at most so many items that `lists` gives the users of a part of `truth`.
    pub(crate) fn evaluate_lists(
        &self,
        truth: &[(Id, Vec<Id>)],
        cuts: &[usize],
        lists: impl Fn(&[(Id, Vec<Id>)], usize) -> Result<Vec<Vec<Id>>> + Sync,
    ) -> Result<Evaluation> {
        let invalid =
            Error::InvalidArgument { what: "cut-offs".into(), remedy: "pass at least one k, each above 0".into() };
        let &most = cuts.iter().max().filter(|_| !cuts.contains(&0)).ok_or(invalid)?;
        let mut tally = Tally::new(cuts);
        let (Catalogues { users, items, .. }, tail) = (self.catalogues(), self.tail());
        // Measures that know only what was retrieved have to retrieve as much as where they come from.
        let most = most.max(eval::RETRIEVED);
        let item_degree = |id: &Id| items.get(id).ok().flatten().map_or(0, |item| tail.item_degree(item));
        for chunk in truth.chunks(4096) {
            self.check()?;
            let lists = self.pool().run(|| lists(chunk, most))?;
            for (list, (user, relevant)) in lists.iter().zip(chunk) {
                let degree = users.get(user)?.map_or(0, |user| tail.history(user).len() as u32);
                tally.add_with_degrees(list, relevant, degree, item_degree);
            }
        }
        // Numbers of items that are gone have no interactions.
        let mut degrees: Vec<u32> =
            (0..items.len()).map(|item| tail.item_degree(item)).filter(|&degree| degree > 0).collect();
        degrees.resize((items.live() as usize).max(degrees.len()), 0);
        Ok(tally.finish_with_degrees(degrees, item_degree))
    }
}
