//! A generation: one immutable, published result of training, wholly in memory.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use kithdb_storage::Manifest;
use roaring::RoaringBitmap;

use crate::code::{CodeError, CodeShape, LayeredCodes, PlaneCodes, QueryCode};
use crate::encoder::Encoder;
use crate::fold_in::FoldInMap;
use crate::graph::postings::Postings;
use crate::index::{Calibration, Filter, Index, Linear, Order, Seen};
use crate::kernel::popcount::Kernel;

/// What a generation is made of, before the index is built over it.
pub(crate) struct Content {
    /// The interactions it has seen.
    pub(crate) postings: Postings,
    /// Items retired before it.
    pub(crate) retired: RoaringBitmap,
    /// Users' codes, a row per dense number. Users without interactions have scalers of 0.
    pub(crate) users: PlaneCodes,
    /// Items' codes, a row per dense number. Items without interactions have scalers of 0.
    pub(crate) items: LayeredCodes,
    /// Each item's rank in the order of external ids.
    pub(crate) ranks: Arc<[u32]>,
    /// What gives users who came later a vector.
    pub(crate) fold_in: FoldInMap,
    /// What turns vectors into codes like these, where they were made from vectors.
    pub(crate) encoder: Option<Encoder>,
}

/// What follows from a [`Content`]: the index over the items and what else queries need of them. All that can fail of a generation is done here,
/// before it is published.
pub(crate) struct Derived {
    item_degrees: Vec<u32>,
    /// Rows without a code.
    codeless: RoaringBitmap,
    /// The users of every item without a code that has any, ascending.
    holders: HashMap<u32, Vec<u32>>,
    kernel: Kernel,
    item_index: Index,
    scaler_profile: ScalerProfile,
}

impl Derived {
    /// Builds the index over `content`, whose items are stored in `order`. O(items x bits).
    ///
    /// # Errors
    /// If there is not one rank an item, or `order` is none of the items.
    pub(crate) fn of(content: &Content, order: Order, kernel: Kernel) -> Result<Self, CodeError> {
        let Content { postings, users, items, ranks, .. } = content;
        let item_degrees = postings.item_degrees(items.len() as u32);
        let mut item_index = Index::with_order(items, order, Arc::clone(ranks), kernel)?;
        match sample_queries(users)? {
            none if none.is_empty() => item_index.calibrate_by_items()?,
            some => item_index.calibrate(&some)?,
        }
        let scaler_profile = ScalerProfile::of(items, &item_degrees);
        let layers = items.shape().layers();
        let codeless = (0..).zip(items.scalers().chunks_exact(layers));
        let codeless: RoaringBitmap =
            codeless.filter(|(_, scalers)| scalers.iter().all(|&s| s == 0.0)).map(|(row, _)| row).collect();
        let holders = holders(postings, &codeless, &item_degrees);
        Ok(Self { item_degrees, codeless, holders, kernel, item_index, scaler_profile })
    }

    /// Builds the index over `content` in the order that suits it, and measures what searches by a budget find. O(items x bits x log).
    ///
    /// # Errors
    /// If there is not one rank an item.
    pub(crate) fn new(content: &Content, kernel: Kernel) -> Result<Self, CodeError> {
        let derived = Self::of(content, Order::of(&content.items), kernel)?;
        let banded = content.items.shape().layers() == 1 && derived.item_index.bands().len() > 1;
        if banded && derived.item_index.is_scanned(content.users.planes()) {
            // Bands are for bounds, and no bound helps.
            drop(derived);
            return Self::of(content, Order::without_bands(&content.items), kernel)?.measured(content);
        }
        derived.measured(content)
    }

    /// With a measurement of what searches by a budget find, by sample users of `content` who have seen what they have. O(samples x items x bits).
    ///
    /// # Errors
    /// None that valid codes give.
    fn measured(self, content: &Content) -> Result<Self, CodeError> {
        let users = sample_users(&content.users, MEASURED_USERS);
        let query = |&user: &usize| {
            let filter = Filter {
                deny: vec![&self.codeless, &content.retired],
                seen: Seen::of(content.postings.row(user as u32).items),
                ..Filter::default()
            };
            Ok((content.users.query(user, content.users.planes())?, filter))
        };
        let samples = users.iter().map(query).collect::<Result<Vec<_>, CodeError>>()?;
        match self.item_index.measure(&samples)? {
            Some(calibration) => self.calibrated(calibration, content),
            None => Ok(self),
        }
    }

