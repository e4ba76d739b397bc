//! The answer to a query.

use serde::Serialize;

use crate::ids::Id;
use crate::index::EngineKind;

/// One item (or user) of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// Its external id.
    pub id: Id,
    /// Its score: the weighted inner product of the codes, or, for popularity, the number of users. [`Hits::relevance`] compares with other queries'.
    pub score: f32,
}

/// How an answer was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Engine {
    /// Every code was scored.
    Linear,
    /// Every head (one layer's bits and rounded scalers) was looked at, and codes were scored where the head could reach the list; of codes of one layer,
    /// pieces of 256 bits, one after another for as long as they could.
    Head,
    /// Nodes (balls around neighbouring items) were opened in descending order of the best score possible inside.
    Tree,
    /// Buckets of codes that share a part with the query were looked up.
    Mih,
    /// The allowed items alone were scored.
    Allowed,
    /// Items were ranked by how many users have them, without codes.
    Popularity,
}

impl Engine {
    /// The name it is printed and serialized as.
    pub fn name(self) -> &'static str {
        self.of_index().map_or("popularity", EngineKind::name)
    }

    /// The engine of the index a query has run when it asks for this one; `None` where it cannot.
    pub(crate) fn kind(self) -> Option<EngineKind> {
        self.of_index().filter(|kind| EngineKind::ALL.contains(kind))
    }

    fn of_index(self) -> Option<EngineKind> {
        match self {
            Engine::Linear => Some(EngineKind::Linear),
            Engine::Head => Some(EngineKind::Head),
            Engine::Tree => Some(EngineKind::Tree),
            Engine::Mih => Some(EngineKind::Mih),
            Engine::Allowed => Some(EngineKind::Allowed),
            Engine::Popularity => None,
        }
    }
}

/// What a query stood on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Basis {
    /// The code training gave the user or item.
    Code,
    /// That of a user whose interactions have changed since, moved by what changed.
    Moved,
    /// A code made on the spot from interactions.
    FoldIn,
    /// A vector given with the query.
    Vector,
    /// No code: the most popular items.
    Popularity,
}

/// The best items, in descending order of score, ties in ascending order of id: always exactly min(k, allowed) of them, the same list as an
/// exhaustive scan would give unless [`Query::recall`](super::Query::recall) or [`Query::approximate`](super::Query::approximate) was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Hits {
    pub(crate) hits: Vec<Hit>,
    pub(crate) unit: f32,
    pub(crate) generation: Option<u64>,
    pub(crate) engine: Engine,
    pub(crate) basis: Basis,
    pub(crate) nodes: u64,
    pub(crate) buckets: u64,
    pub(crate) heads: u64,
    pub(crate) scored: u64,
    pub(crate) exact: bool,
    pub(crate) recall: Option<f32>,
    pub(crate) unknown_items: Vec<Id>,
}

impl Hits {
    /// The hits as a slice, best first.
    pub fn as_slice(&self) -> &[Hit] {
        &self.hits
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    /// Whether nothing was allowed.
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// The hits, best first.
    pub fn iter(&self) -> std::slice::Iter<'_, Hit> {
        self.hits.iter()
    }

    /// How near a hit is, to be compared with those of other queries of the generation, whether of users, baskets, items or vectors: its score, divided by
    /// [the size of the query](Hits::unit). So it is the size of the item's code, which is larger for items that more want, times the cosine of the angle
    /// between the two. Of similar users it is the same of the user's code, brought to the size of items' codes by one factor for all, so that it compares, too. Of
    /// popularity it is the share of all users who have the item. In a list it orders as scores do.
    ///
    /// ```
    /// # fn main() -> kithdb::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
    /// db.insert_many([("alice", "grinder"), ("bob", "kettle"), ("carol", "kettle"), ("dave", "mug")])?;
    /// let hits = db.query().user("alice").or_popular().run()?;
    /// assert_eq!(hits.relevance(&hits[0]), 0.5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn relevance(&self, hit: &Hit) -> f32 {
        hit.score / self.unit
    }

    /// What scores are divided by to be compared with those of other queries: the size of the query, `sqrt(sum_l w_l^2 d_l m_l^2)` with m_l the mean magnitude
    /// of layer l, d_l its bits and w_l its weight; for similar users that times the root mean square of the sizes of users' codes over that of items'; for
    /// popularity, the number of users. Above 0.
    pub fn unit(&self) -> f32 {
        self.unit
    }

    /// The generation whose codes answered; `None` before the first training.
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// How the answer was found.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What the query stood on.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// How many nodes of the index had their bound computed.
    pub fn nodes(&self) -> u64 {
        self.nodes
    }

    /// How many buckets of the index were looked up.
    pub fn buckets(&self) -> u64 {
        self.buckets
    }

    /// How many heads, or pieces, of codes had their bound computed.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// How many codes were scored in full.
    pub fn scored(&self) -> u64 {
        self.scored
    }

    /// Whether the list is proved to equal that of an exhaustive scan: always, but for [`Query::approximate`](super::Query::approximate) and
    /// [`Query::recall`](super::Query::recall) where the search ended before its proof.
    pub fn exact(&self) -> bool {
        self.exact
    }

    /// The share of the exact list that answers like this one hold on average, by what sample users found when the generation was published: 1
    /// where the list is exact, and `None` where nothing is known (an engine was asked for, or the generation is older than the measurement).
    pub fn recall(&self) -> Option<f32> {
        self.recall
    }

    /// Items of the basket that nobody knows, in the order given; they were ignored.
    pub fn unknown_items(&self) -> &[Id] {
        &self.unknown_items
    }
}

impl From<EngineKind> for Engine {
    fn from(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Linear => Engine::Linear,
            EngineKind::Head => Engine::Head,
            EngineKind::Tree => Engine::Tree,
            EngineKind::Mih => Engine::Mih,
            EngineKind::Allowed => Engine::Allowed,
        }
    }
}

/// The hit at a place, the best at 0; panics where there are not so many.
impl std::ops::Index<usize> for Hits {
    type Output = Hit;

    fn index(&self, place: usize) -> &Hit {
        &self.hits[place]
    }
}

impl IntoIterator for Hits {
    type Item = Hit;
    type IntoIter = std::vec::IntoIter<Hit>;

    fn into_iter(self) -> Self::IntoIter {
        self.hits.into_iter()
    }
}

impl<'a> IntoIterator for &'a Hits {
    type Item = &'a Hit;
    type IntoIter = std::slice::Iter<'a, Hit>;

    fn into_iter(self) -> Self::IntoIter {
        self.hits.iter()
    }
}
