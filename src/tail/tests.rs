//! The tail against a graph kept edge by edge: whatever the way there, by replay or by rebase.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kithdb_storage::Record;
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;
use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
use crate::fold_in::FoldInMap;
use crate::generation::{Content, Derived, Generation};
use crate::index::Order;
use crate::kernel::dense::Isa;
use crate::kernel::popcount::Kernel;
use crate::repeats::Repeats;

const USERS: u32 = 12;
const ITEMS: u32 = 10;

/// Records about the same few users and items, forgotten ones left alone afterwards, as the writer does.
fn records(most: usize) -> impl Strategy<Value = Vec<Record>> {
    let record = prop_oneof![
        8 => (0..USERS + 3, 0..ITEMS + 4, 1u8..3, prop::option::of(0i64..2)).prop_map(|(user, item, weight, time)| {
            Record::Insert { user, item, weight: f32::from(weight), time }
        }),
        6 => (0..USERS + 3, 0..ITEMS + 4).prop_map(|(user, item)| Record::Remove { user, item }),
        1 => (0..USERS + 3).prop_map(|user| Record::ForgetUser { user }),
        1 => (0..ITEMS + 4).prop_map(|item| Record::RetireItem { item }),
        1 => (0..ITEMS + 4).prop_map(|item| Record::UnretireItem { item }),
    ];
    prop::collection::vec(record, 0..most)
}

/// The graph and what else the log says, kept the plain way.
#[derive(Clone, Default)]
struct Naive {
    edges: BTreeMap<(u32, u32), (f32, Option<i64>)>,
    forgotten: BTreeSet<u32>,
    retired: BTreeSet<u32>,
    repeats: Repeats,
    inserted: Inserted,
}

impl Naive {
    /// Takes in the records that a writer could have written; those, and whether each changed something.
    fn apply(&mut self, records: Vec<Record>) -> (Vec<Record>, Vec<bool>) {
        let mut changes = Vec::new();
        let written = records.into_iter().filter(|record| {
            let change = match *record {
                Record::Insert { user, .. } | Record::Remove { user, .. } | Record::ForgetUser { user }
                    if self.forgotten.contains(&user) =>
                {
                    return false;
                }
                Record::Insert { user, item, weight, time } => {
                    let edge = match (self.repeats, self.edges.get(&(user, item))) {
                        (Repeats::First, Some(&first)) => first,
                        (Repeats::Max, Some(&(other, at))) => (weight.max(other), time.max(at)),
                        (Repeats::Sum, Some(&(other, at))) => (other + weight, time.max(at)),
                        _ => (weight, time),
                    };
                    match self.edges.insert((user, item), edge) {
                        None => self.inserted.new += 1,
                        Some(before) if before == edge => self.inserted.repeated += 1,
                        Some(_) => self.inserted.updated += 1,
                    }
                    true
                }
                Record::Remove { user, item } => self.edges.remove(&(user, item)).is_some(),
                Record::ForgetUser { user } => {
                    self.edges.retain(|&(u, _), _| u != user);
                    self.forgotten.insert(user)
                }
                Record::RetireItem { item } => self.retired.insert(item),
                Record::UnretireItem { item } => self.retired.remove(&item),
                Record::Define { .. } | Record::Describe { .. } => false,
            };
            changes.push(change);
            true
        });
        (written.collect(), changes)
    }

    fn history(&self, user: u32) -> Vec<(u32, Edge)> {
        let row = self.edges.range((user, 0)..=(user, u32::MAX));
        row.map(|(&(_, item), &(weight, time))| (item, Edge { weight, time })).collect()
    }
}

