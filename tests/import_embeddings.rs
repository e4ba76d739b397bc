//! Float vectors made elsewhere are encoded, answer near to their own order, and take queries like themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kithdb::npy::{Dtype, NpyWriter};
use kithdb::{Basis, Db, Embeddings, EncodeOptions, Hits, Id, Metric, RowIds, Vectors};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const ITEMS: usize = 600;
const USERS: usize = 40;

/// Numbers that are about normal.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..n).map(|_| (0..6).map(|_| random.next_u64() as f32 / u64::MAX as f32 - 0.5).sum()).collect()
}

struct Made {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    db: Db,
}

fn made(items: &[f32], users: &[f32], layers: usize, dims: usize, options: &EncodeOptions) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let db = Db::open(&path).unwrap();
    let embeddings = Embeddings {
        items: Vectors::new(items.to_vec(), layers, dims).unwrap(),
        item_ids: RowIds::RowNumbers,
        users: Some(Vectors::new(users.to_vec(), layers, dims).unwrap()),
        user_ids: RowIds::RowNumbers,
    };
    db.import_embeddings(embeddings, options).unwrap();
    Made { _dir: dir, path, db }
}

fn hits(hits: &Hits) -> Vec<(Id, u32)> {
    hits.iter().map(|hit| (hit.id.clone(), hit.score.to_bits())).collect()
}

/// Share of the true best ten, by inner product or cosine, among the ten returned.
fn recall(db: &Db, items: &[f32], users: &[f32], row: usize, metric: Metric) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let found: usize = (0..users.len() / row)
        .map(|user| {
            let vector = &users[user * row..][..row];
            let score = |item: usize| {
                let item = &items[item * row..][..row];
                dot(vector, item) / if metric == Metric::Cosine { dot(item, item).sqrt() } else { 1.0 }
            };
            let mut order: Vec<usize> = (0..items.len() / row).collect();
            order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
            let best: Vec<Id> = order[..10].iter().map(|&item| Id::from(item as u64)).collect();
            let hits = db.query().vector(vector).k(10).run().unwrap();
            hits.iter().filter(|hit| best.contains(&hit.id)).count()
        })
        .sum();
    found as f64 / (10 * users.len() / row) as f64
}

#[test]
fn a_vector_is_answered_as_the_user_with_it() {
    for (layers, dims, options) in [
        (1, 20, EncodeOptions::new(Metric::Dot)),
        (1, 100, EncodeOptions::new(Metric::Cosine).bits(256).passes(2).query_planes(3)),
        (3, 10, EncodeOptions::new(Metric::Cosine).bits(384)),
        (2, 70, EncodeOptions::new(Metric::Dot).bits(128).query_planes(1)),
    ] {
        let row = layers * dims;
        let (items, users) = (noise(ITEMS * row, 1), noise(USERS * row, 2));
        let Made { _dir, path, db } = made(&items, &users, layers, dims, &options);
        let ask = |db: &Db| -> Vec<_> {
            let by_user = |user: usize| hits(&db.nearest(user as u64, 15).unwrap());
            (0..USERS).map(by_user).collect()
        };
        let answers = ask(&db);
        let by_vector = |db: &Db, user: usize| db.query().vector(&users[user * row..][..row]).k(15).run().unwrap();
        for (user, answer) in answers.iter().enumerate() {
            let found = by_vector(&db, user);
            assert_eq!((&hits(&found), found.basis()), (answer, Basis::Vector));
        }
        drop(db);
        let db = Db::open(path).unwrap();
        assert_eq!(ask(&db), answers);
        assert_eq!(hits(&by_vector(&db, 7)), answers[7]);
    }
}

#[test]
fn more_bits_come_nearer_to_the_vectors_own_order() {
    let dims = 48;
    let (mut items, users) = (noise(ITEMS * dims, 3), noise(USERS * dims, 4));
    // All items share a direction, which says nothing about which is nearest; lengths differ.
    for (at, x) in items.iter_mut().enumerate() {
        *x *= 0.5 + (at / dims % 7) as f32 / 7.0;
        *x += if at % dims == 5 { 30.0 } else { 0.0 };
    }
    for metric in [Metric::Dot, Metric::Cosine] {
        let at = |bits: u32| {
            let Made { _dir, db, .. } = made(&items, &users, 1, dims, &EncodeOptions::new(metric).bits(bits));
            recall(&db, &items, &users, dims, metric)
        };
        let recalls = [at(64), at(256), at(512)];
        assert!(recalls[0] > 0.3 && recalls[1] > recalls[0] + 0.1 && recalls[2] > 0.85, "{metric:?} {recalls:?}");
    }
}

