use std::ops::Range;
use std::path::Path;

use bytemuck::Zeroable;

use super::agreement::{Agreement, TABLE_PLANES};
use super::portable::Lanes;
use super::source::{Bits, QueryBits, Source};
use super::{LANES, LaneScalers, LaneWords, scalar};
use crate::code::{CodeShape, LayeredCodes, QueryCode};
use crate::kernel::shared::Shared;
use crate::pool;

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
    fn of(widths: Vec<u32>) -> Self {
        let count = |width: &u32| width.div_ceil(32) as usize;
        let first = count(&widths[0]);
        Self {
            words: widths.iter().map(count).sum(),
            uniform: widths.iter().all(|width| count(width) == first).then_some(first),
            widths,
        }
    }

    /// The one layer's bits in pieces of `width`, as if they were layers: a multiple of 32, so that words stay where they are.
    pub(super) fn cut(&self, width: u32) -> Self {
        let whole = self
            .widths
            .iter()
            .flat_map(|&bits| (0..bits).step_by(width as usize).map(move |start| width.min(bits - start)));
        Self::of(whole.collect())
    }

    /// Bits of every layer.
    #[inline]
    pub fn widths(&self) -> &[u32] {
        &self.widths
    }

    /// 32-bit words of every layer, where all layers have as many.
    pub(super) fn uniform(&self) -> Option<usize> {
        self.uniform
    }

    /// 32-bit words of a row.
    pub fn words(&self) -> usize {
        self.words
    }
}

/// One-bit items in blocks of 16, their bytes interleaved: words `[block][layer][ceil(d_l / 32)]` of 16 words each, scalers
/// `[block][layer][16]`, both aligned to 64 bytes.
///
/// A scan reads it once, front to back, and one word of a query is compared with 16 items at a time. The last block is padded with
/// items of zero bits and zero scalers, whose score is 0.
#[derive(Debug, Clone)]
pub struct Blocks {
    shape: BlockShape,
    len: usize,
    words: Shared<LaneWords>,
    scalers: Shared<LaneScalers>,
}

/// What [`Blocks::as_bytes`] gives: raised when words, scalers or their order change.
pub(crate) const LAYOUT: &str = "lanes16-1";

impl Blocks {
    /// Lays out all rows, in their order. O(rows x words), parallel where there are more than 1,024 rows.
    pub fn build(codes: &LayeredCodes) -> Self {
        let shape = BlockShape::of(codes.shape().widths().to_vec());
        let len = codes.len().div_ceil(LANES);
        let mut words = vec![LaneWords::zeroed(); len * shape.words];
        let mut scalers = vec![LaneScalers::zeroed(); len * shape.widths.len()];
        pool::rows((&mut words, shape.words), (&mut scalers, shape.widths.len()), 64, |block, words, scalers| {
            for (lane, row) in (block * LANES..codes.len()).take(LANES).enumerate() {
                let row = codes.row(row);
                let halves = halves(codes.shape(), |layer| &row.words[codes.shape().layer_words(layer)]);
                for (words, half) in words.iter_mut().zip(halves) {
                    words.set(lane, half);
                }
                for (scalers, &scaler) in scalers.iter_mut().zip(row.scalers) {
                    scalers.0[lane] = scaler;
                }
            }
        });
        Self { shape, len, words: words.into(), scalers: scalers.into() }
    }

    /// Words and scalers as they lie in memory.
    pub(crate) fn as_bytes(&self) -> [&[u8]; 2] {
        [bytemuck::cast_slice(&self.words), bytemuck::cast_slice(&self.scalers)]
    }

    /// The same blocks, in memory that other processes have too: files of words and of scalers, as [`Blocks::as_bytes`] gives them. `None` where the files hold
    /// anything else, so that no answer depends on them. O(bytes).
    pub(crate) fn shared(&self, words: &Path, scalers: &Path) -> std::io::Result<Option<Self>> {
        let (words, scalers) = (Shared::<LaneWords>::map(words)?, Shared::<LaneScalers>::map(scalers)?);
        let shared = Self { shape: self.shape.clone(), len: self.len, words, scalers };
        Ok((shared.as_bytes() == self.as_bytes()).then_some(shared))
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
        size_of_val(&*self.words) + size_of_val(&*self.scalers)
    }

