//! Why an item has the score it has.

use serde::Serialize;

use super::Basis;
use super::fold_in::profile;
use super::subject::Subject;
use crate::code::CodeShape;
use crate::error::{Error, Result};
use crate::fold_in::{inner, segments};
use crate::ids::Id;
use crate::snapshot::Snapshot;

/// Why a user's query gives an item its score, from [`Db::explain`](crate::Db::explain).
///
/// [`layers`](Explanation::layers) takes the score itself apart, exactly. [`pulls`](Explanation::pulls) names the user's own items behind it: the
/// user is put in the place of somebody new with the same items, whose vector is made from them by a linear map (the fold-in), so that each item
/// adds its own part to the inner product with the item explained. For a user training has given a code that vector is brought to the size of
/// the code, and [`folded_score`](Explanation::folded_score) comes as near to the score as the fold-in comes to training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The user asked about.
    pub user: Id,
    /// The item asked about.
    pub item: Id,
    /// The generation whose codes were compared.
    pub generation: u64,
    /// What the user's code stands on.
    pub basis: Basis,
    /// The score a query of the user gives the item.
    pub score: f32,
    /// What each layer adds: added up in this order, in f32 from +0.0, they are the score bit for bit.
    pub layers: Vec<LayerShare>,
    /// The inner product `r sum_l w_l^2 x_l . (alpha_l sigma_l)` of the vector x folded in from the user's items, before it is quantised, with the
    /// item's de-quantised code; 0 where none of the items has a code. For a user with a trained code r is the size of the code over that of x,
    /// both `sqrt(sum_l d_l m_l^2)` with m_l the mean magnitude of a layer; it is 1 for others.
    pub folded_score: f32,
    /// The user's items that have a code, by descending pull, equal ones by id. With M the fold-in map, f_j the code vector of item j divided by
    /// the square root of its degree, and z the weighted code vector of the item explained, item j pulls by `r M(f_j) . z / |sum f|`; the pulls
    /// add up to [`folded_score`](Explanation::folded_score) within f32 rounding. Negative ones speak against the item.
    pub pulls: Vec<Pull>,
    /// Where the training learned masks of edges (SGCN: Chen et al., SIGIR 2021), the user's items whose edges it did not cut from every hop, in the
    /// order of their ids: what it did not disbelieve, which is also what was held out from it and what a compaction has brought since. `None` of other
    /// models; once somebody was forgotten, since what was learned of them goes with all else that was; and from snapshots that are not asked of the
    /// database itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<Id>>,
}

/// A layer's part of a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerShare {
    /// The layer: hops of propagation, from 0.
    pub layer: usize,
    /// `alpha_i (c_l p_l)` of [`code`](crate::code).
    pub contribution: f32,
}

/// How much one of the user's own items adds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pull {
    /// The user's item.
    pub item: Id,
    /// Its part of the folded score.
    pub pull: f32,
}

/// O(history x bits + bits^2).
pub(crate) fn explain(snapshot: &Snapshot, user: &Id, item: &Id) -> Result<Explanation> {
    let (catalogues, tail) = (snapshot.catalogues(), snapshot.tail());
    let dense_user = catalogues.users.get(user)?.ok_or_else(|| Error::UnknownUser { user: user.clone() })?;
    let dense_item = catalogues.items.get(item)?.ok_or_else(|| Error::UnknownItem { item: item.clone() })?;
    if snapshot.trained().is_some_and(|generation| !generation.has_codes()) {
        return Err(Error::NoItemCodes);
    }
    let (resolved, error) = Subject::User(user.clone()).resolve(snapshot, None)?;
    let (Some(query), Some(generation)) = (&resolved.query, snapshot.trained()) else {
        return Err(error.unwrap_or(Error::NotTrained));
    };
    let code = match generation.has_item(dense_item) {
        true => Some(generation.item(dense_item)),
        false => tail.arrivals().get(dense_item).and_then(|arrival| arrival.code().cloned()),
    };
    let code = code.ok_or_else(|| Error::NoCode { item: item.clone() })?;

    let contributions = query.contributions(code.row(0)).into_iter().enumerate().rev();
    let layers: Vec<LayerShare> =
        contributions.map(|(layer, contribution)| LayerShare { layer, contribution }).collect();
    let score = layers.iter().fold(0.0, |sum, share| sum + share.contribution);

    let history = tail.history(dense_user);
    let history = generation.counted(&history, &history);
    let (mut folded_score, mut pulls) = (0.0, Vec::new());
    if let Some(profile) = profile(snapshot, generation, &history) {
        let mut direction = vec![0.0; code.shape().bits() as usize];
        for (layer, range) in segments(code.shape()).enumerate() {
            let weight = code.shape().weights()[layer];
            code.add_decoded(0, layer, weight * weight, &mut direction[range]);
        }
        let vector = profile.vector(generation.fold_in());
        let ratio = match resolved.basis {
            Basis::Code | Basis::Moved => {
                let folded = size(code.shape(), means(code.shape(), &vector));
                let trained = generation.users().scalers().chunks_exact(code.shape().layers()).nth(dense_user as usize);
                let trained = trained.into_iter().flatten().map(|&scaler| f64::from(scaler));
                if folded > 0.0 { size(code.shape(), trained) / folded } else { 1.0 }
            }
            _ => 1.0,
        };
        folded_score = (ratio * inner(&vector, &direction)) as f32;
        pulls = profile.pulls(generation.fold_in(), &direction);
        pulls.iter_mut().for_each(|(_, pull)| *pull *= ratio);
        pulls.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| catalogues.items.compare(a.0, b.0)));
    }
    let pull = |(item, pull): (u32, f64)| Some(Pull { item: catalogues.items.id(item)?, pull: pull as f32 });
    Ok(Explanation {
        user: user.clone(),
        item: item.clone(),
        generation: generation.number(),
        basis: resolved.basis,
        score,
        layers,
        folded_score,
        pulls: pulls.into_iter().filter_map(pull).collect(),
        kept: None,
    })
}

/// The mean magnitude of every layer of a vector.
fn means<'a>(shape: &'a CodeShape, vector: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
    segments(shape).map(|range| {
        let width = range.len() as f64;
        vector[range].iter().map(|&x| f64::from(x.abs())).sum::<f64>() / width
    })
}

/// The length of a vector whose dimensions all have the mean magnitude of their layer.
fn size(shape: &CodeShape, means: impl Iterator<Item = f64>) -> f64 {
    shape.widths().iter().zip(means).map(|(&width, mean)| f64::from(width) * mean * mean).sum::<f64>().sqrt()
}
