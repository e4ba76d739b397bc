//! What can be asked, of a database that is open here and of snapshots of one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use kithdb::{Db, Error, Hits, Id, IdKind, Query, Side, Snapshot};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Kind, OrRaise, invalid, raised};
use crate::given::{Given, optional};
use crate::ids;
use crate::intake::{Names, Rows, pairs, stream};
use crate::lists;
use crate::owned::Owned;

/// Where answers come from.
#[derive(Clone)]
pub(crate) enum Source {
    Live(Db),
    Replica(Arc<kithdb::Replica>),
    Closed,
}

/// Everything that reads. `kithdb.Database` and `kithdb.Replica` are such readers.
#[pyclass(module = "kithdb._kithdb", subclass, frozen)]
pub(crate) struct Reader {
    source: Owned<RwLock<Source>>,
    /// Where it was opened.
    path: PathBuf,
}

impl Reader {
    pub(crate) fn new(source: Source, path: PathBuf) -> Self {
        Self { source: Owned::new(RwLock::new(source)), path }
    }

    /// Where answers come from now; a process that was forked has nowhere.
    fn source(&self) -> PyResult<Source> {
        Ok(self.source.get()?.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// The database as it is now.
    pub(crate) fn snapshot(&self) -> PyResult<Snapshot> {
        match self.source()? {
            Source::Live(db) => Ok(db.snapshot()),
            Source::Replica(replica) => Ok(replica.snapshot()),
            Source::Closed => Err(closed()),
        }
    }

    /// The database, where it is open here.
    pub(crate) fn db(&self) -> PyResult<Db> {
        match self.source()? {
            Source::Live(db) => Ok(db),
            Source::Replica(_) | Source::Closed => Err(closed()),
        }
    }

    /// The place of snapshots it reads.
    pub(crate) fn replica(&self) -> PyResult<Arc<kithdb::Replica>> {
        match self.source()? {
            Source::Replica(replica) => Ok(replica),
            Source::Live(_) | Source::Closed => Err(closed()),
        }
    }

    /// Has nothing to answer from any more; what went wrong when a database was closed is raised.
    /// Another process has nothing to close.
    pub(crate) fn close(&self) -> PyResult<()> {
        let Ok(source) = self.source.get() else { return Ok(()) };
        let mut source = source.write().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *source, Source::Closed);
        drop(source);
        match last {
            Source::Live(db) => db.close().map_err(|error| match error {
                Error::InvalidArgument { .. } => Kind::Storage.with(
                    "closed to new calls, but others of other threads are under way: it stays open until they have ended",
                ),
                error => raised(error),
            }),
            Source::Replica(_) | Source::Closed => Ok(()),
        }
    }
}

fn closed() -> PyErr {
    Kind::Storage.with("it is closed: open it again")
}

/// A set of items to filter with, built once for many queries, by `item_set`. It belongs to the opening of the database that built it.
#[pyclass(module = "kithdb", frozen)]
pub(crate) struct ItemSet {
    set: kithdb::ItemSet,
}

#[pymethods]
impl ItemSet {
    fn __len__(&self) -> usize {
        self.set.len() as usize
    }

    /// The ids nobody knew when it was built: misspelt, or not touched yet.
    fn unknown(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        self.set.unknown().iter().map(|id| ids::object(py, id)).collect()
    }