#[test]
fn layers_add_up_and_lengths_do_not_matter_to_a_cosine() {
    let (layers, dims) = (2, 24);
    let row = layers * dims;
    let (items, users) = (noise(ITEMS * row, 5), noise(USERS * row, 6));
    let options = EncodeOptions::new(Metric::Cosine).bits(512);
    let plain = made(&items, &users, layers, dims, &options);
    assert!(recall(&plain.db, &items, &users, row, Metric::Cosine) > 0.75);
    // Powers of two, so that no rounding differs.
    let scaled: Vec<f32> = items.iter().enumerate().map(|(at, x)| x * [0.25, 1.0, 8.0][at / row % 3]).collect();
    let other = made(&scaled, &users, layers, dims, &options);
    for user in 0..USERS as u64 {
        assert_eq!(hits(&plain.db.nearest(user, 20).unwrap()), hits(&other.db.nearest(user, 20).unwrap()));
    }
}

#[test]
fn items_like_an_item_and_baskets_follow_the_vectors() {
    let dims = 32;
    // Three directions; an item is near one of them.
    let centres = noise(3 * dims, 7);
    let items: Vec<f32> = (noise(ITEMS * dims, 8).iter().enumerate())
        .map(|(at, x)| 0.3 * x + centres[at / dims % 3 * dims + at % dims])
        .collect();
    let Made { _dir, db, .. } = made(&items, &items[..dims], 1, dims, &EncodeOptions::new(Metric::Dot).bits(128));
    for item in 0..30u64 {
        let group = |hits: Hits| hits.iter().filter(|hit| matches!(hit.id, Id::Int(id) if id % 3 == item % 3)).count();
        assert_eq!(group(db.similar_items(item, 20).unwrap()), 20);
        assert_eq!(group(db.query().items([item, item + 3]).k(20).run().unwrap()), 20);
    }
}

#[test]
fn an_item_at_the_very_mean_is_found() {
    let Made { _dir, db, .. } = made(&[1.0, 2.0, 3.0], &[1.0, 0.0, 0.0], 1, 3, &EncodeOptions::new(Metric::Dot));
    assert_eq!(db.nearest(0u64, 5).unwrap().len(), 1);
}

#[test]
fn what_does_not_fit_is_refused_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("db")).unwrap();
    let table = |rows: usize, dims: usize| Vectors::new(noise(rows * dims, 9), 1, dims).unwrap();
    let embeddings = |items: Vectors, users: Option<Vectors>| Embeddings {
        items,
        item_ids: RowIds::RowNumbers,
        users,
        user_ids: RowIds::RowNumbers,
    };
    let options = || EncodeOptions::new(Metric::Dot);
    let huge = || {
        let mut huge = noise(40, 1);
        huge[14] = -3e38;
        Vectors::new(huge, 1, 2).unwrap()
    };
    let mut broken = noise(50, 1);
    broken[32] = f32::NAN;
    let broken = Vectors::new(broken, 1, 10).unwrap();
    for (embeddings, options, parts) in [
        (embeddings(table(5, 10), Some(table(5, 11))), options(), ["1 x 11 values", "same layers"]),
        (embeddings(broken, None), options(), ["row 3", "NaN"]),
        (embeddings(table(0, 10), None), options(), ["no items", "at least one"]),
        (embeddings(table(5, 10), None), options().bits(100), ["100 bits", "multiple of 64"]),
        (embeddings(table(5, 10), None), options().bits(192).passes(2), ["192 bits for 2 layers", "multiple of 128"]),
        (embeddings(table(5, 10), None), options().bits(6400).passes(100), ["100 passes", "1 to 32 layers"]),
        (embeddings(table(5, 10), None), options().query_planes(9), ["query_planes = 9", "1 to 8"]),
        (embeddings(huge(), None), options(), ["row 7 has the value -3e38", "scale all vectors"]),
        (embeddings(table(5, 2), Some(huge())), options(), ["row 7 has the value -3e38", "scale all vectors"]),
        (embeddings(table(5, 8192), None), options().bits(65_536).passes(1), ["2 GiB", "at most 32768 bits"]),
        (embeddings(table(1, 65_536), None), options(), ["16 GiB", "at most 4096 bits"]),
    ] {
        let text = db.import_embeddings(embeddings, &options).unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text} {parts:?}");
    }
    assert_eq!(db.stats().unwrap().items, 0);
    assert!(db.query().vector([1.0]).run().unwrap_err().to_string().contains("trained"));
    assert!(Vectors::new(vec![1.0; 5], 1, 2).is_err() && Vectors::new(Vec::new(), 0, 2).is_err());
    assert!(Vectors::new(vec![1.0; 66], 33, 2).is_err() && Vectors::new(vec![1.0; 65_537], 1, 65_537).is_err());

    db.import_embeddings(embeddings(table(5, 10), None), &options()).unwrap();
    let refused = |vector: Vec<f32>| db.query().vector(vector).run().unwrap_err().to_string();
    assert!(refused(vec![1.0; 9]).contains("pass 10 values"));
    let mut broken = vec![1.0; 10];
    broken[4] = f32::INFINITY;
    assert!(refused(broken).contains("inf at 4"));
    // Turned, values as large as these are infinite, or NaN where infinities of both signs meet.
    for seed in 0..50 {
        let mut huge: Vec<f32> = noise(10, seed).iter().map(|x| 3e38 * x.signum()).collect();
        huge[3] = -3.3e38;
        let text = refused(huge);
        assert!(["a vector", "too large", "-3.3e38 at 3", "divide"].iter().all(|part| text.contains(part)), "{text}");
    }
    assert!(refused(vec![0.0; 10]).contains("zeros"));
    assert_eq!(db.query().vector(vec![1e-20; 10]).k(9).run().unwrap().len(), 5);
}

