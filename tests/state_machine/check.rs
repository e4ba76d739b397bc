//! What a database, or a snapshot of it, says, against the oracle.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use kithdb::{Attributes, Db, Engine, Error, Hit, Hits, Id, ItemSet, Query, Snapshot, Value};

use crate::oracle::{Basis, Edge, Expected, Oracle, Refusal};
use crate::step::{Dice, ITEMS, Names};

/// Why a run has failed.
pub type Outcome<T = ()> = Result<T, String>;

/// More than there are of anything.
const ALL: usize = 1_000;

/// Fails with what two values are where they differ.
pub fn same<T: PartialEq + std::fmt::Debug>(what: impl std::fmt::Display, found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}

thread_local! {
    /// How often each kind of answer was compared.
    static MET: RefCell<BTreeMap<String, u64>> = RefCell::default();
}

/// How often each kind of answer was compared on this thread.
pub fn met() -> BTreeMap<String, u64> {
    MET.with_borrow(Clone::clone)
}

/// Counts an answer of a kind that was compared.
pub fn meet(kind: String) {
    MET.with_borrow_mut(|met| *met.entry(kind).or_default() += 1);
}

/// A set of items that is kept, and what it was made of.
pub struct KeptSet {
    pub set: ItemSet,
    pub items: BTreeSet<Id>,
    /// The opening of the database it was made by.
    pub opening: u64,
}

/// The filters of a query.
#[derive(Default)]
struct Filters<'a> {
    allow: Option<&'a KeptSet>,
    deny: Vec<&'a KeptSet>,
    also_seen: Option<&'a KeptSet>,
    include_seen: bool,
    /// The number is below it, or the flag is not false.
    below: Option<u64>,
}

