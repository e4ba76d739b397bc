//! Interactions on their way in: from a stream of Arrow, from columns of numpy, from an iterable of tuples.

use arrow_array::{Array, Float32Array, Int64Array, RecordBatch, RecordBatchReader};
use arrow_schema::Schema;
use kithdb::{Db, Id, IdKind, Inserted, Interaction, Side};
use pyo3::exceptions::{PyException, PyImportError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyTuple};
use pyo3_arrow::PyRecordBatchReader;

use crate::column::{IdColumn, first_null, times, weights};
use crate::error::{Kind, OrRaise, invalid};
use crate::ids;

/// Tuples that are taken from an iterable at a time.
const PIECE: usize = 1 << 16;

/// Where in a table the parts of an interaction are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    user: (usize, String),
    item: (usize, String),
    weight: Option<(usize, String)>,
    time: Option<(usize, String)>,
}

/// The columns a caller names; those that are not named are `user`, `item` and, where there are such, `weight` and `time`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) user: Option<String>,
    pub(crate) item: Option<String>,
    pub(crate) weight: Option<String>,
    pub(crate) time: Option<String>,
}

impl Names {
    /// Where these columns are; a name that two columns have is refused.
    fn places(&self, schema: &Schema) -> PyResult<Places> {
        let names = || schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
        let find = |name: &str| {
            let mut places = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == name);
            let place = places.next().map(|(place, _)| (place, name.to_owned()));
            match places.next() {
                Some(_) => Err(invalid(
                    format!("two columns are called {name:?}"),
                    format!("rename one of them; the columns are {}", names()),
                )),
                None => Ok(place),
            }
        };
        let needed = |part: &str, given: &Option<String>| {
            let name = given.as_deref().unwrap_or(part);
            find(name)?.ok_or_else(|| {
                invalid(
                    format!("no column {name:?}"),
                    format!("pass the name of the column as {part}=; the columns are {}", names()),
                )
            })
        };
        let wanted = |part: &str, given: &Option<String>| match given {
            Some(_) => needed(part, given).map(Some),
            None => find(part),
        };
        Ok(Places {
            user: needed("user", &self.user)?,
            item: needed("item", &self.item)?,
            weight: wanted("weight", &self.weight)?,
            time: wanted("time", &self.time)?,
        })
    }
}

/// The columns of one batch, without nulls but among times.
struct Columns {
    users: IdColumn,
    items: IdColumn,
    weights: Option<Float32Array>,
    times: Option<Int64Array>,
    rows: usize,
}

impl Columns {
    fn of(batch: &RecordBatch, places: &Places, before: usize) -> PyResult<Self> {
        let refuse_null = |null: Option<usize>, name: &str| match null {
            None => Ok(()),
            Some(row) => Err(invalid(
                format!("row {}: no value in column {name:?}", before + row),
                "leave out the rows that have none, or fill them",
            )),
        };
        let (user, item) = (&places.user, &places.item);
        let users = IdColumn::of(&user.1, batch.column(user.0))?;
        refuse_null(users.first_null(), &user.1)?;
        let items = IdColumn::of(&item.1, batch.column(item.0))?;
        refuse_null(items.first_null(), &item.1)?;
        let weights = places.weight.as_ref().map(|(at, name)| weights(name, batch.column(*at))).transpose()?;
        if let (Some(weights), Some((_, name))) = (&weights, &places.weight) {
            refuse_null(first_null(weights), name)?;
        }
        let times = places.time.as_ref().map(|(at, name)| times(name, batch.column(*at), before)).transpose()?;
        Ok(Self { users, items, weights, times, rows: batch.num_rows() })
    }

    fn interaction(&self, row: usize) -> Interaction {
        Interaction {
            user: self.users.id(row),
            item: self.items.id(row),
            weight: self.weights.as_ref().map_or(1.0, |weights| weights.value(row)),
            time: self.times.as_ref().filter(|times| times.is_valid(row)).map(|times| times.value(row)),
        }
    }
}

/// The stream of Arrow that an object has. What keeps it from having one is refused as what it passed, but for a module that is missing and Ctrl-C.
pub(crate) fn stream(object: &Bound<'_, PyAny>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
    let py = object.py();
    let opened = object.extract::<PyRecordBatchReader>().and_then(PyRecordBatchReader::into_reader);
    opened.map_err(|error| {
        if !error.is_instance_of::<PyException>(py) || error.is_instance_of::<PyImportError>(py) {
            return error;
        }
        let kind = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        let refused = invalid(
            format!("rows of type {kind} do not come as a stream of Arrow: {}", error.value(py)),
            "pass a frame or table whose columns are of one type each, of what Arrow has",
        );
        refused.set_cause(py, Some(error));
        refused
    })
}

/// The rows of a stream as interactions; an error ends it.
pub(crate) struct Rows {
    reader: Box<dyn RecordBatchReader + Send>,
    places: Places,
    columns: Option<Columns>,
    /// The next row of the batch.
    row: usize,
    /// Rows of the batches before.
    before: usize,
}

