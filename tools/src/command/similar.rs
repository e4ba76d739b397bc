//! `kithdb similar` and `kithdb similar-users`: items like an item, users like a user.

use clap::Args;
use kithdb::Side;

use super::at_least_one;
use super::database::{self, Database};
use super::list_shape::ListShape;
use super::query;
use super::show::Show;
use crate::cli::Answer;
use crate::output::Output;

/// Find the items most similar to an item
#[derive(Args)]
#[command(after_help = "Example:
  kithdb similar shop.kith kettle -k 5 --deny sold-out.txt")]
pub(crate) struct Similar {
    #[command(flatten)]
    database: Database,
    /// The item
    #[arg(value_name = "ITEM", allow_hyphen_values = true)]
    item: String,
    #[command(flatten)]
    shape: ListShape,
}

/// Find the users most similar to a user, of those the training has seen
#[derive(Args)]
#[command(after_help = "Example:
  kithdb similar-users shop.kith alice -k 5")]
pub(crate) struct SimilarUsers {
    #[command(flatten)]
    database: Database,
    /// The user
    #[arg(value_name = "USER", allow_hyphen_values = true)]
    user: String,
    /// How many users to return
    #[arg(short, long, default_value = "20", value_parser = at_least_one)]
    k: usize,
    #[command(flatten)]
    show: Show,
}

impl Similar {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.read()?;
        let show = self.shape.show.of(&db, Side::Item)?;
        let sets = self.shape.sets(&db, output)?;
        let similar = db.query().similar_to(database::item(&db, &self.item)?);
        query::print(output, "item", &self.shape.of(similar, &sets).run()?, &show)
    }
}

impl SimilarUsers {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.read()?;
        let show = self.show.of(&db, Side::User)?;
        let hits = db.similar_users(database::user(&db, &self.user)?, self.k)?;
        query::print(output, "user", &hits, &show)
    }
}
