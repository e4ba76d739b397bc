//! All interactions out, and in again.

use crate::program::{Place, run, trained};

fn hash(db: &str) -> String {
    run(["train", db, "--preset", "fast", "--json"]).ok().json()["content_hash"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_dumped_and_loaded_trains_to_the_same_codes() {
    let place = trained();
    let before = hash(&place.db());
    for name in ["all.csv", "all.jsonl", "all.csv.gz", "all.jsonl.zst"] {
        let (out, db) = (place.path(name), place.path(&format!("{name}.kith")));
        let dumped = run(["dump", &place.db(), "-o", &out, "--json"]).ok().json();
        let loaded = run(["load", &db, &out, "--json"]).ok().json();
        assert_eq!((&loaded["interactions"], &loaded["rejected"]), (&dumped["interactions"], &0.into()), "{name}");
        assert_eq!(hash(&db), before, "{name}");
    }
}

#[test]
fn ids_weights_and_times_come_back_as_they_were() {
    let place = Place::new();
    let rows = "user,item,weight,time\n7,1,2.5,1705312800\n7,2,1,1705312800123\n9,1,0.1,\n";
    run(["load", &place.db(), &place.file("a.csv", rows), "--id-type", "u64"]).ok();
    let text = run(["dump", &place.db(), "-o", &place.path("b.csv")]).ok().stdout;
    assert!(text.contains("--id-type u64"), "{text}");
    let again = place.path("again.kith");
    run(["load", &again, &place.path("b.csv"), "--id-type", "u64"]).ok();
    let strings = "user,item\n\" ann \",\"a,\"\"b\"\"\"\n5,-5\n";
    run(["load", &place.path("s.kith"), &place.file("s.csv", strings)]).ok();
    run(["dump", &place.path("s.kith"), "-o", &place.path("t.csv")]).ok();
    run(["load", &place.path("t.kith"), &place.path("t.csv")]).ok();
    for (one, other, user) in [
        (place.db(), again.clone(), "7"),
        (place.db(), again, "9"),
        (place.path("s.kith"), place.path("t.kith"), "\" ann \""),
        (place.path("s.kith"), place.path("t.kith"), "5"),
    ] {
        let [one, other] = [one, other].map(|db| run(["history", &db, user, "--json"]).ok().stdout);
        assert_eq!(one, other);
    }
}

#[test]
fn a_dump_tells_what_repeats_mean() {
    let place = Place::new();
    let file = place.file("plays.csv", "user,item,weight\nann,tune,2\nann,tune,3\n");
    run(["load", &place.db(), &file, "--repeats", "sum"]).ok();
    let text = run(["dump", &place.db(), "-o", &place.path("all.csv")]).ok().stdout;
    assert!(text.contains("NEW FILE --repeats sum`"), "{text}");
    let again = place.path("again.kith");
    run(["load", &again, &place.path("all.csv"), "--repeats", "sum"]).ok();
    let [one, other] = [place.db(), again].map(|db| run(["history", &db, "ann", "--json"]).ok().stdout);
    assert_eq!(one, other);
}

#[test]
fn times_past_the_calendar_come_back_as_they_were() {
    let place = Place::new();
    let rows = "user,item,time\na,b,9000000000000000\nc,d,8888888888888888888\ne,f,1705312800000\n";
    run(["load", &place.db(), &place.file("a.csv", rows), "--time-unit", "ms"]).ok();
    for name in ["b.csv", "b.jsonl"] {
        let (out, again) = (place.path(name), place.path(&format!("{name}.kith")));
        let options = run(["dump", &place.db(), "-o", &out, "--json"]).ok().json()["load_options"].clone();
        let options: Vec<&str> = options.as_str().unwrap().split_whitespace().collect();
        assert_eq!(options, ["--time-unit", "ms"]);
        run([&["load", &again, &out][..], &options].concat()).ok();
        for user in ["a", "c", "e"] {
            let [one, other] = [&place.db(), &again].map(|db| run(["history", db, user, "--json"]).ok().stdout);
            assert_eq!(one, other, "{name}");
        }
    }
}

#[test]
fn large_attributes_beside_long_ids_come_back_as_they_were() {
    let place = Place::new();
    let items = "{\"item\":\"12345678901234567890\",\"vol\":1e20,\"title\":\"parcel 1234567890123456789 \\\" 5\"}\n{\"item\":\"b\",\"vol\":-0.12345678901234567890}\n";
    run(["load", &place.db(), &place.file("a.csv", "user,item\nu,12345678901234567890\nu,b\n")]).ok();
    run(["load-items", &place.db(), &place.file("i.jsonl", items), "--item", "item"]).ok();
    let out = place.path("said.jsonl");
    run(["dump", &place.db(), "--attributes", "items", "-o", &out]).ok();
    let told = run(["load-items", &place.db(), &out, "--item", "item", "--json"]).ok().json();
    assert_eq!((&told["unchanged"], &told["rejected"]), (&2.into(), &0.into()), "{told}");
    let cut = place.file("cut.jsonl", "{\"item\":\"b\",\"vol\":123456789012345678901}\n");
    let told = run(["load-items", &place.db(), &cut, "--item", "item", "--json"]).fails(1, &["more digits"]).json();
    assert_eq!(told["rejected"], 1, "{told}");
}
