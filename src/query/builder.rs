//! The query builder.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use roaring::RoaringBitmap;

use super::batch;
use super::diversity;
use super::popularity::popular;
use super::quota::Quota;
use super::subject::{Resolved, Subject};
use super::{Basis, Engine, Hit, Hits, ItemSet};
use crate::cancel::CancelToken;
use crate::code::QueryCode;
use crate::error::{Error, Result, invalid};
use crate::filter::{Condition, FilterError, evaluate};
use crate::generation::Generation;
use crate::ids::Id;
use crate::index::{Effort, Filter, Found, Match, Seen};
use crate::snapshot::Snapshot;
use crate::span::span;

/// A query under construction, from [`Db::query`](crate::Db::query) or [`Snapshot::query`]. It ends with [`run`](Query::run), or with
/// [`run_for`](Query::run_for) for many users; a clone of it asks the same of the same moment.
///
/// ```
/// # fn main() -> kithdb::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
/// # db.insert("alice", "grinder")?;
/// let in_stock = db.item_set(["grinder", "kettle"])?;
/// let hits = db.query().user("alice").k(10).allow(&in_stock).or_popular().run()?;
/// assert!(hits.is_empty(), "the only known item is one alice has already");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is run"]
pub struct Query<'a> {
    snapshot: Snapshot,
    subject: Option<Subject>,
    k: usize,
    allow: Option<&'a ItemSet>,
    deny: Vec<&'a ItemSet>,
    conditions: Vec<Result<Condition, FilterError>>,
    /// The items allowed that fulfil them, once somebody asked; shared by the query's clones.
    fulfilling: Arc<OnceLock<Result<Arc<RoaringBitmap>, FilterError>>>,
    also_seen: Option<&'a ItemSet>,
    include_seen: bool,
    or_popular: bool,
    popular_only: bool,
    query_bits: Option<u32>,
    engine: Option<Engine>,
    effort: Effort,
    /// What difference counts, from 0 to 1.
    diversity: f32,
    min_score: f32,
    min_relevance: f32,
    /// So many at most of each value of an attribute.
    quota: Option<(usize, String)>,
}

/// The sets of a query, as numbers of its moment.
struct Sets<'a> {
    allow: Option<Rows<'a>>,
    deny: Vec<Cow<'a, RoaringBitmap>>,
}

/// Numbers of items, from a set or by attributes.
enum Rows<'a> {
    Set(Cow<'a, RoaringBitmap>),
    Fulfilling(Arc<RoaringBitmap>),
}

impl std::ops::Deref for Rows<'_> {
    type Target = RoaringBitmap;

    fn deref(&self) -> &RoaringBitmap {
        match self {
            Rows::Set(rows) => rows,
            Rows::Fulfilling(rows) => rows,
        }
    }
}

