use bytemuck::Zeroable;
use rayon::prelude::*;

use super::portable::Lanes;
use super::scalar;
use super::source::{Bits, Source};
use crate::code::{CodeError, CodeShape, LayeredCodes, QueryCode};

/// Items of a block.
pub const LANES: usize = 16;

/// One 32-bit word of each of the 16 items of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable)]
#[repr(C, align(64))]
pub struct LaneWords(pub [u32; LANES]);

/// One layer's scaler of each of the 16 items of a block.
#[derive(Debug, Clone, Copy, PartialEq, Zeroable)]
#[repr(C, align(64))]
pub struct LaneScalers(pub [f32; LANES]);

/// How a row is cut into 32-bit words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockShape {
    /// Bits of every layer.
    widths: Vec<u32>,
    /// 32-bit words of a row.
    words: usize,
    /// 32-bit words of every layer, where all layers have as many.
    uniform: Option<usize>,
}

impl BlockShape {
    fn new(shape: &CodeShape) -> Self {
        let widths = shape.widths().to_vec();
        let count = |width: &u32| width.div_ceil(32) as usize;
        let first = count(&widths[0]);
        Self {
            words: widths.iter().map(count).sum(),
            uniform: widths.iter().all(|width| count(width) == first).then_some(first),
            widths,
        }
    }

    /// Bits of every layer.
    #[inline]
    pub fn widths(&self) -> &[u32] {
        &self.widths
    }

    /// 32-bit words of a row.
    pub fn words(&self) -> usize {
        self.words
    }
}

/// One-bit items in blocks of 16, 32-bit words interleaved: words `[block][layer][ceil(d_l / 32)][16]`, scalers `[block][layer][16]`,
/// both aligned to 64 bytes.
///
/// A scan reads it once, front to back, and one word of a query is compared with 16 items at a time. The last block is padded with
/// items of zero bits and zero scalers, whose score is 0.
#[derive(Debug, Clone)]
pub struct Blocks {
    shape: BlockShape,
    len: usize,
    words: Vec<LaneWords>,
    scalers: Vec<LaneScalers>,
}

impl Blocks {
    /// Lays out the rows `order` names, in that order. O(rows x words), parallel.
    ///
    /// # Errors
    /// If `order` names a row the codes do not have.
    pub fn build(codes: &LayeredCodes, order: &[u32]) -> Result<Self, CodeError> {
        if let Some(&row) = order.iter().find(|&&row| row as usize >= codes.len()) {
            return Err(CodeError::Row { row: row as usize, rows: codes.len() });
        }
        let shape = BlockShape::new(codes.shape());
        let len = order.len().div_ceil(LANES);
        let mut words = vec![LaneWords::zeroed(); len * shape.words];
        let mut scalers = vec![LaneScalers::zeroed(); len * shape.widths.len()];
        words
            .par_chunks_exact_mut(shape.words)
            .zip(scalers.par_chunks_exact_mut(shape.widths.len()))
            .zip(order.par_chunks(LANES))
            .with_min_len(64)
            .for_each(|((words, scalers), rows)| {
                for (lane, &row) in rows.iter().enumerate() {
                    let row = codes.row(row as usize);
                    let halves = halves(codes.shape(), |layer| &row.words[codes.shape().layer_words(layer)]);
                    for (words, half) in words.iter_mut().zip(halves) {
                        words.0[lane] = half;
                    }
                    for (scalers, &scaler) in scalers.iter_mut().zip(row.scalers) {
                        scalers.0[lane] = scaler;
                    }
                }
            });
        Ok(Self { shape, len, words, scalers })
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no blocks.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How a row is cut.
    #[inline]
    pub fn shape(&self) -> &BlockShape {
        &self.shape
    }

    /// Bytes of words and scalers.
    pub fn bytes(&self) -> usize {
        size_of_val(self.words.as_slice()) + size_of_val(self.scalers.as_slice())
    }

    /// One 32-bit word of one layer at a position.
    ///
    /// # Panics
    /// If there is no such position, layer or word.
    pub fn word(&self, position: usize, layer: usize, word: usize) -> u32 {
        let before: usize = self.shape.widths[..layer].iter().map(|width| width.div_ceil(32) as usize).sum();
        self.block(position / LANES).0[before + word].0[position % LANES]
    }

    /// The scaler of one layer at a position.
    ///
    /// # Panics
    /// If there is no such position or layer.
    pub fn scaler(&self, position: usize, layer: usize) -> f32 {
        self.block(position / LANES).1[layer].0[position % LANES]
    }

    /// Words and scalers of one block, `[layer][word]` and `[layer]`.
    #[inline(always)]
    pub(super) fn block(&self, block: usize) -> (&[LaneWords], &[LaneScalers]) {
        let (words, layers) = (self.shape.words, self.shape.widths.len());
        (&self.words[block * words..][..words], &self.scalers[block * layers..][..layers])
    }
}

impl Source for Blocks {
    type Query = BlockQuery;

