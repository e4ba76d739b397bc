use clap::Args;
use kithdb::Query;
use serde::Serialize;

use crate::output;

/// How exact an answer is.
#[derive(Args, Clone, Copy, Debug, Serialize)]
#[group(multiple = false)]
pub(super) struct Effort {
    /// Score so many codes at most, or as many as it takes to fill the list, by whole blocks: faster than an exact answer, which the output says it
    /// is not
    #[arg(long, value_name = "BUDGET", value_parser = clap::value_parser!(u64).range(1..))]
    approximate: Option<u64>,
    /// Find this share of the exact answers on average, with as much work as that took for sample users
    #[arg(long, value_name = "SHARE", value_parser = share)]
    #[serde(rename = "target")]
    recall: Option<f32>,
}

impl Effort {
    /// Whether answers may be less than exact.
    pub(super) fn is_limited(self) -> bool {
        self.approximate.is_some() || self.recall.is_some()
    }

    /// What was asked for.
    pub(super) fn text(self) -> String {
        match (self.approximate, self.recall) {
            (Some(budget), _) => format!("by {} codes a query", output::count(budget)),
            (_, Some(share)) => format!("for a recall of {share}"),
            _ => "exactly".into(),
        }
    }

    /// The query with this effort.
    pub(super) fn of<'a>(self, query: Query<'a>) -> Query<'a> {
        match (self.approximate, self.recall) {
            (Some(budget), _) => query.approximate(budget),
            (_, Some(share)) => query.recall(share),
            _ => query,
        }
    }
}

/// Reads a share above 0, up to 1.
fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        Ok(_) => Err("ask for a share above 0, up to 1, which is exact".into()),
        Err(error) => Err(format!("{error}")),
    }
}
