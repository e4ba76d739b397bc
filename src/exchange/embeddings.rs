//! Float vectors made elsewhere, on their way to codes.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::code_set::check_items;
use super::{CodeSet, RowIds, Vectors};
use crate::cancel::CancelToken;
use crate::code::{CodeShape, LayeredCodes, MAX_LAYERS, MAX_PLANES, MAX_WIDTH, PlaneCodes};
use crate::encoder::{Encoder, normalise};
use crate::error::{Error, Result};
use crate::ids::Side;
use crate::kernel::dense::Isa;
use crate::train::rotation;

/// Values of the rotations at most, 1 GiB; they are held twice.
const MAX_FRAMES: usize = 1 << 28;

/// How near two vectors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// The larger the inner product, the nearer.
    #[default]
    Dot,
    /// The smaller the angle, the nearer: vectors are scaled to length 1 first, all layers of a row together.
    Cosine,
}

/// Float vectors of both sides with their ids, for [`Db::import_embeddings`](crate::Db::import_embeddings).
#[derive(Debug)]
pub struct Embeddings {
    /// One row per item.
    pub items: Vectors,
    /// The items' ids.
    pub item_ids: RowIds,
    /// One row per user, with as many layers and dimensions as items have; `None` if queries come otherwise.
    pub users: Option<Vectors>,
    /// The users' ids.
    pub user_ids: RowIds,
}

/// Options of an import of float vectors.
///
/// ```
/// use kithdb::{EncodeOptions, Metric};
/// let options = EncodeOptions::new(Metric::Cosine).bits(512).query_planes(4);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EncodeOptions {
    metric: Metric,
    bits: Option<u32>,
    passes: Option<u32>,
    query_planes: u32,
    seed: u64,
}

impl EncodeOptions {
    /// About one bit a dimension of the items, four of the users, seed 1.
    pub fn new(metric: Metric) -> Self {
        Self { metric, bits: None, passes: None, query_planes: 4, seed: 1 }
    }

    /// Bits of an item's code in all, a multiple of 64 per layer of the code. By default one per dimension, filled up to a multiple of 64. More
    /// bits are slower and nearer to the vectors' own order. The rotation has dimensions times bits of a layer values, at most 2^28.
    pub fn bits(mut self, bits: u32) -> Self {
        self.bits = Some(bits);
        self
    }

    /// Layers a vector is encoded in, each holding what those before left over; the bits are shared out evenly. One layer is a frame of as
    /// many directions as bits. By default one where queries have one bit per dimension, elsewhere as many as leave each layer a bit per
    /// dimension: finer items serve finer queries. Recall@10 of 250,000 GloVe vectors of 100 dimensions at 512 bits, exact cosine the truth:
    ///
    /// | passes | 1 | 2 | 4 |
    /// |---|---|---|---|
    /// | 4-bit queries | 0.561 | 0.668 | 0.754 |
    /// | 1-bit queries | 0.424 | 0.410 | 0.303 |
    pub fn passes(mut self, passes: u32) -> Self {
        self.passes = Some(passes);
        self
    }

    /// Bit planes kept of every user, and of queries by a vector, 1 to 8. Default 4.
    pub fn query_planes(mut self, planes: u32) -> Self {
        self.query_planes = planes;
        self
    }

    /// Seed of the rotation. Default 1.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The shape of codes of `layers` vectors of `dims` dimensions, and the passes over each.
    fn shape(&self, layers: usize, dims: usize) -> Result<(CodeShape, usize)> {
        let refuse = |what: String, remedy: String| Err(Error::InvalidArgument { what, remedy });
        if !(1..=MAX_PLANES).contains(&self.query_planes) {
            return refuse(format!("query_planes = {}", self.query_planes), format!("choose 1 to {MAX_PLANES}"));
        }
        let least = dims.next_multiple_of(64);
        let bits = self.bits.map_or(layers * least, |bits| bits as usize);
        let words = bits / 64;
        // A divisor of the words, so that all layers have one width.
        let most = (bits / (layers * least)).clamp(1, MAX_LAYERS / layers.min(MAX_LAYERS));
        let passes = match self.passes {
            Some(passes) => passes as usize,
            None if self.query_planes == 1 => 1,
            None => (1..=most).rev().find(|passes| words.is_multiple_of(layers * passes)).unwrap_or(1),
        };
        let code_layers = layers.saturating_mul(passes);
        if code_layers == 0 || code_layers > MAX_LAYERS {
            let what = format!("{layers} layers of vectors in {passes} passes");
            return refuse(what, format!("choose 1 to {MAX_LAYERS} layers of code in all"));
        }
        if bits == 0 || !bits.is_multiple_of(64 * code_layers) || bits / code_layers > MAX_WIDTH as usize {
            let remedy = format!("choose a multiple of {}, at most {MAX_WIDTH} a layer", 64 * code_layers);
            return refuse(format!("{bits} bits for {code_layers} layers of code"), remedy);
        }
        let width = (bits / code_layers) as u32;
        let frames = layers.saturating_mul(dims).saturating_mul(width as usize);
        if frames > MAX_FRAMES {
            let most = MAX_FRAMES / layers / dims / 64 * 64;
            let remedy = match most {
                0 => format!("reduce the vectors first, to at most {} dimensions a row", MAX_FRAMES / 64),
                most => format!("choose at most {} bits, or reduce the vectors first", most * code_layers),
            };
            return refuse(
                format!(
                    "{width} bits a layer of {layers} x {dims} dimensions, whose rotations would take {} GiB",
                    frames >> 28
                ),
                remedy,
            );
        }
        Ok((CodeShape::new(vec![width; code_layers], vec![1.0; code_layers])?, passes))
    }
}

