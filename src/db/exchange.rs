//! Codes and vectors of other systems, in and out.

use std::path::Path;

use super::Db;
use crate::cancel::CancelToken;
use crate::compaction::ImportOutcome;
use crate::encoder::Encoder;
use crate::error::Result;
use crate::exchange::{self, CodeSet, Embeddings, EncodeOptions, ExportOutcome, RowIds};
use crate::ids::Side;
use crate::writer::{Operation, Stream};

impl Db {
    /// Publishes codes made elsewhere as the next generation, without a training; returns when it answers queries. Interactions stored before
    /// are kept, and new ids become part of the database; ids it knows that come without a code have none afterwards. Users that come with a
    /// code need no history. Jobs run one after another: an import waits for a training asked for before it.
    ///
    /// Somebody who comes later is placed by the sum of the codes of what they touched.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) where sides have different shapes, ids are not one a row, of one kind and distinct, or there are no items;
    /// [`Error::WrongIdKind`](crate::Error::WrongIdKind). Nothing is written then. [`Error::Storage`](crate::Error::Storage) and [`Error::NotStored`](crate::Error::NotStored) may leave new ids behind, which is all:
    /// importing again is safe.
    pub fn import_codes(&self, codes: CodeSet) -> Result<ImportOutcome> {
        self.import(codes, None)
    }

    fn import(&self, codes: CodeSet, encoder: Option<Encoder>) -> Result<ImportOutcome> {
        let kinds = codes.check()?;
        let snapshot = self.snapshot();
        for (side, kind) in kinds {
            let Some(kind) = kind else { continue };
            match side {
                Side::User => snapshot.catalogues().users.check_kind(kind)?,
                Side::Item => snapshot.catalogues().items.check_kind(kind)?,
            }
        }
        drop(snapshot);
        CancelToken::check(self.token.as_ref())?;
        self.define(Side::User, &codes.user_ids, codes.users.len())?;
        self.define(Side::Item, &codes.item_ids, codes.items.len())?;
        self.inner.worker.import(codes, encoder, self.token.as_ref())
    }

    /// Encodes float vectors made elsewhere and publishes the codes as [`Db::import_codes`] does. Vectors are centred on the items' mean, which
    /// changes no ranking by inner product, turned at random, so that every bit says as much as every other, and rounded: items to one bit a
    /// dimension and pass, users to [`EncodeOptions::query_planes`]. Scores are estimates of the inner products with the items' centred
    /// vectors. What encodes is kept with the generation, so that [`Query::vector`](crate::Query::vector) takes vectors like these.
    ///
    /// ```
    /// use kithdb::{Db, Embeddings, EncodeOptions, Metric, RowIds, Vectors};
    ///
    /// # fn main() -> kithdb::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let db = Db::open(dir.path().join("shop.kith"))?;
    /// let items = Vectors::new(vec![0.9, 0.1, 0.0, 0.0, 1.0, 0.2, -1.0, 0.3, 0.1], 1, 3)?;
    /// let embeddings = Embeddings { items, item_ids: RowIds::RowNumbers, users: None, user_ids: RowIds::RowNumbers };
    /// db.import_embeddings(embeddings, &EncodeOptions::new(Metric::Cosine))?;
    /// let hits = db.query().vector([0.1, 2.0, 0.3]).k(1).run()?;
    /// assert_eq!(hits.as_slice()[0].id, 1u64.into());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Db::import_codes`], and [`Error::InvalidArgument`](crate::Error::InvalidArgument) for options out of range, sides of different dimensions and values that are not
    /// finite; [`Error::Npy`](crate::Error::Npy) for a file of vectors that cannot be read.
    pub fn import_embeddings(&self, embeddings: Embeddings, options: &EncodeOptions) -> Result<ImportOutcome> {
        let (codes, encoder, without_direction) =
            self.inner.pool.run(|| embeddings.encode(options, self.token.as_ref()))?;
        let outcome = self.import(codes, Some(encoder))?;
        Ok(ImportOutcome { without_direction, ..outcome })
    }

    /// Writes the codes of the current generation to a folder of `.npy` files that [`CodeSet::read_folder`] reads, rows in the order of ids,
    /// items and users without a code and retired items left out; and beside them `items_float` and `queries_float`, `[n, d]`: the vectors the
    /// codes were learned from, or, where those are not kept, what the codes stand for, `[n, bits]`, layers multiplied by their weights.
    /// Lists of users who have a code are the same from an import of the folder, bit for bit, but for history, since no interactions are written. The map
    /// that places other users and baskets, how many users have an item, and what encodes vectors are no part of it, so that lists of baskets are others, and
    /// vectors to search for have one float a bit there. Ids of bytes are written in hexadecimal.
    ///
    /// # Errors
    /// [`Error::NotTrained`](crate::Error::NotTrained); [`Error::InvalidArgument`](crate::Error::InvalidArgument) for codes whose layers differ in width, which the folder cannot hold, and for ids
    /// with line breaks; [`Error::Npy`](crate::Error::Npy) where a file cannot be written. What was in the folder is as it was then.
    pub fn export_npy(&self, folder: impl AsRef<Path>) -> Result<ExportOutcome> {
        let folder = folder.as_ref();
        self.inner.pool.run(|| exchange::export(&self.snapshot(), &self.inner.store, folder))
    }

    /// Gives every id that is new a number, durably.
    fn define(&self, side: Side, ids: &RowIds, rows: usize) -> Result<()> {
        let mut stream = Stream::new(&self.inner.writer);
        let sent = (0..rows).try_for_each(|row| {
            CancelToken::check(self.token.as_ref())?;
            stream.push(Operation::Define { side, id: ids.id(row) })
        });
        stream.finish(sent.is_ok()).and(sent)
    }
}
