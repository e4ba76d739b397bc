//! What a generation is stored as: the named parts of its manifest, written and read back.

use std::sync::Arc;

use kithdb_storage::{Draft, GenerationReader, IdKind, Manifest, Side, Store};
use roaring::RoaringBitmap;

use super::cut::Ids;
use super::rows::CodedRows;
use super::{Content, Derived, Generation, Provenance};
use crate::catalogue::{Catalogue, Catalogues};
use crate::code::{CodeError, CodeShape, LayeredCodes, PlaneCodes};
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::fold_in::FoldInMap;
use crate::graph::postings::Postings;
use crate::index::{Calibration, Index, Order};
use crate::kernel::dense::Isa;
use crate::kernel::popcount::Kernel;
use crate::train::{StateData, Taught, TrainState};

/// The records of the log a generation has taken in.
#[derive(Clone, Copy)]
pub(crate) struct Through {
    /// The last one its posting lists hold.
    pub(crate) folded: u64,
    /// The last one a training has seen.
    pub(crate) trained: u64,
}

/// Writes a generation and makes it the current one. Without a `state` that of the one before is kept.
pub(crate) fn publish(
    store: &Store,
    ids: &Ids,
    content: &Content,
    index: &Index,
    state: Option<&TrainState>,
    provenance: &Provenance,
    through: Through,
) -> Result<Arc<Manifest>> {
    let mut writer = store.begin_generation()?;
    let mut attributes = provenance.attributes();
    for (side, column) in [("users", &ids.users), ("items", &ids.items)] {
        writer.part(&format!("{side}.ids"), &[column.keys.len() as u64], &column.keys)?;
        writer.part(&format!("{side}.id_ends"), &[column.ends.len() as u64], &column.ends)?;
        if let Some(kind) = column.kind {
            attributes.insert(format!("{side}.id_kind"), kind_attribute(kind).to_owned());
        }
    }
    let Content { postings, retired, users, items, ranks, fold_in, encoder } = content;
    let edges = [postings.items().len() as u64];
    writer.part("postings.offsets", &[postings.offsets().len() as u64], postings.offsets())?;
    writer.part("postings.items", &edges, postings.items())?;
    if let Some(weights) = postings.weights() {
        writer.part("postings.weights", &edges, weights)?;
    }
    if let Some(times) = postings.times() {
        writer.part("postings.times", &edges, times)?;
    }
    writer.part("items.retired", &[retired.len()], &retired.iter().collect::<Vec<u32>>())?;
    writer.part("items.ranks", &[ranks.len() as u64], ranks)?;

    let shape = items.shape();
    let (layers, words) = (shape.layers() as u64, shape.words() as u64);
    writer.part("code.widths", &[layers], shape.widths())?;
    writer.part("code.weights", &[layers], shape.weights())?;
    writer.part("items.words", &[items.len() as u64, words], items.words())?;
    writer.part("items.scalers", &[items.len() as u64, layers], items.scalers())?;
    writer.part("items.order", &[index.len() as u64], index.order())?;
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
    let planes = u64::from(users.planes());
    let coded = CodedRows::of(users);
    if coded.numbers.len() < users.len() {
        writer.part("users.rows", &[coded.numbers.len() as u64], &coded.numbers)?;
    }
    writer.part("users.words", &[coded.numbers.len() as u64, words * planes], &coded.gather(users.words()))?;
    writer.part("users.scalers", &[coded.numbers.len() as u64, layers], &coded.gather(users.scalers()))?;
    attributes.insert("users.planes".into(), planes.to_string());
    if state.is_none() {
        writer.share_state();
    }
    for part in state.iter().flat_map(|state| &state.parts) {
        match &part.data {
            StateData::Floats(data) => writer.state_part(&part.name, &part.shape, data)?,
            StateData::Integers(data) => writer.state_part(&part.name, &part.shape, data)?,
        }
    }
    let rewrite = ids.forgotten;
    let Through { folded: folded_through, trained: trained_through } = through;
    Ok(writer.publish(Draft { folded_through, trained_through, attributes, rewrite })?)
}

/// The teacher `generation` was learned from; `None` where it is not kept (any more).
pub(crate) fn taught(store: &Store, generation: &Generation) -> Result<Option<Taught>> {
    let Some(manifest) = generation.manifest() else { return Ok(None) };
    let Some(state) = store.read_state(manifest)? else { return Ok(None) };
    Taught::read(&state, generation.users().len(), generation.n_items())
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
    let (users, items) = (catalogue(&reader, &manifest, Side::User)?, catalogue(&reader, &manifest, Side::Item)?);
    let catalogues = Catalogues { users, items };
    let content = read(&reader, &manifest, &catalogues)?;
    let order = Order { rows: reader.part("items.order")?, bands: reader.part("items.band_cuts")? };
    let damaged = |what: &str| Error::Damaged { what: format!("generation {}: {what}", manifest.generation) };
    // Generations of before it was measured have none.
    let calibration = match manifest.part("items.budgets") {
        Some(_) => Some(
            Calibration::from_parts(reader.part("items.budgets")?)
                .ok_or_else(|| damaged("items.budgets are no measurement"))?,
        ),
        None => None,
    };
    let derived = Derived::of(&content, order, kernel).and_then(|derived| match calibration {
        Some(calibration) => derived.calibrated(calibration, &content),
        None => Ok(derived),
    });
    let derived = derived.map_err(|error| damaged(&error.to_string()))?;
    let generation = Generation::new(manifest.generation, manifest.content_hash.clone(), content, derived);
    Ok((catalogues, generation.keeping(manifest)))
}

