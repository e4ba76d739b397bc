//! The teacher's own lists are what its kept tables say, ranked one user at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod shop;

use std::collections::{HashMap, HashSet};

use kithdb::eval::{Evaluation, Tally};
use kithdb::train::{Bipartite, StateData, TrainState, train};
use kithdb::{Compaction, Db, Id, Model, Preset, TrainOptions};

const CUTS: [usize; 3] = [1, 7, 20];

/// Names that sort otherwise than they are numbered.
fn item_id(item: u64) -> u64 {
    item * 7_919 % 1_009
}

/// Every fifth interaction is held out.
fn is_test(user: u64, item: u64) -> bool {
    (user * 31 + item * 17).is_multiple_of(5)
}

fn floats<'a>(state: &'a TrainState, name: &str) -> (usize, &'a [f32]) {
    let part = state.parts.iter().find(|part| part.name == name).unwrap();
    match &part.data {
        StateData::Floats(values) => (part.shape[1] as usize, values),
        StateData::Integers(_) | StateData::Words(_) => panic!("{name} holds no floats"),
    }
}

fn integers<'a>(state: &'a TrainState, name: &str) -> Option<&'a [u32]> {
    state.parts.iter().find(|part| part.name == name).map(|part| match &part.data {
        StateData::Integers(values) => values.as_slice(),
        StateData::Floats(_) | StateData::Words(_) => panic!("{name} holds no integers"),
    })
}

/// The score of every pair, from the definition: inner products, what the user's items predict, and what those alike have.
fn scores(state: &TrainState, histories: &[Vec<usize>], n_items: usize) -> Vec<Vec<f64>> {
    let ((width, users), (_, items)) = (floats(state, "teacher.users"), floats(state, "teacher.items"));
    let row = |table: &[f32], at: usize| table[at * width..][..width].to_vec();
    let mut predicted = vec![vec![0.0; n_items]; n_items];
    if let Some(counts) = integers(state, "teacher.item_neighbours.counts") {
        let nearest = integers(state, "teacher.item_neighbours.items").unwrap();
        let mut entries = nearest.iter().zip(floats(state, "teacher.item_neighbours.weights").1);
        for (to, &count) in counts.iter().enumerate() {
            entries.by_ref().take(count as usize).for_each(|(&from, &w)| predicted[from as usize][to] = f64::from(w));
        }
    }
    let mut alike = vec![Vec::new(); histories.len()];
    if let Some(counts) = integers(state, "teacher.user_neighbours.counts") {
        let others = integers(state, "teacher.user_neighbours.users").unwrap();
        let mut entries = others.iter().zip(floats(state, "teacher.user_neighbours.weights").1);
        for (user, &count) in counts.iter().enumerate() {
            entries.by_ref().take(count as usize).for_each(|(&of, &w)| alike[user].push((of as usize, f64::from(w))));
        }
    }
    let score = |user: usize, item: usize| {
        let near = alike[user].iter().filter(|(of, _)| histories[*of].contains(&item)).map(|near| near.1);
        let inner: f64 = row(users, user).iter().zip(row(items, item)).map(|(&a, b)| f64::from(a) * f64::from(b)).sum();
        inner + near.sum::<f64>() + histories[user].iter().map(|&from| predicted[from][item]).sum::<f64>()
    };
    (0..histories.len()).map(|user| (0..n_items).map(|item| score(user, item)).collect()).collect()
}

