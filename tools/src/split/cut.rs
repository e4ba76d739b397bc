use std::collections::HashMap;

use kithdb::{Id, Interaction};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Which of a user's interactions are held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Some drawn at random, by this seed.
    Chance(u64),
    /// The latest, of equal times those of larger item ids.
    Time,
}

/// How many of a user's interactions are held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeldOut {
    /// This share, rounded down.
    Share(f64),
    /// One.
    One,
}

/// The interactions to learn from and those to be found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// To learn from.
    pub train: Vec<Interaction>,
    /// To be found.
    pub test: Vec<Interaction>,
}

/// An interaction without the time that [`By::Time`] needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the interaction of user {user} with item {item} has no time: name its column with --time, or split at random, without --by-time, --at and --last"
)]
pub struct Untimed {
    /// Its user.
    pub user: Id,
    /// Its item.
    pub item: Id,
}

/// Holds out some of every user's interactions, but never all of them: who has one keeps it. Both parts keep the order of
/// `edges`, which has no (user, item) twice. The parts depend on the set of edges, not on their order. O(edges log edges).
///
/// # Errors
/// [`Untimed`], naming the first interaction without a time.
pub fn cut(edges: Vec<Interaction>, held_out: HeldOut, by: By) -> Result<Parts, Untimed> {
    let untimed = edges.iter().find(|edge| by == By::Time && edge.time.is_none());
    if let Some(Interaction { user, item, .. }) = untimed {
        return Err(Untimed { user: user.clone(), item: item.clone() });
    }
    let mut of_user: HashMap<&Id, Vec<usize>> = HashMap::new();
    for (at, edge) in edges.iter().enumerate() {
        of_user.entry(&edge.user).or_default().push(at);
    }
    // Users and their items in the order of ids: the draws do not depend on that of the rows.
    let mut users: Vec<(&Id, Vec<usize>)> = of_user.into_iter().collect();
    users.sort_unstable();
    let mut is_held_out = vec![false; edges.len()];
    let mut random = Xoshiro256PlusPlus::seed_from_u64(if let By::Chance(seed) = by { seed } else { 0 });
    for (_, mut own) in users {
        own.sort_unstable_by_key(|&at| (&edges[at].item, at));
        match by {
            By::Chance(_) => shuffle(&mut own, &mut random),
            By::Time => own.sort_by_key(|&at| edges[at].time),
        }
        let most = match held_out {
            HeldOut::Share(share) => held(own.len(), share),
            HeldOut::One => own.len().saturating_sub(1).min(1),
        };
        own[own.len() - most..].iter().for_each(|&at| is_held_out[at] = true);
    }
    let mut parts = Parts::default();
    for (edge, is_held_out) in edges.into_iter().zip(is_held_out) {
        if is_held_out { &mut parts.test } else { &mut parts.train }.push(edge);
    }
    Ok(parts)
}

/// The moment across all users at which a split is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// This one, in milliseconds since 1970.
    At(i64),
    /// That of the first of the latest interactions, which are this share of all, rounded down.
    Last(f64),
}

/// Holds out what happened at a moment or later, of all users alike, so that nothing is learned from what others did afterwards. Interactions of one
/// time stay together, so that more than a share can be held out. Users who came later have nothing to learn from. O(edges log edges).
///
/// # Errors
/// [`Untimed`], naming the first interaction without a time.
pub fn across(edges: Vec<Interaction>, moment: Moment) -> Result<Parts, Untimed> {
    let times =
        edges.iter().map(|edge| edge.time.ok_or_else(|| Untimed { user: edge.user.clone(), item: edge.item.clone() }));
    let mut times = times.collect::<Result<Vec<i64>, Untimed>>()?;
    let first = match moment {
        Moment::At(time) => Some(time),
        Moment::Last(share) => {
            times.sort_unstable();
            let kept = times.len() - held(times.len(), share);
            times.get(kept).copied()
        }
    };
    let is_later = |edge: &Interaction| first.is_some_and(|first| edge.time.is_some_and(|time| time >= first));
    let (test, train) = edges.into_iter().partition(is_later);
    Ok(Parts { train, test })
}

/// How many of some interactions are held out.
fn held(interactions: usize, share: f64) -> usize {
    // A share such as 0.29 of 100 is meant to be 29, though its binary fraction is a little less.
    let held = (share * interactions as f64 + 1e-9).floor() as usize;
    held.min(interactions.saturating_sub(1))
}

fn shuffle(values: &mut [usize], random: &mut Xoshiro256PlusPlus) {
    for left in (2..=values.len()).rev() {
        let chosen = (u128::from(random.next_u64()) * left as u128) >> 64;
        values.swap(left - 1, chosen as usize);
    }
}