/// A generation over these posting lists; bit u of `users` (i of `items`) says that user u (item i) has a code.
fn generation(postings: Postings, retired: RoaringBitmap, users: u32, (n_items, items): (u32, u32)) -> Arc<Generation> {
    let shape = Arc::new(CodeShape::new(vec![40, 70], vec![1.0, 0.5]).unwrap());
    let value = |row: u32, k: u32| ((row * 31 + k * 17) as f32 * 0.7).sin();
    let layers = |rows: u32| [40u32, 70].map(|w| (0..rows * w).map(|k| value(k / w, k % w)).collect::<Vec<_>>());
    let scalers = |rows: u32, coded: u32| -> Vec<f32> {
        (0..rows)
            .flat_map(|row| [1.0, 0.25 + row as f32].map(|s| if coded >> row & 1 == 1 { s } else { 0.0 }))
            .collect()
    };
    let (of_users, of_items) = (layers(postings.n_users()), layers(n_items));
    let user_codes = PlaneCodes::encode_with_scalers(
        Arc::clone(&shape),
        &[&of_users[0], &of_users[1]],
        3,
        scalers(postings.n_users(), users),
    );
    let item_codes =
        LayeredCodes::encode_with_scalers(Arc::clone(&shape), &[&of_items[0], &of_items[1]], scalers(n_items, items));
    let content = Content {
        postings,
        retired,
        users: user_codes.unwrap(),
        items: item_codes.unwrap(),
        ranks: (0..n_items).collect(),
        fold_in: FoldInMap::identity(&shape, Isa::chosen().unwrap()),
        encoder: None,
    };
    let derived = Derived::of(&content, Order::of(&content.items), Kernel::from_env().unwrap()).unwrap();
    Arc::new(Generation::new(1, String::new(), content, derived))
}

fn postings(naive: &Naive, users: u32) -> Postings {
    let mut builder = PostingsBuilder::with_capacity(0, 0);
    for user in 0..users {
        naive.history(user).into_iter().for_each(|(item, edge)| builder.push(item, edge));
        builder.end_row();
    }
    builder.finish()
}

/// Everything a tail says, in a form that can be compared.
fn told(tail: &Tail) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut tail = tail.clone();
    tail.settle();
    let changes: Vec<(u64, f32, i64)> =
        tail.changes.iter().map(|(key, change)| (key, change.weight, change.time)).collect();
    let degrees: Vec<u32> = (0..ITEMS + 4).map(|item| tail.item_degree(item)).collect();
    let sets = ((*tail.forgotten).clone(), (*tail.retired).clone());
    (tail.applied, tail.edges, changes, degrees, sets, tail.arrivals.contents())
}

