//! Sparse linear models of one side on itself, whose scores are added to those of vectors.

mod items;
mod ridge;
mod users;

pub(crate) use items::ItemNeighbours;
pub(crate) use ridge::Wanted;
pub(crate) use users::UserNeighbours;

use crate::error::Result;
use crate::graph::{Bipartite, Terms};
use crate::train::context::Context;
use crate::train::model::settings::{
    TEACHER_NEIGHBOUR_DAMPING, TEACHER_NEIGHBOUR_REGULARISATION, TEACHER_USER_NEIGHBOUR_REGULARISATION,
};

/// What neighbours add to the scores of vectors: `A N` by items and `B A` by users, with the graph A taken for zeros and ones, or recencies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) items: Option<ItemNeighbours>,
    pub(crate) users: Option<UserNeighbours>,
}

/// Models to be tried beside each other.
#[derive(Clone, Copy, Default)]
pub(crate) struct Models<'a> {
    pub(crate) items: Option<&'a ItemNeighbours>,
    pub(crate) users: Option<&'a UserNeighbours>,
}

impl<'a> From<&'a Neighbours> for Models<'a> {
    fn from(neighbours: &'a Neighbours) -> Models<'a> {
        Models { items: neighbours.items.as_ref(), users: neighbours.users.as_ref() }
    }
}

/// Of each model of neighbours that is added, its regularisation and its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weighting {
    pub(crate) items: Option<(f32, f32)>,
    pub(crate) users: Option<(f32, f32)>,
    /// How much less popular items are predicted by; none without those of items, and of trainings that know of none.
    pub(crate) damping: f32,
}

/// The choices that say how much neighbours weigh; no settings, since no caller makes them.
const WEIGHT: &str = "teacher.neighbour_weight";
const USER_WEIGHT: &str = "teacher.user_neighbour_weight";

impl Weighting {
    /// As settings of a training, of those that are there.
    pub(crate) fn settings(self) -> impl Iterator<Item = (&'static str, f32)> {
        let named = |names: [&'static str; 2], added: Option<(f32, f32)>| {
            added.into_iter().flat_map(move |(ridge, weight)| names.into_iter().zip([ridge, weight]))
        };
        named([TEACHER_NEIGHBOUR_REGULARISATION.name, WEIGHT], self.items)
            .chain(self.items.map(|_| (TEACHER_NEIGHBOUR_DAMPING.name, self.damping)))
            .chain(named([TEACHER_USER_NEIGHBOUR_REGULARISATION.name, USER_WEIGHT], self.users))
    }

    /// From the settings of a training, as `number` gives them by name.
    pub(crate) fn of(number: impl Fn(&str) -> Option<f32>) -> Weighting {
        Weighting {
            items: number(TEACHER_NEIGHBOUR_REGULARISATION.name).zip(number(WEIGHT)),
            users: number(TEACHER_USER_NEIGHBOUR_REGULARISATION.name).zip(number(USER_WEIGHT)),
            damping: number(WEIGHT).and_then(|_| number(TEACHER_NEIGHBOUR_DAMPING.name)).unwrap_or(0.0),
        }
    }
}

impl Neighbours {
    /// Those that are `added`, fitted to the graph of the context.
    ///
    /// # Errors
    /// `Cancelled`; when a weight is not finite.
    pub(crate) fn fit(context: &Context<'_>, added: Weighting) -> Result<Neighbours> {
        let items = added.items.map(|chosen| ItemNeighbours::fit(context, chosen.0, added.damping)).transpose()?;
        let users = added.users.map(|chosen| UserNeighbours::fit(context, chosen.0)).transpose()?;
        let weight = |chosen: Option<(f32, f32)>| chosen.map_or(0.0, |chosen| chosen.1);
        Neighbours { items, users }.scaled((weight(added.items), weight(added.users)))
    }

    /// With the rows of those of some users and items, which rise, that are `wanted` fitted again to the graph of the context.
    ///
    /// # Errors
    /// `Cancelled`; when a weight is not finite.
    pub(crate) fn refitted(
        self,
        context: &Context<'_>,
        added: Weighting,
        (users, items): (&[u32], &[u32]),
        (user_wanted, item_wanted): (Wanted<'_>, Wanted<'_>),
    ) -> Result<Neighbours> {
        let of_items = self.items.zip(added.items).map(|(model, (regularisation, weight))| {
            model.refitted(context, items, (regularisation, weight, added.damping), item_wanted)
        });
        let of_users = self.users.zip(added.users).map(|(model, how)| model.refitted(context, users, how, user_wanted));
        Ok(Neighbours { items: of_items.transpose()?, users: of_users.transpose()? })
    }

    /// With the scores of items' and of users' so many times as large.
    ///
    /// # Errors
    /// When a weight is no longer finite.
    pub(crate) fn scaled(self, (of_items, of_users): (f32, f32)) -> Result<Neighbours> {
        let items = self.items.map(|model| model.scaled(of_items)).transpose()?;
        Ok(Neighbours { items, users: self.users.map(|model| model.scaled(of_users)).transpose()? })
    }