    /// One 32-bit word of one layer at a position.
    ///
    /// # Panics
    /// If there is no such position, layer or word.
    pub fn word(&self, position: usize, layer: usize, word: usize) -> u32 {
        let before: usize = self.shape.widths[..layer].iter().map(|width| width.div_ceil(32) as usize).sum();
        self.block(position / LANES).0[before + word].get(position % LANES)
    }

    /// The 32-bit words of a position, layer after layer.
    ///
    /// # Panics
    /// If there is no such position.
    pub fn words_at(&self, position: usize) -> impl Iterator<Item = u32> + '_ {
        self.block(position / LANES).0.iter().map(move |words| words.get(position % LANES))
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

    /// All words, `[block][layer][word]`, and all scalers, `[block][layer]`.
    #[inline(always)]
    pub(super) fn whole(&self) -> (&[LaneWords], &[LaneScalers]) {
        (&self.words, &self.scalers)
    }

    /// [`Blocks::block`] of `N` blocks. Loops, here and below, because closures over arrays are not always inlined.
    #[inline(always)]
    pub(super) fn run<const N: usize>(&self, blocks: [usize; N]) -> Run<'_, N> {
        let mut run: Run<'_, N> = ([&[]; N], [&[]; N]);
        for (n, block) in blocks.into_iter().enumerate() {
            (run.0[n], run.1[n]) = self.block(block);
        }
        run
    }
}

