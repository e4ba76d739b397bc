//! `kithdb explain`: why an item has the score it has for a user.

use clap::Args;
use kithdb::{Explanation, Side};
use serde_json::Value;

use super::database::{self, Database};
use super::show::{Show, Shown};
use crate::cli::Answer;
use crate::output::{self, Output, Table};

/// Tell why an item has its score for a user: what each layer adds, and which of the user's own items pull it up
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb explain shop.kith --user alice --item kettle
  kithdb explain shop.kith --user alice --item kettle --show price,tags")]
pub(crate) struct Explain {
    #[command(flatten)]
    database: Database,
    /// Whose score
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    user: String,
    /// The item to explain
    #[arg(long, value_name = "ITEM", allow_hyphen_values = true)]
    item: String,
    #[command(flatten)]
    show: Show,
}

impl Explain {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.read()?;
        let show = self.show.of(&db, Side::Item)?;
        let explanation = db.explain(database::user(&db, &self.user)?, database::item(&db, &self.item)?)?;
        let titled = |id: &kithdb::Id| match db.item(id).ok().flatten().as_ref().and_then(|own| own.title()) {
            Some(title) => format!("{id} ({title})"),
            None => id.to_string(),
        };
        output.result(&with_attributes(&explanation, &show)?, |_| text(&explanation, titled, &show))?;
        Ok(Answer::Yes)
    }
}

/// An explanation as JSON, with titles and attributes where there are any.
fn with_attributes(explanation: &Explanation, show: &Shown<'_>) -> anyhow::Result<Value> {
    // By way of the text, in which an f32 has no more digits than it needs.
    let mut value: Value = serde_json::from_str(&serde_json::to_string(explanation)?)?;
    if let Some(object) = value.as_object_mut() {
        object.extend(show.json(&explanation.item));
    }
    if let Some(pulls) = value.get_mut("pulls").and_then(Value::as_array_mut) {
        for (object, pull) in pulls.iter_mut().zip(&explanation.pulls) {
            if let Some(object) = object.as_object_mut() {
                object.extend(show.json(&pull.item));
            }
        }
    }
    Ok(value)
}

/// How many of the user's items are shown to people; programs get all.
const SHOWN: usize = 20;

fn text(explanation: &Explanation, titled: impl Fn(&kithdb::Id) -> String, show: &Shown<'_>) -> String {
    let mut layers = Table::new(&["layer", ">adds"]);
    for share in &explanation.layers {
        layers.row([share.layer.to_string(), output::score(share.contribution)]);
    }
    let asked: Vec<String> = show.asked().into_iter().filter(|name| name != "title").collect();
    let header = ["own item"].into_iter().chain(asked.iter().map(String::as_str)).chain([">pull"]);
    let mut pulls = Table::new(&header.collect::<Vec<_>>());
    for pull in explanation.pulls.iter().take(SHOWN) {
        let cells = [titled(&pull.item)].into_iter().chain(show.cells(&pull.item, &asked));
        pulls.row(cells.chain([output::score(pull.pull)]));
    }
    let own: Vec<String> = asked
        .iter()
        .zip(show.cells(&explanation.item, &asked))
        .map(|(name, cell)| format!("\n{name} = {cell}"))
        .collect();
    let more = match explanation.pulls.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\n... and {more} more"),
    };
    let kept = explanation.kept.as_ref().map_or(String::new(), |kept| {
        let named: Vec<String> = kept.iter().take(SHOWN).map(&titled).collect();
        let more = if kept.len() > SHOWN { format!(" and {} more", kept.len() - SHOWN) } else { String::new() };
        format!("\n\nedges that the training's masks did not cut: {}{more}", output::escaped(&named.join(", ")))
    });
    format!(
        "{} scores {} for {} (generation {}){}\n\n{}\n\n{}{more}\n\nthe pulls add up to {}, the score folded in from the user's items{kept}",
        output::escaped(&titled(&explanation.item)),
        output::score(explanation.score),
        output::escaped(&explanation.user.to_string()),
        explanation.generation,
        output::escaped_lines(&own.concat()),
        layers.text(),
        pulls.text(),
        output::score(explanation.folded_score),
    )
}
