//! A batch job: everybody's list of what is in stock, at most two of a category, all of one moment, as csv on stdout.
//!
//! Run with `cargo run --release --example batch`.

use kithdb::{Attributes, Db, Error, Preset, TrainOptions};

fn main() -> kithdb::Result<()> {
    let path = std::env::temp_dir().join(format!("kithdb-example-batch-{}.kith", std::process::id()));
    let db = Db::options().background(false).open(&path)?;
    // A shop of three aisles, each customer of one of them.
    let touches = (0..200u32)
        .flat_map(|user| (0..30u32).filter(move |item| (user * 7 + item * 5) % 4 != 0).map(move |item| (user, item)));
    db.insert_many(touches.map(|(user, item)| (u64::from(user), u64::from(item * 3 + user % 3))))?;
    db.set_items((0..90u32).map(|item| {
        let said = Attributes::titled(format!("Item {item}"))
            .set("in_stock", item % 5 != 0)
            .set("category", format!("shelf {}", item % 12));
        (u64::from(item), said)
    }))?;
    db.train(TrainOptions::new(Preset::Fast))?.wait()?;

    let snapshot = db.snapshot();
    let query = snapshot.query().k(5).filter("in_stock").at_most(2, "category");
    let (users, mut without) = (snapshot.users(), 0);
    // Some thousands at a time: lists are held until they are written.
    for users in users.chunks(4096) {
        for (user, hits) in users.iter().zip(query.run_for(users)) {
            match hits {
                Ok(hits) => hits.iter().for_each(|hit| println!("{user},{},{}", hit.id, hits.relevance(hit))),
                Err(Error::NoHistory { .. } | Error::NoDirection { .. }) => without += 1,
                Err(error) => return Err(error),
            }
        }
    }
    eprintln!("{} users, {without} of them with nothing to go by", users.len());
    drop(query);
    db.close()?;
    let _ = std::fs::remove_dir_all(path);
    Ok(())
}
