//! The naive model of a database: maps of what is known, and every score from its definition.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kithdb::code::{CodeShape, LayeredCodes, QueryCode};
use kithdb::{Id, Interaction, MAX_WEIGHT, Repeats};

/// Bits of the weight, and time.
pub type Edge = (u32, Option<i64>);
/// Interactions by who and what. Who comes back after being forgotten is another number.
pub type Edges = BTreeMap<(u64, Id), Edge>;

/// What a database holds.
#[derive(Clone, Default)]
pub struct Oracle {
    /// What an interaction that comes again means.
    pub repeats: Repeats,
    /// Known users and the number each came as.
    pub users: BTreeMap<Id, u64>,
    /// How many numbers were given to users.
    pub numbers: u64,
    /// Known items.
    pub items: BTreeSet<Id>,
    /// Items no query returns.
    pub retired: BTreeSet<Id>,
    pub edges: Edges,
    /// The number and the flag of items, and of users by number.
    pub said_of_items: BTreeMap<Id, (Option<u64>, Option<bool>)>,
    pub said_of_users: BTreeMap<u64, (Option<u64>, Option<bool>)>,
    /// Whether somebody was forgotten since the generation.
    pub forgotten: bool,
    /// What answers queries.
    pub generation: Option<Rc<Published>>,
}

/// A generation: codes, and the interactions it was published over.
pub struct Published {
    pub number: u64,
    pub edges: Edges,
    /// How many users and items it counts.
    pub extents: (u64, u64),
    pub shape: CodeShape,
    pub planes: u32,
    /// Of the users that have one.
    pub users: BTreeMap<u64, Code>,
    /// Of the items that have one.
    pub items: BTreeMap<Id, Code>,
    /// Items that may have a code nobody can look up: those retired when it was exported.
    pub hidden: BTreeSet<Id>,
    /// Whether newcomers are placed by a map that was learned.
    pub learned: bool,
}

/// The code of a user or an item: the odd integers of every layer, those of an item +1 and -1, and the scalers.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    pub values: Vec<Vec<i32>>,
    pub scalers: Vec<f32>,
}

impl Code {
    /// Of a row's words, `[layer][plane][word]`, the sign first; `None` where every scaler is 0.
    pub fn read(shape: &CodeShape, planes: u32, words: &[u64], scalers: &[f32]) -> Option<Self> {
        let mut rest = words;
        let mut values = Vec::new();
        for &width in shape.widths() {
            let stride = (width as usize).div_ceil(64);
            let (layer, after) = rest.split_at(stride * planes as usize);
            rest = after;
            values.push(integers(layer, stride, width));
        }
        scalers.iter().any(|&scaler| scaler > 0.0).then(|| Self { values, scalers: scalers.to_vec() })
    }

    /// The signs alone.
    fn signs(&self) -> Self {
        let sign = |values: &Vec<i32>| values.iter().map(|&q| if q > 0 { 1 } else { -1 }).collect();
        Self { values: self.values.iter().map(sign).collect(), scalers: self.scalers.clone() }
    }

    /// What asks for what is near to it.
    fn probe(&self, shape: &CodeShape) -> Probe {
        let factor = |(layer, values): (usize, &Vec<i32>)| {
            let total: i32 = values.iter().map(|q| q.abs()).sum();
            let weight = shape.weights()[layer];
            weight * weight * (self.scalers[layer] * (values.len() as f32 / total as f32))
        };
        Probe { factors: self.values.iter().enumerate().map(factor).collect(), values: self.values.clone() }
    }
}

fn integers(planes: &[u64], stride: usize, width: u32) -> Vec<i32> {
    let count = planes.len() / stride;
    let value = |k: usize| {
        let t = planes.chunks_exact(stride).fold(0, |t, plane| 2 * t + (plane[k / 64] >> (k % 64) & 1) as i32);
        2 * t - ((1 << count) - 1)
    };
    (0..width as usize).map(value).collect()
}

/// A query.
pub struct Probe {
    values: Vec<Vec<i32>>,
    factors: Vec<f32>,
}