fn read(reader: &GenerationReader<'_>, manifest: &Manifest, catalogues: &Catalogues) -> Result<Content> {
    let (n_users, n_items) = (catalogues.users.len(), catalogues.items.len());
    let damaged = |what: &str| Error::Damaged { what: format!("generation {}: {what}", manifest.generation) };
    let postings = Postings::from_parts(
        reader.part("postings.offsets")?,
        reader.part("postings.items")?,
        manifest.part("postings.weights").map(|_| reader.part("postings.weights")).transpose()?,
        manifest.part("postings.times").map(|_| reader.part("postings.times")).transpose()?,
        n_items,
    )
    .filter(|postings| postings.n_users() == n_users)
    .ok_or_else(|| damaged("the posting lists do not fit the catalogue"))?;

    let coded = |error: CodeError| damaged(&error.to_string());
    let shape = CodeShape::new(reader.part("code.widths")?, reader.part("code.weights")?);
    let shape = Arc::new(shape.map_err(coded)?);
    let items =
        LayeredCodes::from_parts(Arc::clone(&shape), reader.part("items.words")?, reader.part("items.scalers")?);
    let planes = manifest.attributes.get("users.planes").and_then(|p| p.parse().ok());
    let planes = planes.ok_or_else(|| damaged("users.planes is missing or no number"))?;
    let (mut words, mut scalers) = (reader.part("users.words")?, reader.part("users.scalers")?);
    if manifest.part("users.rows").is_some() {
        let coded = CodedRows { rows: n_users as usize, numbers: reader.part("users.rows")? };
        let misfit = || damaged("users.rows do not fit the users' codes");
        words = coded.spread(&words, shape.words() * planes as usize).ok_or_else(misfit)?;
        scalers = coded.spread(&scalers, shape.layers()).ok_or_else(misfit)?;
    }
    let users = PlaneCodes::from_parts(Arc::clone(&shape), planes, words, scalers);
    let (items, users) = (items.map_err(coded)?, users.map_err(coded)?);
    let isa = Isa::chosen()?;
    let encoder = encoder(reader, manifest, &shape, isa)?;
    let fold_in = match (manifest.part("fold_in.weights"), &encoder) {
        (Some(_), _) => FoldInMap::new(&shape, reader.part("fold_in.weights")?, isa).map_err(coded)?,
        (None, Some(encoder)) => FoldInMap::of_passes(&shape, encoder.passes(), isa),
        (None, None) => FoldInMap::identity(&shape, isa),
    };

    let ranks: Vec<u32> = reader.part("items.ranks")?;
    let mut ranked = RoaringBitmap::new();
    let permutation = ranks.iter().all(|&rank| rank < n_items && ranked.insert(rank));
    if items.len() != n_items as usize || users.len() != n_users as usize || ranks.len() != items.len() || !permutation
    {
        return Err(damaged("the codes do not fit the catalogue"));
    }
    let retired: Vec<u32> = reader.part("items.retired")?;
    let (retired, ranks) = (retired.into_iter().collect(), ranks.into());
    Ok(Content { postings, retired, users, items, ranks, fold_in, encoder })
}

/// The encoder the codes were made by, if they were made from vectors.
fn encoder(
    reader: &GenerationReader<'_>,
    manifest: &Manifest,
    shape: &Arc<CodeShape>,
    isa: Isa,
) -> Result<Option<Encoder>> {
    if manifest.part("encoder.mean").is_none() {
        return Ok(None);
    }
    let damaged =
        |what: &str| Error::Damaged { what: format!("generation {}: the encoder: {what}", manifest.generation) };
    let attribute = |name: &str| manifest.attributes.get(name).map(String::as_str).unwrap_or_default();
    let passes = attribute("encoder.passes").parse().map_err(|_| damaged("passes are missing or no number"))?;
    let normalised =
        attribute("encoder.normalised").parse().map_err(|_| damaged("normalised is neither true nor false"))?;
    let (mean, frames) = (reader.part("encoder.mean")?, reader.part("encoder.frames")?);
    let encoder = Encoder::new(Arc::clone(shape), passes, normalised, mean, frames, isa);
    encoder.map(Some).map_err(|error| damaged(&error.to_string()))
}

fn catalogue(reader: &GenerationReader<'_>, manifest: &Manifest, side: Side) -> Result<Catalogue> {
    let name = match side {
        Side::User => "users",
        Side::Item => "items",
    };
    let kind = manifest.attributes.get(&format!("{name}.id_kind")).and_then(|kind| parse_kind(kind));
    let keys: Vec<u8> = reader.part(&format!("{name}.ids"))?;
    let ends: Vec<u64> = reader.part(&format!("{name}.id_ends"))?;
    Catalogue::decode(side, kind, &keys, &ends)
}

fn kind_attribute(kind: IdKind) -> &'static str {
    match kind {
        IdKind::U64 => "u64",
        IdKind::Str => "str",
        IdKind::Bytes => "bytes",
    }
}

fn parse_kind(text: &str) -> Option<IdKind> {
    [IdKind::U64, IdKind::Str, IdKind::Bytes].into_iter().find(|&kind| kind_attribute(kind) == text)
}
