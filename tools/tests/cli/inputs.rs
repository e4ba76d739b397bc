//! Inputs of the kinds that once went in silently wrong: each is loaded as it should be, or refused with what to do.

use crate::program::{Place, run};

/// A file, its content, how the run ends, interactions that are new, and words that are told.
type Input = (&'static str, &'static [u8], i32, u64, &'static [&'static str]);

const INPUTS: &[Input] = &[
    ("nan.csv", b"user,item,weight\na,b,nan\nc,d,1\n", 0, 1, &["nan.csv:2", "weight"]),
    ("inf.csv", b"user,item,weight\na,b,inf\nc,d,1\n", 0, 1, &["inf.csv:2", "weight"]),
    ("negative.csv", b"user,item,weight\na,b,-3\nc,d,1\n", 0, 1, &["negative.csv:2", "above 0"]),
    ("last.csv", b"user,item,time\na,b,9223372036854775807\nc,d,1700000000\n", 0, 2, &["after 2100", "--time-unit"]),
    ("word.csv", b"user,item,time\na,b,yesterday\nc,d,2024-01-15T10:00:00Z\n", 0, 1, &["word.csv:2", "ISO 8601"]),
    ("day.csv", b"user,item,date\na,b,2024-01-15\nc,d,2024-02-30\n", 0, 1, &["day.csv:3", "2024-02-30"]),
    (
        "micro.csv",
        b"user,item,time\na,b,1705312800000000\nc,d,1705312800000001\n",
        0,
        2,
        &["microseconds", "--time-unit"],
    ),
    ("triples.txt", b"1,2,5\n2,3,4\n3,4,1\n", 2, 0, &["no column named user"]),
    ("quads.txt", b"1 2 5 874965758\n2 3 4 874965759\n", 2, 0, &["two ways", "--format lightgcn"]),
    ("semicolons.txt", b"user;item\na;b\nc;d\n", 0, 2, &[]),
    ("bars.dat", b"user|item|rating\na|b|5\n", 0, 1, &["rating is ignored", "--min-rating"]),
    ("colons.dat", b"user::item\na::b\n", 0, 1, &[]),
    ("quote.csv", b"user,item\na,\"b\nc,d\ne,f\n", 0, 2, &["quote.csv:2", "not closed"]),
    ("wide.csv", b"\xff\xfeu\0s\0e\0r\0", 2, 0, &["UTF-16", "iconv"]),
    ("archive.csv", b"PK\x03\x04abc", 2, 0, &["zip archive", "unpack"]),
    ("mac.csv", b"user,item\ra,b\rc,d\r", 2, 0, &["lines end with \\r alone"]),
    ("lacks.csv", b"user,price\na,5\n", 2, 0, &["no column named item"]),
    ("two.csv", b"customer,client,item\na,b,c\n", 2, 0, &["customer", "client", "--user"]),
    ("lines.jsonl", b"{\"user\":\"a\",\"item\":\"b\"}\n{\"user\":\"c\"}\nnope\n", 0, 1, &["lines.jsonl:3", "no JSON"]),
    ("ragged.csv", b"user,item,time\na,b\nc,d,1700000000,9\ne,f,1700000000\n", 0, 1, &["ragged.csv:3", "4 columns"]),
    ("header.csv", b"user,item\n", 1, 0, &["nothing to load", "no database was made"]),
    ("latin.csv", b"user,item\na,caf\xe9\nc,d\n", 0, 1, &["latin.csv:2", "UTF-8", "iconv"]),
    // Files that were put together of several.
    ("again.csv", b"user,item\na,b\nuser_id,item_id\nc,d\n", 0, 2, &["again.csv:3", "another header"]),
    (
        "turned.csv",
        b"user,item\na,b\nitem,user\nx,u\ny,v\n",
        2,
        0,
        &["beyond line 3", "another order", "1 interactions"],
    ),
    (
        "others.csv",
        b"user,item,at\na,b,\nproduct_id,date,customer_id\nx,,u\n",
        2,
        0,
        &["beyond line 3", "another order"],
    ),
    ("words.csv", b"user,item\nguest,wine\nguest,book\nmember,photo\n", 0, 3, &[]),
    (
        "kitchens.csv",
        b"customer,product,category\nalice,kettle,kitchen\ncustomer,wine,wine\nbob,mug,kitchen\n",
        0,
        3,
        &[],
    ),
    (
        "zone.csv",
        b"user,item,time\na,b,2024-07-15T10:00:00[Europe/Berlin]\nc,d,2024-07-15T10:00:00+02:00[Europe/Berlin]\n",
        0,
        1,
        &["zone.csv:2"],
    ),
    ("marks.csv", b"user,item\na,b\n\xef\xbb\xbfc,d\n", 0, 2, &[]),
    ("unseen.csv", b"user,item\na,b\nc\xe2\x80\x8b,d\n", 0, 2, &["not seen", "line 3", "1 in all"]),
    ("within.csv", b"user,item\na,b\n# of May,x\nc,d\n", 0, 3, &["comments", "line 3", "1 in all"]),
    ("lists.txt", b"0: 1 2 3\n1 2 3\n", 0, 2, &["lists.txt:1", "a colon"]),
    ("named.csv", b"user,item\nstudent,b1\nu1,movie\n", 0, 2, &[]),
    ("pieces.csv", b"user,item\na,b\nc\0,\0d\0\n", 0, 2, &["NUL", "line 3", "2 in all"]),
    // What stands above the rows, or between them, and is none.
    ("snap.txt", b"# Directed graph\n# From To\n0\t1\n0\t2\n1\t2\n", 2, 0, &["comment", "grep -v"]),
    ("percent.csv", b"% MovieLens\nuser,item\na,b\n", 2, 0, &["comment", "grep -v"]),
    ("sep.csv", b"sep=;\nuser;item\na;b\n", 2, 0, &["separators", "tail -n +2"]),
    ("coo.mtx", b"%%MatrixMarket matrix coordinate real general\n3 3 1\n1 2 5.0\n", 2, 0, &["Matrix Market", "tail"]),
    ("table.md", b"| user | item |\n|------|------|\n| a | b |\n", 0, 1, &["table.md:2", "dashes"]),
    ("twice.csv", b"user,item\r\r\na,b\r\r\nc,d\r\r\n", 0, 2, &[]),
    // Ids that may be none, or have been changed.
    ("null.csv", b"user,item\nNULL,a\nu,nan\nv,b\n", 0, 3, &["\"NULL\" of line 2", "missing", "2 in all"]),
    ("float.csv", b"user,item\n1.0,2.0\n3,4\n", 0, 2, &["\"1.0\" of line 2", "floats"]),
    ("excel.csv", b"user,item\n1.23457E+12,5\n1.23457E+12,6\n", 0, 2, &["\"1.23457E+12\" of line 2", "spreadsheet"]),
    // Numbers as other countries write them.
    ("comma.csv", b"user;item;weight\na;b;1,5\nc;d;2\n", 0, 1, &["comma.csv:2", "a point before decimals"]),
    ("grouped.csv", b"user,item,count\na,b,\"1,234\"\nc,d,2\n", 0, 1, &["grouped.csv:2", "nothing between thousands"]),
    ("points.csv", b"user;item;count\na;b;1.234\nc;d;2.000\n", 0, 2, &["1.234", "between thousands"]),
    ("day.csv", b"user,item,date\na,b,31.12.2023\nc,d,2024-01-15\n", 0, 1, &["day.csv:2", "--time none"]),
    // Columns that say that a row is no wish.
    ("event.csv", b"user,item,event_type\na,b,view\na,c,remove_from_cart\n", 0, 2, &["event_type is ignored"]),
    ("label.csv", b"user,item,clicked\na,b,True\na,c,False\n", 0, 2, &["clicked is ignored", "--min-rating"]),
    // A name beside an id.
    ("both.csv", b"user,user_id,artist,artist_id\nAnn,1,X,7\nAnn,2,X,8\n", 0, 2, &[]),
];