#[test]
fn rows_without_a_direction_are_counted() {
    let dims = 8;
    let (mut items, mut users) = (noise(20 * dims, 1), noise(5 * dims, 2));
    items[3 * dims..5 * dims].fill(0.0);
    users[..dims].fill(0.0);
    let import = |items: &[f32], users: &[f32], metric| {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("db")).unwrap();
        let embeddings = Embeddings {
            items: Vectors::new(items.to_vec(), 1, dims).unwrap(),
            item_ids: RowIds::RowNumbers,
            users: Some(Vectors::new(users.to_vec(), 1, dims).unwrap()),
            user_ids: RowIds::RowNumbers,
        };
        let without_direction =
            db.import_embeddings(embeddings, &EncodeOptions::new(metric)).unwrap().without_direction;
        if users[0] == 0.0 {
            let refused = db.nearest(0u64, 3).unwrap_err().to_string();
            let parts = ["user 0 has no code", "zeros", "no interactions", "insert one", "import", ".or_popular()"];
            assert!(parts.iter().all(|part| refused.contains(part)), "{refused}");
            let refused = db.similar_users(0u64, 3).unwrap_err().to_string();
            assert!(["user 0 has no code", "zeros", "import"].iter().all(|part| refused.contains(part)), "{refused}");
            assert_eq!(db.query().user(0u64).or_popular().run().unwrap().basis(), Basis::Popularity);
            // The remedy is one.
            db.insert(0u64, 1u64).unwrap();
            assert_eq!(db.nearest(0u64, 3).unwrap().basis(), Basis::FoldIn);
        }
        without_direction
    };
    for metric in [Metric::Cosine, Metric::Dot] {
        assert_eq!(import(&items, &users, metric), 3);
        assert_eq!(import(&items[..dims], &users[dims..], metric), 0);
    }
}

#[test]
fn wide_vectors_are_encoded_as_well_as_narrow_ones() {
    // Past a thousand dimensions the rotation is made of blocks. Few dimensions carry all, so that a rotation that does not mix would show.
    let (dims, rank) = (1600, 20);
    let (items, users) = (noise(ITEMS * rank, 5), noise(USERS * rank, 6));
    let widened = |rows: &[f32]| -> Vec<f32> {
        rows.chunks_exact(rank)
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, dims - rank)))
            .collect()
    };
    let options = EncodeOptions::new(Metric::Cosine).bits(1600);
    let Made { _dir, db, .. } = made(&widened(&items), &widened(&users), 1, dims, &options);
    let wide = recall(&db, &widened(&items), &widened(&users), dims, Metric::Cosine);
    let Made { _dir, db, .. } = made(&items, &users, 1, rank, &options.clone().passes(1));
    let narrow = recall(&db, &items, &users, rank, Metric::Cosine);
    assert!(wide > narrow - 0.03 && wide > 0.8, "{wide} {narrow}");
}

#[test]
fn files_of_vectors_are_named_when_they_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("items.npy");
    let write = |shape: &[u64], values: &[f32]| {
        let mut writer = NpyWriter::create(&path, Dtype::F32, shape).unwrap();
        writer.floats(values).unwrap();
        writer.finish().unwrap();
    };
    write(&[6], &[0.0; 6]);
    assert!(Vectors::open(&path).unwrap_err().to_string().contains("[rows, dims]"));
    // No rows at all, of extents whose product is past 2^64.
    for shape in [[0, 1 << 32, 1 << 32], [0, 1 << 63, 2], [0, 1, 1 << 40]] {
        write(&shape, &[]);
        let error = Vectors::open(&path).unwrap_err().to_string();
        assert!(error.contains("items.npy") && error.contains("at most 32 layers of 65536 values"), "{error}");
    }
    write(&[2, 3], &[0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0]);
    let mut vectors = Vectors::open(&path).unwrap();
    let error = vectors.visit(|_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("items.npy"), "{error}");
    write(&[2, 1, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let mut vectors = Vectors::open(&path).unwrap();
    let mut all = Vec::new();
    for _ in 0..2 {
        vectors
            .visit(|rows| {
                all.extend_from_slice(rows);
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(all, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].repeat(2));
}
