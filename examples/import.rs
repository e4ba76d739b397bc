//! Another model's vectors: encoded, indexed, filtered and asked for by a vector; nothing is learned.
//!
//! Run with `cargo run --release --example import`.

use kithdb::{Attributes, Db, Embeddings, EncodeOptions, Metric, RowIds, Vectors};

const DIMS: usize = 64;

/// A vector near to that of its group.
fn vector(group: u64, n: u64) -> impl Iterator<Item = f32> {
    let mix = |x: u64| {
        let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..DIMS as u64).map(move |dim| mix(1 + group * 1_000 + dim) + 0.3 * mix(1_000_000 + n * 1_000 + dim))
}

fn main() -> kithdb::Result<()> {
    let path = std::env::temp_dir().join(format!("kithdb-example-import-{}.kith", std::process::id()));
    let db = Db::open(&path)?;
    let items: Vec<f32> = (0..1_000).flat_map(|n| vector(n % 20, n)).collect();
    let outcome = db.import_embeddings(
        Embeddings {
            items: Vectors::new(items, 1, DIMS)?,
            item_ids: RowIds::RowNumbers,
            users: None,
            user_ids: RowIds::RowNumbers,
        },
        &EncodeOptions::new(Metric::Cosine),
    )?;
    println!("published generation {} of {} items", outcome.generation, outcome.items);
    db.set_items((0..1_000u64).map(|item| (item, Attributes::new().set("fresh", item % 3 == 0))))?;

    // Another vector of the seventh group; all that is near to it is of its group.
    let asked: Vec<f32> = vector(7, 5_000).collect();
    for hit in db.query().vector(asked).k(5).filter("fresh").run()? {
        println!("item {} of group {}: {:.3}", hit.id, hit.id.as_u64().unwrap_or_default() % 20, hit.score);
    }
    db.close()?;
    let _ = std::fs::remove_dir_all(path);
    Ok(())
}