    fn __repr__(&self) -> String {
        format!("<kithdb.ItemSet of {} items>", self.set.len())
    }
}

/// The set an argument stands for: an [`ItemSet`], or ids.
fn set(snapshot: &Snapshot, object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<kithdb::ItemSet>> {
    let Some(object) = object else { return Ok(None) };
    if let Ok(set) = object.cast::<ItemSet>() {
        return Ok(Some(set.get().set.clone()));
    }
    built(snapshot, object).map(Some)
}

/// The set of many items, looked up without the interpreter's lock.
fn built(snapshot: &Snapshot, items: &Bound<'_, PyAny>) -> PyResult<kithdb::ItemSet> {
    let ids = ids::many(items)?;
    items.py().detach(|| snapshot.item_set(ids)).or_raise()
}

/// How lists are to be, whoever they are for.
struct Shape {
    k: usize,
    filters: Filters,
    include_seen: bool,
    or_popular: bool,
    query_bits: Option<u32>,
    recall: Option<f32>,
    diversify: f32,
    min_score: Option<f32>,
}

/// The items a query is to choose from, and those it leaves out.
struct Filters {
    allow: Option<kithdb::ItemSet>,
    deny: Option<kithdb::ItemSet>,
}

impl Filters {
    fn of(snapshot: &Snapshot, allow: Option<&Bound<'_, PyAny>>, deny: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self { allow: set(snapshot, allow)?, deny: set(snapshot, deny)? })
    }

    /// The query, filtered by them.
    fn filtered<'a>(&'a self, mut query: Query<'a>) -> Query<'a> {
        if let Some(set) = &self.allow {
            query = query.allow(set);
        }
        if let Some(set) = &self.deny {
            query = query.deny(set);
        }
        query
    }
}

impl Shape {
    fn of<'a>(&'a self, query: Query<'a>) -> Query<'a> {
        let mut query = self.filters.filtered(query).k(self.k);
        if self.include_seen {
            query = query.include_seen();
        }
        if self.or_popular {
            query = query.or_popular();
        }
        if let Some(bits) = self.query_bits {
            query = query.query_bits(bits);
        }
        if let Some(share) = self.recall {
            query = query.recall(share);
        }
        if self.diversify != 0.0 {
            query = query.diversify(self.diversify);
        }
        if let Some(score) = self.min_score {
            query = query.min_score(score);
        }
        query
    }
}

/// Whether an error says that one user cannot be answered, rather than that the question cannot be asked.
fn is_about_somebody(error: &Error) -> bool {
    matches!(error, Error::UnknownUser { .. } | Error::NoHistory { .. } | Error::NoDirection { .. })
}

/// What becomes of those who cannot be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    Raise,
    Ignore,
}

impl Errors {
    fn parse(name: &str) -> PyResult<Self> {
        match name {
            "raise" => Ok(Self::Raise),
            "ignore" => Ok(Self::Ignore),
            other => Err(invalid(format!("errors={other:?}"), "choose raise or ignore")),
        }
    }

