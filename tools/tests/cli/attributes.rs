//! What is said of items: loaded, shown, filtered by, dumped and loaded back.

use crate::program::{Place, run};

const SHOP: &str =
    "user,item\nann,kettle\nann,mug\nbob,kettle\nbob,grinder\ncho,mug\ncho,grinder\ncho,kettle\ndan,filter\n";
const ITEMS: &str = "item_id,name,price,in_stock,genres,sku\nkettle,\"Kettle, 1 l\",49.5,true,steel|sale,007\nmug,Mug,9,false,,012\n\
                     grinder,Grinder,120,true,steel,100\nfilter,Filter,3.25,true,paper|sale,101\n";

fn shop() -> (Place, String) {
    let place = Place::new();
    let db = place.db();
    run(["load", &db, &place.file("orders.csv", SHOP)]).ok();
    let loaded = run(["load-items", &db, &place.file("items.csv", ITEMS), "--json"]).ok().json();
    assert_eq!((&loaded["rows"], &loaded["rejected"]), (&4.into(), &0.into()));
    let kinds = serde_json::json!({
        "title": "text", "price": "number", "in_stock": "boolean", "genres": "tags", "sku": "text"
    });
    assert_eq!(loaded["files"][0]["attributes"], kinds, "digits that begin with 0 are no number");
    (place, db)
}

