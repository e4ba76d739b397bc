//! The one writer: group commit of what callers insert, remove, forget, retire and unretire.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use kithdb_storage::{Record, Side, Store};

use crate::attributes::{self, Attributes, Table, ValueKind, check_kinds};
use crate::catalogue::{Catalogue, Catalogues};
use crate::error::{Error, Result};
use crate::ids::{Id, IdKind};
use crate::interaction::Interaction;
use crate::live::Live;
use crate::span::span;
use crate::tail::Applied;

/// Commits that may wait for the writer before a caller blocks.
const QUEUE: usize = 1024;
/// Operations after which a group is closed though more are waiting.
const GROUP: usize = 65_536;
/// How long queries may have to wait to see what no caller waits to see, once nothing more comes.
const IDLE: Duration = Duration::from_millis(250);
/// Operations a [`Stream`] commits together.
const BATCH: usize = 16_384;
/// Commits a [`Stream`] has under way at a time.
const IN_FLIGHT: usize = 4;

/// A change to the database.
pub(crate) enum Operation {
    Insert(Interaction),
    Remove {
        user: Id,
        item: Id,
    },
    ForgetUser(Id),
    RetireItem(Id),
    UnretireItem(Id),
    /// Gives an id a number, if it has none.
    Define {
        side: Side,
        id: Id,
    },
    /// Says something of a user or an item, who gets a number if there is none.
    Describe {
        side: Side,
        id: Id,
        attributes: Attributes,
    },
}

/// Operations that become durable together, and whom to tell how many of them changed something.
struct Commit {
    operations: Vec<Operation>,
    /// Whether queries have to see them by the time of the reply.
    seen: bool,
    reply: Sender<Result<Applied>>,
}

/// A commit under way.
pub(crate) struct Pending(Receiver<Result<Applied>>);

impl Pending {
    /// Waits until the commit is durable; what its operations came to.
    pub(crate) fn wait(self) -> Result<Applied> {
        self.0.recv().map_err(|_| Error::Stopped { thread: "writer" })?
    }
}

/// Handle of the writer's thread, which ends when the handle is dropped and what was sent is durable.
pub(crate) struct Writer {
    /// Where the thread gets its database from.
    begin: Option<Sender<(Arc<Store>, Arc<Live>)>>,
    commits: Option<Sender<Commit>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which waits for its database.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (begin, database) = bounded::<(Arc<Store>, Arc<Live>)>(1);
        let (commits, receiver) = bounded(QUEUE);
        let thread = std::thread::Builder::new().name("kithdb-writer".into()).spawn(move || {
            if let Ok((store, live)) = database.recv() {
                run(&store, &live, &receiver);
            }
        })?;
        Ok(Self { begin: Some(begin), commits: Some(commits), thread: Some(thread) })
    }

    /// Gives the thread its database.
    pub(crate) fn begin(&mut self, store: &Arc<Store>, live: &Arc<Live>) {
        if let Some(begin) = self.begin.take() {
            // A thread that has ended tells every caller so.
            let _ = begin.send((Arc::clone(store), Arc::clone(live)));
        }
    }

    /// Sends operations to be committed together; queries see them when the answer has come.
    pub(crate) fn commit(&self, operations: Vec<Operation>) -> Result<Pending> {
        self.send(operations, true)
    }

    fn send(&self, operations: Vec<Operation>, seen: bool) -> Result<Pending> {
        let (reply, receiver) = bounded(1);
        let stopped = Error::Stopped { thread: "writer" };
        self.commits
            .as_ref()
            .ok_or(stopped)?
            .send(Commit { operations, seen, reply })
            .map_err(|_| Error::Stopped { thread: "writer" })?;
        Ok(Pending(receiver))
    }
}