impl Probe {
    fn score(&self, code: &Code) -> f32 {
        let mut s = 0.0f32;
        for layer in (0..self.values.len()).rev() {
            let p: i32 = self.values[layer].iter().zip(&code.values[layer]).map(|(q, sign)| q * sign).sum();
            s += code.scalers[layer] * (self.factors[layer] * p as f32);
        }
        s
    }
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    UnknownUser,
    UnknownItem,
    UnknownBasket,
    NotTrained,
    NoItemCodes,
    NoHistory,
    NoCodeInBasket,
    NoDirection,
    NoCode,
    NoUserCode,
}

/// What a query stands on.
pub enum Basis {
    Query(Probe),
    /// A query that was learned: which items are found is known, their scores are not.
    Learned,
    Refused(Refusal),
    /// What decides is hidden.
    Unsure,
}

/// An item that is found, with the bits of its score where they are known.
pub type Expected = (Id, Option<u32>);

impl Oracle {
    /// Makes a user known; the number they have.
    pub fn user(&mut self, id: &Id) -> u64 {
        if let Some(&number) = self.users.get(id) {
            return number;
        }
        self.users.insert(id.clone(), self.numbers);
        self.numbers += 1;
        self.numbers - 1
    }

    pub fn insert(&mut self, interaction: &Interaction) {
        let user = self.user(&interaction.user);
        self.items.insert(interaction.item.clone());
        let (key, next) = ((user, interaction.item.clone()), (interaction.weight, interaction.time));
        let (weight, time) = match self.edges.get(&key).map(|&(weight, time)| (f32::from_bits(weight), time)) {
            None => next,
            Some((weight, time)) => match self.repeats {
                Repeats::Sum => ((weight + next.0).min(MAX_WEIGHT), time.max(next.1)),
                Repeats::Max => (weight.max(next.0), time.max(next.1)),
                Repeats::First => (weight, time),
                _ => next,
            },
        };
        self.edges.insert(key, (weight.to_bits(), time));
    }

    /// Whether there was one.
    pub fn remove(&mut self, user: &Id, item: &Id) -> bool {
        self.users.get(user).is_some_and(|&number| self.edges.remove(&(number, item.clone())).is_some())
    }

    /// Whether they were known.
    pub fn forget(&mut self, user: &Id) -> bool {
        let Some(number) = self.users.remove(user) else { return false };
        self.edges.retain(|&(user, _), _| user != number);
        self.said_of_users.remove(&number);
        self.forgotten = true;
        true
    }

    /// Whether it was known and not retired.
    pub fn retire(&mut self, item: &Id) -> bool {
        self.items.contains(item) && self.retired.insert(item.clone())
    }

    /// Whether it was retired.
    pub fn unretire(&mut self, item: &Id) -> bool {
        self.retired.remove(item)
    }

    /// The items a user has, with weight and time.
    pub fn history(&self, user: &Id) -> BTreeMap<Id, Edge> {
        let Some(&number) = self.users.get(user) else { return BTreeMap::new() };
        let own = self.edges.iter().filter(|((user, _), _)| *user == number);
        own.map(|((_, item), &edge)| (item.clone(), edge)).collect()
    }

    /// A user's interactions.
    pub fn row(&self, user: u64) -> BTreeMap<&Id, Edge> {
        Self::row_of(&self.edges, user)
    }

    /// A user's among some interactions.
    pub fn row_of(edges: &Edges, user: u64) -> BTreeMap<&Id, Edge> {
        edges.iter().filter(|(key, _)| key.0 == user).map(|((_, item), edge)| (item, *edge)).collect()
    }

    /// The codes of a generation of `old`, where no map was learned, over the interactions of now: items that came since have those they answer by, and who has
    /// lost all they had has none.
    pub fn over(&self, old: &Published, number: u64) -> Published {
        let arrivals = self.arrivals(old).into_iter().map(|(id, (code, _))| (id, code));
        let items = old.items.iter().map(|(id, code)| (id.clone(), code.clone())).chain(arrivals).collect();
        let is_left = |user: u64| Self::row_of(&old.edges, user).is_empty() || !self.row(user).is_empty();
        let known: BTreeSet<u64> = self.users.values().copied().collect();
        let users = old.users.iter().filter(|(user, _)| known.contains(user) && is_left(**user));
        Published {
            number,
            edges: self.edges.clone(),
            extents: (self.numbers, self.items.len() as u64),
            shape: old.shape.clone(),
            planes: old.planes,
            users: users.map(|(user, code)| (*user, code.clone())).collect(),
            items,
            hidden: old.hidden.clone(),
            learned: false,
        }
    }

