//! A customer: the aisles they like, the style they lean to, how much they buy.

use super::catalogue::Catalogue;
use super::draw::{Draw, Weighted};

/// Shares of attention to the aisles a customer likes, best liked first.
const ATTENTION: [f64; 4] = [0.46, 0.27, 0.17, 0.10];
/// How much rather a customer takes something of their own style.
const OWN_STYLE: f64 = 7.0;
/// The chance that the next purchase is of the aisle of the last.
const SAME_AISLE: f64 = 0.55;
/// The chance that a purchase is a whim: whatever sells, from anywhere.
const WHIM: f64 = 0.18;
/// How many purchases customers make: one of these, drawn.
const PURCHASES: [usize; 10] = [12, 14, 17, 20, 24, 28, 33, 40, 52, 75];

const FIRST_NAMES: [&str; 40] = [
    "ada", "alice", "amir", "anna", "bob", "carla", "chen", "dana", "david", "elif", "emma", "erik", "fatima", "felix",
    "gita", "hana", "hugo", "ines", "ivan", "jade", "jonas", "kofi", "lena", "luca", "maya", "milo", "nadia", "noah",
    "olga", "omar", "priya", "quinn", "rosa", "sami", "sofia", "tariq", "uma", "vera", "wei", "yuki",
];

pub(super) struct Customer {
    pub(super) name: String,
    aisles: Vec<usize>,
    shares: Weighted,
    style: usize,
    pub(super) purchases: usize,
}

impl Customer {
    /// Draws the customer of a number. Names repeat, so the number is part of the id.
    pub(super) fn new(number: usize, catalogue: &Catalogue, aisle_popularity: &Weighted, draw: &mut Draw) -> Self {
        let first = draw.one_of(&FIRST_NAMES).copied().unwrap_or_default();
        let wanted = 2 + draw.below(ATTENTION.len() - 1);
        let mut aisles = Vec::with_capacity(wanted);
        while aisles.len() < wanted {
            let aisle = aisle_popularity.draw(draw);
            if !aisles.contains(&aisle) {
                aisles.push(aisle);
            }
        }
        let base = draw.one_of(&PURCHASES).copied().unwrap_or(12);
        Self {
            name: format!("{first}-{number}"),
            aisles,
            shares: Weighted::new(ATTENTION.into_iter().take(wanted)),
            style: draw.below(catalogue.styles()),
            purchases: base + draw.below(5),
        }
    }

    /// The aisle of the next purchase, given that of the last; `None` for a whim.
    pub(super) fn next_aisle(&self, last: Option<usize>, draw: &mut Draw) -> Option<usize> {
        if draw.chance(WHIM) {
            return None;
        }
        match last {
            Some(aisle) if draw.chance(SAME_AISLE) => Some(aisle),
            _ => self.aisles.get(self.shares.draw(draw)).copied(),
        }
    }

    /// The style they lean to, by position.
    pub(super) fn style(&self) -> usize {
        self.style
    }
}

/// What the items of one aisle weigh to customers who lean to one style.
pub(super) fn appeal(catalogue: &Catalogue, aisle: usize, style: usize) -> (Vec<usize>, Weighted) {
    let shelf: Vec<usize> =
        (0..).zip(&catalogue.items).filter(|(_, item)| item.aisle == aisle).map(|(at, _)| at).collect();
    let weight = |item: &super::Item| item.popularity * if item.style == style { OWN_STYLE } else { 1.0 };
    let weights = Weighted::new(shelf.iter().filter_map(|&at| catalogue.items.get(at)).map(weight));
    (shelf, weights)
}