/// Many operations on their way, in batches that become durable one after another. Queries see all of them when the stream is finished, and
/// may see some before.
pub(crate) struct Stream<'a> {
    writer: &'a Writer,
    batch: Vec<Operation>,
    under_way: VecDeque<Pending>,
    /// What the batches came to that are durable.
    applied: Applied,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(writer: &'a Writer) -> Self {
        Self { writer, batch: Vec::with_capacity(BATCH), under_way: VecDeque::new(), applied: Applied::default() }
    }

    /// Takes an operation. An error is that of an operation some batches before; nothing more should follow.
    pub(crate) fn push(&mut self, operation: Operation) -> Result<()> {
        self.batch.push(operation);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.send(false)?;
        if self.under_way.len() > IN_FLIGHT
            && let Some(pending) = self.under_way.pop_front()
        {
            self.applied += pending.wait()?;
        }
        Ok(())
    }

    /// Sends the last batch if `rest`, and waits until all that was sent is durable and seen: what it came to, or the first error.
    pub(crate) fn finish(mut self, rest: bool) -> Result<Applied> {
        if !rest {
            self.batch.clear();
        }
        let sent = self.send(true);
        self.under_way.into_iter().fold(sent.map(|()| self.applied), |outcome, pending| {
            let waited = pending.wait();
            let mut applied = outcome?;
            applied += waited?;
            Ok(applied)
        })
    }

    fn send(&mut self, seen: bool) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.under_way.push_back(self.writer.send(batch, seen)?);
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        (self.begin, self.commits) = (None, None);
        let other = |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(other) {
            // A writer that panicked has acknowledged nothing since; its callers were told by their closed channels.
            let _ = thread.join();
        }
    }
}

fn run(store: &Store, live: &Live, commits: &Receiver<Commit>) {
    loop {
        let first = match commits.recv_timeout(IDLE) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                live.catch_up();
                match commits.recv() {
                    Ok(first) => first,
                    Err(_) => return,
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut count = first.operations.len();
        let mut group = vec![first];
        while count < GROUP
            && let Ok(next) = commits.try_recv()
        {
            count += next.operations.len();
            group.push(next);
        }
        // A forgotten id may come back in the same group, as another node: forgetting ends the group before it and stands alone.
        let forgets = |commit: &Commit| commit.operations.iter().any(|op| matches!(op, Operation::ForgetUser(_)));
        while !group.is_empty() {
            let end = if forgets(&group[0]) { 1 } else { group.iter().position(forgets).unwrap_or(group.len()) };
            let rest = group.split_off(end);
            commit(store, live, group);
            group = rest;
        }
    }
}

/// Makes a group durable, applies it, shows it to queries, and answers everybody, in this order.
fn commit(store: &Store, live: &Live, group: Vec<Commit>) {
    let _span =
        span!(DEBUG, "commit", operations = group.iter().map(|commit| commit.operations.len() as u64).sum::<u64>());
    let mut records = Vec::new();
    let (mut replies, mut spans) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
    let mut seen = false;
    {
        let working = live.working();
        let mut ids = Resolver::new(working.catalogues());
        for commit in group {
            let start = records.len();
            let resolved = working
                .check()
                .and_then(|()| ids.check(&commit.operations))
                .and_then(|()| ids.resolve_all(&commit.operations, &mut records));
            match resolved {
                Ok(()) => {
                    seen |= commit.seen;
                    replies.push(commit.reply);
                    spans.push(start..records.len());
                }
                Err(error) => drop(commit.reply.send(Err(error))),
            }
        }
    }
    if replies.is_empty() {
        return;
    }
    // Storage is asked though there may be nothing to write: after a failure nothing is acknowledged, not even what needs no record.
    match store.append(&records) {
        Ok(last) => {
            let first = last + 1 - records.len() as u64;
            let mut working = live.working();
            let changed = working.apply(first, &records, spans.into_iter());
            let show = changed.is_ok() && !working.is_seen() && (seen || working.is_due());
            let before = if show {
                Some(live.show(working))
            } else {
                drop(working);
                None
            };
            match changed {
                // Whoever has given up waiting needs no answer.
                Ok(changed) => replies.iter().zip(changed).for_each(|(reply, came_to)| drop(reply.send(Ok(came_to)))),
                Err(error) => {
                    let what = error.to_string();
                    replies.iter().for_each(|reply| {
                        drop(reply.send(Err(Error::NotApplied { what: what.clone() })));
                    });
                }
            }
            // What nobody reads any more is freed when everybody has an answer.
            drop(before);
        }
        Err(error) => {
            let source = Arc::new(error);
            for reply in replies {
                let _ = reply.send(Err(Error::NotStored { source: Arc::clone(&source) }));
            }
        }
    }
}

/// Turns external ids into dense ones, giving new ids the next numbers.
struct Resolver<'a> {
    users: Numbers<'a>,
    items: Numbers<'a>,
}

/// A side's catalogue and, over it, the ids this group is the first to name.
struct Numbers<'a> {
    side: Side,
    known: &'a Catalogue,
    new: Catalogue,
    attributes: &'a Table,
    /// Kinds of attributes that this group is the first to name.
    new_kinds: BTreeMap<String, ValueKind>,
}