    /// How many users have each item that anybody has.
    fn degrees(edges: &Edges) -> BTreeMap<&Id, u32> {
        let mut degrees = BTreeMap::new();
        edges.keys().for_each(|(_, item)| *degrees.entry(item).or_default() += 1);
        degrees
    }

    /// Interactions that are not as the generation has them: those that differ, and those of users still known that are gone.
    pub fn tail_changes(&self) -> u64 {
        let none = Edges::new();
        let below = self.generation.as_ref().map_or(&none, |generation| &generation.edges);
        let known: BTreeSet<u64> = self.users.values().copied().collect();
        let differ = self.edges.iter().filter(|(key, edge)| below.get(key) != Some(edge)).count();
        let gone = below.keys().filter(|key| known.contains(&key.0) && !self.edges.contains_key(key)).count();
        (differ + gone) as u64
    }

    /// The most popular of the items that `admits` lets pass.
    pub fn popular(&self, admits: impl Fn(&Id) -> bool) -> Vec<Expected> {
        let degrees = Self::degrees(&self.edges).into_iter();
        let mut list: Vec<(u32, &Id)> = degrees.filter(|(item, _)| admits(item)).map(|(id, n)| (n, id)).collect();
        list.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        list.into_iter().map(|(degree, item)| (item.clone(), Some((degree as f32).to_bits()))).collect()
    }

    /// All items a query finds, best first; those whose score is not known last.
    pub fn nearest(&self, basis: &Basis, admits: impl Fn(&Id) -> bool) -> Vec<Expected> {
        let Some(generation) = &self.generation else { return Vec::new() };
        let arrivals = self.arrivals(generation);
        let vague = generation.hides_codes();
        let trained = generation.items.iter().map(|(id, code)| (id, code, false));
        let arrived = arrivals.iter().map(|(id, (code, _))| (id, code, vague));
        let mut list: Vec<(&Id, Option<f32>)> = trained
            .chain(arrived)
            .filter(|(id, ..)| admits(id))
            .map(|(id, code, vague)| match basis {
                Basis::Query(probe) if !vague => (id, Some(probe.score(code))),
                _ => (id, None),
            })
            .collect();
        let score = |score: Option<f32>| score.unwrap_or(f32::NEG_INFINITY);
        list.sort_by(|a, b| score(b.1).total_cmp(&score(a.1)).then(a.0.cmp(b.0)));
        list.into_iter().map(|(id, score)| (id.clone(), score.map(f32::to_bits))).collect()
    }

    /// Whether a user has a code.
    pub fn has_code(&self, user: &Id) -> bool {
        let codes = self.generation.as_ref().map(|generation| &generation.users);
        codes.zip(self.users.get(user)).is_some_and(|(codes, number)| codes.contains_key(number))
    }

    /// Whether a user's code is moved by what has changed since the generation: where a map was learned and their histories then and now have an item
    /// with a code. `None` where that cannot be told, since an item may have a code nobody can look up.
    pub fn has_moved(&self, user: &Id) -> Option<bool> {
        let known = self.generation.as_ref().zip(self.users.get(user));
        let Some((generation, &number)) = known else { return Some(false) };
        let own = |edges: &Edges| -> BTreeMap<Id, Edge> {
            edges.iter().filter(|(key, _)| key.0 == number).map(|((_, item), edge)| (item.clone(), *edge)).collect()
        };
        let (before, now) = (own(&generation.edges), own(&self.edges));
        let arrivals = self.arrivals(generation);
        if !generation.learned || !generation.users.contains_key(&number) || before == now {
            return Some(false);
        }
        let coded = |item: &Id| generation.items.contains_key(item) || arrivals.contains_key(item);
        match before.keys().any(coded) && now.keys().any(coded) {
            false if before.keys().chain(now.keys()).any(|item| generation.hidden.contains(item)) => None,
            told => Some(told),
        }
    }

    /// What a query of a user stands on.
    pub fn basis_of_user(&self, id: &Id) -> Basis {
        let Some(&number) = self.users.get(id) else { return Basis::Refused(Refusal::UnknownUser) };
        let generation = match self.coded() {
            Ok(generation) => generation,
            Err(basis) => return basis,
        };
        if self.has_moved(id) != Some(false) {
            // What the map makes of the difference is not recomputed.
            return Basis::Learned;
        }
        if let Some(code) = generation.users.get(&number) {
            return Basis::Query(code.probe(&generation.shape));
        }
        let weighted = self.history(id).into_iter().map(|(item, (weight, _))| (item, f32::from_bits(weight)));
        self.folded(generation, weighted.collect(), Refusal::NoHistory)
    }

