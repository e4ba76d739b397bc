//! The same interactions, options and seed give the same content hash, at any number of threads.
#![allow(clippy::unwrap_used)]

mod shop;

use kithdb::{Db, Preset, TrainOptions};

fn hash(options: TrainOptions) -> String {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("db.kith")).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    db.train(options).unwrap().wait().unwrap().content_hash
}

#[test]
fn threads_do_not_matter_and_seeds_do() {
    for preset in [Preset::Fast, Preset::Balanced] {
        let options = || TrainOptions::new(preset).bits(192).seed(7);
        let one = hash(options().threads(1));
        assert_eq!(hash(options().threads(2)), one, "{preset:?}, two threads");
        assert_eq!(hash(options().threads(3)), one, "{preset:?}, three threads");
        assert_ne!(hash(options().seed(8)), one, "{preset:?}, another seed");
    }
}
