//! A database that is open in this process.

use std::path::PathBuf;

use kithdb::{Compaction, Db, Embeddings, Inserted, Repeats, SnapshotOptions};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{OrRaise, invalid};
use crate::given::{Given, optional};
use crate::ids;
use crate::imports::{self, Side};
use crate::intake::{self, Entries, Names, Rows};
use crate::job::Job;
use crate::options::Keywords;
use crate::reader::{Reader, Source};

/// An open database. `kithdb.Database` is what users see of it.
#[pyclass(module = "kithdb._kithdb", extends = Reader, subclass, frozen)]
pub(crate) struct Database {}

/// The database behind an object.
fn db(object: &Bound<'_, Database>) -> PyResult<Db> {
    object.as_super().get().db()
}

/// How many interactions were new, changed one that was there, or said again what was there.
fn counts(inserted: Inserted) -> (u64, u64, u64) {
    (inserted.new, inserted.updated, inserted.repeated)
}

#[pymethods]
impl Database {
    #[new]
    #[pyo3(signature = (path, *, create=true, repeats=None, recall=None, memory_limit=None, background=true, kept_generations=None,
                        cache_bytes=None))]
    #[allow(clippy::too_many_arguments, reason = "the keywords of a Python function")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        create: bool,
        repeats: Option<&str>,
        recall: Option<Given<f32>>,
        memory_limit: Option<Given<u64>>,
        background: bool,
        kept_generations: Option<Given<usize>>,
        cache_bytes: Option<Given<u64>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let mut options = Db::options().create(create).background(background);
        if let Some(repeats) = repeats {
            options = options.repeats(Repeats::parse(repeats).or_raise()?);
        }
        if let Some(share) = optional("recall", recall)? {
            options = options.recall(share);
        }
        if let Some(bytes) = optional("memory_limit", memory_limit)? {
            options = options.memory_limit(bytes);
        }
        if let Some(generations) = optional("kept_generations", kept_generations)? {
            options = options.kept_generations(generations);
        }
        if let Some(bytes) = optional("cache_bytes", cache_bytes)? {
            options = options.cache_bytes(bytes);
        }
        let db = py.detach(|| options.open(&path)).or_raise()?;
        Ok(PyClassInitializer::from(Reader::new(Source::Live(db), path)).add_subclass(Self {}))
    }

    /// Closes the database; a training that runs is cancelled. It may be closed twice. What went wrong with the last files is raised, and that a call of another
    /// thread has not ended within a second, after which the database closes by itself.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let reader = slf.as_super().get();
        slf.py().detach(|| reader.close())
    }

    /// Records that a `user` touched an `item`, with a `weight` above 0 and at a `time`, which is milliseconds since 1970, a datetime or a date; on the disk when it
    /// returns. What the same pair had before is kept or not as the database was opened with `repeats`.
    #[pyo3(signature = (user, item, weight=Given::of(1.0), time=None),
           text_signature = "($self, user, item, weight=1.0, time=None)")]
    fn insert(
        slf: &Bound<'_, Self>,
        user: &Bound<'_, PyAny>,
        item: &Bound<'_, PyAny>,
        weight: Given<f32>,
        time: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let mut interaction = kithdb::Interaction::new(ids::id(user)?, ids::id(item)?).weight(weight.named("weight")?);
        interaction.time = time.map(intake::time).transpose()?.flatten();
        let db = db(slf)?;
        slf.py().detach(|| db.insert_interaction(interaction)).or_raise()
    }

    /// Inserts the rows of an Arrow stream.
    #[pyo3(signature = (stream, user, item, weight, time))]
    fn _insert_stream(
        slf: &Bound<'_, Self>,
        stream: &Bound<'_, PyAny>,
        user: Option<String>,
        item: Option<String>,
        weight: Option<String>,
        time: Option<String>,
    ) -> PyResult<(u64, u64, u64)> {
        let db = db(slf)?;
        let rows = Rows::new(intake::stream(stream)?, &Names { user, item, weight, time })?;
        intake::insert(slf.py(), &db, rows, intake::row_name).map(counts)
    }

    /// Inserts columns of one length; a time of -2^63, which is numpy's for not a time, is none.
    #[pyo3(signature = (users, items, weights, times))]
    fn _insert_columns(
        slf: &Bound<'_, Self>,
        users: &Bound<'_, PyAny>,
        items: &Bound<'_, PyAny>,
        weights: Option<PyReadonlyArray1<'_, f32>>,
        times: Option<PyReadonlyArray1<'_, i64>>,
    ) -> PyResult<(u64, u64, u64)> {
        let ids = (ids::column(users, "user")?, ids::column(items, "item")?);
        let weights = weights.as_ref().map(|weights| weights.as_slice()).transpose()?;
        let times = times.as_ref().map(|times| times.as_slice()).transpose()?;
        intake::insert_columns(slf.py(), &db(slf)?, ids, weights, times).map(counts)
    }

    /// Inserts what a sparse matrix holds; ids of rows and columns where they are given.
    #[pyo3(signature = (rows, columns, weights, users, items))]
    fn _insert_matrix(
        slf: &Bound<'_, Self>,
        rows: PyReadonlyArray1<'_, i64>,
        columns: PyReadonlyArray1<'_, i64>,
        weights: PyReadonlyArray1<'_, f32>,
        users: Option<&Bound<'_, PyAny>>,
        items: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(u64, u64, u64)> {
        let entries = Entries { rows: rows.as_slice()?, columns: columns.as_slice()?, weights: weights.as_slice()? };
        let (users, items) = (users.map(ids::many).transpose()?, items.map(ids::many).transpose()?);
        intake::insert_matrix(slf.py(), &db(slf)?, &entries, users.as_deref(), items.as_deref()).map(counts)
    }

    /// Inserts tuples.
    fn _insert_tuples(slf: &Bound<'_, Self>, tuples: &Bound<'_, PyAny>) -> PyResult<(u64, u64, u64)> {
        intake::insert_tuples(slf.py(), &db(slf)?, tuples).map(counts)
    }

    /// Takes the interaction of a `user` with an `item` back; whether there was one.
    fn remove(slf: &Bound<'_, Self>, user: &Bound<'_, PyAny>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (db, user, item) = (db(slf)?, ids::id(user)?, ids::id(item)?);
        slf.py().detach(|| db.remove(user, item)).or_raise()
    }

    /// Forgets a `user` and all they touched; whether they were known.
    fn forget_user(slf: &Bound<'_, Self>, user: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (db, user) = (db(slf)?, ids::id(user)?);
        slf.py().detach(|| db.forget_user(user)).or_raise()
    }

    /// Retires an `item`, so that no query returns it; whether it was known and not retired before.
    fn retire_item(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (db, item) = (db(slf)?, ids::id(item)?);
        slf.py().detach(|| db.retire_item(item)).or_raise()
    }

    /// Lets queries return a retired `item` again; whether it was retired.
    fn unretire_item(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (db, item) = (db(slf)?, ids::id(item)?);
        slf.py().detach(|| db.unretire_item(item)).or_raise()
    }

    /// Begins a training in the background.
    fn _train(slf: &Bound<'_, Self>, keywords: Keywords<'_>) -> PyResult<Job> {
        let options = keywords.options()?;
        db(slf)?.train(options).or_raise().map(Job::new)
    }

    /// Begins a compaction in the background.
    fn _compact(slf: &Bound<'_, Self>, kind: &str) -> PyResult<Job> {
        let kind = match kind {
            "minor" => Compaction::Minor,
            "major" => Compaction::Major,
            "full" => Compaction::Full,
            other => return Err(invalid(format!("a compaction {other:?}"), "choose minor, major or full")),
        };
        db(slf)?.compact(kind).or_raise().map(Job::new)
    }

    /// Goes back to the codes of a `generation` that is kept; the number of the generation that has them now.
    fn rollback(slf: &Bound<'_, Self>, generation: Given<u64>) -> PyResult<u64> {
        let (db, generation) = (db(slf)?, generation.named("generation")?);
        slf.py().detach(|| db.rollback(generation)).or_raise()
    }

    /// Encodes float vectors made elsewhere, and publishes the codes; what it came to, a dict.
    ///
    /// `items` and `users` are arrays of `[rows, dims]` or `[rows, layers, dims]`, of one dims and layers, or paths of .npy files of such, which are read a piece at a
    /// time; `item_ids` and `user_ids` are an id a row, row numbers where there are none. Without `users` queries are by items and vectors. `metric` is what the
    /// vectors are compared by, `"dot"` or `"cosine"`. `bits` are those of an item's code in all, a multiple of 64 a layer (about one a dimension): more are
    /// slower, and nearer to the vectors' own order. `passes` are the layers a vector is encoded in, each of what those before left over; `query_bits` the bits a
    /// dimension kept of users (1 to 8); `seed` is that of the rotation.
    #[pyo3(signature = (items, item_ids=None, users=None, user_ids=None, *, metric="dot", bits=None, passes=None,
                        query_bits=Given::of(4), seed=Given::of(1)),
           text_signature = "($self, items, item_ids=None, users=None, user_ids=None, *, metric='dot', bits=None, \
                             passes=None, query_bits=4, seed=1)")]
    #[allow(clippy::too_many_arguments, reason = "the keywords of a Python function")]
    fn import_embeddings<'py>(
        slf: &Bound<'py, Self>,
        items: &Bound<'py, PyAny>,
        item_ids: Option<&Bound<'py, PyAny>>,
        users: Option<&Bound<'py, PyAny>>,
        user_ids: Option<&Bound<'py, PyAny>>,
        metric: &str,
        bits: Option<Given<u32>>,
        passes: Option<Given<u32>>,
        query_bits: Given<u32>,
        seed: Given<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (bits, passes) = (optional("bits", bits)?, optional("passes", passes)?);
        let (query_bits, seed) = (query_bits.named("query_bits")?, seed.named("seed")?);
        let (db, options) = (db(slf)?, imports::encoding(metric, bits, passes, query_bits, seed)?);
        let embeddings = Embeddings {
            items: imports::vectors("items", items)?,
            item_ids: imports::row_ids(item_ids)?,
            users: users.map(|users| imports::vectors("users", users)).transpose()?,
            user_ids: imports::row_ids(user_ids)?,
        };
        let outcome = slf.py().detach(|| db.import_embeddings(embeddings, &options)).or_raise()?;
        Ok(pythonize::pythonize(slf.py(), &outcome)?)
    }

    /// Publishes packed codes made elsewhere, those that `export` writes; what it came to, a dict.
    ///
    /// `item_codes` are `[items, bytes]` of uint8, bit j of a layer's byte b its dimension 8 b + j, set for +1; `user_codes` alike, or `[users, layers, planes, bytes a
    /// layer]`, the sign first. `item_scalers` and `user_scalers` are `[rows, layers]`, `layer_weights` a weight a layer; `item_ids` and `user_ids` are an id a row,
    /// row numbers where there are none.
    #[pyo3(signature = (item_codes, item_scalers, layer_weights, item_ids=None, user_codes=None, user_scalers=None, user_ids=None))]
    #[allow(clippy::too_many_arguments, reason = "the keywords of a Python function")]
    fn import_codes<'py>(
        slf: &Bound<'py, Self>,
        item_codes: &Bound<'py, PyAny>,
        item_scalers: &Bound<'py, PyAny>,
        layer_weights: Vec<f32>,
        item_ids: Option<&Bound<'py, PyAny>>,
        user_codes: Option<&Bound<'py, PyAny>>,
        user_scalers: Option<&Bound<'py, PyAny>>,
        user_ids: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let db = db(slf)?;
        let items = Side { codes: item_codes, scalers: item_scalers, ids: item_ids };
        let users = match (user_codes, user_scalers) {
            (Some(codes), Some(scalers)) => Some(Side { codes, scalers, ids: user_ids }),
            (None, None) if user_ids.is_some() => {
                return Err(invalid("user_ids without codes of users", "pass user_codes and user_scalers, too"));
            }
            (None, None) => None,
            _ => return Err(invalid("users with half a code", "pass user_codes and user_scalers, or neither")),
        };
        let set = imports::codes(slf.py(), &items, users.as_ref(), layer_weights)?;
        let outcome = slf.py().detach(|| db.import_codes(set)).or_raise()?;
        Ok(pythonize::pythonize(slf.py(), &outcome)?)
    }

    /// Writes the codes of the current generation to a `folder` of .npy files; what it wrote, a dict.
    fn export<'py>(slf: &Bound<'py, Self>, folder: PathBuf) -> PyResult<Bound<'py, PyAny>> {
        let db = db(slf)?;
        let outcome = slf.py().detach(|| db.export_npy(folder)).or_raise()?;
        Ok(pythonize::pythonize(slf.py(), &outcome)?)
    }

    /// Counts and sizes, a dict: users, items, interactions, the generation and what has come since, files.
    fn stats<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let db = db(slf)?;
        let stats = slf.py().detach(|| db.stats()).or_raise()?;
        Ok(pythonize::pythonize(slf.py(), &stats)?)
    }

    /// Reads everything stored and checks every record, count and hash, a dict: `ok` sums it up; `records`, `parts` and `bytes` are how much was read, `warnings` and
    /// `damage` what was found.
    fn verify<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let db = db(slf)?;
        let report = slf.py().detach(|| db.verify()).or_raise()?;
        let found = PyDict::new(slf.py());
        found.set_item("ok", report.is_sound())?;
        found.set_item("records", report.records)?;
        found.set_item("parts", report.parts)?;
        found.set_item("bytes", report.bytes)?;
        found.set_item("warnings", report.warnings)?;
        found.set_item("damage", report.damage.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(found)
    }

    /// Writes a compact copy of the database, one of its own, into a `folder` that is absent or empty; reads and writes go on meanwhile.
    fn backup(slf: &Bound<'_, Self>, folder: PathBuf) -> PyResult<()> {
        let db = db(slf)?;
        slf.py().detach(|| db.compact_to(folder)).or_raise()
    }

    /// Writes the database as it is now into a folder, the `place`, that any number of processes read by `kithdb.open_snapshot`; what it wrote, a dict. Without
    /// `interactions` there are codes and ids alone: nothing is left out of a list for having been seen. `keep` snapshots stay there (2).
    #[pyo3(signature = (place, *, interactions=true, keep=Given::of(2)),
           text_signature = "($self, place, *, interactions=True, keep=2)")]
    fn snapshot_to<'py>(
        slf: &Bound<'py, Self>,
        place: PathBuf,
        interactions: bool,
        keep: Given<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = SnapshotOptions::new().interactions(interactions).keep(keep.named("keep")?);
        let db = db(slf)?;
        let outcome = slf.py().detach(|| db.snapshot_to(place, &options)).or_raise()?;
        Ok(pythonize::pythonize(slf.py(), &outcome)?)
    }
}
