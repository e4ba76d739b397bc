//! Measurements: which engines, under which filters, and that no answer is short.

use serde_json::Value;

use crate::program::{run, trained};

fn bench(db: &str, args: &[&str]) -> Value {
    run([&["bench", db, "--queries", "60", "--json"], args].concat()).ok().json()
}

#[test]
fn a_measurement_names_its_figures() {
    let place = trained();
    let measured = bench(&place.db(), &["--threads", "2"]);
    for name in ["p50_us", "p95_us", "p99_us", "qps", "scored_per_query", "bytes_per_item", "items"] {
        assert!(measured[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {measured}");
    }
    for name in ["nodes_per_query", "heads_per_query", "buckets_per_query"] {
        assert!(measured[name].as_f64().is_some_and(|figure| figure >= 0.0), "{name}: {measured}");
    }
    assert!(measured["p50_us"].as_f64() <= measured["p95_us"].as_f64(), "{measured}");
    assert!(measured["p95_us"].as_f64() <= measured["p99_us"].as_f64(), "{measured}");
    assert_eq!(
        (&measured["users"], &measured["queries"], &measured["short_answers"]),
        (&60.into(), &60.into(), &0.into())
    );
    let asked = measured["engines"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(asked, 60);
}

#[test]
fn an_engine_can_be_forced() {
    let place = trained();
    for (engine, touched) in [("linear", "scored"), ("head", "heads"), ("tree", "nodes"), ("mih", "buckets")] {
        let measured = bench(&place.db(), &["--engine", engine]);
        assert_eq!((&measured["engine"], &measured["engines"][engine]), (&engine.into(), &60.into()), "{measured}");
        assert!(measured[format!("{touched}_per_query")].as_f64() > Some(0.0), "{measured}");
    }
    run(["bench", &place.db(), "--engine", "quantum"]).fails(2, &["quantum", "linear", "tree"]);
}

#[test]
fn regret_is_auto_over_the_best_engine() {
    let place = trained();
    let measured = bench(&place.db(), &["--regret", "3"]);
    let p50 = |name: &str| measured["p50_us"][name].as_f64().unwrap();
    let best = ["linear", "head", "tree", "mih"].map(p50).into_iter().fold(f64::INFINITY, f64::min);
    assert_eq!(p50(measured["best"].as_str().unwrap()), best);
    assert!((measured["regret"].as_f64().unwrap() - p50("auto") / best).abs() < 1e-9, "{measured}");
    assert_eq!((&measured["rounds"], &measured["short_answers"]), (&3.into(), &0.into()));
    let by_two = bench(&place.db(), &["--regret", "3", "--threads", "2"]);
    assert!(by_two["threads"] == 2 && measured["threads"] == 1 && by_two["short_answers"] == 0, "{by_two}");
    run(["bench", &place.db(), "--regret", "3", "--engine", "tree"]).fails(2, &["--engine"]);
}

#[test]
fn filters_leave_no_answer_short() {
    let place = trained();
    let items = bench(&place.db(), &[])["items"].to_string();
    let cases: &[&[&str]] = &[
        &["--allow-size", "10"],
        &["--allow-size", "10", "--deny-size", "100", "--seen-size", "50"],
        &["--allow-size", &items],
        &["--deny-size", &items],
        &["--seen-size", "30", "--deny-top", "40"],
        &["--deny-top", &items],
    ];
    for args in cases {
        let measured = bench(&place.db(), args);
        assert_eq!(measured["short_answers"], 0, "{args:?}: {measured}");
    }
    let measured = bench(&place.db(), &["--allow-size", "10"]);
    assert_eq!((&measured["engine"], &measured["allow_size"]), (&"allowed".into(), &10.into()));
}

#[test]
fn a_budget_is_kept_and_its_recall_told() {
    let place = trained();
    let measured = bench(&place.db(), &["--approximate", "200"]);
    assert!(measured["scored_per_query"].as_f64().is_some_and(|scored| scored > 0.0 && scored <= 200.0), "{measured}");
    let recall = measured["recall"].as_f64().unwrap();
    assert!(recall > 0.2 && recall < 1.0 && measured["exact"].as_f64() < Some(1.0), "{measured}");
    assert_eq!(measured["short_answers"], 0);
    let all = bench(&place.db(), &["--approximate", "1000000"]);
    assert_eq!((&all["recall"], &all["exact"]), (&1.0.into(), &1.0.into()), "{all}");
    // So few items are scanned.
    let share = bench(&place.db(), &["--recall", "0.9"]);
    let (found, expected) = (&share["recall"], &share["expected"]);
    assert_eq!((found, expected, &share["recall_of_lowest_tenth"]), (&1.0.into(), &1.0.into(), &1.0.into()), "{share}");
}

#[test]
fn more_than_there_is_can_be_asked_for() {
    let place = trained();
    let told = bench(&place.db(), &["-k", "18446744073709551615"]);
    assert_eq!(told["short_answers"], 0);
}
