//! A year of purchases.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use super::Catalogue;
use super::customer::{Customer, appeal};
use super::draw::{Draw, Weighted};

/// The shop opens: the 1st of January 2025, in milliseconds since 1970.
const OPENING: i64 = 1_735_689_600_000;
const DAY: i64 = 86_400_000;
/// One purchase in so many, a customer's latest, is held out.
const HELD_OUT: usize = 5;

/// Who bought what, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The customer's id.
    pub user: String,
    /// The item, as a position in the catalogue.
    pub item: usize,
    /// Milliseconds since 1970.
    pub time: i64,
}

/// A shop with its history: what a model may learn from, and what came after.
#[derive(Clone, Debug, PartialEq)]
pub struct Shop {
    /// What it sells.
    pub catalogue: Catalogue,
    /// Purchases to learn from, in order of time.
    pub history: Vec<Purchase>,
    /// Each customer's latest fifth, in order of time.
    pub held_out: Vec<Purchase>,
}

impl Shop {
    /// Makes up a shop of `customers`, about 33 purchases each; the same for the same seed on every machine. Nobody buys a thing twice.
    pub fn new(customers: usize, seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let catalogue = Catalogue::new(&mut draw);
        let aisle_popularity = catalogue.aisle_popularity();
        let anywhere = Weighted::new(catalogue.items.iter().map(|item| item.popularity));
        let mut appeals = HashMap::new();
        let (mut history, mut held_out) = (Vec::new(), Vec::new());
        for number in 1..=customers {
            let customer = Customer::new(number, &catalogue, &aisle_popularity, &mut draw);
            let (mut bought, mut last) = (HashSet::new(), None);
            let mut time = OPENING + draw.below(200) as i64 * DAY + draw.below(DAY as usize) as i64;
            let mut purchases = Vec::with_capacity(customer.purchases);
            while purchases.len() < customer.purchases {
                let aisle = customer.next_aisle(last, &mut draw);
                let item = match aisle {
                    None => anywhere.draw(&mut draw),
                    Some(aisle) => {
                        let style = customer.style();
                        let (shelf, weights) =
                            appeals.entry((aisle, style)).or_insert_with(|| appeal(&catalogue, aisle, style));
                        shelf.get(weights.draw(&mut draw)).copied().unwrap_or_default()
                    }
                };
                // An evening with one aisle goes on for minutes; then days pass.
                let same_evening = aisle.is_some() && aisle == last;
                last = aisle.or(last);
                if bought.insert(item) {
                    let pause = if same_evening { 10 * 60_000 } else { 8 * DAY };
                    time += 1 + draw.below(pause as usize) as i64;
                    purchases.push(Purchase { user: customer.name.clone(), item, time });
                }
            }
            let kept = purchases.len() - (purchases.len() / HELD_OUT).max(1);
            held_out.extend(purchases.drain(kept..));
            history.append(&mut purchases);
        }
        for part in [&mut history, &mut held_out] {
            part.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.user.cmp(&b.user)));
        }
        Self { catalogue, history, held_out }
    }

    /// Writes purchases as csv: `user,item,time`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_csv(&self, purchases: &[Purchase], path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        writeln!(file, "user,item,time")?;
        for Purchase { user, item, time } in purchases {
            let item = self.catalogue.items.get(*item).map_or("", |item| &item.name);
            writeln!(file, "{user},{item},{time}")?;
        }
        file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_shop() {
        assert_eq!(Shop::new(50, 7), Shop::new(50, 7));
        assert_ne!(Shop::new(50, 7).history, Shop::new(50, 8).history);
    }

    #[test]
    fn a_part_of_everybody_is_held_out_and_comes_last() {
        let shop = Shop::new(200, 1);
        let mut latest: HashMap<&str, i64> = HashMap::new();
        let mut pairs = HashSet::new();
        for p in &shop.history {
            latest.insert(&p.user, p.time);
            assert!(pairs.insert((&p.user, p.item)));
        }
        assert_eq!(latest.len(), 200);
        let mut held: HashMap<&str, usize> = HashMap::new();
        for p in &shop.held_out {
            assert!(p.time > latest[p.user.as_str()]);
            assert!(pairs.insert((&p.user, p.item)), "held out and to learn from");
            *held.entry(&p.user).or_default() += 1;
        }
        assert_eq!(held.len(), 200);
        assert!(shop.history.is_sorted_by_key(|p| p.time) && shop.held_out.is_sorted_by_key(|p| p.time));
    }

    /// Popularity has to beat chance by far, and leave much to be learnt: recall at 20 of three rankings that know nothing, the crowd, and the
    /// aisles a customer bought from.
    #[test]
    fn the_crowd_beats_chance_and_taste_beats_the_crowd() {
        let shop = Shop::new(1000, 1);
        let items = shop.catalogue.items.len();
        let mut crowd = vec![0usize; items];
        let mut customers: HashMap<&str, (HashSet<usize>, Vec<usize>)> = HashMap::new();
        for p in &shop.history {
            crowd[p.item] += 1;
            let (bought, aisles) =
                customers.entry(&p.user).or_insert_with(|| (HashSet::new(), vec![0; shop.catalogue.aisles()]));
            bought.insert(p.item);
            aisles[shop.catalogue.items[p.item].aisle] += 1;
        }
        let mut truth: HashMap<&str, HashSet<usize>> = HashMap::new();
        for p in &shop.held_out {
            truth.entry(&p.user).or_default().insert(p.item);
        }
        let recall = |score: &dyn Fn(&[usize], usize) -> usize| {
            let mut sum = 0.0;
            for (user, relevant) in &truth {
                let (bought, aisles) = &customers[user];
                let mut ranked: Vec<usize> = (0..items).filter(|item| !bought.contains(item)).collect();
                ranked.sort_by_key(|&item| std::cmp::Reverse(score(aisles, item)));
                let hits = ranked.iter().take(20).filter(|item| relevant.contains(item)).count();
                sum += hits as f64 / relevant.len() as f64;
            }
            sum / truth.len() as f64
        };
        let chance = recall(&|_, item| item * 2_654_435_761 % 1_000_003);
        let popular = recall(&|_, item| crowd[item]);
        let taste = recall(&|aisles, item| crowd[item] * aisles[shop.catalogue.items[item].aisle]);
        println!("recall@20: chance {chance:.4}, the crowd {popular:.4}, taste {taste:.4}");
        assert!(chance < 0.03 && popular > 4.0 * chance && taste > 1.5 * popular && taste < 0.6);
    }
}
