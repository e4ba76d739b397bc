//! What a generation is stored as: the named parts of its manifest, written and read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use kithdb_storage::{Draft, Element, GenerationReader, GenerationWriter, IdKind, Manifest, Side, Store};
use roaring::RoaringBitmap;

use super::content::Columns;
use super::cut::Ids;
use super::rows::CodedRows;
use super::{Content, Derived, Generation, Provenance};
use crate::attributes::{Table, Tables};
use crate::catalogue::{Catalogue, Catalogues};
use crate::code::{CodeError, CodeShape, LayeredCodes, PlaneCodes};
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::fold_in::FoldInMap;
use crate::graph::postings::Postings;
use crate::index::{Calibration, Index, Order};
use crate::kernel::dense::Isa;
use crate::kernel::popcount::Kernel;
use crate::train::{StateData, StatePart, Taught, TrainState, cuts};

/// Where the parts of a generation are read from: a database, or a snapshot's folder.
pub(crate) trait Parts {
    /// The generation's number.
    fn number(&self) -> u64;
    /// Its small named settings.
    fn attributes(&self) -> &BTreeMap<String, String>;
    /// Whether there is such a part, and whether its rows have a length of their own.
    fn form(&self, name: &str) -> Option<bool>;
    /// The lengths of a part's rows, none where they are all alike, and all its values.
    fn ragged<T: Element>(&self, name: &str) -> Result<(Vec<u32>, Vec<T>)>;

    /// All values of a part.
    fn part<T: Element>(&self, name: &str) -> Result<Vec<T>> {
        self.ragged(name).map(|(_, values)| values)
    }

    /// Whether there is such a part.
    fn has(&self, name: &str) -> bool {
        self.form(name).is_some()
    }

    /// What of it does not fit.
    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { what: format!("generation {}: {what}", self.number()) }
    }
}

impl Parts for GenerationReader<'_> {
    fn number(&self) -> u64 {
        self.manifest().generation
    }

    fn attributes(&self) -> &BTreeMap<String, String> {
        &self.manifest().attributes
    }

    fn form(&self, name: &str) -> Option<bool> {
        self.manifest().part(name).map(|part| part.ragged)
    }

    fn ragged<T: Element>(&self, name: &str) -> Result<(Vec<u32>, Vec<T>)> {
        Ok(GenerationReader::ragged(self, name)?)
    }
}

/// Where the parts of a generation are written to.
pub(crate) trait PartsWriter {
    /// Writes a named array, whose extents are `shape`.
    fn part<T: Element>(&mut self, name: &str, shape: &[u64], values: &[T]) -> Result<()>;
    /// Writes a named array whose rows have these lengths.
    fn ragged<T: Element>(&mut self, name: &str, lengths: &[u32], values: &[T]) -> Result<()>;
    /// Writes a named array that follows from the others.
    fn derived<T: Element>(&mut self, name: &str, shape: &[u64], values: &[T]) -> Result<()>;
}

impl PartsWriter for GenerationWriter<'_> {
    fn part<T: Element>(&mut self, name: &str, shape: &[u64], values: &[T]) -> Result<()> {
        Ok(GenerationWriter::part(self, name, shape, values)?)
    }

    fn ragged<T: Element>(&mut self, name: &str, lengths: &[u32], values: &[T]) -> Result<()> {
        Ok(GenerationWriter::ragged(self, name, lengths, values)?)
    }

    fn derived<T: Element>(&mut self, name: &str, shape: &[u64], values: &[T]) -> Result<()> {
        Ok(GenerationWriter::derived(self, name, shape, values)?)
    }
}

/// The records of the log a generation has taken in.
#[derive(Clone, Copy)]
pub(crate) struct Through {
    /// The last one its posting lists hold.
    pub(crate) folded: u64,
    /// The last one a training has seen.
    pub(crate) trained: u64,
}

/// Training state beside a generation.
pub(crate) enum Kept {
    /// None.
    Nothing,
    /// That of an earlier generation, as it is: nothing is known of who came since.
    Of(Arc<Manifest>),
    /// Its own.
    State(TrainState),
}

/// What a generation is written from.
pub(crate) struct Written<'a> {
    pub(crate) ids: &'a Ids,
    pub(crate) content: &'a Content,
    pub(crate) index: &'a Index,
    pub(crate) state: &'a Kept,
    pub(crate) provenance: &'a Provenance,
}

