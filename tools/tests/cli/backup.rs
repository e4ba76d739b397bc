//! A copy, and back.

use crate::program::{run, trained};

#[test]
fn what_is_restored_answers_as_before() {
    let place = trained();
    let (copy, again) = (place.path("copy.kith"), place.path("again.kith"));
    run(["set-item", &place.db(), "coffee/compact-burr-grinder", "title=Grinder"]).ok();
    let user = run(["users", &place.db()]).ok().stdout.lines().next().unwrap().to_owned();
    let list = |db: &str| run(["query", db, "--user", &user, "--json"]).ok().json()["hits"].clone();
    let before = list(&place.db());
    let told = run(["backup", &place.db(), &copy]).ok().stdout;
    assert!(told.contains("sound"), "{told}");
    run(["restore", &copy, &again]).ok();
    assert_eq!((list(&copy), list(&again)), (before.clone(), before));
    run(["restore", &copy, &again]).fails(2, &["again.kith"]);
    run(["backup", &place.db(), &format!("{}/inside", place.db())]).fails(2, &["inside", "is to be copied"]);
    run(["restore", &place.path("nothing"), &place.path("new")]).fails(2, &["nothing"]);
}
