//! The library works on threads of its own: the application's global pool of rayon is never used, nor made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod shop;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::train::{Bipartite, train};
use kithdb::{CodeSet, Db, Embeddings, EncodeOptions, Id, Metric, Preset, RowIds, TrainOptions, Vectors};

// The only test of this file: another one of the same process could make the global pool.
#[test]
fn nothing_makes_the_global_pool() {
    let (directory, db) = shop::trained();
    // Arrivals of both sides.
    db.insert_many([(shop::USERS, 0), (shop::USERS, 4), (0, shop::ITEMS), (4, shop::ITEMS)]).unwrap();
    let users: Vec<Id> = (0..shop::USERS + 3).map(Id::from).collect();
    db.nearest(0u64, 5).unwrap();
    db.nearest(shop::USERS, 5).unwrap();
    db.nearest_batch(&users, 5);
    db.similar_items(3u64, 5).unwrap();
    db.similar_items(shop::ITEMS, 5).unwrap();
    db.similar_users(3u64, 5).unwrap();
    db.explain(0u64, 7u64).unwrap();
    db.query().vector(vec![0.5; 192]).k(5).run().unwrap();
    db.query().items([1u64, 5]).k(5).run().unwrap();
    let truth: Vec<(Id, Vec<Id>)> = users.iter().map(|user| (user.clone(), vec![Id::from(1u64)])).collect();
    db.evaluate(&truth, &[5], Some(1)).unwrap();
    db.evaluate_popularity(&truth, &[5]).unwrap();
    db.evaluate_full_precision(&truth, &[5]).unwrap();
    db.stats().unwrap();
    assert!(db.verify().unwrap().is_sound());
    let folder = directory.path().join("codes");
    db.export_npy(&folder).unwrap();
    db.train(TrainOptions::new(Preset::Balanced).bits(192).layers(1).threads(2)).unwrap().wait().unwrap();
    drop(db);
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.nearest(0u64, 5).unwrap();

    let codes = CodeSet::read_folder(&folder).unwrap();
    db.import_codes(codes).unwrap();
    db.nearest(0u64, 5).unwrap();

    let floats = |rows: usize, dims: usize| -> Vec<f32> {
        (0..rows * dims).map(|at| ((at * 7919 + 13) % 101) as f32 / 50.0 - 1.0).collect()
    };
    for layers in [1, 2] {
        let db = Db::open(directory.path().join(format!("vectors-{layers}.kith"))).unwrap();
        let embeddings = Embeddings {
            items: Vectors::new(floats(700, 24), layers, 24 / layers).unwrap(),
            item_ids: RowIds::RowNumbers,
            users: Some(Vectors::new(floats(300, 24), layers, 24 / layers).unwrap()),
            user_ids: RowIds::RowNumbers,
        };
        db.import_embeddings(embeddings, &EncodeOptions::new(Metric::Cosine)).unwrap();
        db.query().vector(floats(1, 24)).k(5).run().unwrap();
        db.nearest(0u64, 5).unwrap();
        db.similar_items(0u64, 5).unwrap();
        db.explain(0u64, 5u64).unwrap();
    }

    let edges: Vec<(u32, u32, f32)> = (0..60).flat_map(|u| (0..20).map(move |i| (u, (u + i * i) % 40, 1.0))).collect();
    let graph = Bipartite::from_edges(60, 40, &edges).unwrap();
    let graph = graph.filtered(|user, item| (user + item) % 3 > 0);
    train(&graph, &TrainOptions::new(Preset::Fast).bits(64).threads(2), &()).unwrap();
    let many: Vec<(u32, u32, f32)> = (0..1 << 20).map(|at| (at >> 10, at & 1023, 2.0)).collect();
    assert_eq!(Bipartite::from_edges(1 << 10, 1 << 10, &many).unwrap().n_edges(), 1 << 20);
    let shape = CodeShape::new(vec![64], vec![1.0]).unwrap();
    let items = LayeredCodes::encode(shape.clone(), &[&floats(5000, 64)]).unwrap();
    LayeredCodes::from_parts(shape.clone(), items.words().to_vec(), items.scalers().to_vec()).unwrap();
    PlaneCodes::encode(shape, &[&floats(5000, 64)], 4).unwrap().signs();

    // It can be made once, and only if nobody has.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the global pool was made by the library");
}