    fn blocks(&self) -> usize {
        self.len
    }

    fn fits(&self, query: &BlockQuery) -> bool {
        self.shape == query.shape
    }

    #[inline(always)]
    fn uniform(&self) -> Option<usize> {
        self.shape.uniform
    }

    #[inline(always)]
    fn planes(query: &BlockQuery) -> usize {
        query.planes
    }

    #[inline(always)]
    fn sums<L: Lanes, const P: usize, const W: usize>(
        &self,
        proof: L::Proof,
        query: &BlockQuery,
        block: usize,
        ahead: usize,
    ) -> L {
        let (rows, scalers) = self.block(block);
        let mut sums = L::zero(proof);
        query.each_layer::<P, W>(rows, ahead, |layer, bits| {
            let products = sums.scale(sums.inner::<P, W>(&bits), query.factors[layer]);
            sums = sums.add_product(sums.load(&scalers[layer]), products);
        });
        sums
    }

    fn reference(&self, query: &BlockQuery, block: usize) -> [f32; LANES] {
        let (rows, scalers) = self.block(block);
        std::array::from_fn(|lane| {
            let mut terms = vec![(0.0, 0.0); scalers.len()];
            query.each_layer::<0, 0>(rows, 0, |layer, bits| {
                let inner = scalar::inner(bits.rows, bits.planes, bits.width, lane);
                terms[layer] = (scalers[layer].0[lane], query.factors[layer] * inner as f32);
            });
            scalar::sum(&terms)
        })
    }
}

/// A query cut the way blocks are: words `[layer][plane][ceil(d_l / 32)]` and the factor `c_l` of every layer.
#[derive(Debug, Clone)]
pub struct BlockQuery {
    shape: BlockShape,
    planes: usize,
    words: Vec<u32>,
    factors: Vec<f32>,
}

impl BlockQuery {
    /// Cuts a query. O(words).
    pub fn new(query: &QueryCode) -> Self {
        let planes = query.planes() as usize;
        let shape = query.shape();
        let mut words = Vec::with_capacity(2 * shape.words() * planes);
        for (layer, &width) in shape.widths().iter().enumerate() {
            for plane in query.layer(layer).chunks_exact(shape.layer_words(layer).len()) {
                words.extend(split(plane, width));
            }
        }
        Self { shape: BlockShape::new(shape), planes, words, factors: query.factors().to_vec() }
    }

    /// How a row is cut.
    #[inline]
    pub fn shape(&self) -> &BlockShape {
        &self.shape
    }

    /// Bit planes, 1 to 8.
    #[inline]
    pub fn planes(&self) -> usize {
        self.planes
    }

    /// The factor `c_l` of every layer.
    #[inline]
    pub fn factors(&self) -> &[f32] {
        &self.factors
    }

    /// The words of one layer, `[plane][ceil(d_l / 32)]`.
    pub fn layer(&self, layer: usize) -> &[u32] {
        let words = |width: &u32| width.div_ceil(32) as usize * self.planes;
        let start: usize = self.shape.widths[..layer].iter().map(words).sum();
        &self.words[start..][..words(&self.shape.widths[layer])]
    }

    /// Gives every layer of a block's `rows` beside the query's, the last layer first.
    #[inline(always)]
    pub(super) fn each_layer<'a, const P: usize, const W: usize>(
        &'a self,
        mut rows: &'a [LaneWords],
        ahead: usize,
        mut visit: impl FnMut(usize, Bits<'a>),
    ) {
        let mut planes = self.words.as_slice();
        let count = if P == 0 { self.planes } else { P };
        for (layer, &width) in self.shape.widths.iter().enumerate().rev() {
            let words = if W == 0 { width.div_ceil(32) as usize } else { W };
            let (other_rows, layer_rows) = rows.split_at(rows.len() - words);
            let (other_planes, layer_planes) = planes.split_at(planes.len() - words * count);
            visit(layer, Bits { rows: layer_rows, planes: layer_planes, width, ahead });
            (rows, planes) = (other_rows, other_planes);
        }
    }
}

/// The 32-bit words of every layer of a one-bit row.
fn halves<'a>(shape: &'a CodeShape, layer: impl Fn(usize) -> &'a [u64] + 'a) -> impl Iterator<Item = u32> + 'a {
    shape.widths().iter().enumerate().flat_map(move |(l, &width)| split(layer(l), width))
}

/// The `ceil(width / 32)` 32-bit words of 64-bit ones, low half first.
fn split(words: &[u64], width: u32) -> impl Iterator<Item = u32> + '_ {
    words.iter().flat_map(|&word| [word as u32, (word >> 32) as u32]).take(width.div_ceil(32) as usize)
}