/// The words of `N` blocks and their scalers.
type Run<'a, const N: usize> = ([&'a [LaneWords]; N], [&'a [LaneScalers]; N]);

impl Source for Blocks {
    type Query = BlockQuery;

    const PAIRS: bool = true;

    const TOGETHER: bool = true;

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
    fn stride(&self) -> usize {
        self.shape.words * size_of::<LaneWords>()
    }

    #[inline(always)]
    fn sums<L: Lanes, const P: usize, const W: usize, const N: usize, const Q: usize>(
        &self,
        proof: L::Proof,
        queries: [&BlockQuery; Q],
        blocks: [usize; N],
        ahead: [usize; N],
    ) -> [[L; Q]; N] {
        let mut sums = [[L::zero(proof); Q]; N];
        let (rows, scalers) = self.run(blocks);
        let mut end = self.shape.words;
        for (layer, &width) in self.shape.widths.iter().enumerate().rev() {
            let bits = layer_before::<P, W, N, Q>(&mut end, width, queries, rows, ahead);
            let inner = sums[0][0].inner::<P, W, N, Q>(&bits);
            for n in 0..N {
                let scalers = sums[n][0].load(&scalers[n][layer]);
                for q in 0..Q {
                    let products = sums[n][q].scale(inner[n][q], queries[q].factors[layer]);
                    sums[n][q] = sums[n][q].add_product(scalers, products);
                }
            }
        }
        sums
    }

    fn reference(&self, query: &BlockQuery, block: usize) -> [f32; LANES] {
        let (rows, scalers) = self.block(block);
        std::array::from_fn(|lane| {
            let mut terms = vec![(0.0, 0.0); scalers.len()];
            let mut end = self.shape.words;
            for (layer, &width) in self.shape.widths.iter().enumerate().rev() {
                let inner = scalar::inner(&layer_before::<0, 0, 1, 1>(&mut end, width, [query], [rows], [0]), lane);
                terms[layer] = (scalers[layer].0[lane], query.factors[layer] * inner as f32);
            }
            scalar::sum(&terms)
        })
    }
}

/// A query cut the way blocks are: words `[layer][plane][ceil(d_l / 32)]`, their tables, and the factor `c_l` of every layer.
#[derive(Debug, Clone)]
pub struct BlockQuery {
    shape: BlockShape,
    planes: usize,
    words: Vec<u32>,
    /// `[layer][set][ceil(d_l / 32)]`.
    tables: Vec<Agreement>,
    /// `[layer][ceil(d_l / 32)]` for one plane, empty for several.
    spread: Vec<LaneWords>,
    factors: Vec<f32>,
}

impl BlockQuery {
    /// Cuts a query. O(words).
    pub fn new(query: &QueryCode) -> Self {
        let planes = query.planes() as usize;
        let shape = query.shape();
        let mut words = Vec::with_capacity(2 * shape.words() * planes);
        let mut tables = Vec::with_capacity(2 * shape.words() * sets(planes));
        for (layer, &width) in shape.widths().iter().enumerate() {
            let start = words.len();
            for plane in query.layer(layer).chunks_exact(shape.layer_words(layer).len()) {
                words.extend(split(plane, width));
            }
            Agreement::extend(&mut tables, &words[start..], width.div_ceil(32) as usize);
        }
        let spread = if planes == 1 { words.iter().map(|&word| LaneWords::splat(word)).collect() } else { Vec::new() };
        Self {
            shape: BlockShape::of(shape.widths().to_vec()),
            planes,
            words,
            tables,
            spread,
            factors: query.factors().to_vec(),
        }
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

    /// The query against pieces of `width` bits of the codes, as if they were layers.
    ///
    /// # Panics
    /// If the codes have several layers.
    pub(super) fn cut(&self, width: u32) -> Self {
        assert_eq!(self.shape.widths.len(), 1, "one layer is cut");
        let shape = self.shape.cut(width);
        let (mut words, mut tables) = (Vec::with_capacity(self.words.len()), Vec::with_capacity(self.tables.len()));
        let mut start = 0;
        for &width in &shape.widths {
            let (piece, first) = (width.div_ceil(32) as usize, words.len());
            for plane in self.words.chunks_exact(self.shape.words) {
                words.extend_from_slice(&plane[start..start + piece]);
            }
            if sets(self.planes) > 1 {
                Agreement::extend(&mut tables, &words[first..], piece);
            }
            start += piece;
        }
        if sets(self.planes) == 1 {
            tables.extend_from_slice(&self.tables);
        }
        Self { shape, planes: self.planes, words, tables, spread: self.spread.clone(), factors: self.factors.clone() }
    }

    /// A range of words of a row, in all planes; `P` is their number where it is known, and 0 elsewhere.
    #[inline(always)]
    pub(super) fn bits<const P: usize>(&self, range: Range<usize>) -> QueryBits<'_> {
        let count = if P == 1 { 1 } else { self.planes };
        let sets = if P == 0 { sets(count) } else { 1 };
        QueryBits {
            planes: &self.words[range.start * count..range.end * count],
            tables: &self.tables[range.start * sets..range.end * sets],
            spread: if P == 1 { &self.spread[range] } else { &[] },
            count,
        }
    }
}

/// One layer of some blocks' `rows` beside the queries', where the layer after it starts at word `end`; moves `end` to where this one starts.
///
/// Layers are taken from the last to the first. No closures: they are not always inlined, and outside an instruction set's function they
/// would be compiled without it.
#[inline(always)]
pub(super) fn layer_before<'a, const P: usize, const W: usize, const N: usize, const Q: usize>(
    end: &mut usize,
    width: u32,
    queries: [&'a BlockQuery; Q],
    rows: [&'a [LaneWords]; N],
    ahead: [usize; N],
) -> Bits<'a, N, Q> {
    let words = if W == 0 { width.div_ceil(32) as usize } else { W };
    let range = *end - words..*end;
    *end = range.start;
    let mut bits = Bits { rows: [&[]; N], queries: [QueryBits::NONE; Q], width, ahead };
    for (bits, rows) in bits.rows.iter_mut().zip(rows) {
        *bits = &rows[range.clone()];
    }
    for (bits, query) in bits.queries.iter_mut().zip(queries) {
        *bits = query.bits::<P>(range.clone());
    }
    bits
}

/// Sets of tables that `planes` take.
fn sets(planes: usize) -> usize {
    planes.div_ceil(TABLE_PLANES)
}

/// The 32-bit words of every layer of a one-bit row.
fn halves<'a>(shape: &'a CodeShape, layer: impl Fn(usize) -> &'a [u64] + 'a) -> impl Iterator<Item = u32> + 'a {
    shape.widths().iter().enumerate().flat_map(move |(l, &width)| split(layer(l), width))
}

/// The `ceil(width / 32)` 32-bit words of 64-bit ones, low half first.
fn split(words: &[u64], width: u32) -> impl Iterator<Item = u32> + '_ {
    words.iter().flat_map(|&word| [word as u32, (word >> 32) as u32]).take(width.div_ceil(32) as usize)
}