impl Rows {
    pub(crate) fn new(reader: Box<dyn RecordBatchReader + Send>, names: &Names) -> PyResult<Self> {
        let places = names.places(&reader.schema())?;
        Ok(Self { reader, places, columns: None, row: 0, before: 0 })
    }

    /// Takes the next batch; whether there is one.
    fn advance(&mut self) -> PyResult<bool> {
        // Ctrl-C is heard between batches.
        Python::attach(|py| py.check_signals())?;
        self.before += self.columns.take().map_or(0, |columns| columns.rows);
        self.row = 0;
        let Some(batch) = self.reader.next() else { return Ok(false) };
        let batch = batch.map_err(|error| invalid("the stream of rows broke off", error))?;
        self.columns = Some(Columns::of(&batch, &self.places, self.before)?);
        Ok(true)
    }
}

impl Iterator for Rows {
    type Item = PyResult<Interaction>;

    fn next(&mut self) -> Option<PyResult<Interaction>> {
        loop {
            if let Some(columns) = self.columns.as_ref().filter(|columns| self.row < columns.rows) {
                self.row += 1;
                return Some(Ok(columns.interaction(self.row - 1)));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(fault) => return Some(Err(fault)),
            }
        }
    }
}

/// Interactions as they are looked at before they are handed on: what cannot be stored is refused by its place.
struct Checked<P> {
    user: Option<IdKind>,
    item: Option<IdKind>,
    /// How the place of a row, from 0, is called.
    place: P,
}

impl<P: Fn(u64) -> String> Checked<P> {
    fn new(db: &Db, place: P) -> Self {
        let snapshot = db.snapshot();
        Self { user: snapshot.id_kind(Side::User), item: snapshot.id_kind(Side::Item), place }
    }

    /// An interaction that can be stored; ids are of the kind that the first of their side has.
    fn check(&mut self, row: u64, interaction: Interaction) -> PyResult<Interaction> {
        let sound = interaction
            .check()
            .and_then(|()| of_kind("user", &mut self.user, &interaction.user))
            .and_then(|()| of_kind("item", &mut self.item, &interaction.item));
        match sound {
            Ok(()) => Ok(interaction),
            Err(error) => Err(Kind::InvalidArgument.with(format!("{}: {error}", (self.place)(row)))),
        }
    }
}

/// Refuses an id of another kind than the first of its side.
fn of_kind(side: &'static str, first: &mut Option<IdKind>, id: &Id) -> kithdb::Result<()> {
    match *first.get_or_insert(id.kind()) {
        stored if stored == id.kind() => Ok(()),
        stored => Err(kithdb::Error::WrongIdKind { side, given: kind_name(id.kind()), stored: kind_name(stored) }),
    }
}

fn kind_name(kind: IdKind) -> &'static str {
    match kind {
        IdKind::U64 => "u64",
        IdKind::Str => "string",
        IdKind::Bytes => "bytes",
    }
}

/// How rows are called in errors.
pub(crate) fn row_name(row: u64) -> String {
    format!("row {row}")
}

/// Inserts rows, without the interpreter's lock, up to the first that cannot be taken or to Ctrl-C: what came before it is stored then.
pub(crate) fn insert(
    py: Python<'_>,
    db: &Db,
    rows: impl Iterator<Item = PyResult<Interaction>> + Send,
    place: impl Fn(u64) -> String + Send,
) -> PyResult<Inserted> {
    let (inserted, fault) = py.detach(|| {
        let (mut fault, mut checked) = (None, Checked::new(db, place));
        let taken = (0..).zip(rows).map_while(|(row, interaction)| {
            let heard = match row % PIECE as u64 {
                0 => Python::attach(|py| py.check_signals()),
                _ => Ok(()),
            };
            let interaction = heard.and(interaction).and_then(|interaction| checked.check(row, interaction));
            interaction.map_err(|error| fault = Some(error)).ok()
        });
        let inserted = db.insert_counted(taken);
        (inserted, fault)
    });
    let inserted = inserted.or_raise()?;
    fault.map_or(Ok(inserted), Err)
}

/// All users and items of a stream, row by row.
pub(crate) fn pairs(py: Python<'_>, rows: Rows) -> PyResult<Vec<(Id, Id)>> {
    py.detach(|| rows.map(|row| row.map(|row| (row.user, row.item))).collect())
}

/// Inserts columns of one length; a time of `i64::MIN` is none.
pub(crate) fn insert_columns(
    py: Python<'_>,
    db: &Db,
    (users, items): (Vec<Id>, Vec<Id>),
    weights: Option<&[f32]>,
    times: Option<&[i64]>,
) -> PyResult<Inserted> {
    let rows = users.len();
    for (name, length) in
        [("item", Some(items.len())), ("weight", weights.map(<[_]>::len)), ("time", times.map(<[_]>::len))]
    {
        if let Some(length) = length.filter(|&length| length != rows) {
            return Err(invalid(format!("{rows} users and {length} values of {name}"), "pass columns of one length"));
        }
    }
    let interactions = users.into_iter().zip(items).enumerate().map(|(row, (user, item))| {
        let weight = weights.map_or(1.0, |weights| weights[row]);
        let time = times.map(|times| times[row]).filter(|&time| time != i64::MIN);
        Ok(Interaction { user, item, weight, time })
    });
    insert(py, db, interactions, row_name)
}

