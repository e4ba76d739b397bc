//! The requests of a shop.

use std::collections::BTreeMap;
use std::path::Path;

use axum::Json;
use axum::extract::{self, Query, State};
use kithdb::{Attributes, Db, Hits, Id, Side, Snapshot, Stats, Value};
use serde::{Deserialize, Serialize};

use crate::reply::{Reply, blocking};

/// What all lists are filtered by.
const IN_STOCK: &str = "in_stock";
/// What a list has at most three of each of.
const CATEGORY: &str = "category";

/// Opens the database. It keeps up by itself: compactions run in the background while it is open.
///
/// # Errors
/// As [`Db::open`].
pub fn open(path: &Path) -> kithdb::Result<Db> {
    Db::open(path)
}

/// The longest list there is: nobody looks at more, and each item's title is looked up.
const MOST: usize = 1000;

/// What is asked of a list.
#[derive(Deserialize)]
pub struct Asked {
    /// How many items, up to [`MOST`].
    #[serde(default = "ten")]
    k: usize,
    /// A condition on attributes, beside being in stock.
    filter: Option<String>,
    /// What a guest has in the basket, with commas between.
    items: Option<String>,
}

fn ten() -> usize {
    10
}

/// An item of a list.
#[derive(Serialize)]
pub struct Listed {
    id: Id,
    title: Option<String>,
    relevance: f32,
}

/// A list with titles, all of one moment.
fn listed(snapshot: &Snapshot, hits: &Hits) -> kithdb::Result<Vec<Listed>> {
    let item = |hit: &kithdb::Hit| {
        let own = snapshot.item(&hit.id)?;
        let title = own.as_ref().and_then(Attributes::title).map(str::to_owned);
        Ok(Listed { id: hit.id.clone(), title, relevance: hits.relevance(hit) })
    };
    hits.iter().map(item).collect()
}

/// The list that is asked for: of what is in stock, and at most three of a category, where the shop says so of its items.
fn shaped(snapshot: &Snapshot, query: kithdb::Query<'static>, asked: &Asked) -> kithdb::Query<'static> {
    let names = snapshot.attribute_names(Side::Item);
    let has = |name: &str| names.iter().any(|(known, _)| known == name);
    let mut query = query.k(asked.k.min(MOST)).or_popular();
    if has(IN_STOCK) {
        query = query.filter(IN_STOCK);
    }
    if has(CATEGORY) {
        query = query.at_most(3, CATEGORY);
    }
    match &asked.filter {
        Some(filter) => query.filter(filter),
        None => query,
    }
}

/// What somebody with an account may like; who is not known gets what most users have.
pub async fn for_user(
    State(db): State<Db>,
    extract::Path(user): extract::Path<String>,
    Query(asked): Query<Asked>,
) -> Reply<Vec<Listed>> {
    blocking(move || {
        let snapshot = db.snapshot();
        let hits = shaped(&snapshot, snapshot.query().user(user), &asked).run()?;
        listed(&snapshot, &hits)
    })
    .await
}

/// What a guest may like, by the basket.
pub async fn for_guest(State(db): State<Db>, Query(asked): Query<Asked>) -> Reply<Vec<Listed>> {
    blocking(move || {
        let snapshot = db.snapshot();
        let basket: Vec<&str> = asked.items.iter().flat_map(|items| items.split(',')).collect();
        let hits = shaped(&snapshot, snapshot.query().items(basket), &asked).run()?;
        listed(&snapshot, &hits)
    })
    .await
}

/// Items like an item.
pub async fn similar(
    State(db): State<Db>,
    extract::Path(item): extract::Path<String>,
    Query(asked): Query<Asked>,
) -> Reply<Vec<Listed>> {
    blocking(move || {
        let snapshot = db.snapshot();
        let hits = shaped(&snapshot, snapshot.query().similar_to(item), &asked).run()?;
        listed(&snapshot, &hits)
    })
    .await
}

/// Somebody touched something.
#[derive(Deserialize)]
pub struct Touch {
    user: String,
    item: String,
}

/// Stores a touch: it is on the disk when this is answered, and the next list of the user knows of it.
pub async fn touch(State(db): State<Db>, Json(touch): Json<Touch>) -> Reply<()> {
    blocking(move || db.insert(touch.user, touch.item)).await
}

/// A value of an attribute.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Said {
    Bool(bool),
    Number(f64),
    Text(String),
    Tags(Vec<String>),
    Nothing,
}

/// Says something of an item: what is in stock is a matter of the next list.
pub async fn set_item(
    State(db): State<Db>,
    extract::Path(item): extract::Path<String>,
    Json(said): Json<BTreeMap<String, Said>>,
) -> Reply<()> {
    let attributes = said.into_iter().fold(Attributes::new(), |attributes, (name, said)| match said {
        Said::Bool(value) => attributes.set(name, value),
        Said::Number(value) => attributes.set(name, value),
        Said::Text(value) => attributes.set(name, value),
        Said::Tags(value) => attributes.set(name, Value::from(value)),
        Said::Nothing => attributes.unset(name),
    });
    blocking(move || db.set_item(item, attributes)).await
}

/// Counts and sizes.
pub async fn stats(State(db): State<Db>) -> Reply<Stats> {
    blocking(move || db.stats()).await
}
