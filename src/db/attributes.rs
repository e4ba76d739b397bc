//! What is said of items and users.

use super::Db;
use crate::attributes::{Attributes, ValueKind};
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::filter::{Condition, FilterError};
use crate::ids::{Id, Side};
use crate::writer::{Operation, Stream};

impl Db {
    /// Says something of an item: the values given are set, or taken away, and all others stay. Who is not known becomes known, without a code before
    /// somebody touches it. It is on the disk when this returns, and seen by the next query's [filter](crate::Query::filter). Nothing is learned from it.
    ///
    /// ```
    /// # fn main() -> kithdb::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
    /// use kithdb::Attributes;
    /// db.set_item("kettle", Attributes::titled("Kettle, 1 l").set("price", 49.5).set("tags", ["sale", "steel"]))?;
    /// db.set_item("kettle", Attributes::new().set("in_stock", false))?;
    /// assert_eq!(db.item("kettle")?.unwrap().title(), Some("Kettle, 1 l"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Db::insert`], and [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a value of another kind than those its name has, a name of no or more than 64 bytes or
    /// one more than 256, numbers that are not finite, empty texts, and more than [`MAX_ATTRIBUTE_BYTES`](crate::MAX_ATTRIBUTE_BYTES) together.
    pub fn set_item(&self, item: impl Into<Id>, attributes: Attributes) -> Result<()> {
        self.describe(Side::Item, item.into(), attributes)
    }

    /// Says something of a user, as [`Db::set_item`] of an item. It is forgotten with them.
    ///
    /// # Errors
    /// As [`Db::set_item`].
    pub fn set_user(&self, user: impl Into<Id>, attributes: Attributes) -> Result<()> {
        self.describe(Side::User, user.into(), attributes)
    }

    /// [`Db::set_item`] for many, in large group commits; how many there were.
    ///
    /// # Errors
    /// As [`Db::set_item`]. They are stored in batches of 16,384: those before the batch with the faulty one are stored, and saying it again is safe.
    pub fn set_items<I: Into<Id>>(&self, items: impl IntoIterator<Item = (I, Attributes)>) -> Result<u64> {
        self.describe_many(Side::Item, items.into_iter().map(|(id, attributes)| (id.into(), attributes)))
    }

    /// [`Db::set_user`] for many, in large group commits; how many there were.
    ///
    /// # Errors
    /// As [`Db::set_items`].
    pub fn set_users<I: Into<Id>>(&self, users: impl IntoIterator<Item = (I, Attributes)>) -> Result<u64> {
        self.describe_many(Side::User, users.into_iter().map(|(id, attributes)| (id.into(), attributes)))
    }

    fn describe(&self, side: Side, id: Id, attributes: Attributes) -> Result<()> {
        id.check(side)?;
        attributes.check()?;
        self.commit(vec![Operation::Describe { side, id, attributes }])?.wait().map(drop)
    }

    fn describe_many(&self, side: Side, mut said: impl Iterator<Item = (Id, Attributes)>) -> Result<u64> {
        let mut stream = Stream::new(&self.inner.writer);
        let mut count = 0;
        let sent = said.try_for_each(|(id, attributes)| {
            count += 1;
            CancelToken::check(self.token.as_ref())?;
            id.check(side).and_then(|()| attributes.check()).map_err(|error| error.of_row(count))?;
            stream.push(Operation::Describe { side, id, attributes })
        });
        stream.finish(sent.is_ok())?;
        sent.map(|()| count)
    }

    /// What is said of an item; `None` where nobody knows it, and no values where nothing was said. O(names).
    ///
    /// # Errors
    /// [`Error::WrongIdKind`](crate::Error::WrongIdKind).
    pub fn item(&self, item: impl Into<Id>) -> Result<Option<Attributes>> {
        self.snapshot().item(item)
    }

    /// The items whose attributes fulfil a [`Condition`], in the order in which they came, retired ones and those without a code among them.
    ///
    /// # Errors
    /// [`Error::Filter`](crate::Error::Filter).
    pub fn items_where<C>(&self, condition: C) -> Result<Vec<Id>>
    where
        C: TryInto<Condition>,
        FilterError: From<C::Error>,
    {
        self.snapshot().items_where(condition)
    }

    /// What is said of a user; `None` where nobody knows them. O(names).
    ///
    /// # Errors
    /// [`Error::WrongIdKind`](crate::Error::WrongIdKind).
    pub fn user(&self, user: impl Into<Id>) -> Result<Option<Attributes>> {
        self.snapshot().user(user)
    }

    /// The names of a side's attributes and the kind of their values, by name.
    pub fn attribute_names(&self, side: Side) -> Vec<(String, ValueKind)> {
        self.snapshot().attribute_names(side)
    }
}
