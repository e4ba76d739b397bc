//! Whom or what items are to be near to, and what it is scored with.

use super::Basis;
use super::fold_in::{Folded, fold_in, moved};
use super::vector::{encode_segments, vector_query};
use crate::code::QueryCode;
use crate::error::{Error, Result};
use crate::ids::Id;
use crate::snapshot::Snapshot;

/// Whom or what the items are to be near to.
#[derive(Clone)]
pub(super) enum Subject {
    User(Id),
    Items(Vec<Id>),
    SimilarTo(Id),
    Vector(Vec<f32>),
}

/// A subject turned into something to score with.
pub(super) struct Resolved {
    pub(super) query: Option<QueryCode>,
    pub(super) basis: Basis,
    /// Items the subject has already, ascending.
    pub(super) seen: Vec<u32>,
    pub(super) unknown_items: Vec<Id>,
}

/// Something to score with, and what to say where there is no query in it.
type Outcome = Result<(Resolved, Option<Error>)>;

impl Subject {
    /// Of a moment, with queries of `bits` bits a dimension, or as many as its users have.
    ///
    /// # Errors
    /// For ids of another kind, vectors that do not fit, and an item to be near to that nobody knows.
    pub(super) fn resolve(&self, snapshot: &Snapshot, bits: Option<u32>) -> Outcome {
        match self {
            Subject::User(id) => Self::user(snapshot, id, bits),
            Subject::Items(ids) => Self::items(snapshot, ids, bits),
            Subject::SimilarTo(id) => Self::similar(snapshot, id, bits),
            Subject::Vector(vector) => Self::vector(snapshot, vector, bits),
        }
    }

    fn user(snapshot: &Snapshot, id: &Id, bits: Option<u32>) -> Outcome {
        let Some(user) = snapshot.catalogues().users.get(id)? else {
            return Ok((Resolved::without_code(Vec::new()), Some(Error::UnknownUser { user: id.clone() })));
        };
        let trained = snapshot.trained().filter(|generation| generation.has_user(user));
        if let (Some(generation), Some(items)) = (trained, snapshot.tail().unmoved(user)) {
            // As most users are: what they have is a copy of a row.
            let (planes, seen) = (generation.users().planes(), items.to_vec());
            let query = generation.users().query(user as usize, bits.unwrap_or(planes).min(planes))?;
            return Ok((Resolved { query: Some(query), basis: Basis::Code, seen, unknown_items: Vec::new() }, None));
        }
        let history = snapshot.tail().history(user);
        let seen = history.iter().map(|&(item, _)| item).collect();
        let Some(generation) = snapshot.trained() else {
            return Ok((Resolved::without_code(seen), Some(Error::NotTrained)));
        };
        let planes = generation.users().planes();
        if generation.has_user(user) {
            let asked = bits.unwrap_or(planes).min(planes);
            if let Some(vector) = moved(snapshot, generation, user, &history)? {
                let query = Some(encode_segments(generation.shape(), &vector, asked)?);
                return Ok((Resolved { query, basis: Basis::Moved, seen, unknown_items: Vec::new() }, None));
            }
            let query = generation.users().query(user as usize, asked)?;
            return Ok((Resolved { query: Some(query), basis: Basis::Code, seen, unknown_items: Vec::new() }, None));
        }
        let counted = generation.counted(&history, &history);
        let error = match fold_in(snapshot, generation, &counted, bits.unwrap_or(planes))? {
            Folded::Query(query) => {
                let query = Some(query);
                return Ok((Resolved { query, basis: Basis::FoldIn, seen, unknown_items: Vec::new() }, None));
            }
            Folded::Nowhere => Error::NoDirection { whose: format!("user {id}") },
            Folded::Codeless => Error::NoHistory { user: id.clone(), items: history.len() as u64 },
        };
        Ok((Resolved::without_code(seen), Some(error)))
    }

    fn items(snapshot: &Snapshot, ids: &[Id], bits: Option<u32>) -> Outcome {
        let (mut known, mut unknown_items) = (Vec::new(), Vec::new());
        for id in ids {
            match snapshot.catalogues().items.get(id)? {
                Some(item) => known.push(item),
                None => unknown_items.push(id.clone()),
            }
        }
        known.sort_unstable();
        known.dedup();
        let history: Vec<(u32, f32)> = known.iter().map(|&item| (item, 1.0)).collect();
        let error = match snapshot.trained() {
            _ if known.is_empty() => Error::UnknownBasket { count: ids.len() },
            None => Error::NotTrained,
            Some(generation) => {
                let planes = bits.unwrap_or(generation.users().planes());
                match fold_in(snapshot, generation, &history, planes)? {
                    Folded::Query(query) => {
                        let query = Some(query);
                        return Ok((Resolved { query, basis: Basis::FoldIn, seen: known, unknown_items }, None));
                    }
                    Folded::Nowhere => Error::NoDirection { whose: "the basket".into() },
                    Folded::Codeless => Error::NoCodeInBasket { count: known.len() },
                }
            }
        };
        Ok((Resolved { unknown_items, ..Resolved::without_code(known) }, Some(error)))
    }

    fn similar(snapshot: &Snapshot, id: &Id, bits: Option<u32>) -> Outcome {
        let item = snapshot.catalogues().items.get(id)?;
        let item = item.ok_or_else(|| Error::UnknownItem { item: id.clone() })?;
        let Some(generation) = snapshot.trained() else {
            return Ok((Resolved::without_code(vec![item]), Some(Error::NotTrained)));
        };
        let (query, basis) = match (generation.has_item(item), generation.encoder()) {
            (true, Some(encoder)) => {
                let planes = bits.unwrap_or(generation.users().planes());
                (Some(encoder.query_of_item(&generation.item(item), 0, planes)?), Basis::Code)
            }
            (true, None) => (Some(QueryCode::from_item(&generation.item(item), 0)?), Basis::Code),
            (false, _) => {
                let code = snapshot.tail().arrivals().get(item).and_then(|arrival| arrival.code());
                (code.map(|code| QueryCode::from_item(code, 0)).transpose()?, Basis::FoldIn)
            }
        };
        match query {
            Some(_) => Ok((Resolved { query, basis, seen: vec![item], unknown_items: Vec::new() }, None)),
            None => Ok((Resolved::without_code(vec![item]), Some(Error::NoCode { item: id.clone() }))),
        }
    }

    fn vector(snapshot: &Snapshot, vector: &[f32], bits: Option<u32>) -> Outcome {
        let Some(generation) = snapshot.trained() else {
            return Ok((Resolved::without_code(Vec::new()), Some(Error::NotTrained)));
        };
        let query = vector_query(generation, vector, bits.unwrap_or(generation.users().planes()))?;
        Ok((Resolved { query: Some(query), basis: Basis::Vector, seen: Vec::new(), unknown_items: Vec::new() }, None))
    }
}

impl Resolved {
    fn without_code(seen: Vec<u32>) -> Self {
        Self { query: None, basis: Basis::Popularity, seen, unknown_items: Vec::new() }
    }
}
