//! `kithdb demo`: a shop made up, loaded, trained, measured and asked.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use kithdb::{Db, IdKind, Side};
use serde::Serialize;

use super::intake::Intake;
use super::show::Show;
use super::train::{self, Preset, Settings};
use super::{eval, query};
use crate::cli::Answer;
use crate::input::{IdKinds, ReaderOptions, Source};
use crate::output::{self, Output, Table};
use crate::shop::Shop;

const CUSTOMERS: usize = 2500;
const SEED: u64 = 1;
/// The cut-off of the demo's measures.
const K: usize = 20;

/// See it work: make up a shop, load it, train, measure, ask
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb demo
  kithdb demo shop")]
pub(crate) struct Demo {
    /// A new or empty directory for the shop [default: a new one for temporary files]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What the demo came to, as printed.
#[derive(Debug, Serialize)]
struct Demonstrated {
    #[serde(serialize_with = "output::path")]
    dir: PathBuf,
    users: usize,
    interactions: u64,
    load_seconds: f64,
    train_seconds: f64,
    #[serde(rename = "recall@20")]
    recall: f64,
    #[serde(rename = "popularity_recall@20")]
    popularity_recall: f64,
    #[serde(rename = "ndcg@20")]
    ndcg: f64,
    #[serde(rename = "popularity_ndcg@20")]
    popularity_ndcg: f64,
}

impl Demo {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let dir = directory(self.dir)?;
        let (history, held_out, path) = (dir.join("history.csv"), dir.join("held-out.csv"), dir.join("shop.kith"));
        let shop = Shop::new(CUSTOMERS, SEED);
        shop.write_csv(&shop.history, &history)
            .and_then(|()| shop.write_csv(&shop.held_out, &held_out))
            .with_context(|| format!("cannot write to {}", dir.display()))?;
        output.say(&format!(
            "A shop with {} customers, {} items in {} aisles and {} purchases is in {};\neverybody's latest {} are held out to measure by.\n",
            output::count(CUSTOMERS as u64),
            output::count(shop.catalogue.items.len() as u64),
            shop.catalogue.aisles(),
            output::count((shop.history.len() + shop.held_out.len()) as u64),
            dir.display(),
            output::count(shop.held_out.len() as u64),
        ))?;

        output.say(&format!("$ kithdb load {} {}", path.display(), history.display()))?;
        let db = Db::open(&path)?;
        let strings = IdKinds { user: IdKind::Str, item: IdKind::Str };
        let options = ReaderOptions::of(strings);
        let loaded = Intake::new(vec![Source::from(history)], options.clone(), None, true, output).load(&db)?;
        output.say(&format!(
            "{} interactions in {}\n",
            output::count(loaded.interactions),
            output::seconds(loaded.seconds)
        ))?;

        output.say(&format!("$ kithdb train {}", path.display()))?;
        let trained = train::train(&db, &Settings::of_preset(Preset::Balanced))?;
        output.say(&format!("trained in {}\n", output::seconds(trained.seconds)))?;

        output.say(&format!("$ kithdb eval {} --test {} -k {K} --popularity", path.display(), held_out.display()))?;
        let (truth, _) = eval::read(&Source::from(held_out), &options, output)?;
        let (measures, popularity) = (db.evaluate(&truth, &[K], None)?, db.evaluate_popularity(&truth, &[K])?);
        let (ours, theirs) =
            (measures.at(K).copied().unwrap_or_default(), popularity.at(K).copied().unwrap_or_default());
        output.say(&comparison(&[("kithdb", ours), ("popularity", theirs)]))?;

        sample_queries(&db, &path, &shop, output)?;
        let demonstrated = Demonstrated {
            users: CUSTOMERS,
            interactions: loaded.interactions,
            load_seconds: loaded.seconds,
            train_seconds: trained.seconds,
            recall: ours.recall,
            popularity_recall: theirs.recall,
            ndcg: ours.ndcg,
            popularity_ndcg: theirs.ndcg,
            dir,
        };
        output.result(&demonstrated, |demonstrated| format!("The shop stays in {}.", demonstrated.dir.display()))?;
        Ok(Answer::Yes)
    }
}

/// Makes the demo's directory; one with something in it is left alone.
fn directory(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let Some(dir) = asked else {
        return (0..)
            .map(|n| std::env::temp_dir().join(format!("kithdb-demo-{}-{n}", std::process::id())))
            .find_map(|dir| match std::fs::create_dir(&dir) {
                Ok(()) => Some(Ok(dir)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                Err(error) => Some(Err(anyhow::Error::from(error).context(format!("cannot make {}", dir.display())))),
            })
            .context("no name is left for a temporary directory")?;
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    anyhow::ensure!(entries.next().is_none(), "{} is not empty; give a new or empty directory", dir.display());
    Ok(dir)
}

fn comparison(rankings: &[(&str, kithdb::eval::Metrics)]) -> String {
    let recall = format!(">recall@{K}");
    let ndcg = format!(">ndcg@{K}");
    let mut table = Table::new(&["", &recall, &ndcg, ">hit rate", ">coverage"]);
    for (name, m) in rankings {
        let figures = [m.recall, m.ndcg, m.hit_rate, m.coverage].map(|figure| format!("{figure:.4}"));
        table.row(std::iter::once((*name).to_owned()).chain(figures));
    }
    table.text() + "\n"
}

/// Asks for two customers and a basket.
fn sample_queries(db: &Db, path: &Path, shop: &Shop, output: &Output) -> anyhow::Result<()> {
    let show = Show::default();
    let show = show.of(db, Side::Item)?;
    for purchase in shop.history.iter().take(2) {
        let user = purchase.user.as_str();
        output.say(&format!("{user} bought most in {}.", favourites(shop, user)))?;
        output.say(&format!("$ kithdb query {} --user {user} -k 5", path.display()))?;
        output.say(&(query::text("item", &db.query().user(user).k(5).run()?, &show) + "\n"))?;
    }
    let basket = ["coffee/compact-burr-grinder", "coffee/vintage-moka-pot"];
    output.say(&format!("$ kithdb query {} --items {} -k 5", path.display(), basket.join(",")))?;
    output.say(&(query::text("item", &db.query().items(basket).k(5).run()?, &show) + "\n"))
}

/// The two aisles a customer bought most from.
fn favourites(shop: &Shop, user: &str) -> String {
    let mut counts = vec![0u32; shop.catalogue.aisles()];
    for purchase in shop.history.iter().filter(|purchase| purchase.user == user) {
        let aisle = shop.catalogue.items.get(purchase.item).map_or(0, |item| item.aisle);
        if let Some(count) = counts.get_mut(aisle) {
            *count += 1;
        }
    }
    let mut aisles: Vec<usize> = (0..counts.len()).collect();
    aisles.sort_by_key(|&aisle| std::cmp::Reverse(counts.get(aisle).copied()));
    let names: Vec<&str> = aisles.into_iter().take(2).map(|aisle| shop.catalogue.aisle_name(aisle)).collect();
    names.join(" and ")
}