fn items(db: &str, filter: &str) -> Vec<String> {
    let hits = run(["query", db, "--user", "nobody", "--popular", "--filter", filter, "--json"]);
    assert!(hits.status <= 1, "{}", hits.stderr);
    let hits = hits.json();
    hits["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn items_are_filtered_by_what_is_said_of_them_and_shown_with_it() {
    let (_place, db) = shop();
    assert_eq!(items(&db, "price < 50 and in_stock and 'sale' in genres"), ["kettle", "filter"]);
    assert_eq!(items(&db, "not in_stock or sku = '100'"), ["grinder", "mug"]);
    assert_eq!(items(&db, "price > 1000"), [""; 0]);
    let text = run(["query", &db, "--user", "nobody", "--popular", "--show", "price,genres"]).ok().stdout;
    assert!(["title", "Kettle, 1 l", "49.5", "sale, steel"].iter().all(|word| text.contains(word)), "{text}");
    let json = run(["query", &db, "--user", "nobody", "--popular", "--show", "price", "--json"]).ok().json();
    let first =
        serde_json::json!({"id": "kettle", "score": 3.0, "title": "Kettle, 1 l", "attributes": {"price": 49.5}});
    assert_eq!(json["hits"][0], first);
    let table = run(["items", &db, "--filter", "in_stock", "--titles"]).ok().stdout;
    assert!(table.contains("Grinder") && !table.contains("Mug"), "{table}");
    let lists = run(["recommend", &db, "--all", "--popular", "--at-most", "1:in_stock", "--show", "title", "-o", "-"]);
    let lists = lists.ok().stdout;
    assert!(lists.starts_with("user,rank,item,score,title\n") && lists.contains(",Filter\n"), "{lists}");
    assert_eq!(
        lists.lines().filter(|line| line.starts_with("dan,")).count(),
        2,
        "one in stock, and one that is not: {lists}"
    );
    run(["query", &db, "--user", "ann", "--filter", "price <"]).fails(2, &["character 8", "number"]);
    run(["query", &db, "--user", "ann", "--filter", "colour = 'red'"])
        .fails(2, &["`colour`", "genres, in_stock, price"]);
    run(["query", &db, "--user", "ann", "--popular", "--at-most", "2:colour"]).fails(2, &["colour", "genres"]);
}

#[test]
fn one_item_is_changed_and_the_others_stay() {
    let (_place, db) = shop();
    let said = run(["set-item", &db, "mug", "in_stock=true", "price=8.5", "genres=clay,sale", "--json"]).ok().json();
    let expected =
        serde_json::json!({"title": "Mug", "price": 8.5, "in_stock": true, "genres": ["clay", "sale"], "sku": "012"});
    assert_eq!(said["attributes"], expected);
    assert_eq!(items(&db, "'clay' in genres"), ["mug"]);
    run(["set-item", &db, "mug", "price=", "in_stock=no"]).ok();
    assert_eq!(items(&db, "price is missing and not in_stock"), ["mug"]);
    run(["set-item", &db, "mug", "price=cheap"]).fails(2, &["price is", "cheap", "number"]);
    run(["set-item", &db, "mug", "price"]).fails(2, &["NAME=VALUE"]);
}

#[test]
fn what_is_dumped_and_loaded_is_the_same() {
    let (place, db) = shop();
    let out = place.path("items.jsonl.gz");
    run(["dump", &db, "--attributes", "items", "-o", &out]).ok();
    let again = place.path("again.kith");
    run(["load", &again, &place.path("orders.csv")]).ok();
    run(["load-items", &again, &out]).ok();
    let all = |db: &str| run(["items", db, "--show", "price,in_stock,genres,sku", "--json"]).ok().stdout;
    assert_eq!(all(&db), all(&again));
    run(["dump", &db, "--attributes", "items", "-o", &place.path("x.csv")]).fails(2, &["jsonl"]);
    let users = place.file(
        "users.jsonl",
        "{\"user\":\"ann\",\"city\":\"Aarhus\",\"plus\":true}\n{\"user\":\"bob\",\"since\":2019}\nno json\n",
    );
    let loaded = run(["load-users", &db, &users, "--json"]).ok();
    assert!(loaded.stderr.contains("users.jsonl:3"), "{}", loaded.stderr);
    assert_eq!((&loaded.json()["rows"], &loaded.json()["rejected"]), (&2.into(), &1.into()));
    run(["dump", &db, "--attributes", "users", "-o", &place.path("u.jsonl")]).ok();
    let text = std::fs::read_to_string(place.path("u.jsonl")).unwrap();
    assert_eq!(text, "{\"city\":\"Aarhus\",\"plus\":true,\"user\":\"ann\"}\n{\"since\":2019.0,\"user\":\"bob\"}\n");
}

#[test]
fn names_and_texts_that_look_like_titles_and_tags_come_back_as_they_were() {
    let place = Place::new();
    let said =
        place.file("said.jsonl", "{\"item\":\"a\",\"Item\":\"one\",\"name\":\"x\",\"labels\":\"left, right\"}\n");
    let (db, again, out) = (place.path("db.kith"), place.path("again.kith"), place.path("out.jsonl"));
    run(["load-items", &db, &said, "--item", "item", "--title", "name"]).ok();
    run(["set-item", &db, "a", "name=of its own", "title="]).ok();
    let dumped = run(["dump", &db, "--attributes", "items", "-o", &out]).ok();
    assert!(dumped.stdout.contains("--item item"), "{}", dumped.stdout);
    run(["load-items", &again, &out, "--item", "item"]).ok();
    let text = |db: &str| {
        run(["dump", db, "--attributes", "items", "-o", &place.path("text.jsonl")]).ok();
        std::fs::read_to_string(place.path("text.jsonl")).unwrap()
    };
    assert_eq!(text(&again), text(&db));
    assert!(
        text(&db).contains("\"labels\":\"left, right\"") && text(&db).contains("\"name\":\"of its own\""),
        "{}",
        text(&db)
    );
}

/// Files of the shape of MovieLens 100k: tabs, no header, times of seconds; items with `|` between, in Latin-1.
#[test]
fn films_are_recommended_with_titles_in_three_commands() {
    let place = Place::new();
    let mut ratings = String::new();
    for user in 1..=60u64 {
        for film in (1..=40u64).filter(|film| film % 2 == user % 2 && (user * 7 + film * 5) % 4 != 0) {
            ratings += &format!("{user}\t{film}\t{}\t{}\n", 3 + (user + film) % 3, 874_965_758 + user * 100 + film);
        }
    }
    let film = |n: u64| format!("{n}|Am\u{e9}lie {n} (1995)|01-Jan-1995||http://example.org/?{n}|0|{}|1\n", n % 2);
    let items: Vec<u8> = (1..=40).map(film).collect::<String>().chars().map(|c| c as u8).collect();
    let (db, data, items) = (place.path("ml.kith"), place.file("u.data", ratings), place.file("u.item", items));

    let loaded = run(["load", &db, &data, "--user", "1", "--item", "2", "--time", "4", "--items", &items]).ok();
    assert!(
        loaded.stdout.contains("40 items") && loaded.stderr.contains("Latin-1"),
        "{} {}",
        loaded.stdout,
        loaded.stderr
    );
    run(["train", &db, "--preset", "fast"]).ok();
    let hits = run(["query", &db, "--user", "7", "-k", "5", "--json"]).ok().json();

    let titles: Vec<&str> = hits["hits"].as_array().unwrap().iter().map(|hit| hit["title"].as_str().unwrap()).collect();
    assert!(titles.len() == 5 && titles.iter().all(|title| title.starts_with("Am\u{e9}lie")), "{titles:?}");
}

#[test]
fn what_cannot_be_told_is_asked_for_by_its_option() {
    let place = Place::new();
    let db = place.db();
    let refused = |content: &str, words: &[&str]| {
        run(["load-items", &db, &place.file("items", content)]).fails(2, words);
        assert!(!std::path::Path::new(&db).exists(), "{content}");
    };
    refused("1|Toy Story\n2|GoldenEye\n", &["--item", "column_1, column_2"]);
    refused("", &["empty"]);
    refused("movie,product,title\n1,2,a\n", &["movie", "product", "--item"]);
    let bad = place.file("bad.csv", "item,price\na,1\nb,2,3\n,4\nc,x\n");
    run(["load-items", &db, &bad, "--only", "price", "--json"]).ok();
    let loaded = run(["load-items", &db, &place.file("n.csv", "item,n\na,1\n")]).ok();
    assert!(loaded.stdout.contains("n (number)"), "{}", loaded.stdout);
    let misfit = run(["load-items", &db, &place.file("m.csv", "item,n\na,1\nb,one\n")]).ok();
    assert!(misfit.stderr.contains("m.csv:3") && misfit.stderr.contains("number"), "{}", misfit.stderr);
}
