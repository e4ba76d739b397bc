//! What follows from the content of a generation: the index over its items, and what else queries need of them.

use std::sync::Arc;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::Generation;
use super::content::Content;
use super::scalers::ScalerProfile;
use crate::code::{CodeError, PlaneCodes, QueryCode};
use crate::graph::postings::Postings;
use crate::index::{Calibration, Filter, Index, Order, Seen};
use crate::kernel::popcount::Kernel;

/// What follows from a [`Content`]: the index over the items and what else queries need of them. All that can fail of a generation is done here,
/// before it is published.
pub(crate) struct Derived {
    pub(super) item_degrees: Vec<u32>,
    /// Rows without a code.
    pub(super) codeless: RoaringBitmap,
    /// The users of every item without a code that has any, ascending.
    pub(super) holders: HashMap<u32, Vec<u32>>,
    pub(super) kernel: Kernel,
    pub(super) item_index: Index,
    pub(super) scaler_profile: ScalerProfile,
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

    /// Builds the index over `content` in the order that suits it, that of `parent` mended where its codes were the start of these, and measures what
    /// searches by a budget find. O(items x bits x log).
    ///
    /// # Errors
    /// If there is not one rank an item.
    pub(crate) fn new(content: &Content, parent: Option<&Generation>, kernel: Kernel) -> Result<Self, CodeError> {
        let mended = parent.and_then(|parent| {
            let index = parent.item_index();
            let order = Order { rows: index.order().to_vec(), bands: index.bands().to_vec() };
            order.mended(&parent.item_codes(), &content.items)
        });
        if let Some(order) = mended {
            return Self::of(content, order, kernel)?.measured(content);
        }
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

    /// How many users have each item: `[n_items]`.
    pub(crate) fn item_degrees(&self) -> &[u32] {
        &self.item_degrees
    }

    /// Items without a code.
    pub(crate) fn codeless(&self) -> &RoaringBitmap {
        &self.codeless
    }

    /// The index over the items.
    pub(crate) fn item_index(&self) -> &Index {
        &self.item_index
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
pub(super) const MEASURED_USERS: usize = 1024;

/// The queries of a few users with a code.
fn sample_queries(users: &PlaneCodes) -> Result<Vec<QueryCode>, CodeError> {
    sample_users(users, SAMPLE_USERS).into_iter().map(|user| users.query(user, users.planes())).collect()
}

/// Up to so many users with a code, evenly spread.
pub(super) fn sample_users(users: &PlaneCodes, most: usize) -> Vec<usize> {
    let layers = users.shape().layers();
    let has_code = |&user: &usize| users.scalers()[user * layers..][..layers].iter().any(|&scaler| scaler > 0.0);
    let samples = most.min(users.len());
    let parts = (0..samples).map(|i| i * users.len() / samples..(i + 1) * users.len() / samples);
    parts.filter_map(|mut part| part.find(has_code)).collect()
}