/// Writes a generation and makes it the current one: anew, if `anew`, else over the one before where few rows are others. `phase` is told of `merge` or
/// `patch`, then of `manifest`.
pub(crate) fn publish(
    store: &Store,
    written: &Written<'_>,
    through: Through,
    anew: bool,
    phase: impl Fn(&str),
) -> Result<Arc<Manifest>> {
    let &Written { ids, content, index, state, provenance } = written;
    let mut writer = store.begin_generation()?;
    // What was forgotten is in the rows there are.
    if anew || ids.forgotten {
        writer.merge();
    }
    phase(if writer.is_merging() { "merge" } else { "patch" });
    let mut attributes = provenance.attributes();
    for (side, column) in [("users", &ids.users), ("items", &ids.items)] {
        writer.ragged(&format!("{side}.ids"), &lengths(&column.ends), &column.keys)?;
        if let Some(kind) = column.kind {
            attributes.insert(format!("{side}.id_kind"), kind_attribute(kind).to_owned());
        }
    }
    write_attributes(&mut writer, Side::User, &ids.users.attributes, ids.users.ends.len() as u32)?;
    write_attributes(&mut writer, Side::Item, &ids.items.attributes, ids.items.ends.len() as u32)?;
    write_content(&mut writer, &content.columns(), index, &mut attributes)?;
    match state {
        Kept::Nothing => {}
        Kept::Of(manifest) => writer.share_state(manifest),
        Kept::State(state) => {
            for part in &state.parts {
                write_state(&mut writer, part, state.lengths(&part.name))?;
            }
        }
    }
    let rewrite = ids.forgotten;
    let Through { folded: folded_through, trained: trained_through } = through;
    let files = writer.finish()?;
    phase("manifest");
    Ok(files.publish(Draft { folded_through, trained_through, attributes, rewrite })?)
}

/// Writes what a generation is made of, but for its ids.
pub(crate) fn write_content(
    writer: &mut impl PartsWriter,
    columns: &Columns<'_>,
    index: &Index,
    attributes: &mut BTreeMap<String, String>,
) -> Result<()> {
    let &Columns { postings, retired, users, items, ranks, fold_in, encoder } = columns;
    let degrees = lengths(postings.offsets().get(1..).unwrap_or_default());
    writer.ragged("postings.items", &degrees, postings.items())?;
    if let Some(weights) = postings.weights() {
        writer.ragged("postings.weights", &degrees, weights)?;
    }
    if let Some(times) = postings.times() {
        writer.ragged("postings.times", &degrees, times)?;
    }
    writer.part("items.retired", &[retired.len()], &retired.iter().collect::<Vec<u32>>())?;
    writer.derived("items.ranks", &[ranks.len() as u64], ranks)?;

    let shape = items.shape();
    let (layers, words) = (shape.layers() as u64, shape.words() as u64);
    writer.part("code.widths", &[layers], shape.widths())?;
    writer.part("code.weights", &[layers], shape.weights())?;
    writer.part("items.words", &[items.len() as u64, words], items.words())?;
    writer.part("items.scalers", &[items.len() as u64, layers], items.scalers())?;
    writer.part("items.next", &[index.len() as u64 + 1], &followers(index.order()))?;
    writer.part("items.band_cuts", &[index.bands().len() as u64], index.bands())?;
    if let Some(calibration) = index.calibration() {
        writer.part("items.budgets", &Calibration::EXTENTS, calibration.budgets())?;
    }
    if let Some(weights) = fold_in.weights() {
        writer.part("fold_in.weights", &[shape.bits(), shape.bits()], weights)?;
    }
    if let Some(encoder) = encoder {
        let [inputs, dims, width] = encoder.extents();
        writer.part("encoder.mean", &[inputs, dims], encoder.mean())?;
        writer.part("encoder.frames", &[inputs, dims, width], encoder.frames())?;
        attributes.insert("encoder.passes".into(), encoder.passes().to_string());
        attributes.insert("encoder.normalised".into(), encoder.is_normalised().to_string());
    }
    let planes = users.planes();
    let coded = CodedRows::of(users);
    writer.ragged("users.words", &coded.lengths(shape.words() * planes as usize), &coded.gather(users.words()))?;
    writer.ragged("users.scalers", &coded.lengths(shape.layers()), &coded.gather(users.scalers()))?;
    attributes.insert("users.planes".into(), planes.to_string());
    Ok(())
}