    /// With a measurement that was made when it was published.
    ///
    /// # Errors
    /// None that valid codes give.
    pub(crate) fn calibrated(mut self, calibration: Calibration, content: &Content) -> Result<Self, CodeError> {
        self.item_index.set_calibration(calibration, &sample_queries(&content.users)?)?;
        Ok(self)
    }

    /// The index over the items.
    pub(crate) fn item_index(&self) -> &Index {
        &self.item_index
    }
}

/// Codes of all users and items, the interactions they were learned from, and the index over the items.
pub(crate) struct Generation {
    number: u64,
    content_hash: String,
    /// What it is stored as: as long as this is held, so are its files.
    manifest: Option<Arc<Manifest>>,
    postings: Postings,
    retired: RoaringBitmap,
    users: PlaneCodes,
    ranks: Arc<[u32]>,
    fold_in: FoldInMap,
    encoder: Option<Encoder>,
    derived: Derived,
    user_index: OnceLock<Linear>,
}

impl Generation {
    /// The generation of a content and what follows from it: from now on the index alone holds the items' codes.
    pub(crate) fn new(number: u64, content_hash: String, content: Content, derived: Derived) -> Self {
        let Content { postings, retired, users, ranks, fold_in, encoder, items: _ } = content;
        let (manifest, user_index) = (None, OnceLock::new());
        Self { number, content_hash, manifest, postings, retired, users, ranks, fold_in, encoder, derived, user_index }
    }

    /// The generation, stored as `manifest` says.
    pub(crate) fn keeping(self, manifest: Arc<Manifest>) -> Self {
        Self { manifest: Some(manifest), ..self }
    }

    /// What it is stored as.
    pub(crate) fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.manifest.as_ref()
    }

    /// Its number; later generations have larger ones.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The hash over its parts.
    pub(crate) fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// The interactions it has seen.
    pub(crate) fn postings(&self) -> &Postings {
        &self.postings
    }

    /// Items retired before it.
    pub(crate) fn retired(&self) -> &RoaringBitmap {
        &self.retired
    }

    /// What gives users who came later a vector.
    pub(crate) fn fold_in(&self) -> &FoldInMap {
        &self.fold_in
    }

    /// What turns vectors into codes like these, where they were made from vectors.
    pub(crate) fn encoder(&self) -> Option<&Encoder> {
        self.encoder.as_ref()
    }

    /// Users' codes.
    pub(crate) fn users(&self) -> &PlaneCodes {
        &self.users
    }

    /// The shape of the codes.
    pub(crate) fn shape(&self) -> &Arc<CodeShape> {
        self.derived.item_index.shape()
    }

    /// How many items there are, with a code or without.
    pub(crate) fn n_items(&self) -> usize {
        self.derived.item_index.len()
    }

    /// The code of one item, as the only row. O(bits).
    ///
    /// # Panics
    /// If there is no such item.
    pub(crate) fn item(&self, item: u32) -> LayeredCodes {
        self.derived.item_index.code(item)
    }

    /// The index over the items.
    pub(crate) fn item_index(&self) -> &Index {
        &self.derived.item_index
    }

    /// The index over the users' signs, built when it is first asked for, which works on rayon: call it without a lock. `ranks` gives those of
    /// the users' external ids. O(users x bits) then.
    pub(crate) fn user_index(&self, ranks: impl FnOnce() -> Vec<u32>) -> Result<&Linear, CodeError> {
        if let Some(index) = self.user_index.get() {
            return Ok(index);
        }
        let mut ranks = ranks();
        ranks.truncate(self.users().len());
        let index = Linear::build(&self.users().signs(), ranks, self.derived.kernel)?;
        Ok(self.user_index.get_or_init(|| index))
    }

    /// The users it was measured on what a budget finds.
    pub(crate) fn measured_users(&self) -> Vec<u32> {
        sample_users(&self.users, MEASURED_USERS).into_iter().map(|user| user as u32).collect()
    }

    /// Items without a code: no query returns them.
    pub(crate) fn codeless(&self) -> &RoaringBitmap {
        &self.derived.codeless
    }

    /// Whether any item has a code.
    pub(crate) fn has_codes(&self) -> bool {
        self.derived.codeless.len() < self.n_items() as u64
    }

    /// The users of an item without a code, ascending.
    pub(crate) fn holders(&self, item: u32) -> &[u32] {
        self.derived.holders.get(&item).map_or(&[], Vec::as_slice)
    }

    /// The kernel its indexes use.
    pub(crate) fn kernel(&self) -> Kernel {
        self.derived.kernel
    }

    /// How many users have each item: `[n_items]`.
    pub(crate) fn item_degrees(&self) -> &[u32] {
        &self.derived.item_degrees
    }

    /// Each item's rank in the order of external ids.
    pub(crate) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// Whether training gave the user a code.
    pub(crate) fn has_user(&self, user: u32) -> bool {
        let layers = self.users().shape().layers();
        let row = self.users().scalers().get(user as usize * layers..(user as usize + 1) * layers);
        row.is_some_and(|scalers| scalers.iter().any(|&scaler| scaler > 0.0))
    }

    /// Whether training gave the item a code.
    pub(crate) fn has_item(&self, item: u32) -> bool {
        (item as usize) < self.n_items() && !self.derived.codeless.contains(item)
    }

    /// The scalers an item of `degree` users can expect: `[layers]`.
    pub(crate) fn expected_scalers(&self, degree: u32) -> &[f32] {
        self.derived.scaler_profile.at(degree)
    }
}