impl Embeddings {
    /// Reads all rows and refuses what an import with these options refuses whatever the database: asked before one is made, it is not made in
    /// vain. O(values).
    ///
    /// # Errors
    /// As [`Db::import_embeddings`](crate::Db::import_embeddings).
    pub fn check(&mut self, options: &EncodeOptions) -> Result<()> {
        self.shape(options)?;
        self.item_ids.check(Side::Item, self.items.len())?;
        self.user_ids.check(Side::User, self.users.as_ref().map_or(0, Vectors::len))?;
        let sides = std::iter::once(&mut self.items).chain(&mut self.users);
        for vectors in sides {
            vectors.visit_for(options.metric, |_| Ok(()))?;
        }
        Ok(())
    }

    /// The shape of codes of both sides, and the passes over each vector.
    fn shape(&self, options: &EncodeOptions) -> Result<(CodeShape, usize)> {
        let (layers, dims) = (self.items.layers(), self.items.dims());
        if let Some(users) = self.users.as_ref().filter(|users| (users.layers(), users.dims()) != (layers, dims)) {
            return Err(Error::InvalidArgument {
                what: format!("users of {} x {} values, items of {layers} x {dims}", users.layers(), users.dims()),
                remedy: "give both sides the same layers and dimensions".into(),
            });
        }
        check_items(self.items.len())?;
        options.shape(layers, dims)
    }

    /// Encodes both sides; the last number is of rows without a direction, all zero, on either side. Items are read twice: for their mean, then for their codes. Parallel; memory holds the codes and one piece of the
    /// vectors. O((items + users) bits dims).
    ///
    /// # Errors
    /// As [`Embeddings::check`], and `Cancelled` once the token says so.
    pub(crate) fn encode(
        self,
        options: &EncodeOptions,
        token: Option<&CancelToken>,
    ) -> Result<(CodeSet, Encoder, u64)> {
        let (shape, passes) = self.shape(options)?;
        let Embeddings { mut items, item_ids, users, user_ids } = self;
        let (layers, dims) = (items.layers(), items.dims());
        let (shape, isa) = (Arc::new(shape), Isa::chosen()?);
        let normalised = options.metric == Metric::Cosine;
        let mut zeros = 0;
        let mean = mean(&mut items, options.metric, &mut zeros, token)?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(options.seed);
        let width = shape.widths()[0] as usize;
        let frames = (0..layers).flat_map(|_| rotation(isa, &mut rng, dims, width).into_data()).collect();
        let encoder = Encoder::new(Arc::clone(&shape), passes, normalised, mean, frames, isa)?;

        let (mut words, mut scalers) = (Vec::new(), Vec::new());
        items.visit(|rows| {
            CancelToken::check(token)?;
            append(encoder.items(rows), &mut words, &mut scalers)
        })?;
        let items = LayeredCodes::from_parts(Arc::clone(&shape), words, scalers)?;
        let (mut words, mut scalers) = (Vec::new(), Vec::new());
        let planes = options.query_planes;
        if let Some(mut users) = users {
            let row = users.layers() * users.dims();
            users.visit_for(options.metric, |rows| {
                CancelToken::check(token)?;
                zeros += count_zeros(rows, row);
                append(encoder.users(rows, planes)?.into_parts(), &mut words, &mut scalers)
            })?;
        }
        let users = PlaneCodes::from_parts(shape, planes, words, scalers)?;
        Ok((CodeSet { items, item_ids, users, user_ids }, encoder, zeros))
    }
}

fn append(parts: (Vec<u64>, Vec<f32>), words: &mut Vec<u64>, scalers: &mut Vec<f32>) -> Result<()> {
    words.extend(parts.0);
    scalers.extend(parts.1);
    Ok(())
}

/// Rows of `width` values that are all zero.
fn count_zeros(rows: &[f32], width: usize) -> u64 {
    rows.chunks_exact(width).filter(|row| row.iter().all(|&x| x == 0.0)).count() as u64
}

/// The mean of the rows, in double precision and in their order; counts those that are all zero.
fn mean(vectors: &mut Vectors, metric: Metric, zeros: &mut u64, token: Option<&CancelToken>) -> Result<Vec<f32>> {
    let row = vectors.layers() * vectors.dims();
    let mut sums = vec![0f64; row];
    vectors.visit_for(metric, |rows| {
        CancelToken::check(token)?;
        *zeros += count_zeros(rows, row);
        let mut rows = rows.to_vec();
        if metric == Metric::Cosine {
            normalise(&mut rows, row);
        }
        for values in rows.chunks_exact(row) {
            sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        Ok(())
    })?;
    let count = vectors.len().max(1) as f64;
    Ok(sums.into_iter().map(|sum| (sum / count) as f32).collect())
}