/// Writes an array of training state, whose rows may have a length of their own.
fn write_state(writer: &mut GenerationWriter<'_>, part: &StatePart, lengths: Option<&[u32]>) -> Result<()> {
    let StatePart { name, shape, data } = part;
    match (data, lengths) {
        (StateData::Floats(data), None) => writer.state_part(name, shape, data)?,
        (StateData::Integers(data), None) => writer.state_part(name, shape, data)?,
        (StateData::Words(data), None) => writer.state_part(name, shape, data)?,
        (StateData::Floats(data), Some(lengths)) => writer.ragged_state(name, shape, lengths, data)?,
        (StateData::Integers(data), Some(lengths)) => writer.ragged_state(name, shape, lengths, data)?,
        (StateData::Words(data), Some(lengths)) => writer.ragged_state(name, shape, lengths, data)?,
    }
    Ok(())
}

/// How long what ends at these places is, each from where the one before ends.
pub(crate) fn lengths(ends: &[u64]) -> Vec<u32> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    ends.iter().zip(starts).map(|(&end, start)| (end - start) as u32).collect()
}

/// Where what is so long ends, each from where the one before does.
fn ends(lengths: &[u32]) -> impl Iterator<Item = u64> {
    lengths.iter().scan(0, |end, &length| {
        *end += u64::from(length);
        Some(*end)
    })
}

/// The teacher `generation` was learned from; `None` where it is not kept (any more).
pub(crate) fn taught(store: &Store, generation: &Generation) -> Result<Option<Taught>> {
    let Some(manifest) = generation.manifest() else { return Ok(None) };
    let Some(state) = store.read_state(manifest)? else { return Ok(None) };
    Taught::read(&state, generation.users().len(), generation.n_items())
}

/// The items of a user that the masks of the training of `generation` did not cut, rising; `None` where it learned none, or they are not kept (any more): a
/// state that cannot be read costs no more than its absence. O(history + edges cut).
pub(crate) fn uncut(store: &Store, generation: &Generation, user: u32) -> Option<Vec<u32>> {
    let state = store.read_state(generation.manifest()?).ok()??;
    let cut = cuts::of_user(&state, user).ok()??;
    let items = generation.postings().row(user).items.iter().copied();
    Some(items.filter(|item| cut.binary_search(item).is_err()).collect())
}

/// Reads the current generation and its ids, if there is one.
///
/// # Errors
/// `Storage`, and `Damaged` where parts do not fit one another.
pub(crate) fn load(store: &Store, kernel: Kernel) -> Result<Option<(Catalogues, Generation)>> {
    store.manifest().map(|manifest| load_from(store, manifest, kernel)).transpose()
}

/// Reads a generation that is stored, the current one or one that is kept beside it, and its ids.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_from(store: &Store, manifest: Arc<Manifest>, kernel: Kernel) -> Result<(Catalogues, Generation)> {
    let reader = store.read_generation(Arc::clone(&manifest));
    let catalogues = catalogues(&reader)?;
    let content = read(&reader, (catalogues.users.len(), catalogues.items.len()))?;
    let derived = derived(&reader, &content, kernel)?;
    let generation = Generation::new(manifest.generation, manifest.content_hash.clone(), content, derived);
    Ok((catalogues, generation.keeping(manifest)))
}

/// The ids of both sides, and what is said of whom they name.
pub(crate) fn catalogues(parts: &impl Parts) -> Result<Catalogues> {
    let (users, items) = (catalogue(parts, Side::User)?, catalogue(parts, Side::Item)?);
    let attributes =
        Tables { users: described(parts, Side::User, users.len())?, items: described(parts, Side::Item, items.len())? };
    Ok(Catalogues { users, items, attributes })
}

/// What follows from `content`, by what of it was stored.
pub(crate) fn derived(parts: &impl Parts, content: &Content, kernel: Kernel) -> Result<Derived> {
    let order = order(parts)?;
    // Generations of before it was measured have none.
    let calibration = match parts.has("items.budgets") {
        true => Some(
            Calibration::from_parts(parts.part("items.budgets")?)
                .ok_or_else(|| parts.damaged("items.budgets are no measurement"))?,
        ),
        false => None,
    };
    let derived = Derived::of(content, order, kernel).and_then(|derived| match calibration {
        Some(calibration) => derived.calibrated(calibration, content),
        None => Ok(derived),
    });
    derived.map_err(|error| parts.damaged(&error.to_string()))
}

/// Which item follows each in an order; after the last items' entry, which is the first, and after the last of the order, their number: `[items + 1]`. An
/// item that moves changes three of these, whatever lies between.
fn followers(order: &[u32]) -> Vec<u32> {
    let end = order.len() as u32;
    let mut next = vec![end; order.len() + 1];
    let mut at = end;
    for &item in order {
        next[at as usize] = item;
        at = item;
    }
    next[at as usize] = end;
    next
}

