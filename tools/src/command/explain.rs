//! `kithdb explain`: why an item has the score it has for a user.

use clap::Args;
use kithdb::Explanation;

use super::database::{self, Database};
use crate::cli::Answer;
use crate::output::{self, Output, Table};

/// Tell why an item has its score for a user: what each layer adds, and which of the user's own items pull it up
#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    database: Database,
    /// Whose score
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    user: String,
    /// The item to explain
    #[arg(long, value_name = "ITEM", allow_hyphen_values = true)]
    item: String,
}

impl Explain {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let explanation = db.explain(database::user(&db, &self.user)?, database::item(&db, &self.item)?)?;
        let titled = |id: &kithdb::Id| match db.item(id).ok().flatten().as_ref().and_then(|own| own.title()) {
            Some(title) => format!("{id} ({title})"),
            None => id.to_string(),
        };
        output.result(&explanation, |explanation| text(explanation, titled))?;
        Ok(Answer::Yes)
    }
}

/// How many of the user's items are shown to people; programs get all.
const SHOWN: usize = 20;

fn text(explanation: &Explanation, titled: impl Fn(&kithdb::Id) -> String) -> String {
    let mut layers = Table::new(&["layer", ">adds"]);
    for share in &explanation.layers {
        layers.row([share.layer.to_string(), output::score(share.contribution)]);
    }
    let mut pulls = Table::new(&["own item", ">pull"]);
    for pull in explanation.pulls.iter().take(SHOWN) {
        pulls.row([titled(&pull.item), output::score(pull.pull)]);
    }
    let more = match explanation.pulls.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\n... and {more} more"),
    };
    let kept = explanation.kept.as_ref().map_or(String::new(), |kept| {
        let named: Vec<String> = kept.iter().take(SHOWN).map(&titled).collect();
        let more = if kept.len() > SHOWN { format!(" and {} more", kept.len() - SHOWN) } else { String::new() };
        format!("\n\nedges that the training's masks kept: {}{more}", output::escaped(&named.join(", ")))
    });
    format!(
        "{} scores {} for {} (generation {})\n\n{}\n\n{}{more}\n\nthe pulls add up to {}, the score folded in from the user's items{kept}",
        output::escaped(&titled(&explanation.item)),
        output::score(explanation.score),
        output::escaped(&explanation.user.to_string()),
        explanation.generation,
        layers.text(),
        pulls.text(),
        output::score(explanation.folded_score),
    )
}