#[test]
fn every_input_is_loaded_or_refused_by_name() {
    for &(name, content, status, new, words) in INPUTS {
        let place = Place::new();
        let loaded = run(["load", &place.db(), &place.file(name, content), "--json"]);
        assert_eq!(loaded.status, status, "{name}: {} {}", loaded.stdout, loaded.stderr);
        for word in words {
            assert!(loaded.stderr.contains(word), "{name}: {word:?} is not in {:?}", loaded.stderr);
        }
        match status {
            0 => assert_eq!(loaded.json()["new"], new, "{name}"),
            // It ended in the middle.
            _ if loaded.stderr.contains("stopped after") => {}
            _ => assert!(!std::path::Path::new(&place.db()).exists(), "{name}: an empty database was left"),
        }
    }
}

/// A file about items: its content, how the run ends, rows loaded, and words that are told.
const SAID: &[Input] = &[
    ("quote.csv", b"item,note\na,\"b\nc,d\ne,f\n", 0, 2, &["quote.csv:2", "not closed"]),
    ("wide.csv", b"\xff\xfei\0t\0", 2, 0, &["UTF-16", "iconv"]),
    ("archive.csv", b"PK\x03\x04abc", 2, 0, &["zip archive", "unpack"]),
    ("mac.csv", b"item,note\ra,b\r", 2, 0, &["lines end with \\r alone"]),
    ("ragged.csv", b"item,note\na,b,c\nd,e\n", 0, 1, &["ragged.csv:2", "3 columns"]),
    ("two.csv", b"movie,product,title\na,b,c\n", 2, 0, &["movie and product", "--item"]),
    ("lines.jsonl", b"{\"item\":\"a\",\"note\":\"b\"}\nnope\n", 0, 1, &["lines.jsonl:2"]),
    ("turned.csv", b"item,name\na,b\nname,item\nc,d\n", 2, 0, &["turned.csv:3", "another order"]),
    ("twice.csv", b"item,price,price\na,1,2\n", 2, 0, &["two columns are price", "--names"]),
    ("rows.csv", b",item,price\n0,a,1\n1,b,2\n", 0, 2, &[]),
];