/// The order of these followers; `None` where they lead to none.
fn followed(next: &[u32]) -> Option<Vec<u32>> {
    let end = next.len().checked_sub(1)?;
    let mut order = Vec::with_capacity(end);
    let mut at = end;
    // Where they lead round, there are too few before the end comes, or there is none.
    for _ in 0..end {
        at = *next.get(at).filter(|&&item| (item as usize) < end)? as usize;
        order.push(at as u32);
    }
    (next.get(at) == Some(&(end as u32))).then_some(order)
}

/// The order of the items as it is stored.
fn order(parts: &impl Parts) -> Result<Order> {
    let rows = match parts.has("items.order") {
        // As formats 1 and 2 have it.
        true => Some(parts.part("items.order")?),
        false => followed(&parts.part::<u32>("items.next")?),
    };
    let damaged = || parts.damaged("items.next gives no order");
    Ok(Order { rows: rows.ok_or_else(damaged)?, bands: parts.part("items.band_cuts")? })
}

/// The posting lists as they are stored.
fn postings(parts: &impl Parts, n_items: u32) -> Result<Option<Postings>> {
    let (degrees, items) = parts.ragged("postings.items")?;
    let offsets = match parts.has("postings.offsets") {
        // As formats 1 and 2 have it.
        true => parts.part("postings.offsets")?,
        false => std::iter::once(0).chain(ends(&degrees)).collect(),
    };
    let weights = parts.has("postings.weights").then(|| parts.part("postings.weights")).transpose()?;
    let times = parts.has("postings.times").then(|| parts.part("postings.times")).transpose()?;
    Ok(Postings::from_parts(offsets, items, weights, times, n_items))
}

/// What a generation of so many users and items is made of.
pub(crate) fn read(parts: &impl Parts, (n_users, n_items): (u32, u32)) -> Result<Content> {
    let damaged = |what: &str| parts.damaged(what);
    let postings = postings(parts, n_items)?
        .filter(|postings| postings.n_users() == n_users)
        .ok_or_else(|| damaged("the posting lists do not fit the catalogue"))?;

    let coded = |error: CodeError| damaged(&error.to_string());
    let shape = CodeShape::new(parts.part("code.widths")?, parts.part("code.weights")?);
    let shape = Arc::new(shape.map_err(coded)?);
    let items = LayeredCodes::from_parts(Arc::clone(&shape), parts.part("items.words")?, parts.part("items.scalers")?);
    let planes = parts.attributes().get("users.planes").and_then(|p| p.parse().ok()).filter(|p| (1..=8).contains(p));
    // Before memory is asked for by it.
    let planes: u32 = planes.ok_or_else(|| damaged("users.planes is missing or no number from 1 to 8"))?;
    let ((lengths, mut words), mut scalers) = (parts.ragged("users.words")?, parts.part("users.scalers")?);
    let numbers = match parts.has("users.rows") {
        // As format 2 has them; in format 1 all users have a row.
        true => Some(parts.part("users.rows")?),
        false if parts.form("users.words") == Some(true) => {
            Some((0..).zip(&lengths).filter(|(_, length)| **length > 0).map(|(row, _)| row).collect())
        }
        false => None,
    };
    if let Some(numbers) = numbers {
        let coded = CodedRows { rows: n_users as usize, numbers };
        let misfit = || damaged("the rows of users with a code do not fit their codes");
        words = coded.spread(&words, shape.words() * planes as usize).ok_or_else(misfit)?;
        scalers = coded.spread(&scalers, shape.layers()).ok_or_else(misfit)?;
    }
    let users = PlaneCodes::from_parts(Arc::clone(&shape), planes, words, scalers);
    let (items, users) = (items.map_err(coded)?, users.map_err(coded)?);
    let isa = Isa::chosen()?;
    let encoder = encoder(parts, &shape, isa)?;
    let fold_in = match (parts.has("fold_in.weights"), &encoder) {
        (true, _) => FoldInMap::new(&shape, parts.part("fold_in.weights")?, isa).map_err(coded)?,
        (false, Some(encoder)) => FoldInMap::of_passes(&shape, encoder.passes(), isa),
        (false, None) => FoldInMap::identity(&shape, isa),
    };

    let ranks: Vec<u32> = match parts.has("items.ranks") {
        true => parts.part("items.ranks")?,
        false => catalogue(parts, Side::Item)?.ranks(),
    };
    let mut ranked = RoaringBitmap::new();
    let permutation = ranks.iter().all(|&rank| rank < n_items && ranked.insert(rank));
    if items.len() != n_items as usize || users.len() != n_users as usize || ranks.len() != items.len() || !permutation
    {
        return Err(damaged("the codes do not fit the catalogue"));
    }
    let retired: Vec<u32> = parts.part("items.retired")?;
    let (retired, ranks) = (retired.into_iter().collect(), ranks.into());
    Ok(Content { postings, retired, users, items, ranks, fold_in, encoder })
}

