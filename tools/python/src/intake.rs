//! Interactions on their way in: from a stream of Arrow, from columns of numpy, from an iterable of tuples.

use arrow_array::{Array, Float32Array, Int64Array, RecordBatch, RecordBatchReader};
use arrow_schema::Schema;
use kithdb::{Db, Id, Inserted, Interaction};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};

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
        let times = places.time.as_ref().map(|(at, name)| times(name, batch.column(*at))).transpose()?;
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

/// An interaction that can be stored, of a row that counts from 0.
fn checked(row: u64, interaction: Interaction) -> PyResult<Interaction> {
    match interaction.check() {
        Ok(()) => Ok(interaction),
        Err(error) => Err(Kind::InvalidArgument.with(format!("row {row}: {error}"))),
    }
}

/// Inserts rows, without the interpreter's lock, up to the first that cannot be taken: what came before it is stored then.
pub(crate) fn insert(
    py: Python<'_>,
    db: &Db,
    rows: impl Iterator<Item = PyResult<Interaction>> + Send,
) -> PyResult<Inserted> {
    let (inserted, fault) = py.detach(|| {
        let mut fault = None;
        let taken = (0..).zip(rows).map_while(|(row, interaction)| {
            interaction.and_then(|interaction| checked(row, interaction)).map_err(|error| fault = Some(error)).ok()
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
    insert(py, db, interactions)
}

/// Inserts an iterable of (user, item), (user, item, weight) or (user, item, weight, time), in pieces.
pub(crate) fn insert_tuples(py: Python<'_>, db: &Db, tuples: &Bound<'_, PyAny>) -> PyResult<Inserted> {
    let mut tuples = tuples.try_iter()?;
    let (mut inserted, mut row) = (Inserted::default(), 0);
    loop {
        let mut piece = Vec::new();
        for tuple in tuples.by_ref().take(PIECE) {
            piece.push(checked(row, interaction(&tuple?, row)?)?);
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
    let tuple = object.cast::<PyTuple>().ok().filter(|tuple| (2..=4).contains(&tuple.len())).ok_or_else(|| {
        let remedy = "pass tuples of (user, item), (user, item, weight) or (user, item, weight, milliseconds)";
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
        let time = tuple.get_item(3)?;
        let remedy = "times are whole milliseconds since 1970, or None";
        let refused = || refused(format!("a time of {}", ids::shown(&time)), remedy);
        interaction.time = match time.is_instance_of::<PyBool>() {
            true => return Err(refused()),
            false => time.extract().map_err(|_| refused())?,
        };
    }
    Ok(interaction)
}