/// What a sparse matrix holds: rows, columns and weights of one length.
pub(crate) struct Entries<'a> {
    pub(crate) rows: &'a [i64],
    pub(crate) columns: &'a [i64],
    pub(crate) weights: &'a [f32],
}

/// Inserts the entries of a matrix, users by items; ids are the numbers of rows and columns where none are given, one each.
pub(crate) fn insert_matrix(
    py: Python<'_>,
    db: &Db,
    entries: &Entries<'_>,
    users: Option<&[Id]>,
    items: Option<&[Id]>,
) -> PyResult<Inserted> {
    let id = |ids: Option<&[Id]>, number: i64| match ids {
        None => Ok(Id::from(number)),
        Some(ids) => usize::try_from(number).ok().and_then(|number| ids.get(number)).cloned().ok_or_else(|| {
            invalid(format!("{} ids for row or column {number} of a matrix", ids.len()), "pass one id each")
        }),
    };
    // All ids at once, of rows without entries, too: nothing is stored then.
    let snapshot = db.snapshot();
    for (name, side, ids) in [("user", Side::User, users), ("item", Side::Item, items)] {
        let mut kind = snapshot.id_kind(side);
        for (place, id) in ids.into_iter().flatten().enumerate() {
            let named = |error| Kind::InvalidArgument.with(format!("{name}s[{place}]: {error}"));
            of_kind(name, &mut kind, id).map_err(named)?;
        }
    }
    let Entries { rows, columns, weights } = *entries;
    let interactions = rows.iter().zip(columns).zip(weights).map(|((&row, &column), &weight)| {
        Ok(Interaction { user: id(users, row)?, item: id(items, column)?, weight, time: None })
    });
    let place = |entry: u64| match usize::try_from(entry).ok().and_then(|at| Some((rows.get(at)?, columns.get(at)?))) {
        Some((row, column)) => format!("row {row}, column {column}"),
        None => row_name(entry),
    };
    insert(py, db, interactions, place)
}

/// Inserts an iterable of (user, item), (user, item, weight) or (user, item, weight, time), in pieces.
pub(crate) fn insert_tuples(py: Python<'_>, db: &Db, tuples: &Bound<'_, PyAny>) -> PyResult<Inserted> {
    let mut tuples = tuples.try_iter()?;
    let (mut inserted, mut row) = (Inserted::default(), 0);
    let mut checked = Checked::new(db, row_name);
    loop {
        let mut piece = Vec::new();
        for tuple in tuples.by_ref().take(PIECE) {
            piece.push(checked.check(row, interaction(&tuple?, row)?)?);
            row += 1;
        }
        if piece.is_empty() {
            return Ok(inserted);
        }
        inserted += py.detach(|| db.insert_counted(piece)).or_raise()?;
        py.check_signals()?;
    }
}

fn interaction(object: &Bound<'_, PyAny>, row: u64) -> PyResult<Interaction> {
    let refused = |what: String, remedy: &str| invalid(format!("row {row}: {what}"), remedy);
    let parts = match object.cast::<PyList>() {
        Ok(list) => Some(list.to_tuple()),
        Err(_) => object.cast::<PyTuple>().ok().cloned(),
    };
    let tuple = parts.filter(|tuple| (2..=4).contains(&tuple.len())).ok_or_else(|| {
        let remedy = "pass tuples of (user, item), (user, item, weight) or (user, item, weight, time)";
        refused(ids::shown(object), remedy)
    })?;
    let id = |at: usize, part: &str| ids::read(&tuple.get_item(at)?).map_err(|no| no.in_row(row, part));
    let mut interaction = Interaction::new(id(0, "user")?, id(1, "item")?);
    if tuple.len() > 2 {
        let weight = tuple.get_item(2)?;
        let refused = |_| refused(format!("a weight of {}", ids::shown(&weight)), "weights are numbers above 0");
        interaction.weight = weight.extract().map_err(refused)?;
    }
    if tuple.len() > 3 {
        let named = |error: PyErr| Kind::InvalidArgument.with(format!("row {row}: {}", error.value(object.py())));
        interaction.time = time(&tuple.get_item(3)?).map_err(named)?;
    }
    Ok(interaction)
}

/// A time in milliseconds since 1970, of whatever stands for one.
///
/// # Errors
/// `InvalidArgumentError` for what is no time.
pub(crate) fn time(object: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if object.is_none() {
        return Ok(None);
    }
    if object.is_exact_instance_of::<PyInt>() {
        // The least is what stands for none below.
        if let Some(milliseconds) = object.extract::<i64>().ok().filter(|&time| time != i64::MIN) {
            return Ok(Some(milliseconds));
        }
    }
    let columns = object.py().import("kithdb.columns")?;
    let milliseconds: i64 = columns.getattr("milliseconds")?.call1((object,))?.extract()?;
    Ok(Some(milliseconds).filter(|&time| time != i64::MIN))
}
