//! What a list of items is to be like, whomever it is for.

use std::path::PathBuf;

use clap::Args;
use kithdb::{ItemSet, Query};

use super::at_least_one;
use super::database::Known;
use super::effort::Effort;
use super::known_list::KnownList;
use super::show::Show;
use crate::output::Output;

/// Its length, the items it may have, and how hard to look for the best.
#[derive(Args, Clone, Debug)]
pub(super) struct ListShape {
    /// How many items to return
    #[arg(short, long, default_value = "20", value_parser = at_least_one)]
    k: usize,
    /// Consider only the items of this file, an id a line; blanks around an id are none of it, unless it stands in double quotes
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// Leave out the items of this file, an id a line
    #[arg(long, value_name = "FILE")]
    deny: Option<PathBuf>,
    /// Consider only items whose attributes fulfil a condition: "price < 50 and in_stock and 'sale' in tags"
    #[arg(long, value_name = "CONDITION")]
    filter: Option<kithdb::Condition>,
    /// Fail where a list or the basket has an id that is not known here
    #[arg(long)]
    pub(super) strict: bool,
    /// Bits a dimension of the query: more are slower and finer [default: all that are stored]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(1..=8))]
    query_bits: Option<u32>,
    /// What it counts that items differ from one another, from 0 to 1: those of the best five times as many are chosen by
    #[arg(long, value_name = "SHARE", value_parser = a_share_of_difference)]
    diversify: Option<f32>,
    /// At most so many items of each value of an attribute: 2:category
    #[arg(long, value_name = "N:NAME", value_parser = a_quota)]
    at_most: Option<(usize, String)>,
    /// Leave out items of less relevance, which compares between users, baskets and items
    #[arg(long, value_name = "RELEVANCE", value_parser = a_bound)]
    min_relevance: Option<f32>,
    /// Leave out items whose scores are less
    #[arg(long, value_name = "SCORE", value_parser = a_bound)]
    min_score: Option<f32>,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    pub(super) show: Show,
}

/// A list for users: what becomes of what they have, and of those of whom nothing is known.
#[derive(Args, Clone, Debug)]
pub(super) struct UserListShape {
    #[command(flatten)]
    pub(super) list: ListShape,
    /// Return items the user has already, too
    #[arg(long)]
    include_seen: bool,
    /// Return the most popular items where nothing else is known
    #[arg(long)]
    popular: bool,
}

/// The items of the lists that a shape names.
pub(super) struct Sets {
    allow: Option<ItemSet>,
    deny: Option<ItemSet>,
}

impl ListShape {
    /// Reads the lists.
    ///
    /// # Errors
    /// As [`KnownList::ids`].
    pub(super) fn sets(&self, db: &impl Known, output: &Output) -> anyhow::Result<Sets> {
        let set = |file: &Option<PathBuf>| {
            file.as_ref().map(|file| KnownList { file, strict: self.strict }.items(db, output)).transpose()
        };
        Ok(Sets { allow: set(&self.allow)?, deny: set(&self.deny)? })
    }

    /// A query for such a list.
    pub(super) fn of<'a>(&self, query: Query<'a>, sets: &'a Sets) -> Query<'a> {
        let mut query = query.k(self.k);
        if let Some(allow) = &sets.allow {
            query = query.allow(allow);
        }
        if let Some(deny) = &sets.deny {
            query = query.deny(deny);
        }
        if let Some(condition) = &self.filter {
            query = query.filter(condition.clone());
        }
        if let Some(bits) = self.query_bits {
            query = query.query_bits(bits);
        }
        if let Some(share) = self.diversify {
            query = query.diversify(share);
        }
        if let Some((most, name)) = &self.at_most {
            query = query.at_most(*most, name);
        }
        if let Some(relevance) = self.min_relevance {
            query = query.min_relevance(relevance);
        }
        if let Some(score) = self.min_score {
            query = query.min_score(score);
        }
        self.effort.of(query)
    }
}

impl UserListShape {
    /// A query for such a list.
    pub(super) fn of<'a>(&self, query: Query<'a>, sets: &'a Sets) -> Query<'a> {
        let mut query = self.list.of(query, sets);
        if self.include_seen {
            query = query.include_seen();
        }
        if self.popular {
            query = query.or_popular();
        }
        query
    }
}

/// Reads how many of each value of which attribute.
fn a_quota(text: &str) -> Result<(usize, String), String> {
    let most = text.split_once(':').and_then(|(most, name)| Some((most.parse().ok()?, name.to_owned())));
    most.filter(|(most, name)| *most > 0 && !name.is_empty()).ok_or_else(|| "write N:NAME, as 2:category".into())
}

/// Reads a number that others can be less than.
fn a_bound(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(bound) if !bound.is_nan() => Ok(bound),
        Ok(_) => Err("nothing is less than NaN; pass a number".into()),
        Err(error) => Err(format!("{error}")),
    }
}

/// Reads a share from 0 to 1.
fn a_share_of_difference(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) => Err("pass a share from 0 to 1".into()),
        Err(error) => Err(format!("{error}")),
    }
}
