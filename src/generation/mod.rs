//! A generation: one immutable, published result of training, wholly in memory.
//!
//! Its [`Content`] is what is stored, beside the ids; [`Derived`] follows from it. A [`Cut`] is the state of the log it is made from,
//! [`Provenance`] says how it was made, and a [`Parent`] is the one the next is made from. [`stored`] knows its parts by name.

mod content;
mod cut;
mod index;
mod parent;
mod provenance;
mod rows;
mod scalers;
pub(crate) mod stored;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kithdb_storage::Manifest;
use roaring::RoaringBitmap;

pub(crate) use content::{Columns, Content};
pub(crate) use cut::{Cut, Ids, Touched};
pub(crate) use index::Derived;
pub(crate) use parent::Parent;
pub(crate) use provenance::{Origin, Provenance};
pub(crate) use stored::{Kept, Through, Written};

use crate::code::{CodeError, CodeShape, LayeredCodes, PlaneCodes};
use crate::encoder::Encoder;
use crate::fold_in::FoldInMap;
use crate::graph::Aging;
use crate::graph::postings::{Edge, Postings};
use crate::index::{Index, Linear};
use crate::kernel::popcount::Kernel;
use index::{MEASURED_USERS, sample_users};

/// Codes of all users and items, the interactions they were learned from, and the index over the items.
pub(crate) struct Generation {
    number: u64,
    content_hash: String,
    /// What it is stored as: as long as this is held, so are its files.
    manifest: Option<Arc<Manifest>>,
    trained: bool,
    /// The half-life it was learned with.
    half_life: Option<Duration>,
    aging: OnceLock<Option<Aging>>,
    postings: Postings,
    retired: RoaringBitmap,
    users: PlaneCodes,
    ranks: Arc<[u32]>,
    fold_in: FoldInMap,
    encoder: Option<Encoder>,
    derived: Derived,
    user_index: OnceLock<UserIndex>,
}

/// What users are compared with users by.
pub(crate) struct UserIndex {
    pub(crate) signs: Linear,
    /// How much larger users' codes are than items': the root mean squares of their sizes, one over the other. Scores of items are the same with any such
    /// factor, so that it says nothing of a user.
    pub(crate) scale: f32,
}

impl Generation {
    /// The generation of a content and what follows from it: from now on the index alone holds the items' codes.
    pub(crate) fn new(number: u64, content_hash: String, content: Content, derived: Derived) -> Self {
        let Content { postings, retired, users, ranks, fold_in, encoder, items: _ } = content;
        let (manifest, user_index, half_life, aging) = (None, OnceLock::new(), None, OnceLock::new());
        Self {
            number,
            content_hash,
            manifest,
            trained: true,
            half_life,
            aging,
            postings,
            retired,
            users,
            ranks,
            fold_in,
            encoder,
            derived,
            user_index,
        }
    }

    /// The generation, stored as `manifest` says.
    pub(crate) fn keeping(self, manifest: Arc<Manifest>) -> Self {
        let described = self.described(&manifest.attributes);
        Self { manifest: Some(manifest), ..described }
    }

    /// The generation, made as these attributes say.
    pub(crate) fn described(self, attributes: &BTreeMap<String, String>) -> Self {
        let provenance = Provenance::read(attributes);
        let trained = provenance.as_ref().is_none_or(|provenance| provenance.origin != Origin::Fold);
        let half_life = provenance.and_then(|provenance| provenance.half_life());
        Self { trained, half_life, aging: OnceLock::new(), ..self }
    }

    /// The half-life of interactions that it was learned with.
    pub(crate) fn half_life(&self) -> Option<Duration> {
        self.half_life
    }

    /// How much each interaction of somebody counts, in the proportions the training counted those of its users by: `history` is all they have by now, and
    /// `of` what is asked about. O(histories), and O(interactions) the first time where there is a half-life.
    pub(crate) fn counted(&self, history: &[(u32, Edge)], of: &[(u32, Edge)]) -> Vec<(u32, f32)> {
        match self.aging.get_or_init(|| self.half_life.map(|half_life| Aging::of(&self.postings, half_life))) {
            Some(aging) => aging.with(history).shares(of),
            None => of.iter().map(|&(item, edge)| (item, edge.weight)).collect(),
        }
    }

    /// Has what is large in memory that other processes have too, where these files hold the same: the index's words and scalers, and the users' words. Whether all
    /// of them do.
    ///
    /// # Errors
    /// Where a file cannot be mapped.
    pub(crate) fn share(&mut self, [words, scalers, users]: [&Path; 3]) -> std::io::Result<bool> {
        Ok(self.derived.item_index.share_codes(words, scalers)? & self.users.share_words(users)?)
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

    /// Bytes held in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let fold_in = self.fold_in.weights().map_or(0, size_of_val);
        let columns = [self.users.words().len() * 8, self.users.scalers().len() * 4, self.ranks.len() * 4, fold_in];
        let derived = self.derived.item_degrees.len() * 4 + self.derived.item_index.bytes();
        (columns.iter().sum::<usize>() + derived) as u64 + self.postings.bytes()
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

    /// The codes of all items, by number. O(items x bits).
    pub(crate) fn item_codes(&self) -> LayeredCodes {
        let shape = self.shape();
        let (mut words, mut scalers) = (Vec::new(), Vec::new());
        for item in 0..self.n_items() as u32 {
            let code = self.item(item);
            words.extend_from_slice(code.words());
            scalers.extend_from_slice(code.scalers());
        }
        LayeredCodes::from_valid(Arc::clone(shape), words, scalers)
    }

    /// Whether there was a training or an import yet: until then the log is folded, and nobody has a code.
    pub(crate) fn is_trained(&self) -> bool {
        self.trained
    }

    /// The index over the items.
    pub(crate) fn item_index(&self) -> &Index {
        &self.derived.item_index
    }

    /// The index over the users' signs, built when it is first asked for, which works on rayon: call it without a lock. `ranks` gives those of
    /// the users' external ids. O((users + items) x bits) then.
    pub(crate) fn user_index(&self, ranks: impl FnOnce() -> Vec<u32>) -> Result<&UserIndex, CodeError> {
        if let Some(index) = self.user_index.get() {
            return Ok(index);
        }
        let mut ranks = ranks();
        ranks.truncate(self.users().len());
        let shape = self.users().shape();
        let users =
            mean_square(self.users().scalers().chunks_exact(shape.layers()).map(|scalers| shape.square(scalers)));
        let items = mean_square((0..self.n_items() as u32).map(|item| shape.square(self.item(item).scalers())));
        let scale = if users > 0.0 && items > 0.0 { (users / items).sqrt() as f32 } else { 1.0 };
        let signs = Linear::build(&self.users().signs(), ranks, self.derived.kernel)?;
        Ok(self.user_index.get_or_init(|| UserIndex { signs, scale }))
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

/// The mean of squares, of those above 0.
fn mean_square(squares: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        squares.filter(|&square| square > 0.0).fold((0.0, 0u64), |(sum, n), square| (sum + square, n + 1));
    sum / count.max(1) as f64
}