    /// What a query of a basket stands on.
    pub fn basis_of_basket(&self, basket: &BTreeSet<Id>) -> Basis {
        let known: Vec<(Id, f32)> = basket.intersection(&self.items).map(|item| (item.clone(), 1.0)).collect();
        if known.is_empty() {
            return Basis::Refused(Refusal::UnknownBasket);
        }
        match self.coded() {
            Ok(generation) => self.folded(generation, known, Refusal::NoCodeInBasket),
            Err(basis) => basis,
        }
    }

    /// What a query for the neighbours of an item stands on.
    pub fn basis_of_item(&self, id: &Id) -> Basis {
        if !self.items.contains(id) {
            return Basis::Refused(Refusal::UnknownItem);
        }
        let generation = match self.coded() {
            Ok(generation) => generation,
            Err(basis) => return basis,
        };
        let arrivals = self.arrivals(generation);
        match (generation.items.get(id), arrivals.get(id)) {
            (Some(code), _) => Basis::Query(code.probe(&generation.shape)),
            _ if generation.hidden.contains(id) => Basis::Unsure,
            (None, Some(_)) if generation.hides_codes() => Basis::Learned,
            (None, Some((code, _))) => Basis::Query(code.probe(&generation.shape)),
            (None, None) => Basis::Refused(Refusal::NoCode),
        }
    }

    /// The users nearest to a user by the signs of their codes.
    pub fn similar_users(&self, id: &Id) -> Result<Vec<Expected>, Refusal> {
        let number = self.users.get(id).ok_or(Refusal::UnknownUser)?;
        let generation = self.generation.as_ref().ok_or(Refusal::NotTrained)?;
        let probe = generation.users.get(number).ok_or(Refusal::NoUserCode)?.signs().probe(&generation.shape);
        let others = self.users.iter().filter(|&(_, other)| other != number);
        let coded = others.filter_map(|(id, number)| Some((id, generation.users.get(number)?)));
        let mut list: Vec<(&Id, f32)> = coded.map(|(id, code)| (id, probe.score(&code.signs()))).collect();
        list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        Ok(list.into_iter().map(|(id, score)| (id.clone(), Some(score.to_bits()))).collect())
    }

    /// The generation, if an item of it has a code.
    fn coded(&self) -> Result<&Rc<Published>, Basis> {
        match &self.generation {
            None => Err(Basis::Refused(Refusal::NotTrained)),
            Some(generation) if !generation.items.is_empty() => Ok(generation),
            Some(generation) if generation.hides_codes() => Err(Basis::Unsure),
            Some(_) => Err(Basis::Refused(Refusal::NoItemCodes)),
        }
    }

    /// Items without a code that somebody touched since the generation, and that users with a code have: the signs of the sum of these users,
    /// and how many they are.
    fn arrivals(&self, generation: &Published) -> BTreeMap<Id, (Code, u32)> {
        let changed = self.edges.iter().filter(|(key, edge)| generation.edges.get(key) != Some(edge));
        let touched: BTreeSet<&Id> = changed.map(|((_, item), _)| item).collect();
        let codeless = |item: &&&Id| !generation.items.contains_key(**item) && !generation.hidden.contains(**item);
        let mut arrivals = BTreeMap::new();
        for &item in touched.iter().filter(codeless) {
            let holders = self.edges.keys().filter(|(_, held)| held == item);
            let voices: Vec<&Code> = holders.filter_map(|(user, _)| generation.users.get(user)).collect();
            let scalers = generation.expected_scalers(voices.len() as u32);
            if voices.is_empty() || scalers.iter().all(|&scaler| scaler == 0.0) {
                continue;
            }
            let layers = generation.shape.widths().iter().enumerate();
            let values = layers.map(|(layer, &width)| {
                let mut sum = vec![0i32; width as usize];
                for voice in voices.iter().filter(|voice| voice.scalers[layer] > 0.0) {
                    let (alpha, values) = (voice.scalers[layer], &voice.values[layer]);
                    let total: i32 = values.iter().map(|q| q.abs()).sum();
                    let step = alpha * (width as f32 / total as f32);
                    for (sum, &q) in sum.iter_mut().zip(values) {
                        *sum += (step * q as f32 / alpha * 64.0).round() as i32;
                    }
                }
                sum.into_iter().map(|sum| if sum >= 0 { 1 } else { -1 }).collect()
            });
            arrivals.insert(item.clone(), (Code { values: values.collect(), scalers }, voices.len() as u32));
        }
        arrivals
    }