/// Holds a tail to the naive graph, arrivals to their definition.
fn check(tail: &Tail, naive: &Naive) -> Result<(), TestCaseError> {
    for user in 0..USERS + 3 {
        prop_assert_eq!(tail.history(user), naive.history(user), "user {}", user);
    }
    for item in 0..ITEMS + 4 {
        let users = naive.edges.keys().filter(|&&(_, i)| i == item).count();
        prop_assert_eq!(tail.item_degree(item), users as u32);
    }
    prop_assert_eq!(tail.edges(), naive.edges.len() as u64);
    prop_assert_eq!(tail.retired(), &naive.retired.iter().copied().collect::<RoaringBitmap>());
    let Some(generation) = tail.generation() else { return Ok(()) };
    let mut settled = tail.clone();
    settled.settle();
    let contents = settled.arrivals.contents();
    let bits = generation.shape().bits() as usize;
    let mut expected = Vec::new();
    for item in (0..ITEMS + 4).filter(|&item| !generation.has_item(item)) {
        let edges = || naive.edges.iter().filter(move |&(&(_, i), _)| i == item);
        let in_generation = |user| match generation.postings().row(user).get(item) {
            _ if tail.forgotten.contains(user) => None,
            below => below.map(|edge| (edge.weight, edge.time)),
        };
        let touches = edges().filter(|&(&(user, _), &edge)| in_generation(user) != Some(edge)).count() as u64;
        let coded: Vec<u32> = edges().map(|(&(user, _), _)| user).filter(|&user| generation.has_user(user)).collect();
        if touches > 0 {
            let mut sum = vec![0; bits];
            for &user in &coded {
                let mut start = 0;
                for (layer, &width) in generation.shape().widths().iter().enumerate() {
                    let mut values = vec![0.0; width as usize];
                    generation.users().decode_into(user as usize, layer, &mut values).unwrap();
                    let scaler = generation.users().scalers()[user as usize * 2 + layer];
                    for (sum, value) in sum[start..].iter_mut().zip(values) {
                        *sum += (value / scaler * 64.0).round() as i32;
                    }
                    start += width as usize;
                }
            }
            expected.push((item, touches, coded.len() as u32, sum));
        }
    }
    prop_assert_eq!(contents.len(), expected.len());
    for ((item, touches, users, sum, code), expected) in contents.into_iter().zip(expected) {
        prop_assert_eq!((item, touches, users, &sum), (expected.0, expected.1, expected.2, &expected.3));
        prop_assert_eq!(code.is_some(), users > 0 && generation.has_codes(), "item {}", item);
        let Some(code) = code else { continue };
        prop_assert_eq!(code.scalers(), generation.expected_scalers(users));
        let split = [&sum[..40], &sum[40..]].map(|layer| layer.iter().map(|&v| v as f32).collect::<Vec<_>>());
        let scalers = code.scalers().to_vec();
        let fitted = LayeredCodes::encode_with_scalers(generation.shape().clone(), &[&split[0], &split[1]], scalers);
        prop_assert_eq!(code, fitted.unwrap());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_is_the_naive_graph_and_a_rebase_is_a_replay(
        base in records(60),
        before in records(60),
        after in records(60),
        (users, items, new_users, new_items) in (0u32..1 << USERS, 0u32..1 << ITEMS, any::<u32>(), any::<u32>()),
        with_generation: bool,
        repeats in prop::sample::select(Repeats::ALL.to_vec()),
    ) {
        let mut naive = Naive { repeats, ..Naive::default() };
        if with_generation {
            // What a generation has folded in: of known users and items only.
            naive.apply(base);
            naive.edges.retain(|&(user, item), _| user < USERS && item < ITEMS);
        }
        let retired: RoaringBitmap = naive.retired.iter().copied().collect();
        let first = with_generation.then(|| generation(postings(&naive, USERS), retired, users, (ITEMS, items)));
        let mut tail = Tail::new(first, 100, repeats);
        check(&tail, &naive)?;

        naive.inserted = Inserted::default();
        let (written, changes) = naive.apply(before);
        let mut came_to = Applied::default();
        for (at, (record, change)) in written.iter().zip(changes).enumerate() {
            let applied = tail.apply(101 + at as u64, [record]);
            prop_assert_eq!(applied.changed, u64::from(change), "{:?}", record);
            came_to += applied;
        }
        prop_assert_eq!(came_to.inserted, naive.inserted);
        check(&tail, &naive)?;
        let (cut, then, told_then) = (tail.clone(), naive.clone(), told(&tail));

        naive.inserted = Inserted::default();
        let (written, changes) = naive.apply(after);
        let first = cut.applied() + 1;
        let changed = changes.iter().filter(|&&change| change).count() as u64;
        prop_assert_eq!(tail.apply(first, &written), Applied { changed, inserted: naive.inserted });
        check(&tail, &naive)?;

        let folded = cut.fold(USERS + 3);
        prop_assert_eq!(&folded, &postings(&then, USERS + 3));
        let next = generation(folded, cut.retired().clone(), new_users, (ITEMS + 4, new_items));
        let rebased = tail.rebase(Arc::clone(&next), &cut);
        let mut replayed = Tail::new(Some(next), cut.applied(), repeats);
        replayed.apply(first, &written);
        prop_assert_eq!(told(&rebased), told(&replayed));
        check(&rebased, &naive)?;
        prop_assert_eq!(told(&cut), told_then, "a copy has changed");
    }
}
