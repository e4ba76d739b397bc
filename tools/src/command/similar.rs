//! `kithdb similar`: items like an item.

use clap::Args;

use super::{
    at_least_one,
    database::{self, Database},
    query,
};
use crate::cli::Answer;
use crate::output::Output;

/// Find the items most similar to an item
#[derive(Args)]
pub(crate) struct Similar {
    #[command(flatten)]
    database: Database,
    /// The item
    #[arg(value_name = "ITEM", allow_hyphen_values = true)]
    item: String,
    /// How many items to return
    #[arg(short, long, default_value = "20", value_parser = at_least_one)]
    k: usize,
}

impl Similar {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let hits = db.similar_items(database::item(&db, &self.item)?, self.k)?;
        query::print(output, &hits)
    }
}