    /// The query of somebody without a code who touched these, each with its weight.
    fn folded(&self, generation: &Published, touched: Vec<(Id, f32)>, without: Refusal) -> Basis {
        let (degrees, arrivals) = (Self::degrees(&generation.edges), self.arrivals(generation));
        let hidden = touched.iter().any(|(item, _)| generation.hidden.contains(item));
        let degree = |id: &Id| degrees.get(id).copied().unwrap_or(0);
        // Trained ones by id, then arrivals.
        let trained = touched.iter().filter_map(|(id, w)| Some((generation.items.get(id)?, *w, degree(id))));
        let arrived = touched.iter().filter_map(|(id, w)| arrivals.get(id).map(|(code, users)| (code, *w, *users)));
        let things: Vec<(&Code, f32, u32)> = trained.chain(arrived).collect();
        if things.is_empty() {
            return if hidden { Basis::Unsure } else { Basis::Refused(without) };
        }
        if generation.learned || hidden {
            return Basis::Learned;
        }
        let heaviest = things.iter().fold(0.0f32, |most, &(_, weight, _)| most.max(weight));
        let mut layers: Vec<Vec<f32>> = generation.shape.widths().iter().map(|&d| vec![0.0; d as usize]).collect();
        for (code, weight, users) in things {
            let factor = weight / heaviest / (users.max(1) as f32).sqrt();
            for (layer, out) in layers.iter_mut().enumerate() {
                let value = factor * code.scalers[layer];
                out.iter_mut().zip(&code.values[layer]).for_each(|(out, &sign)| *out += value * sign as f32);
            }
        }
        let norm = layers.iter().flatten().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt() as f32;
        if norm == 0.0 {
            return Basis::Refused(Refusal::NoDirection);
        }
        layers.iter_mut().flatten().for_each(|x| *x /= norm);
        let segments: Vec<&[f32]> = layers.iter().map(Vec::as_slice).collect();
        let query = QueryCode::encode(generation.shape.clone(), &segments, generation.planes).unwrap();
        let width = |layer: usize| generation.shape.widths()[layer];
        let values = (0..layers.len()).map(|l| integers(query.layer(l), (width(l) as usize).div_ceil(64), width(l)));
        Basis::Query(Probe { values: values.collect(), factors: query.factors().to_vec() })
    }
}

impl Published {
    /// Whether an item may have a code that is not known here.
    pub fn hides_codes(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Codes of items by id, those without a code left out.
    pub fn item_codes(ids: &[Id], codes: &LayeredCodes) -> BTreeMap<Id, Code> {
        let code = |row: usize| Code::read(codes.shape(), 1, codes.row(row).words, codes.row(row).scalers);
        ids.iter().enumerate().filter_map(|(row, id)| Some((id.clone(), code(row)?))).collect()
    }

    /// Mean scalers of the items with a code whose degree has as many bits, or the nearest number of bits that an item has.
    fn expected_scalers(&self, degree: u32) -> Vec<f32> {
        let degrees = Oracle::degrees(&self.edges);
        let bits = |n: u32| u32::BITS - n.leading_zeros();
        let mut rows: BTreeMap<u32, Vec<&Code>> = BTreeMap::new();
        for (id, code) in &self.items {
            rows.entry(bits(degrees.get(id).copied().unwrap_or(0))).or_default().push(code);
        }
        let nearest = rows.iter().min_by_key(|(row, _)| row.abs_diff(bits(degree)));
        let Some((_, codes)) = nearest else { return vec![0.0; self.shape.layers()] };
        let sum = |layer: usize| codes.iter().map(|code| f64::from(code.scalers[layer])).sum::<f64>();
        (0..self.shape.layers()).map(|layer| (sum(layer) / codes.len() as f64) as f32).collect()
    }
}