/// The users of those items without a code that have any. O(edges) where there is such an item.
fn holders(postings: &Postings, codeless: &RoaringBitmap, degrees: &[u32]) -> HashMap<u32, Vec<u32>> {
    let degree = |item: u32| degrees.get(item as usize).copied().unwrap_or(0) as usize;
    let held = codeless.iter().filter(|&item| degree(item) > 0);
    let mut holders: HashMap<u32, Vec<u32>> = held.map(|item| (item, Vec::with_capacity(degree(item)))).collect();
    if !holders.is_empty() {
        for user in 0..postings.n_users() {
            for &item in postings.row(user).items.iter().filter(|&&item| codeless.contains(item)) {
                if let Some(users) = holders.get_mut(&item) {
                    users.push(user);
                }
            }
        }
    }
    holders
}

/// Users the planner of the index learns from.
const SAMPLE_USERS: usize = 16;

/// Users it is measured on what a budget finds.
const MEASURED_USERS: usize = 1024;

/// The queries of a few users with a code.
fn sample_queries(users: &PlaneCodes) -> Result<Vec<QueryCode>, CodeError> {
    sample_users(users, SAMPLE_USERS).into_iter().map(|user| users.query(user, users.planes())).collect()
}

/// Up to so many users with a code, evenly spread.
fn sample_users(users: &PlaneCodes, most: usize) -> Vec<usize> {
    let layers = users.shape().layers();
    let has_code = |&user: &usize| users.scalers()[user * layers..][..layers].iter().any(|&scaler| scaler > 0.0);
    let samples = most.min(users.len());
    let parts = (0..samples).map(|i| i * users.len() / samples..(i + 1) * users.len() / samples);
    parts.filter_map(|mut part| part.find(has_code)).collect()
}

/// Mean scaler of the items that have a code, by order of magnitude of the item's degree: what a new item starts with.
struct ScalerProfile {
    layers: usize,
    /// `[33 x layers]`, row b for degrees of b bits.
    means: Vec<f32>,
}

impl ScalerProfile {
    const ROWS: usize = 33;

    fn of(items: &LayeredCodes, degrees: &[u32]) -> Self {
        let layers = items.shape().layers();
        let (mut sums, mut counts) = (vec![0f64; Self::ROWS * layers], [0u64; Self::ROWS]);
        for (scalers, &degree) in items.scalers().chunks_exact(layers).zip(degrees) {
            if scalers.iter().any(|&scaler| scaler > 0.0) {
                let row = Self::row(degree);
                counts[row] += 1;
                sums[row * layers..][..layers].iter_mut().zip(scalers).for_each(|(sum, &s)| *sum += f64::from(s));
            }
        }
        let occupied: Vec<usize> = (0..Self::ROWS).filter(|&row| counts[row] > 0).collect();
        let mean = |row: usize| {
            let nearest = occupied.iter().copied().min_by_key(|&o| o.abs_diff(row));
            (0..layers)
                .map(|l| nearest.map_or(0.0, |o| (sums[o * layers + l] / counts[o] as f64) as f32))
                .collect::<Vec<_>>()
        };
        Self { layers, means: (0..Self::ROWS).flat_map(mean).collect() }
    }

    fn at(&self, degree: u32) -> &[f32] {
        &self.means[Self::row(degree) * self.layers..][..self.layers]
    }

    fn row(degree: u32) -> usize {
        (u32::BITS - degree.leading_zeros()) as usize
    }
}