    /// Whether they add nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_none() && self.users.is_none()
    }

    /// Whether these are the models that are `added`.
    pub(crate) fn are(&self, added: Weighting) -> bool {
        self.items.is_some() == added.items.is_some() && self.users.is_some() == added.users.is_some()
    }

    /// With rows for nodes that came since, predicted from nothing.
    pub(crate) fn grown(self, n_users: usize, n_items: usize) -> Neighbours {
        Neighbours {
            items: self.items.map(|model| model.grown(n_items)),
            users: self.users.map(|model| model.grown(n_users)),
        }
    }

    /// With nothing of users who have no interactions in `graph`, as those who were forgotten: whom they are predicted from, and who is from them.
    /// Scores of others are the same, since such users add nothing to them. O(users + entries).
    pub(crate) fn of_active(self, graph: &Bipartite) -> Neighbours {
        let is_active = |user: u32| graph.users().degree(user as usize) > 0;
        match (0..graph.n_users() as u32).all(is_active) {
            true => self,
            false => Neighbours { users: self.users.map(|model| model.of_active(is_active)), ..self },
        }
    }

    /// Adds the scores of a user to `scores`, at the position of each item that has one; `histories` are everybody's. O(neighbours x their items).
    pub(crate) fn add_scores(
        &self,
        user: u32,
        histories: Terms<'_>,
        position: impl Fn(u32) -> Option<usize>,
        scores: &mut [f32],
    ) {
        if let Some(items) = &self.items {
            items.add_scores(histories.row(user as usize), &position, scores);
        }
        if let Some(users) = &self.users {
            users.add_scores(user, histories, position, scores);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Csr;
    use crate::train::tests::context;

    const WEIGHTINGS: [Weighting; 4] = [
        Weighting { items: Some((2.0, 0.5)), users: Some((3.0, 0.25)), damping: 0.2 },
        Weighting { items: Some((2.0, 4.0)), users: None, damping: 0.0 },
        Weighting { items: None, users: Some((3.0, 2.0)), damping: 0.0 },
        Weighting { items: None, users: None, damping: 0.0 },
    ];

    fn weights(neighbours: &Neighbours) -> [Option<&Csr>; 2] {
        [neighbours.items.as_ref().map(ItemNeighbours::weights), neighbours.users.as_ref().map(UserNeighbours::weights)]
    }

    /// With every row wanted, what is gone on with is what is fitted anew; with none, what there was, grown.
    /// Whoever has nothing is in no list, and adds nothing to anybody's scores.
    #[test]
    fn the_inactive_are_in_no_list_and_scores_stay() {
        let near: Vec<(u32, u32, f32)> =
            (0..30u32).flat_map(|u| [(u, (u + 3) % 30, 0.5), (u, (u + 7) % 30, 0.25)]).collect();
        let model =
            || Neighbours { items: None, users: Some(UserNeighbours::of(Csr::from_edges(30, 30, &near).unwrap())) };
        let gone = |user: u32| user % 6 == 4;
        let edges: Vec<(u32, u32, f32)> =
            (0..30u32).filter(|&u| !gone(u)).flat_map(|u| [(u, u % 11, 1.0), (u, 11 + u % 3, 1.0)]).collect();
        let graph = Bipartite::from_users(Csr::from_edges(30, 14, &edges).unwrap()).unwrap();
        let (before, after) = (model(), model().of_active(&graph));
        let scores = |model: &Neighbours, user: u32| {
            let mut scores = vec![0.0; 14];
            model.add_scores(user, graph.recent_users(), |item| Some(item as usize), &mut scores);
            scores
        };
        for user in (0..30).filter(|&user| !gone(user)) {
            assert_eq!(scores(&before, user), scores(&after, user));
        }
        let kept = after.users.unwrap();
        let entries: Vec<(u32, u32)> =
            (0..30).flat_map(|u| kept.weights().row(u as usize).iter().map(move |&near| (u, near))).collect();
        let expected: Vec<(u32, u32)> =
            near.iter().map(|&(u, near, _)| (u, near)).filter(|&(u, near)| !gone(u) && !gone(near)).collect();
        assert_eq!(entries.len(), expected.len());
        assert!(expected.iter().all(|entry| entries.contains(entry)));
    }

    #[test]
    fn refitted_everywhere_is_fitted_anew() {
        let mut edges: Vec<_> = (0..60u32).map(|e| (e * 7 % 11, e * e % 9, 1.0)).collect();
        let before = Bipartite::from_edges(11, 9, &edges).unwrap();
        edges.extend([(11, 2, 1.0), (11, 9, 1.0), (3, 9, 1.0), (0, 8, 1.0)]);
        let after = Bipartite::from_edges(12, 10, &edges).unwrap();
        let (before, after) = (context(&before, &()), context(&after, &()));
        let (users, items): (Vec<u32>, Vec<u32>) = ((0..12).collect(), (0..10).collect());
        for added in WEIGHTINGS {
            let known = Neighbours::fit(&before, added).unwrap();
            assert!(known.are(added) && WEIGHTINGS.iter().filter(|&&other| known.are(other)).count() == 1);
            assert_eq!(known.is_empty(), added == Weighting::default());
            let [all, none] = [true, false].map(|wanted| move |_: u32, _: &[u32], _: &[u32]| wanted);
            let grown = known.grown(12, 10);
            let refit =
                |wanted: Wanted<'_>| grown.clone().refitted(&after, added, (&users, &items), (wanted, wanted)).unwrap();
            assert_eq!(weights(&refit(&all)), weights(&Neighbours::fit(&after, added).unwrap()));
            assert_eq!(weights(&refit(&none)), weights(&grown));
        }
    }

    #[test]
    fn weightings_are_read_from_the_settings_they_are_told_as() {
        for added in WEIGHTINGS {
            let told: Vec<(&str, f32)> = added.settings().collect();
            let number = |name: &str| told.iter().find(|entry| entry.0 == name).map(|entry| entry.1);
            assert_eq!(Weighting::of(number), added);
            // A training from before there was any damping goes on without.
            let before = |name: &str| number(name).filter(|_| name != TEACHER_NEIGHBOUR_DAMPING.name);
            assert_eq!(Weighting::of(before), Weighting { damping: 0.0, ..added });
        }
    }
}
