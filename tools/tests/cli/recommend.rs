//! Lists for many users at once, and who and what there is.

use serde_json::Value;

use crate::program::{Place, command, run, trained};

fn lists(place: &Place, extra: &[&str]) -> Vec<(String, Vec<String>)> {
    let (db, out) = (place.db(), place.path("recs.jsonl"));
    run([&["recommend", &db, "-k", "5", "-o", &out], extra].concat()).ok();
    let text = std::fs::read_to_string(out).unwrap();
    let id = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |line: &str| {
        let list: Value = serde_json::from_str(line).unwrap();
        let items = list["items"].as_array().unwrap().iter().map(|item| id(&item["id"])).collect();
        (id(&list["user"]), items)
    };
    text.lines().map(list).collect()
}

#[test]
fn everybody_gets_the_list_they_would_get_alone() {
    let place = trained();
    let lists = lists(&place, &["--all"]);
    let users = run(["users", &place.db(), "--json"]).ok().json();
    assert_eq!(lists.len(), users["users"].as_array().unwrap().len());
    for (user, items) in lists.iter().step_by(37) {
        let alone = run(["query", &place.db(), "--user", user, "-k", "5", "--json"]).ok().json();
        let alone: Vec<&str> =
            alone["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect();
        assert_eq!(*items, alone, "{user}");
    }
}

#[test]
fn some_users_and_some_items_can_be_named() {
    let place = trained();
    let all = lists(&place, &["--all"]);
    let [(first, best), (second, _), ..] = &all[..] else { panic!("{} lists", all.len()) };
    let users = place.file("users.txt", format!("{second}\nnobody\n{first}\n"));
    let deny = place.file("deny.txt", best.join("\n"));
    let some = lists(&place, &["--users", &users, "--deny", &deny]);
    assert_eq!(some.iter().map(|(user, _)| user).collect::<Vec<_>>(), [second, first]);
    assert!(some.iter().all(|(_, items)| items.len() == 5 && items.iter().all(|item| !best.contains(item))));
    let (db, out) = (place.db(), place.path("some.csv"));
    let json = run(["recommend", &db, "--users", &users, "-k", "3", "-o", &out, "--json"]).ok().json();
    assert_eq!((&json["users"], &json["items"], &json["without"]), (&2.into(), &6.into(), &1.into()));
    let text = std::fs::read_to_string(&out).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["user", "rank", "item", "score"]);
    assert_eq!(rows[1..].iter().map(|row| row[1]).collect::<Vec<_>>(), ["1", "2", "3", "1", "2", "3"]);
    assert!(rows[4][0] == first && rows[4][2] == best[0], "{text}");
    let popular = run(["recommend", &db, "--users", &users, "--popular", "-o", &out, "--json"]).ok().json();
    assert_eq!((&popular["users"], &popular["without"]), (&3.into(), &0.into()));
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let place = trained();
    let (db, out) = (place.db(), place.path("recs.txt"));
    run(["recommend", &db, "--all", "-o", &out]).fails(2, &["recs.txt", "--form csv"]);
    let missing = place.path("no/such/recs.csv");
    run(["recommend", &db, "--all", "-o", &missing]).fails(2, &["cannot write", "no/such/recs.csv"]);
    run(["recommend", &db, "--all", "-k", "2", "-o", &out, "--form", "csv"]).ok();
    let names: Vec<String> = std::fs::read_dir(place.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("recs"))
        .collect();
    assert_eq!(names, ["recs.txt"]);
    let printed = run(["recommend", &db, "--all", "-k", "2", "-o", "-"]).ok();
    assert_eq!((printed.stdout, printed.stderr), (std::fs::read_to_string(out).unwrap(), String::new()));
}

#[test]
fn lists_of_users_and_items_are_read_back() {
    let place = Place::new();
    let db = place.db();
    let rows = "user,item\nann,\"salt, fine\"\nann,\" tea \"\nbob,cup\n";
    run(["load", &db, &place.file("a.csv", rows)]).ok();
    assert_eq!(run(["users", &db]).ok().stdout, "ann\nbob\n");
    let items = run(["items", &db]).ok().stdout;
    assert_eq!(items, "\"salt, fine\"\n\" tea \"\ncup\n");
    let allow = place.file("items.txt", items);
    let hits = run(["query", &db, "--user", "x", "--popular", "--allow", &allow, "--strict", "--json"]).ok().json();
    assert_eq!(hits["hits"].as_array().unwrap().len(), 3);
    run(["items", &db, "--retired"]).fails(1, &[]);
    run(["retire", &db, "cup"]).ok();
    assert_eq!(run(["items", &db, "--retired"]).ok().stdout, "cup\n");
    assert_eq!(run(["items", &db, "--json"]).ok().json()["items"][1], " tea ");
}

