//! What is printed of items and users beside their ids.

use clap::Args;
use kithdb::{Attributes, Id, Side};

use super::database::Known;

/// Which attributes.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Show {
    /// Print these attributes beside titles
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    show: Vec<String>,
}

/// What is said of somebody.
type Said<'a> = dyn Fn(&Id) -> Option<Attributes> + 'a;

/// Attributes by id, and which of them are printed.
pub(super) struct Shown<'a> {
    names: &'a [String],
    of: Box<Said<'a>>,
}

impl Show {
    /// Whether there are any.
    pub(super) fn is_asked(&self) -> bool {
        !self.show.is_empty()
    }

    /// What is said of somebody of a side.
    ///
    /// # Errors
    /// For a name that nothing is said under.
    pub(super) fn of<'a>(&'a self, db: &'a impl Known, side: Side) -> anyhow::Result<Shown<'a>> {
        let names = db.names(side);
        let (what, load) = match side {
            Side::Item => ("items", "load-items"),
            Side::User => ("users", "load-users"),
        };
        if let Some(name) = self.show.iter().find(|&name| name != "title" && !names.contains(name)) {
            anyhow::ensure!(
                !names.is_empty(),
                "nothing is said of {what} here, so no `{name}`; kithdb {load} does that"
            );
            anyhow::bail!("{what} have no attribute `{name}`: there are {}", names.join(", "));
        }
        Ok(Shown { names: &self.show, of: Box::new(move |id| db.said(side, id).ok()?) })
    }
}

impl Shown<'_> {
    /// Columns of a table of these ids: titles where one has any, and the names asked for.
    pub(super) fn header<'i>(&self, ids: impl Iterator<Item = &'i Id>) -> Vec<String> {
        let titled = ids.into_iter().any(|id| (self.of)(id).is_some_and(|own| own.title().is_some()));
        titled
            .then(|| "title".to_owned())
            .into_iter()
            .chain(self.names.iter().filter(|&name| name != "title").cloned())
            .collect()
    }

    /// The names asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.names.to_vec()
    }

    /// The cells of an id under a header.
    pub(super) fn cells(&self, id: &Id, header: &[String]) -> Vec<String> {
        let own = (self.of)(id).unwrap_or_default();
        header.iter().map(|name| own.get(name).map_or(String::new(), ToString::to_string)).collect()
    }

    /// The title of an id, and the attributes asked for.
    pub(super) fn json(&self, id: &Id) -> serde_json::Map<String, serde_json::Value> {
        let own = (self.of)(id).unwrap_or_default();
        let mut object = serde_json::Map::new();
        if let Some(title) = own.title() {
            object.insert("title".into(), title.into());
        }
        if !self.names.is_empty() {
            let asked =
                self.names.iter().filter_map(|name| Some((name.clone(), serde_json::to_value(own.get(name)?).ok()?)));
            object.insert("attributes".into(), serde_json::Value::Object(asked.collect()));
        }
        object
    }
}