/// The encoder the codes were made by, if they were made from vectors.
fn encoder(parts: &impl Parts, shape: &Arc<CodeShape>, isa: Isa) -> Result<Option<Encoder>> {
    if !parts.has("encoder.mean") {
        return Ok(None);
    }
    let damaged = |what: &str| parts.damaged(&format!("the encoder: {what}"));
    let attribute = |name: &str| parts.attributes().get(name).map(String::as_str).unwrap_or_default();
    let passes = attribute("encoder.passes").parse().map_err(|_| damaged("passes are missing or no number"))?;
    let normalised =
        attribute("encoder.normalised").parse().map_err(|_| damaged("normalised is neither true nor false"))?;
    let (mean, frames) = (parts.part("encoder.mean")?, parts.part("encoder.frames")?);
    let encoder = Encoder::new(Arc::clone(shape), passes, normalised, mean, frames, isa);
    encoder.map(Some).map_err(|error| damaged(&error.to_string()))
}

/// What is said of a side of so many rows; nothing where nothing was written.
fn described(parts: &impl Parts, side: Side, rows: u32) -> Result<Table> {
    let name = attributes_part(side);
    if !parts.has(name) {
        return Ok(Table::default());
    }
    let (lengths, bytes) = parts.ragged::<u8>(name)?;
    Some(&lengths)
        .filter(|lengths| lengths.len() == rows as usize)
        .and_then(|lengths| Table::decode(&bytes, lengths))
        .ok_or_else(|| parts.damaged(&format!("{name} are none")))
}

/// The part that holds what is said of a side.
fn attributes_part(side: Side) -> &'static str {
    match side {
        Side::User => "users.attributes",
        Side::Item => "items.attributes",
    }
}

/// Writes what is said of a side of so many rows, if anything is.
pub(crate) fn write_attributes(writer: &mut impl PartsWriter, side: Side, table: &Table, rows: u32) -> Result<()> {
    if table.is_empty() {
        return Ok(());
    }
    let (bytes, lengths) = table.encode(rows);
    writer.ragged(attributes_part(side), &lengths, &bytes)
}

fn catalogue(parts: &impl Parts, side: Side) -> Result<Catalogue> {
    let name = match side {
        Side::User => "users",
        Side::Item => "items",
    };
    let kind = parts.attributes().get(&format!("{name}.id_kind")).and_then(|kind| parse_kind(kind));
    let (lengths, keys) = parts.ragged::<u8>(&format!("{name}.ids"))?;
    let former = format!("{name}.id_ends");
    let ends: Vec<u64> = match parts.has(&former) {
        // As formats 1 and 2 have it.
        true => parts.part(&former)?,
        false => ends(&lengths).collect(),
    };
    Catalogue::decode(side, kind, &keys, &ends)
}

pub(crate) fn kind_attribute(kind: IdKind) -> &'static str {
    match kind {
        IdKind::U64 => "u64",
        IdKind::Str => "str",
        IdKind::Bytes => "bytes",
    }
}

fn parse_kind(text: &str) -> Option<IdKind> {
    [IdKind::U64, IdKind::Str, IdKind::Bytes].into_iter().find(|&kind| kind_attribute(kind) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_found_by_its_followers_and_what_is_none_is_refused() {
        for order in [vec![], vec![0], vec![2, 0, 1, 3]] {
            assert_eq!(followed(&followers(&order)), Some(order));
        }
        let moved =
            |from: &[u32], to: &[u32]| followers(from).iter().zip(followers(to)).filter(|(a, b)| **a != *b).count();
        assert_eq!(moved(&[0, 1, 2, 3, 4, 5], &[0, 2, 3, 4, 1, 5]), 3);
        for bad in [vec![], vec![0, 0], vec![1, 0, 2], vec![1, 2, 3], vec![2, 2, 9], vec![1, 1, 0]] {
            assert_eq!(followed(&bad), None, "{bad:?}");
        }
    }
}