impl<'a> Resolver<'a> {
    fn new(catalogues: &'a Catalogues) -> Self {
        let numbers = |side, known| Numbers {
            side,
            known,
            new: Catalogue::new(side),
            attributes: catalogues.attributes.of(side),
            new_kinds: BTreeMap::new(),
        };
        Self { users: numbers(Side::User, &catalogues.users), items: numbers(Side::Item, &catalogues.items) }
    }

    /// Refuses a commit that names an id of the wrong kind, or an attribute, before any of it is resolved.
    fn check(&mut self, operations: &[Operation]) -> Result<()> {
        let kinds = [self.users.check_attributes(operations)?, self.items.check_attributes(operations)?];
        let (mut user_kind, mut item_kind) = (self.users.kind(), self.items.kind());
        for operation in operations {
            let (user, item, defines) = match operation {
                Operation::Insert(i) => (Some(&i.user), Some(&i.item), true),
                Operation::Remove { user, item } => (Some(user), Some(item), false),
                Operation::ForgetUser(user) => (Some(user), None, false),
                Operation::RetireItem(item) | Operation::UnretireItem(item) => (None, Some(item), false),
                Operation::Define { side: Side::User, id } | Operation::Describe { side: Side::User, id, .. } => {
                    (Some(id), None, true)
                }
                Operation::Define { side: Side::Item, id } | Operation::Describe { side: Side::Item, id, .. } => {
                    (None, Some(id), true)
                }
            };
            for (side, id, kind) in [(&self.users, user, &mut user_kind), (&self.items, item, &mut item_kind)] {
                let Some(id) = id else { continue };
                match *kind {
                    Some(kind) => side.check_kind(kind, id)?,
                    None if defines => *kind = Some(id.kind()),
                    None => {}
                }
            }
        }
        // Nothing of what is refused is remembered.
        [self.users.new_kinds, self.items.new_kinds] = kinds;
        Ok(())
    }

    fn side(&mut self, side: Side) -> &mut Numbers<'a> {
        match side {
            Side::User => &mut self.users,
            Side::Item => &mut self.items,
        }
    }

    fn resolve_all(&mut self, operations: &[Operation], records: &mut Vec<Record>) -> Result<()> {
        // Loads often come a user at a time: nobody is looked up twice in a row.
        let mut last: Option<(&Id, u32)> = None;
        for operation in operations {
            let Operation::Insert(Interaction { user, item, weight, time }) = operation else {
                self.resolve(operation, records)?;
                continue;
            };
            let number = match last.filter(|&(id, _)| id == user) {
                Some((_, number)) => number,
                None => self.users.number(user, records)?,
            };
            last = Some((user, number));
            let item = self.items.number(item, records)?;
            records.push(Record::Insert { user: number, item, weight: *weight, time: *time });
        }
        Ok(())
    }

    /// Resolves any operation but an insert.
    fn resolve(&mut self, operation: &Operation, records: &mut Vec<Record>) -> Result<()> {
        match operation {
            Operation::Insert(_) => {}
            Operation::Remove { user, item } => {
                if let (Some(user), Some(item)) = (self.users.find(user), self.items.find(item)) {
                    records.push(Record::Remove { user, item });
                }
            }
            Operation::ForgetUser(user) => {
                records.extend(self.users.find(user).map(|user| Record::ForgetUser { user }))
            }
            Operation::RetireItem(item) => {
                records.extend(self.items.find(item).map(|item| Record::RetireItem { item }))
            }
            Operation::UnretireItem(item) => {
                records.extend(self.items.find(item).map(|item| Record::UnretireItem { item }))
            }
            Operation::Define { side, id } => drop(self.side(*side).number(id, records)?),
            Operation::Describe { side, id, attributes } => {
                let index = self.side(*side).number(id, records)?;
                let mut bytes = Vec::new();
                attributes::encode(attributes, &mut bytes);
                if !bytes.is_empty() {
                    records.push(Record::Describe { side: *side, index, bytes });
                }
            }
        }
        Ok(())
    }
}