fn close(a: &Evaluation, b: &Evaluation) {
    assert_eq!(a.users, b.users);
    for (a, b) in a.cuts.iter().zip(&b.cuts) {
        for (a, b) in [(a.recall, b.recall), (a.ndcg, b.ndcg), (a.map, b.map), (a.coverage, b.coverage)] {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }
    assert_eq!(a.users_by_degree, b.users_by_degree);
    assert_eq!(a.items_by_degree, b.items_by_degree);
}

#[test]
fn lists_of_the_teacher_are_its_tables_sorted() {
    let balanced = || TrainOptions::new(Preset::Balanced).bits(192);
    let quick = |model| balanced().model(model).set("teacher.epochs", 20).set("teacher.batch", 64);
    // Which neighbours gain, the hold-out decides: here those of users where there are none of items.
    let models = [
        balanced(),
        balanced().set("teacher.neighbours", "off"),
        TrainOptions::new(Preset::Fast).bits(192),
        TrainOptions::new(Preset::Fast).bits(192).layers(1),
        balanced().model(Model::Ials),
        quick(Model::Mf),
        quick(Model::LightGcn),
        quick(Model::BigearPlus).set("student.epochs", 1),
    ];
    let mut with_neighbours = [0, 0];
    for options in models {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(directory.path().join("shop.kith")).unwrap();
        let (mut histories, mut numbers, mut edges) = (Vec::new(), HashMap::new(), Vec::new());
        let mut truth: Vec<(Id, Vec<Id>)> = Vec::new();
        for user in 0..shop::USERS {
            let (held, kept): (Vec<u64>, Vec<u64>) =
                (0..shop::ITEMS).filter(|&item| shop::touches(user, item)).partition(|&item| is_test(user, item));
            db.insert_many(kept.iter().map(|&item| (user, item_id(item)))).unwrap();
            let next = |item: &u64| {
                let next = numbers.len();
                *numbers.entry(item_id(*item)).or_insert(next)
            };
            let history: Vec<usize> = kept.iter().map(next).collect();
            edges.extend(history.iter().map(|&item| (user as u32, item as u32, 1.0)));
            histories.push(history);
            truth.push((user.into(), held.into_iter().map(|item| item_id(item).into()).collect()));
        }
        assert!(db.evaluate_full_precision(&truth, &CUTS).unwrap_err().to_string().contains("trained"));
        db.train(options.clone()).unwrap().wait().unwrap();
        let graph = Bipartite::from_edges(histories.len(), numbers.len(), &edges).unwrap();
        let state = train(&graph, &options, &()).unwrap().state;
        let parts = ["teacher.item_neighbours.counts", "teacher.user_neighbours.counts"];
        for (with, part) in with_neighbours.iter_mut().zip(parts) {
            *with += usize::from(integers(&state, part).is_some());
        }
        let scores = scores(&state, &histories, numbers.len());

        // What came since is masked, and who came since is missed.
        let (late, gone) = (histories[3][0], histories[5][0]);
        let ids: HashMap<usize, u64> = numbers.iter().map(|(&id, &number)| (number, id)).collect();
        db.insert(4u64, ids[&late]).unwrap();
        db.insert(9_999u64, ids[&late]).unwrap();
        db.retire_item(ids[&gone]).unwrap();
        truth.push((9_999u64.into(), vec![ids[&gone].into()]));
        histories[4].push(late);
        histories.push(vec![late]);
        let mut tally = Tally::new(&CUTS);
        let degrees = |item: usize| histories.iter().filter(|history| history.contains(&item)).count() as u32;
        for (user, (_, held)) in truth.iter().enumerate() {
            let seen: HashSet<usize> = histories[user].iter().copied().collect();
            let mut list: Vec<usize> =
                (0..numbers.len()).filter(|item| !seen.contains(item) && *item != gone).collect();
            match scores.get(user) {
                Some(scores) => list.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(ids[&a].cmp(&ids[&b]))),
                None => list.clear(),
            }
            let list: Vec<Id> = list.into_iter().map(|item| ids[&item].into()).collect();
            let degree = |id: &Id| match id {
                Id::Int(id) => numbers.get(id).map_or(0, |&item| degrees(item)),
                _ => 0,
            };
            tally.add_with_degrees(&list, held, seen.len() as u32, degree);
        }
        let measures = db.evaluate_full_precision(&truth, &CUTS).unwrap();
        close(&measures, &tally.finish(numbers.len() as u64));
        assert!(measures.at(20).unwrap().recall > 0.3, "{measures:?}");
    }
    assert!(with_neighbours.iter().all(|&with| with > 0), "no teacher with neighbours was measured");
}

/// Whatever learned it, a teacher is kept whole: through an opening, through folds in which somebody and something comes, and where its codes are gone back to.
#[test]
fn teachers_of_all_models_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    for name in Model::NAMES {
        let (path, model) = (directory.path().join(name), name.parse::<Model>().unwrap());
        let db = Db::options().background(false).open(&path).unwrap();
        db.insert_many(shop::interactions()).unwrap();
        let mut options = TrainOptions::new(Preset::Fast).model(model).bits(192);
        if !matches!(model, Model::Recipe | Model::Ials) {
            options = options.set("teacher.epochs", 2);
        }
        db.train(options).unwrap().wait().unwrap();
        let untouched = |user: u64, item: u64| !shop::touches(user, item) && shop::taste(user) == shop::taste(item);
        let truth: Vec<(Id, Vec<Id>)> = (0..shop::USERS)
            .map(|user| (user.into(), (0..shop::ITEMS).filter(|&item| untouched(user, item)).map(Id::from).collect()))
            .collect();
        let measured = |db: &Db| db.evaluate_full_precision(&truth, &CUTS).unwrap().at(20).unwrap().recall;
        let before = measured(&db);
        // One item more is ranked with the others.
        let is_kept = |recall: f64| recall > 0.0 && (recall - before).abs() < 0.02;
        db.insert(9_000u64, 9_001u64).unwrap();
        db.compact(Compaction::Minor).unwrap().wait().unwrap();
        drop(db);
        let db = Db::options().background(false).open(&path).unwrap();
        assert!(is_kept(measured(&db)), "{name}: {before} {}", measured(&db));
        db.rollback(1).unwrap();
        assert!(is_kept(measured(&db)), "{name}: {before} {}", measured(&db));
    }
}

#[test]
fn codes_made_elsewhere_have_no_teacher() {
    let (directory, db) = shop::trained();
    let folder = directory.path().join("codes");
    db.export_npy(&folder).unwrap();
    let copy = Db::open(directory.path().join("copy.kith")).unwrap();
    copy.import_codes(kithdb::CodeSet::read_folder(&folder).unwrap()).unwrap();
    let error = copy.evaluate_full_precision(&[(0u64.into(), vec![1u64.into()])], &CUTS).unwrap_err();
    assert!(error.to_string().contains("teacher"), "{error}");
}