#[test]
fn users_like_a_user_are_found_and_lists_of_similar_items_filtered() {
    let place = trained();
    let db = place.db();
    let users = run(["users", &db, "--json"]).ok().json();
    let user = users["users"][0].as_str().unwrap();
    let hits = run(["similar-users", &db, user, "-k", "3", "--json"]).ok().json();
    let found: Vec<&str> = hits["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect();
    assert!(found.len() == 3 && !found.contains(&user), "{found:?}");
    assert!(run(["similar-users", &db, user]).ok().stdout.contains("user"));
    let item = run(["items", &db, "--json"]).ok().json()["items"][0].as_str().unwrap().to_owned();
    let like = |extra: &[&str]| -> Vec<String> {
        let hits = run([&["similar", &db, &item, "-k", "4", "--json"], extra].concat()).ok().json();
        hits["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
    };
    let best = like(&[]);
    let rest = like(&["--deny", &place.file("deny.txt", best.join("\n"))]);
    assert!(rest.len() == 4 && rest.iter().all(|item| !best.contains(item)), "{rest:?}");
}

#[test]
fn shells_are_told_of_the_commands() {
    let script = run(["completions", "bash"]).ok().stdout;
    assert!(script.contains("recommend") && script.contains("_kithdb"));
}

#[test]
fn what_a_link_leads_to_is_written_and_nothing_else_is() {
    let place = trained();
    let (db, real, link) = (place.db(), place.file("real.csv", "earlier"), place.path("link.csv"));
    let mine = place.file("real.csv.part", "mine");
    std::os::unix::fs::symlink("real.csv", &link).unwrap();
    run(["dump", &db, "-o", &link]).ok();
    let rows = std::fs::read_to_string(&real).unwrap();
    assert!(rows.starts_with("user,item,weight,time\n") && std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    // One that leads nowhere yet.
    let ahead = place.path("ahead.csv");
    std::os::unix::fs::symlink(place.path("later.csv"), &ahead).unwrap();
    run(["dump", &db, "-o", &ahead]).ok();
    assert_eq!(std::fs::read_to_string(place.path("later.csv")).unwrap(), rows);
    assert!(std::fs::symlink_metadata(&ahead).unwrap().is_symlink());
    // Names of stdout are stdout: of a pipe, and of a file, which has the rows and nothing over them.
    for name in ["-", "/dev/stdout", "/proc/self/fd/1"] {
        assert_eq!(run(["dump", &db, "-o", name, "--form", "csv"]).ok().stdout, rows, "{name}");
        let out = std::fs::File::create(place.path("out.csv")).unwrap();
        let status = command(["dump", &db, "-o", name, "--form", "csv"]).stdout(out).status().unwrap();
        assert_eq!((status.code(), std::fs::read_to_string(place.path("out.csv")).unwrap()), (Some(0), rows.clone()));
    }
    assert!(std::fs::symlink_metadata("/dev/stdout").unwrap().is_symlink());
}

#[test]
fn what_cannot_be_written_is_named() {
    let place = trained();
    let db = place.db();
    for args in [&["dump"][..], &["recommend", "--all"], &["report"]] {
        let args = [&args[..1], &[db.as_str()], &args[1..], &["-o", "/dev/full"]].concat();
        let form = if args[0] == "report" { &[][..] } else { &["--form", "csv"] };
        run([&args, form].concat()).fails(2, &["cannot write /dev/full", "No space left"]);
    }
}

#[test]
fn json_prints_objects_and_nothing_else() {
    let place = trained();
    let db = place.db();
    for args in [&["dump", &db, "-o", "-", "--json"][..], &["recommend", &db, "--all", "-o", "-", "--json"]] {
        let lines = run(args).ok().stdout;
        assert!(lines.lines().count() > 10);
        assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).unwrap().is_object()));
        let run = run([args, &["--form", "csv"]].concat()).fails(2, &["--form jsonl"]);
        assert!(run.json()["error"].is_string());
    }
    assert!(run(["report", &db, "-o", "-", "--json"]).fails(2, &["-o"]).json()["error"].is_string());
    let out = place.path("said.jsonl");
    let items = place.file("items.csv", "item,price\ntea/classic-teapot,7\n");
    run(["load-items", &db, &items]).ok();
    assert_eq!(run(["dump", &db, "--attributes", "items", "-o", &out, "--json"]).ok().json()["items"], 1);
}