impl Numbers<'_> {
    fn kind(&self) -> Option<IdKind> {
        self.known.kind().or(self.new.kind())
    }

    fn check_kind(&self, kind: IdKind, id: &Id) -> Result<()> {
        if id.kind() == kind { Ok(()) } else { Catalogue::of_kind(self.side, kind).check_kind(id.kind()) }
    }

    /// Refuses attributes of another kind than their names have, in the state or by what this group says; the kinds of new names with these operations.
    fn check_attributes(&self, operations: &[Operation]) -> Result<BTreeMap<String, ValueKind>> {
        let said = operations.iter().filter_map(|operation| match operation {
            Operation::Describe { side, attributes, .. } if *side == self.side => Some(attributes),
            _ => None,
        });
        let mut kinds = self.new_kinds.clone();
        for attributes in said {
            check_kinds(self.side, self.attributes, &mut kinds, attributes)?;
        }
        Ok(kinds)
    }

    fn find(&self, id: &Id) -> Option<u32> {
        let key = id.key();
        self.known.find(&key).or_else(|| self.new.find(&key).map(|local| self.known.len() + local))
    }

    fn number(&mut self, id: &Id, records: &mut Vec<Record>) -> Result<u32> {
        if let Some(number) = self.find(id) {
            return Ok(number);
        }
        let (key, local) = (id.key(), self.new.len());
        let index =
            self.known.len().checked_add(local).filter(|&n| n < u32::MAX).ok_or_else(|| Error::InvalidArgument {
                what: "one id more than 2^32 - 1".into(),
                remedy: "split the data over several databases".into(),
            })?;
        self.new.define(local, id.kind(), &key)?;
        records.push(Record::Define { side: self.side, index, kind: id.kind(), bytes: key.to_vec() });
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repeats::Repeats;
    use crate::tail::Tail;

    #[test]
    fn a_refused_commit_says_nothing_of_the_kinds_of_attributes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &kithdb_storage::StoreOptions::default()).unwrap();
        let pool = Arc::new(crate::pool::Pool::start("test", 1).unwrap());
        let live = Live::new(Catalogues::new(), Tail::new(None, 0, Repeats::Last), pool);
        // One group, as of callers at the same moment.
        let group = |said: Vec<(Id, Attributes)>| {
            let commits = said.into_iter().map(|(id, attributes)| {
                let (reply, answer) = bounded(1);
                let operations = vec![Operation::Describe { side: Side::Item, id, attributes }];
                (Commit { operations, seen: true, reply }, answer)
            });
            let (commits, answers): (Vec<_>, Vec<_>) = commits.unzip();
            commit(&store, &live, commits);
            answers.into_iter().map(|answer| answer.recv().unwrap().is_ok()).collect::<Vec<_>>()
        };
        let size = |value: &str| Attributes::new().set("size", value);
        assert_eq!(group(vec![("mug".into(), Attributes::titled("Mug"))]), [true]);
        let said = vec![
            (7u64.into(), Attributes::new().set("size", 3)),
            ("mug".into(), size("XL")),
            ("kettle".into(), Attributes::new().set("size", 3)),
            ("kettle".into(), size("S")),
        ];
        assert_eq!(group(said), [false, true, false, true]);
    }

    #[test]
    fn nothing_is_acknowledged_after_records_that_could_not_be_taken_in() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &kithdb_storage::StoreOptions::default()).unwrap();
        let live = Live::new(
            Catalogues::new(),
            Tail::new(None, 0, Repeats::Last),
            Arc::new(crate::pool::Pool::start("test", 1).unwrap()),
        );
        let ask = |operation: Operation| {
            let (reply, answer) = bounded(1);
            commit(&store, &live, vec![Commit { operations: vec![operation], seen: true, reply }]);
            answer.recv().unwrap()
        };
        assert_eq!(ask(Operation::Insert(Interaction::new("alice", "grinder"))).unwrap().changed, 1);
        // A definition that is out of step, as of a log that was written to behind the database's back.
        let stray = [Record::Define { side: Side::User, index: 7, kind: IdKind::Str, bytes: b"bob".to_vec() }];
        assert!(live.working().apply(3, &stray, std::iter::once(0..1)).is_err());
        let sequence = store.last_sequence();
        for operation in [
            Operation::Insert(Interaction::new("alice", "kettle")),
            Operation::Remove { user: "nobody".into(), item: "nothing".into() },
            Operation::ForgetUser("nobody".into()),
            Operation::RetireItem("nothing".into()),
        ] {
            let error = ask(operation).unwrap_err();
            assert!(matches!(error, Error::NotApplied { .. }) && error.to_string().contains("reopened"), "{error}");
        }
        assert!(matches!(live.check(), Err(Error::NotApplied { .. })));
        assert_eq!(store.last_sequence(), sequence);
        assert_eq!(live.snapshot().tail().edges(), 1);
    }
}
