//! The state of the log that a generation is made from.

use std::sync::Arc;

use kithdb_storage::IdKind;
use roaring::RoaringBitmap;

use crate::attributes::Table;
use crate::catalogue::{self, Catalogue, Catalogues};
use crate::graph::postings::Postings;
use crate::tail::Tail;

/// The interactions, ids and retirements up to one point of the log, and what differs from the generation before.
pub(crate) struct Cut {
    pub(crate) postings: Postings,
    pub(crate) retired: RoaringBitmap,
    pub(crate) ranks: Arc<[u32]>,
    pub(crate) ids: Ids,
    /// The last record it has seen.
    pub(crate) sequence: u64,
    /// How many interactions are not as in the generation before.
    pub(crate) changes: u64,
    /// Whose interactions are not as in the generation before.
    pub(crate) touched: Touched,
    /// Whether something was taken back since the generation before: an interaction, or all of somebody's.
    pub(crate) takes_back: bool,
}

/// Rows whose edges have changed since a generation, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) users: Vec<u32>,
    pub(crate) items: Vec<u32>,
}

/// Both sides' catalogues as columns, and what is said of whom they name.
pub(crate) struct Ids {
    /// Whether somebody was forgotten since the generation before.
    pub(super) forgotten: bool,
    pub(super) users: Column,
    pub(super) items: Column,
}

/// The ids of one side.
pub(super) struct Column {
    pub(super) kind: Option<IdKind>,
    pub(super) keys: Vec<u8>,
    pub(super) ends: Vec<u64>,
    pub(super) attributes: Table,
}

impl Column {
    fn of(catalogue: &Catalogue, attributes: &Table) -> Self {
        let (keys, ends) = catalogue.encode();
        Self { kind: catalogue.kind(), keys, ends, attributes: attributes.clone() }
    }
}

impl Cut {
    /// Everything that a moment has seen. O(edges); nobody waits for it.
    pub(crate) fn of(catalogues: &Catalogues, tail: &Tail) -> Self {
        let postings = tail.fold(catalogues.users.len());
        let (users, items) = (
            Column::of(&catalogues.users, &catalogues.attributes.users),
            Column::of(&catalogues.items, &catalogues.attributes.items),
        );
        let ids = Ids { forgotten: tail.has_forgotten(), users, items };
        let ranks = catalogue::ranks(&ids.items.keys, &ids.items.ends).into();
        let (retired, touched) = (tail.retired().clone(), tail.touched());
        let (sequence, changes, takes_back) = (tail.applied(), tail.changes(), tail.takes_back());
        Self { postings, retired, ranks, ids, sequence, changes, touched, takes_back }
    }

    /// Whether somebody was forgotten since the generation before.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.ids.forgotten
    }

    /// Takes in that somebody was forgotten since the current generation, though perhaps not since the one it is a cut over.
    pub(crate) fn forget_also(&mut self, forgotten: bool) {
        self.ids.forgotten |= forgotten;
    }

    /// Users that have a number, those that were forgotten included.
    pub(crate) fn n_users(&self) -> u32 {
        self.ids.users.ends.len() as u32
    }

    /// Items that have a number.
    pub(crate) fn n_items(&self) -> u32 {
        self.ids.items.ends.len() as u32
    }

    /// How many interactions there are.
    pub(crate) fn interactions(&self) -> u64 {
        self.postings.items().len() as u64
    }
}