#[test]
fn every_file_about_items_is_loaded_or_refused_by_name() {
    for &(name, content, status, rows, words) in SAID {
        let place = Place::new();
        let loaded = run(["load-items", &place.db(), &place.file(name, content), "--json"]);
        assert_eq!(loaded.status, status, "{name}: {} {}", loaded.stdout, loaded.stderr);
        for word in words {
            assert!(loaded.stderr.contains(word), "{name}: {word:?} is not in {:?}", loaded.stderr);
        }
        if status == 0 {
            assert_eq!(loaded.json()["rows"], rows, "{name}");
        }
    }
    for option in ["--only", "--title", "--tags", "--texts"] {
        let place = Place::new();
        let file = place.file("items.csv", b"item,price\na,5\n");
        let loaded = run(["load-items", &place.db(), &file, option, "prise"]);
        assert!(
            loaded.status == 2 && loaded.stderr.contains("prise") && loaded.stderr.contains("price"),
            "{}",
            loaded.stderr
        );
    }
}

#[test]
fn a_header_beside_interactions_is_no_item() {
    for (items, told) in [
        (&b"movie,product,title\na,b,c\n"[..], "movie and product"),
        (b"code,label,price\ni,kettle,5\n", "which column"),
    ] {
        let place = Place::new();
        let history = place.file("history.csv", b"user,item\nu,i\n");
        let loaded = run(["load", &place.db(), &history, "--items", &place.file("about.csv", items)]);
        assert!(loaded.status == 2 && loaded.stderr.contains(told), "{} {}", loaded.stdout, loaded.stderr);
        assert!(loaded.stdout.contains("1 "), "what was loaded is told: {}", loaded.stdout);
        let listed = run(["items", &place.db(), "--json"]);
        assert!(!listed.stdout.contains("movie") && !listed.stdout.contains("code"), "{}", listed.stdout);
    }
    // One without a header begins with an item that is known.
    let place = Place::new();
    let history = place.file("history.csv", b"user,item\nu,i\n");
    let loaded = run(["load", &place.db(), &history, "--items", &place.file("about.csv", b"i|Kettle\nj|Mug\n")]);
    assert_eq!(loaded.status, 0, "{}", loaded.stderr);
    assert!(run(["items", &place.db(), "--titles", "--json"]).stdout.contains("Kettle"));
}