impl<'a> Filters<'a> {
    fn draw(dice: &mut Dice, sets: &[&'a KeptSet], oracle: &Oracle) -> Self {
        let said = || oracle.said_of_items.values();
        // Names that no item has any more are refused.
        let named = said().any(|own| own.0.is_some()) && said().any(|own| own.1.is_some());
        let below = (named && dice.once_in(2)).then(|| dice.below(5));
        let mut set = |n| if sets.is_empty() || !dice.once_in(n) { None } else { Some(dice.pick(sets)) };
        let (allow, also_seen) = (set(3), set(3));
        let deny = set(3).into_iter().chain(set(4)).collect();
        Self { allow, deny, also_seen, include_seen: dice.once_in(4), below }
    }

    fn on(&self, mut query: Query<'a>) -> Query<'a> {
        if let Some(allow) = self.allow {
            query = query.allow(&allow.set);
        }
        for deny in &self.deny {
            query = query.deny(&deny.set);
        }
        if let Some(below) = self.below {
            query = query.filter(format!("n < {below} or not flag = false"));
        }
        if let Some(also_seen) = self.also_seen {
            query = query.also_seen(&also_seen.set);
        }
        if self.include_seen { query.include_seen() } else { query }
    }

    /// Whether an item may be found by somebody who has `seen`.
    fn admits(&self, oracle: &Oracle, seen: &BTreeSet<Id>, item: &Id) -> bool {
        let also = self.also_seen.is_some_and(|set| set.items.contains(item));
        let (number, flag) = oracle.said_of_items.get(item).copied().unwrap_or_default();
        !oracle.retired.contains(item)
            && self.below.is_none_or(|below| number.is_some_and(|number| number < below) || flag != Some(false))
            && self.allow.is_none_or(|set| set.items.contains(item))
            && !self.deny.iter().any(|set| set.items.contains(item))
            && (self.include_seen || !(also || seen.contains(item)))
    }

    fn tell(&self) -> String {
        let ids = |set: &KeptSet| set.items.iter().map(Id::to_string).collect::<Vec<_>>();
        let deny: Vec<_> = self.deny.iter().map(|set| ids(set)).collect();
        let (allow, also) = (self.allow.map(ids), self.also_seen.map(ids));
        format!(
            "allow {allow:?} deny {deny:?} also seen {also:?} include seen {} below {:?}",
            self.include_seen, self.below
        )
    }
}

/// Compares all a moment says with the oracle of that moment; `sets` are those of its opening.
pub fn check(snapshot: &Snapshot, oracle: &Oracle, names: Names, sets: &[&KeptSet], dice: &mut Dice) -> Outcome {
    let mut users = snapshot.users();
    users.sort();
    same("users", users, oracle.users.keys().cloned().collect())?;
    same("generation", snapshot.generation(), oracle.generation.as_ref().map(|generation| generation.number))?;
    for user in names.users() {
        history(snapshot, oracle, &user)?;
        let number = oracle.users.get(&user);
        let own = number.map(|number| oracle.said_of_users.get(number).copied().unwrap_or_default());
        same(format!("said of {user}"), said(snapshot.user(&user))?, own)?;
        nearest(snapshot, oracle, &user, &Filters::default(), dice)?;
        let filters = Filters::draw(dice, sets, oracle);
        nearest(snapshot, oracle, &user, &filters, dice).map_err(|error| format!("{error}, {}", filters.tell()))?;
        similar_users(snapshot, oracle, &user, dice)?;
    }
    for item in names.items() {
        let own = oracle.items.contains(&item).then(|| oracle.said_of_items.get(&item).copied().unwrap_or_default());
        same(format!("said of {item}"), said(snapshot.item(&item))?, own)?;
    }
    batch(snapshot, names, dice)?;
    baskets(snapshot, oracle, names, dice)?;
    names.items().try_for_each(|item| similar_items(snapshot, oracle, &item, dice))
}

/// The number and the flag among what is said.
fn said(found: kithdb::Result<Option<Attributes>>) -> Outcome<Option<(Option<u64>, Option<bool>)>> {
    let number = |own: &Attributes| match own.get("n") {
        Some(Value::Number(number)) => Some(*number as u64),
        _ => None,
    };
    let flag = |own: &Attributes| match own.get("flag") {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let found = found.map_err(|error| error.to_string())?;
    Ok(found.map(|own| (number(&own), flag(&own))))
}

fn history(snapshot: &Snapshot, oracle: &Oracle, user: &Id) -> Outcome {
    let history = snapshot.history(user).map_err(|error| error.to_string())?;
    let mut found: Vec<(Id, Edge)> = history.into_iter().map(|i| (i.item, (i.weight.to_bits(), i.time))).collect();
    found.sort();
    same(format!("history of {user}"), found, oracle.history(user).into_iter().collect())
}

fn nearest(snapshot: &Snapshot, oracle: &Oracle, user: &Id, filters: &Filters<'_>, dice: &mut Dice) -> Outcome {
    let what = format!("nearest to {user}");
    let seen: BTreeSet<Id> = oracle.history(user).into_keys().collect();
    let admits = |item: &Id| filters.admits(oracle, &seen, item);
    let query = || filters.on(snapshot.query().user(user));
    let basis = oracle.basis_of_user(user);
    let found = compare(&what, query().k(ALL).run(), oracle, &basis, admits)?;
    if let Basis::Refused(_) = basis {
        let popular = query().k(ALL).or_popular().run().map_err(|error| format!("{what} or popular: {error}"))?;
        same_list(format!("{what} or popular"), popular.as_slice(), &oracle.popular(admits), &BTreeSet::new())?;
        same("engine", popular.engine(), Engine::Popularity)?;
        return first(&format!("{what} or popular"), &popular, |k| query().k(k).or_popular().run(), dice);
    }
    let Some(found) = found else { return Ok(()) };
    let stands_on = match (oracle.has_code(user), oracle.has_moved(user)) {
        (_, None) => found.basis(),
        (_, Some(true)) => kithdb::Basis::Moved,
        (true, Some(false)) => kithdb::Basis::Code,
        (false, Some(false)) => kithdb::Basis::FoldIn,
    };
    same(format!("{what}: basis"), found.basis(), stands_on)?;
    if !found.is_empty() {
        explained(snapshot, user, &dice.pick(found.as_slice()), &seen)?;
    }
    first(&what, &found, |k| query().k(k).run(), dice)?;
    let engine = dice.pick(&[Engine::Linear, Engine::Head, Engine::Tree, Engine::Mih]);
    first(&format!("{what} by {engine:?}"), &found, |k| query().k(k).engine(engine).run(), dice)
}

/// Compares the explanation of a hit with the hit and with what the user has.
fn explained(snapshot: &Snapshot, user: &Id, hit: &Hit, history: &BTreeSet<Id>) -> Outcome {
    let what = format!("{} for {user} explained", hit.id);
    let explanation = snapshot.explain(user, &hit.id).map_err(|error| format!("{what}: {error}"))?;
    same(&what, explanation.score.to_bits(), hit.score.to_bits())?;
    let stray = explanation.pulls.iter().find(|pull| !history.contains(&pull.item));
    same(format!("{what}: by what they do not have"), stray, None)
}

/// Compares the list of a few with that of all.
fn first(what: &str, all: &Hits, few: impl Fn(usize) -> kithdb::Result<Hits>, dice: &mut Dice) -> Outcome {
    let k = 1 + dice.below(ITEMS + 2) as usize;
    let few = few(k).map_err(|error| format!("{what}, k = {k}: {error}"))?;
    same(format!("{what}, k = {k}"), few.as_slice(), &all.as_slice()[..all.len().min(k)])
}

fn batch(snapshot: &Snapshot, names: Names, dice: &mut Dice) -> Outcome {
    let users: Vec<Id> = names.users().filter(|_| !dice.once_in(3)).collect();
    let k = 1 + dice.below(ITEMS + 2) as usize;
    for (user, together) in users.iter().zip(snapshot.nearest_batch(&users, k)) {
        same(format!("batch, {user}, k = {k}"), plain(together), plain(snapshot.nearest(user, k)))?;
    }
    Ok(())
}

fn plain(result: kithdb::Result<Hits>) -> Result<Vec<Hit>, String> {
    result.map(|hits| hits.into_iter().collect()).map_err(|error| error.to_string())
}

fn baskets(snapshot: &Snapshot, oracle: &Oracle, names: Names, dice: &mut Dice) -> Outcome {
    for _ in 0..2 {
        let basket: Vec<Id> = (0..1 + dice.below(5)).map(|_| names.item(dice.below(ITEMS))).collect();
        let held: BTreeSet<Id> = basket.iter().cloned().collect();
        let admits = |item: &Id| !oracle.retired.contains(item) && !held.contains(item);
        let result = snapshot.query().items(&basket).k(ALL).run();
        let found = compare(&format!("near to {basket:?}"), result, oracle, &oracle.basis_of_basket(&held), admits)?;
        if let Some(hits) = found {
            first(&format!("near to {basket:?}"), &hits, |k| snapshot.query().items(&basket).k(k).run(), dice)?;
            let unknown: Vec<Id> = basket.iter().filter(|&item| !oracle.items.contains(item)).cloned().collect();
            same(format!("unknown of {basket:?}"), hits.unknown_items(), &unknown)?;
        }
    }
    Ok(())
}

fn similar_items(snapshot: &Snapshot, oracle: &Oracle, item: &Id, dice: &mut Dice) -> Outcome {
    let admits = |other: &Id| !oracle.retired.contains(other) && other != item;
    let what = format!("similar to {item}");
    let result = snapshot.similar_items(item, ALL);
    let found = compare(&what, result, oracle, &oracle.basis_of_item(item), admits)?;
    found.map_or(Ok(()), |found| first(&what, &found, |k| snapshot.similar_items(item, k), dice))
}

fn similar_users(snapshot: &Snapshot, oracle: &Oracle, user: &Id, dice: &mut Dice) -> Outcome {
    let what = format!("similar to {user}");
    match (snapshot.similar_users(user, ALL), oracle.similar_users(user)) {
        (Ok(found), Ok(expected)) => {
            same_list(&what, found.as_slice(), &expected, &BTreeSet::new())?;
            first(&what, &found, |k| snapshot.similar_users(user, k), dice)
        }
        (Err(error), Err(refusal)) => {
            meet(format!("{refusal:?}"));
            same(&what, refused(&error), Some(refusal))
        }
        (found, expected) => Err(format!("{what}: found {found:?}, expected {expected:?}")),
    }
}

/// Compares a list of all that is found; the list, where it has to be one.
fn compare(
    what: &str,
    result: kithdb::Result<Hits>,
    oracle: &Oracle,
    basis: &Basis,
    admits: impl Fn(&Id) -> bool,
) -> Outcome<Option<Hits>> {
    match (result, basis) {
        (_, Basis::Unsure) => Ok(None),
        (Err(error), Basis::Refused(refusal)) => {
            same(what, refused(&error), Some(*refusal))?;
            meet(format!("{refusal:?}"));
            Ok(None)
        }
        // Whether learned things cancel each other out is not known here.
        (Err(Error::NoDirection { .. }), Basis::Learned) => Ok(None),
        (Ok(found), Basis::Query(_) | Basis::Learned) => {
            let none = BTreeSet::new();
            let hidden = oracle.generation.as_ref().map_or(&none, |generation| &generation.hidden);
            if let Some(hit) = found.iter().find(|hit| !admits(&hit.id)) {
                return Err(format!("{what}: {} is not allowed", hit.id));
            }
            let expected = oracle.nearest(basis, admits);
            let scored = expected.iter().any(|(_, score)| score.is_some());
            meet(format!("{:?}{}", found.basis(), if scored { ", scored" } else { "" }));
            same_list(what, found.as_slice(), &expected, hidden)?;
            same(format!("{what}: exact"), found.exact(), true)?;
            Ok(Some(found))
        }
        (Ok(found), Basis::Refused(refusal)) => Err(format!("{what}: found {found:?}, expected {refusal:?}")),
        (Err(error), _) => Err(format!("{what}: {error}, expected a list")),
    }
}

/// Compares a list of everything: its items, its order, and the scores that are known. What is `hidden` may be in it.
fn same_list(what: impl std::fmt::Display, found: &[Hit], expected: &[Expected], hidden: &BTreeSet<Id>) -> Outcome {
    let ordered = |a: &Hit, b: &Hit| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)).is_lt();
    if !found.is_sorted_by(ordered) {
        return Err(format!("{what}: not in order or repeated: {found:?}"));
    }
    let shown = || found.iter().filter(|hit| !hidden.contains(&hit.id));
    let ids: BTreeSet<&Id> = shown().map(|hit| &hit.id).collect();
    same(format!("{what}: which"), ids, expected.iter().map(|(id, _)| id).collect())?;
    let known: Vec<(&Id, u32)> = expected.iter().filter_map(|(id, score)| Some((id, (*score)?))).collect();
    let named: BTreeSet<&Id> = known.iter().map(|&(id, _)| id).collect();
    let scored = shown().filter(|hit| named.contains(&hit.id)).map(|hit| (&hit.id, hit.score.to_bits()));
    same(what, scored.collect(), known)
}

fn refused(error: &Error) -> Option<Refusal> {
    Some(match error {
        Error::UnknownUser { .. } => Refusal::UnknownUser,
        Error::UnknownItem { .. } => Refusal::UnknownItem,
        Error::UnknownBasket { .. } => Refusal::UnknownBasket,
        Error::NotTrained => Refusal::NotTrained,
        Error::NoItemCodes => Refusal::NoItemCodes,
        Error::NoHistory { .. } => Refusal::NoHistory,
        Error::NoCodeInBasket { .. } => Refusal::NoCodeInBasket,
        Error::NoDirection { .. } => Refusal::NoDirection,
        Error::NoCode { .. } => Refusal::NoCode,
        Error::NoUserCode { .. } => Refusal::NoUserCode,
        _ => return None,
    })
}

/// Compares counts.
pub fn check_stats(db: &Db, oracle: &Oracle) -> Outcome {
    let stats = db.stats().map_err(|error| error.to_string())?;
    let found = (stats.users, stats.items, stats.interactions, stats.tail_changes, stats.retired_items);
    let sizes = (oracle.users.len() as u64, oracle.items.len() as u64, oracle.edges.len() as u64);
    let expected = (sizes.0, sizes.1, sizes.2, oracle.tail_changes(), oracle.retired.len() as u64);
    same("repeats", stats.repeats, oracle.repeats)?;
    same("users, items, interactions, tail changes and retired items", found, expected)?;
    let found = stats.generation.map(|g| (g.number, g.users, g.items, g.layer_bits, g.query_bits));
    let expected = oracle.generation.as_ref().map(|generation| {
        let (users, items) = generation.extents;
        (generation.number, users, items, generation.shape.widths().to_vec(), generation.planes)
    });
    same("generation", found, expected)
}

/// Everything a database answers that has to be the same when it is opened again.
pub fn told(db: &Db, names: Names) -> Vec<String> {
    let snapshot = db.snapshot();
    let list = |what: &str, id: &Id, result: kithdb::Result<Hits>| {
        let hits = result.map_err(|error| error.to_string());
        let hits = hits.map(|hits| {
            let scored = hits.iter().map(|hit| (hit.id.to_string(), hit.score.to_bits())).collect::<Vec<_>>();
            (hits.basis(), hits.generation(), scored)
        });
        format!("{what} {id}: {hits:?}")
    };
    let mut told = vec![match db.stats() {
        Ok(s) => format!(
            "{:?}",
            (s.users, s.items, s.interactions, s.tail_changes, s.retired_items, s.last_sequence, s.generation)
        ),
        Err(error) => error.to_string(),
    }];
    told.extend(names.items().map(|item| format!("said of {item}: {:?}", snapshot.item(&item).ok())));
    for user in names.users() {
        told.push(format!("said of {user}: {:?}", snapshot.user(&user).ok()));
        let mut history = snapshot.history(&user).map_err(|error| error.to_string());
        history.iter_mut().for_each(|history| history.sort_by(|a, b| a.item.cmp(&b.item)));
        told.push(format!("history of {user}: {history:?}"));
        told.push(list("nearest to", &user, snapshot.nearest(&user, ALL)));
        told.push(list("popular for", &user, snapshot.query().user(&user).k(ALL).or_popular().run()));
        told.push(list("similar to user", &user, snapshot.similar_users(&user, ALL)));
    }
    names.items().for_each(|item| told.push(list("similar to item", &item, snapshot.similar_items(&item, ALL))));
    told
}
