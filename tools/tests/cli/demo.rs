//! The demo, whole.

use std::path::Path;

use crate::program::{Place, run};

#[test]
fn the_demo_beats_popularity_and_leaves_a_shop_to_play_with() {
    let place = Place::new();
    let dir = place.path("demo");
    let demo = run(["demo", &dir, "--json"]).ok().json();
    assert!(demo["users"].as_u64() >= Some(2000) && demo["interactions"].as_u64() >= Some(50_000), "{demo}");
    let (ours, popular) = (demo["recall@20"].as_f64().unwrap(), demo["popularity_recall@20"].as_f64().unwrap());
    assert!(popular > 0.05 && ours > 1.5 * popular, "{ours} {popular}");
    assert_eq!(demo["dir"], dir.as_str());
    let db = Path::new(&dir).join("shop.kith");
    run([Path::new("stats"), &db]).ok();
    // What is there already is left alone.
    run(["demo", &dir]).fails(2, &["not empty"]);
}