impl<'a> Query<'a> {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let effort = snapshot.effort();
        Self {
            snapshot,
            subject: None,
            k: 10,
            allow: None,
            deny: Vec::new(),
            conditions: Vec::new(),
            fulfilling: Arc::default(),
            also_seen: None,
            include_seen: false,
            or_popular: false,
            popular_only: false,
            query_bits: None,
            engine: None,
            effort,
            diversity: 0.0,
            min_score: f32::NEG_INFINITY,
            min_relevance: f32::NEG_INFINITY,
            quota: None,
        }
    }

    /// Asks for items near to a user.
    pub fn user(mut self, user: impl Into<Id>) -> Self {
        self.subject = Some(Subject::User(user.into()));
        self
    }

    /// Asks for items near to a basket of items: a visitor without an account. Unknown items are ignored and listed in the answer.
    pub fn items<I: Into<Id>>(mut self, items: impl IntoIterator<Item = I>) -> Self {
        self.subject = Some(Subject::Items(items.into_iter().map(Into::into).collect()));
        self
    }

    /// Asks for items near to one item, by its own code; the item itself is left out.
    pub fn similar_to(mut self, item: impl Into<Id>) -> Self {
        self.subject = Some(Subject::SimilarTo(item.into()));
        self
    }

    /// Asks for the items nearest to a vector: one like those of [`Db::import_embeddings`](crate::Db::import_embeddings), all layers of a row one after another, where the
    /// codes were made of them; elsewhere one float a bit, layer after layer. It is encoded with as many bits a dimension as users have.
    pub fn vector(mut self, vector: impl Into<Vec<f32>>) -> Self {
        self.subject = Some(Subject::Vector(vector.into()));
        self
    }

    /// How many items to return at most; 10 by default.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Considers only items of this set. The filter works before the top k is taken.
    pub fn allow(mut self, items: &'a ItemSet) -> Self {
        self.allow = Some(items);
        self.fulfilling = Arc::default();
        self
    }

    /// Leaves out the items of this set; may be called more than once.
    pub fn deny(mut self, items: &'a ItemSet) -> Self {
        self.deny.push(items);
        self
    }

    /// Considers only items whose attributes fulfil a [`Condition`], made or as text: `category = 'coffee' and price < 50 and in_stock and 'sale' in tags`.
    /// May be called more than once, all of them count. As other filters it works before the top k is taken, on what was set by the moment of the query. What
    /// it costs is O(items / 64) a comparison; a clone of the query does not pay again. The name of an attribute goes with the last value of it: a condition
    /// about it is refused then, as one that nothing has.
    ///
    /// ```
    /// # fn main() -> kithdb::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
    /// use kithdb::{Attributes, attribute};
    /// db.insert_many([("alice", "grinder"), ("bob", "kettle"), ("bob", "mug")])?;
    /// db.set_item("kettle", Attributes::titled("Kettle, 1 l").set("price", 49.5).set("in_stock", true))?;
    /// db.set_item("mug", Attributes::titled("Mug").set("price", 9).set("in_stock", false))?;
    /// let hits = db.query().user("alice").filter("price < 50 and in_stock").or_popular().run()?;
    /// assert_eq!((hits.len(), &hits[0].id), (1, &"kettle".into()));
    /// let same = db.query().user("alice").filter(attribute("price").below(50) & attribute("in_stock").is_true());
    /// assert_eq!(same.or_popular().run()?.as_slice(), hits.as_slice());
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter<C>(mut self, condition: C) -> Self
    where
        C: TryInto<Condition>,
        FilterError: From<C::Error>,
    {
        self.conditions.push(condition.try_into().map_err(FilterError::from));
        self.fulfilling = Arc::default();
        self
    }

    /// Takes the items of this set as seen too: what the user has from elsewhere. [`include_seen`](Query::include_seen) brings them back.
    pub fn also_seen(mut self, items: &'a ItemSet) -> Self {
        self.also_seen = Some(items);
        self
    }

    /// Considers items the user has already (or the basket holds) too.
    pub fn include_seen(mut self) -> Self {
        self.include_seen = true;
        self
    }

    /// Answers with the most popular items where there is no code to go by, instead of an error.
    pub fn or_popular(mut self) -> Self {
        self.or_popular = true;
        self
    }

    /// Ignores codes: the base every model has to beat.
    pub(crate) fn popular_only(mut self) -> Self {
        (self.or_popular, self.popular_only) = (true, true);
        self
    }

    /// Bits a dimension of the query, 1 to 8: more are slower and closer to full precision. By default, and at most, those the generation
    /// stores for its users; a basket is encoded with as many as asked for.
    pub fn query_bits(mut self, bits: u32) -> Self {
        self.query_bits = Some(bits);
        self
    }

    /// Has this engine search the trained items instead of the one the planner would choose: for measurements, since all give the same list.
    /// [`Engine::Linear`], [`Engine::Head`], [`Engine::Tree`] and [`Engine::Mih`] can be asked for. One that does not apply (heads of codes
    /// of one layer and no more than 256 bits) is replaced by the scan; [`Hits::engine`] says which one ran.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Gives up exactness for a bound on the work: at most `budget` codes of trained items are scored, those that promise most first, after a
    /// look at 32 times as many heads of codes at most; more only as long as there are not min(k, allowed) hits. [`Hits::exact`] tells whether the search could prove its list within the budget; it
    /// holds the best of what was scored otherwise. Items that came since the training are all scored, beside the budget. Off by default.
    pub fn approximate(mut self, budget: u64) -> Self {
        self.effort = Effort::Budget(budget);
        self
    }

    /// Gives up exactness for speed: as many codes of trained items are scored as it took sample users, when the generation was published, to find
    /// this share of their exact lists on average, for lists of this length and among as many items as the filters leave. 0.99 may mean a tenth
    /// of the codes where they are long. It is an average: of single lists more or less may be found, and users who came since the training, baskets and
    /// vectors may be unlike the sample. The search is exact where that costs no more: for few items, narrow filters and codes that an index prunes
    /// well. [`Hits::recall`] tells what is expected of the answer, [`Hits::scored`] what was scored. An engine that is asked for is exact. By default as the database
    /// was opened ([`Options::recall`](crate::Options::recall)): 1, which is exact; the last of [`recall`](Query::recall) and [`approximate`](Query::approximate) counts.
    pub fn recall(mut self, share: f32) -> Self {
        self.effort = Effort::of_share(share);
        self
    }

    /// Has items differ from one another: of the best 5 k, and at least 100, those are returned that maximal marginal relevance chooses, in its order (Carbonell
    /// and Goldstein, SIGIR 1998). `share` is what difference counts, from 0, where only scores do, to 1; 0.3 is a start. How much items are alike is told by
    /// their codes. Scores do not descend then. O(k x 5 k x words) beside the search.
    pub fn diversify(mut self, share: f32) -> Self {
        self.diversity = share;
        self
    }

    /// Has at most `most` items of each value of an attribute in the list: at most two of a category, of a brand, of an author. The best list that keeps to it,
    /// of k where there are k: what is left out makes room for what comes after it. Items without the attribute are not counted; of tags each counts.
    /// With [`diversify`](Query::diversify) the items chosen among keep to it.
    ///
    /// It may take several searches, each among what the ones before left: a budget ([`approximate`](Query::approximate)) is that of each of them, and what
    /// [`Hits`] tells of the work is that of all. The name of an attribute goes with the last value of it: it is refused then.
    pub fn at_most(mut self, most: usize, attribute: impl Into<String>) -> Self {
        self.quota = Some((most, attribute.into()));
        self
    }

    /// Leaves out items of less [relevance](Hits::relevance): the list may be shorter than k. One threshold does for users, baskets and items.
    pub fn min_relevance(mut self, relevance: f32) -> Self {
        self.min_relevance = relevance;
        self
    }

    /// Leaves out items whose scores are less: the list may be shorter than k. Scores compare within one generation, and among queries alike: those of
    /// users, of baskets, and of items have scales of their own, and popularity counts users. [`min_relevance`](Query::min_relevance) compares.
    pub fn min_score(mut self, score: f32) -> Self {
        self.min_score = score;
        self
    }

    /// Runs the query. It works on one snapshot, the one it was made from: interactions acknowledged before that are seen, and neither writes nor
    /// training are waited for.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for k = 0, bits out of range, a budget of 0, a recall or a diversity that is no share, a least score that is no number, an engine that cannot be asked for, a query of nobody and nothing, a
    /// vector that does not fit or is zero, an item set of another database, or [`at_most`](Query::at_most) none of a value, or of an attribute that nothing has;
    /// [`Error::Filter`]; [`Error::Cancelled`] once a token says so ([`cancelled_by`](Query::cancelled_by)); [`Error::WrongIdKind`];
    /// [`Error::UnknownUser`], [`Error::UnknownItem`], [`Error::UnknownBasket`]; and, unless [`or_popular`](Query::or_popular) was asked for,
    /// [`Error::NotTrained`], [`Error::NoHistory`], [`Error::NoCodeInBasket`], [`Error::NoDirection`],
    /// [`Error::NoCode`] and [`Error::NoItemCodes`].
    pub fn run(self) -> Result<Hits> {
        let depth = self.depth();
        self.run_among(depth)
    }

    /// [`Query::run`] of a list that is made of the `depth` best.
    fn run_among(self, depth: usize) -> Result<Hits> {
        let _span = span!(DEBUG, "query", k = self.k);
        let (resolved, sets) = self.prepare()?;
        let filter = self.admitted(&resolved, &sets);
        let (found, engine) = match &self.quota {
            Some((most, name)) => {
                let quota = Quota::of(&self.snapshot.catalogues().attributes.items, *most, name)?;
                let items = &self.snapshot.catalogues().items;
                quota.fill(
                    depth,
                    |a, b| items.compare(a, b),
                    |done, depth| {
                        let mut rest = filter.clone();
                        rest.deny.extend(Some(done).filter(|done| !done.is_empty()));
                        self.search(&resolved, &rest, depth)
                    },
                )?
            }
            None => self.search(&resolved, &filter, depth)?,
        };
        Ok(self.finish(found, engine, resolved))
    }

    /// The `depth` best of the items that a filter admits.
    fn search(&self, resolved: &Resolved, filter: &Filter<'_>, depth: usize) -> Result<(Found, Engine)> {
        let (Some(query), Some(generation)) = (self.searched(resolved), self.snapshot.trained()) else {
            return Ok((popular(&self.snapshot, depth, filter), Engine::Popularity));
        };
        let engine = self.engine.and_then(Engine::kind);
        let coded = coded(filter, generation);
        let found = generation.item_index().search_with(query, depth, &coded, engine, self.effort)?;
        let engine = found.engine.into();
        Ok((self.merge(found, generation, query, filter, depth), engine))
    }

    /// Ends with [`Error::Cancelled`] once the token is cancelled or its time over: each list of [`run_for`](Query::run_for) that is not begun by then, and an
    /// [evaluation](Snapshot::evaluate_with) of such queries. [`Db::cancelled_by`](crate::Db::cancelled_by) gives it to every query of a handle.
    pub fn cancelled_by(mut self, token: &CancelToken) -> Self {
        self.snapshot = self.snapshot.cancelled_by(token);
        self
    }

    /// The query for each of several users, in their order, on all cores: what [`Query::run`] says of each. All are answered from one moment, and those that
    /// are best answered by a scan share one, which is why this is quicker.
    ///
    /// # Errors
    /// Each answer has its own, as [`Query::run`].
    pub fn run_for<U: Into<Id> + Clone + Sync>(&self, users: &[U]) -> Vec<Result<Hits>> {
        let _span = span!(INFO, "queries", users = users.len(), k = self.k);
        self.snapshot.pool().run(|| batch::run_for(self, users))
    }

    /// Whether it shares no scan with others: where an engine was asked for, or the list has to keep to a quota.
    pub(super) fn stands_alone(&self) -> bool {
        self.engine.is_some() || self.quota.is_some()
    }

    /// The moment it asks about, and how many items it looks at.
    pub(super) fn asks(&self) -> (&Snapshot, usize) {
        (&self.snapshot, self.depth())
    }

    /// [`Query::run`] of several queries that look at `k` items, with one effort, all over `snapshot`: those that are best answered by a scan share
    /// one.
    pub(crate) fn run_together(snapshot: &Snapshot, queries: &[Self], k: usize) -> Vec<Result<Hits>> {
        if queries.iter().any(Self::stands_alone) {
            return queries.iter().map(|query| query.clone().run_among(k)).collect();
        }
        let resolved: Vec<Result<(Resolved, Sets<'_>)>> = queries.iter().map(Self::prepare).collect();
        let mut searches = Vec::with_capacity(queries.len());
        if let Some(generation) = snapshot.trained() {
            for (query, resolved) in queries.iter().zip(&resolved) {
                if let Ok((resolved, sets)) = resolved
                    && let Some(code) = query.searched(resolved)
                {
                    searches.push((code, coded(&query.admitted(resolved, sets), generation)));
                }
            }
        }
        let effort = queries.first().map_or(Effort::Exact, |query| query.effort);
        let found = snapshot.trained().map(|generation| generation.item_index().search_together(&searches, k, effort));
        drop(searches);
        let mut found = match found.transpose() {
            Ok(found) => found.unwrap_or_default().into_iter(),
            Err(error) => return queries.iter().map(|_| Err(error.clone().into())).collect(),
        };
        let answer = |(query, resolved): (&Self, Result<(Resolved, Sets<'_>)>)| {
            let (resolved, sets) = resolved?;
            let filter = query.admitted(&resolved, &sets);
            let searched = query.searched(&resolved).zip(snapshot.trained());
            let (found, engine) = match searched.and_then(|searched| Some((searched, found.next()?))) {
                Some(((code, generation), found)) => {
                    let engine = found.engine.into();
                    (query.merge(found, generation, code, &filter, k), engine)
                }
                None => (popular(snapshot, k, &filter), Engine::Popularity),
            };
            Ok(query.finish(found, engine, resolved))
        };
        queries.iter().zip(resolved).map(answer).collect()
    }

    /// How many of the best items are looked at.
    pub(super) fn depth(&self) -> usize {
        self.depth_of(self.k)
    }

    /// How many of the best items are looked at for a list of `k`.
    pub(crate) fn depth_of(&self, k: usize) -> usize {
        if self.diversity > 0.0 { diversity::pool(k) } else { k }
    }

    /// The list of what was found: what differs, where that was asked for, and scores enough.
    fn listed(&self, mut found: Vec<Match>, unit: f32) -> Vec<Match> {
        found.retain(|m| m.score >= self.min_score && m.score / unit >= self.min_relevance);
        if self.diversity > 0.0 {
            let generation = self.snapshot.trained();
            let code_of = |item: u32| {
                let trained = generation.filter(|generation| generation.has_item(item));
                let arrived = || self.snapshot.tail().arrivals().get(item).and_then(|arrival| arrival.code()).cloned();
                trained.map(|generation| generation.item(item)).or_else(arrived)
            };
            found = diversity::choose(&found, self.k, self.diversity, code_of);
        }
        found
    }

    /// What trained items are compared with.
    fn searched<'b>(&self, resolved: &'b Resolved) -> Option<&'b QueryCode> {
        resolved.query.as_ref().filter(|_| !self.popular_only)
    }

    /// Checks the query and turns its subject into something to score with.
    fn prepare(&self) -> Result<(Resolved, Sets<'a>)> {
        self.snapshot.check()?;
        if self.k == 0 {
            return Err(invalid("k = 0", "ask for at least one item"));
        }
        if self.query_bits.is_some_and(|bits| !(1..=8).contains(&bits)) {
            return Err(invalid("query_bits", "a query has 1 to 8 bits a dimension"));
        }
        check_effort(self.effort)?;
        if !(0.0..=1.0).contains(&self.diversity) {
            return Err(invalid(&format!("diversify({})", self.diversity), "pass a share from 0 to 1"));
        }
        if self.min_relevance.is_nan() {
            return Err(invalid("min_relevance(NaN)", "pass a relevance"));
        }
        if self.min_score.is_nan() {
            return Err(invalid("min_score(NaN)", "pass a score"));
        }
        let Some(subject) = &self.subject else {
            return Err(invalid("a query of nobody and nothing", "call user(), items(), similar_to() or vector()"));
        };
        if let Some(engine) = self.engine.filter(|engine| engine.kind().is_none()) {
            return Err(invalid(
                &format!("engine {}", engine.name()),
                "ask for linear, head, tree or mih, or leave the choice to the planner",
            ));
        }
        let numbers = |set: &'a ItemSet| set.resolve(self.snapshot.opening(), &self.snapshot.catalogues().items);
        let allow = self.allow.map(numbers).transpose()?;
        let allow = match self.fulfilling(allow.as_deref())? {
            Some(fulfilling) => Some(Rows::Fulfilling(fulfilling)),
            None => allow.map(Rows::Set),
        };
        let deny = self.deny.iter().copied().map(numbers).collect::<Result<_>>()?;
        let also_seen = self.also_seen.map(numbers).transpose()?;
        let mut resolved = self.resolve(subject)?;
        if let Some(also) = also_seen {
            resolved.seen.extend(&*also);
            resolved.seen.sort_unstable();
        }
        Ok((resolved, Sets { allow, deny }))
    }

    /// The items, of those that are allowed, that fulfil all conditions; `None` where there are none.
    fn fulfilling(&self, allow: Option<&RoaringBitmap>) -> Result<Option<Arc<RoaringBitmap>>, FilterError> {
        if self.conditions.is_empty() {
            return Ok(None);
        }
        let catalogues = self.snapshot.catalogues();
        let (table, items) = (&catalogues.attributes.items, catalogues.items.len());
        let evaluated = self.fulfilling.get_or_init(|| {
            let mut all: Option<Arc<RoaringBitmap>> = None;
            for condition in &self.conditions {
                let rows = evaluate(condition.as_ref().map_err(FilterError::clone)?, table, items)?;
                all = Some(all.map_or_else(|| Arc::clone(&rows), |all| Arc::new(&*all & &*rows)));
            }
            let all = all.unwrap_or_default();
            Ok(allow.map_or_else(|| Arc::clone(&all), |allow| Arc::new(allow & &*all)))
        });
        evaluated.clone().map(Some)
    }

    /// What may be returned.
    fn admitted<'b>(&'b self, resolved: &'b Resolved, sets: &'b Sets<'_>) -> Filter<'b> {
        Filter {
            allow: sets.allow.as_deref(),
            deny: (sets.deny.iter().map(|set| &**set).chain([self.snapshot.tail().retired()]))
                .filter(|deny| !deny.is_empty())
                .collect(),
            seen: if self.include_seen { Seen::default() } else { Seen::of(&resolved.seen) },
        }
    }

    fn finish(&self, found: Found, engine: Engine, resolved: Resolved) -> Hits {
        let items = &self.snapshot.catalogues().items;
        let hit = |m: &Match| items.id(m.row).map(|id| Hit { id, score: m.score });
        let unit = match self.searched(&resolved) {
            Some(query) if engine != Engine::Popularity => query.size(),
            _ => self.snapshot.catalogues().users.live() as f32,
        };
        let unit = if unit > 0.0 { unit } else { 1.0 };
        Hits {
            unit,
            hits: self.listed(found.matches, unit).iter().filter_map(hit).collect(),
            generation: self.snapshot.generation(),
            engine,
            basis: resolved.basis,
            nodes: found.work.nodes,
            buckets: found.work.buckets,
            heads: found.work.heads,
            scored: found.work.codes,
            exact: found.exact,
            recall: found.recall,
            unknown_items: resolved.unknown_items,
        }
    }

    fn resolve(&self, subject: &Subject) -> Result<Resolved> {
        let (resolved, error) = subject.resolve(&self.snapshot, self.query_bits)?;
        let unknown = matches!(error, Some(Error::UnknownUser { .. } | Error::UnknownBasket { .. }));
        let (resolved, error) = match self.snapshot.trained() {
            // Arrivals have no code then either: what they look like is learned from the items that have one.
            Some(generation) if !generation.has_codes() && !unknown => {
                let resolved = Resolved { query: None, basis: Basis::Popularity, ..resolved };
                (resolved, Some(Error::NoItemCodes))
            }
            _ => (resolved, error),
        };
        // A subject without a query says which error it is where popularity was not asked for.
        match error {
            Some(error) if !self.or_popular => Err(error),
            _ => Ok(resolved),
        }
    }

    /// The best of the generation's items and of the arrivals, merged. The lists hold different items, so the merged list is exact where `found`
    /// is.
    fn merge(
        &self,
        mut found: Found,
        generation: &Generation,
        query: &QueryCode,
        filter: &Filter<'_>,
        depth: usize,
    ) -> Found {
        let (items, arrivals) = (&self.snapshot.catalogues().items, self.snapshot.tail().arrivals());
        let (arrived, scored) = arrivals.search(generation.kernel(), query, depth, filter, |a, b| items.compare(a, b));
        found.work.codes += scored;
        if !arrived.is_empty() {
            found.matches.extend(arrived);
            found.matches.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| items.compare(a.row, b.row)));
            found.matches.truncate(depth);
        }
        found
    }
}

/// Whether that can be asked for.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub(crate) fn check_effort(effort: Effort) -> Result<()> {
    match effort {
        Effort::Budget(0) => {
            let remedy = "allow at least one code to be scored, or leave the search exact";
            Err(invalid("approximate(0)", remedy))
        }
        Effort::Recall(share) if !(share > 0.0 && share < 1.0) => {
            let remedy = "ask for a share of the exact list, above 0 and up to 1, which is exact";
            Err(invalid(&format!("recall({share})"), remedy))
        }
        _ => Ok(()),
    }
}

/// The filter of a search among the generation's items.
fn coded<'a>(filter: &Filter<'a>, generation: &'a Generation) -> Filter<'a> {
    let mut coded = filter.clone();
    coded.deny.extend(Some(generation.codeless()).filter(|codeless| !codeless.is_empty()));
    coded
}
