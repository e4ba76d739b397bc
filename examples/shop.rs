//! A small shop: opens a database, loads interactions, trains in the background, recommends.
//!
//! Run with `cargo run --release --example shop`.

use std::time::Duration;

use kithdb::{Db, Interaction, Preset, TrainOptions};

fn main() -> kithdb::Result<()> {
    let path = std::env::temp_dir().join("kithdb-example-shop.kith");
    let db = Db::open(&path)?;

    // History: 300 visitors, each drawn to one of three aisles.
    let aisles = ["coffee", "garden", "books"];
    let history = (0..300u32).flat_map(|visitor| {
        let aisle = aisles[visitor as usize % aisles.len()];
        (0..40u32)
            .filter(move |item| (visitor.wrapping_mul(2_654_435_761) >> (item % 29)) & 1 == 1)
            .map(move |item| Interaction::new(format!("visitor-{visitor}"), format!("{aisle}-{item}")))
    });
    println!("stored {} interactions", db.insert_many(history)?);

    // Training runs in the background; queries would be answered meanwhile.
    let job = db.train(TrainOptions::new(Preset::Balanced))?;
    while !job.wait_timeout(Duration::from_millis(200)) {
        let progress = job.progress();
        println!("{}: {} of {}", progress.phase, progress.step, progress.of);
    }
    println!("published generation {}", job.wait()?.generation);

    // A known visitor, what is in stock only.
    let in_stock = db.item_set((0..40).step_by(2).map(|item| format!("garden-{item}")))?;
    println!("for visitor-1, in stock:");
    for hit in db.query().user("visitor-1").k(5).allow(&in_stock).run()? {
        println!("  {:<12} {:.3}", hit.id.to_string(), hit.score);
    }

    // A visitor without an account, by the basket alone.
    println!("for a basket:");
    for hit in db.query().items(["coffee-3", "coffee-7"]).k(5).run()? {
        println!("  {:<12} {:.3}", hit.id.to_string(), hit.score);
    }
    Ok(())
}