    /// An answer, none where it is not to be had and that is ignored.
    fn settled(self, answer: kithdb::Result<Hits>) -> PyResult<Option<Hits>> {
        match answer {
            Ok(hits) => Ok(Some(hits)),
            Err(error) if self == Self::Ignore && is_about_somebody(&error) => Ok(None),
            Err(error) => Err(raised(error)),
        }
    }
}

#[pymethods]
impl Reader {
    /// Recommends items to a user (a list of (id, score), best first), to go with a basket of `items` (the same), or to each of many `users` (an array of ids
    /// and one of scores, `[users, k]`; rows that are shorter end in -1 or None, and NaN). Pass one of `user`, `users` and `items`.
    ///
    /// `k` is how long lists are at most. What a user has is left out unless `include_seen`. `allow` and `deny` are ids or an `ItemSet`, the items to choose from and
    /// those to leave out, and work before the best are taken. `or_popular` answers with what most users have where there is nothing else to go by. `query_bits`
    /// (1 to 8) and `recall` (a share of the exact list, up to 1) trade exactness for time; `diversify` (0 to 1) has items differ; `min_score` leaves out what
    /// scores less. With `errors="ignore"` users who cannot be answered get an empty row or list; with `"raise"`, the default, the first of them is raised.
    #[pyo3(signature = (user=None, k=Given::of(10), *, users=None, items=None, allow=None, deny=None, include_seen=false,
                        or_popular=false, query_bits=None, recall=None, diversify=Given::of(0.0), min_score=None, errors="raise"),
           text_signature = "($self, user=None, k=10, *, users=None, items=None, allow=None, deny=None, include_seen=False, \
                             or_popular=False, query_bits=None, recall=None, diversify=0.0, min_score=None, errors='raise')")]
    #[allow(clippy::too_many_arguments, reason = "the keywords of a Python function")]
    fn recommend<'py>(
        &self,
        py: Python<'py>,
        user: Option<&Bound<'py, PyAny>>,
        k: Given<usize>,
        users: Option<&Bound<'py, PyAny>>,
        items: Option<&Bound<'py, PyAny>>,
        allow: Option<&Bound<'py, PyAny>>,
        deny: Option<&Bound<'py, PyAny>>,
        include_seen: bool,
        or_popular: bool,
        query_bits: Option<Given<u32>>,
        recall: Option<Given<f32>>,
        diversify: Given<f32>,
        min_score: Option<Given<f32>>,
        errors: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (snapshot, k, errors) = (self.snapshot()?, k.named("k")?, Errors::parse(errors)?);
        let shape = Shape {
            k,
            filters: Filters::of(&snapshot, allow, deny)?,
            include_seen,
            or_popular,
            query_bits: optional("query_bits", query_bits)?,
            recall: optional("recall", recall)?,
            diversify: diversify.named("diversify")?,
            min_score: optional("min_score", min_score)?,
        };
        match (user, users, items) {
            (Some(user), None, None) => {
                let user = ids::id(user)?;
                let answer = py.detach(|| shape.of(snapshot.query()).user(user).run());
                lists::list(py, errors.settled(answer)?.as_ref())
            }
            (None, None, Some(items)) => {
                let items = ids::many(items)?;
                let answer = py.detach(|| shape.of(snapshot.query()).items(items).run());
                lists::list(py, errors.settled(answer)?.as_ref())
            }
            (None, Some(users), None) => {
                let users = ids::many(users)?;
                lists::check_size(users.len(), k)?;
                let answers = py.detach(|| shape.of(snapshot.query()).run_for(&users));
                let answers = answers.into_iter().map(|answer| errors.settled(answer)).collect::<PyResult<Vec<_>>>()?;
                let integers = snapshot.id_kind(Side::Item) != Some(IdKind::Str);
                Ok(lists::arrays(py, &answers, k, integers)?.into_any())
            }
            _ => Err(invalid(
                "recommend() to nobody, or to several at once",
                "pass one of user=, users= (many, for arrays) and items= (a basket)",
            )),
        }
    }

    /// The items most similar to an `item`, without it: a list of at most `k` (id, score), best first. `allow` and `deny` are ids or an `ItemSet`, the items to choose
    /// from and those to leave out.
    #[pyo3(signature = (item, k=Given::of(10), *, allow=None, deny=None),
           text_signature = "($self, item, k=10, *, allow=None, deny=None)")]
    fn similar_items<'py>(
        &self,
        py: Python<'py>,
        item: &Bound<'py, PyAny>,
        k: Given<usize>,
        allow: Option<&Bound<'py, PyAny>>,
        deny: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (snapshot, item, k) = (self.snapshot()?, ids::id(item)?, k.named("k")?);
        let filters = Filters::of(&snapshot, allow, deny)?;
        let hits = py.detach(|| filters.filtered(snapshot.query()).similar_to(item).k(k).run());
        lists::list(py, Some(&hits.or_raise()?))
    }

    /// The users most similar to a `user`, without them: a list of at most `k` (id, score), best first.
    #[pyo3(signature = (user, k=Given::of(10)), text_signature = "($self, user, k=10)")]
    fn similar_users<'py>(
        &self,
        py: Python<'py>,
        user: &Bound<'py, PyAny>,
        k: Given<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (snapshot, user, k) = (self.snapshot()?, ids::id(user)?, k.named("k")?);
        let hits = py.detach(|| snapshot.similar_users(user, k)).or_raise()?;
        lists::list(py, Some(&hits))
    }

    /// The items nearest to a `vector` like those that were imported; elsewhere of one float a bit of the codes: a list of at most `k` (id, score), best first. `allow`
    /// and `deny` are ids or an `ItemSet`, the items to choose from and those to leave out.
    #[pyo3(signature = (vector, k=Given::of(10), *, allow=None, deny=None),
           text_signature = "($self, vector, k=10, *, allow=None, deny=None)")]
    fn nearest_to_vector<'py>(
        &self,
        py: Python<'py>,
        vector: &Bound<'py, PyAny>,
        k: Given<usize>,
        allow: Option<&Bound<'py, PyAny>>,
        deny: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (snapshot, k) = (self.snapshot()?, k.named("k")?);
        let filters = Filters::of(&snapshot, allow, deny)?;
        let (vector, _) = crate::imports::floats("the vector", vector)?;
        let hits = py.detach(|| filters.filtered(snapshot.query()).vector(vector).k(k).run());
        lists::list(py, Some(&hits.or_raise()?))
    }

    /// Why an `item` has the score a query of a `user` gives it, a dict: `user`, `item` and the `generation` whose codes are compared; `score`; `layers`, what each adds
    /// to it; `basis`, what the user's code stands on (of the training, moved by what came since, or folded in); `pulls`, the user's own items with what each adds to
    /// `folded_score`, the largest first; `kept`, where the model learned masks of edges, those of the user's items whose edges were not cut, else None.
    fn explain<'py>(
        &self,
        py: Python<'py>,
        user: &Bound<'py, PyAny>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (source, user, item) = (self.source()?, ids::id(user)?, ids::id(item)?);
        let explain = || match source {
            Source::Live(db) => Ok(db.explain(user, item).or_raise()),
            Source::Replica(replica) => Ok(replica.snapshot().explain(user, item).or_raise()),
            Source::Closed => Err(closed()),
        };
        let why = py.detach(explain)??;
        let explained = PyDict::new(py);
        explained.set_item("user", ids::object(py, &why.user)?)?;
        explained.set_item("item", ids::object(py, &why.item)?)?;
        explained.set_item("generation", why.generation)?;
        explained.set_item("basis", pythonize::pythonize(py, &why.basis)?)?;
        explained.set_item("score", why.score)?;
        explained.set_item("layers", why.layers.iter().map(|layer| layer.contribution).collect::<Vec<f32>>())?;
        explained.set_item("folded_score", why.folded_score)?;
        let pulls = why.pulls.iter().map(|pull| Ok((ids::object(py, &pull.item)?, pull.pull)));
        explained.set_item("pulls", pulls.collect::<PyResult<Vec<_>>>()?)?;
        let named = |kept: &Vec<Id>| kept.iter().map(|item| ids::object(py, item)).collect::<PyResult<Vec<_>>>();
        explained.set_item("kept", why.kept.as_ref().map(named).transpose()?)?;
        Ok(explained)
    }

    /// Measures recommendations against held-out interactions: a mapping of users to their items, or a stream of rows.
    #[pyo3(signature = (truth, k, query_bits, user, item))]
    fn _evaluate<'py>(
        &self,
        py: Python<'py>,
        truth: &Bound<'py, PyAny>,
        k: Vec<Given<usize>>,
        query_bits: Option<Given<u32>>,
        user: Option<String>,
        item: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (snapshot, query_bits) = (self.snapshot()?, optional("query_bits", query_bits)?);
        let k = k.into_iter().map(|k| k.named("k")).collect::<PyResult<Vec<_>>>()?;
        let truth: PyResult<Vec<(Id, Vec<Id>)>> = match truth.cast::<PyDict>() {
            Ok(truth) => truth.iter().map(|(user, items)| Ok((ids::id(&user)?, ids::many(&items)?))).collect(),
            Err(_) => {
                let names = Names { user, item, ..Names::default() };
                let pairs = pairs(py, Rows::new(stream(truth)?, &names)?)?;
                Ok(py.detach(|| by_user(pairs)))
            }
        };
        let truth = truth?;
        let evaluation = py.detach(|| snapshot.evaluate(&truth, &k, query_bits)).or_raise()?;
        Ok(pythonize::pythonize(py, &evaluation)?)
    }

    /// The ids of all users as an array, in the order in which they came.
    fn users<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let snapshot = self.snapshot()?;
        let integers = snapshot.id_kind(Side::User) != Some(IdKind::Str);
        column(py, &py.detach(|| snapshot.users()), integers)
    }

    /// The ids of all items as an array, in the order in which they came.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let snapshot = self.snapshot()?;
        let integers = snapshot.id_kind(Side::Item) != Some(IdKind::Str);
        column(py, &py.detach(|| snapshot.items()), integers)
    }

    /// The ids of items that no query returns, as an array.
    fn retired_items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let snapshot = self.snapshot()?;
        let integers = snapshot.id_kind(Side::Item) != Some(IdKind::Str);
        column(py, &py.detach(|| snapshot.retired_items()), integers)
    }

    /// What a `user` has: a list of (item, weight, milliseconds since 1970 or None); nothing for a user nobody knows.
    fn history<'py>(&self, py: Python<'py>, user: &Bound<'py, PyAny>) -> PyResult<Vec<Touch>> {
        let (snapshot, user) = (self.snapshot()?, ids::id(user)?);
        let history = py.detach(|| snapshot.history(user)).or_raise()?;
        history.iter().map(|one| Ok((ids::object(py, &one.item)?, one.weight, one.time))).collect()
    }

    /// What ids of users, and those of items, are: `int`, `str` or `bytes`; None before the first.
    fn _id_kinds(&self) -> PyResult<(Option<&'static str>, Option<&'static str>)> {
        let snapshot = self.snapshot()?;
        let name = |kind| match kind {
            IdKind::U64 => "int",
            IdKind::Str => "str",
            IdKind::Bytes => "bytes",
        };
        Ok((snapshot.id_kind(Side::User).map(name), snapshot.id_kind(Side::Item).map(name)))
    }

    /// A set of `items` to pass as `allow` or `deny` to many calls, built once.
    fn item_set(&self, items: &Bound<'_, PyAny>) -> PyResult<ItemSet> {
        Ok(ItemSet { set: built(&self.snapshot()?, items)? })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (name, reader) = (slf.get_type().name()?, slf.get());
        let state = match (reader.source.is_here(), reader.snapshot()) {
            (false, _) => "of another process".to_owned(),
            (true, Err(_)) => "closed".to_owned(),
            (true, Ok(snapshot)) => match snapshot.generation() {
                Some(generation) => format!("generation {generation}"),
                None => "not trained".to_owned(),
            },
        };
        Ok(format!("<kithdb.{name} {:?}: {state}>", reader.path.display()))
    }

    /// The generation whose codes answer; None before the first training.
    #[getter]
    fn generation(&self) -> PyResult<Option<u64>> {
        Ok(self.snapshot()?.generation())
    }
}

/// Item, weight and time of an interaction.
type Touch = (Py<PyAny>, f32, Option<i64>);

/// Ids as an array of one extent.
fn column<'py>(py: Python<'py>, all: &[Id], integers: bool) -> PyResult<Bound<'py, PyAny>> {
    let ids: Vec<Option<&Id>> = all.iter().map(Some).collect();
    ids::array(py, &ids, integers, [ids.len(), 1])?.call_method1("reshape", (-1,))
}

/// The items of every user, in the order in which users come first.
fn by_user(pairs: Vec<(Id, Id)>) -> Vec<(Id, Vec<Id>)> {
    let mut places: HashMap<Id, usize> = HashMap::new();
    let mut truth: Vec<(Id, Vec<Id>)> = Vec::new();
    for (user, item) in pairs {
        let place = *places.entry(user).or_insert_with_key(|user| {
            truth.push((user.clone(), Vec::new()));
            truth.len() - 1
        });
        truth[place].1.push(item);
    }
    truth
}
