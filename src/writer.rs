//! The one writer: group commit of what callers insert, remove, forget and retire.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use kithdb_storage::{Record, Side, Store};

use crate::error::{Error, Result};
use crate::ids::{Catalogue, Id, IdKind};
use crate::interaction::Interaction;
use crate::live::{Catalogues, Live};

/// Commits that may wait for the writer before a caller blocks.
const QUEUE: usize = 1024;
/// Operations after which a group is closed though more are waiting.
const GROUP: usize = 65_536;
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
    /// Gives an id a number, if it has none.
    Define {
        side: Side,
        id: Id,
    },
}

/// Operations that become durable together, and whom to tell how many of them changed something.
struct Commit {
    operations: Vec<Operation>,
    reply: Sender<Result<u64>>,
}

/// A commit under way.
pub(crate) struct Pending(Receiver<Result<u64>>);

impl Pending {
    /// Waits until the commit is durable; how many of its operations changed something.
    pub(crate) fn wait(self) -> Result<u64> {
        self.0.recv().map_err(|_| Error::Stopped { thread: "writer" })?
    }
}

/// Handle of the writer's thread, which ends when the handle is dropped and what was sent is durable.
pub(crate) struct Writer {
    commits: Option<Sender<Commit>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(store: Arc<Store>, live: Arc<Live>) -> std::io::Result<Self> {
        let (commits, receiver) = bounded(QUEUE);
        let thread =
            std::thread::Builder::new().name("kithdb-writer".into()).spawn(move || run(&store, &live, &receiver))?;
        Ok(Self { commits: Some(commits), thread: Some(thread) })
    }

    /// Sends operations to be committed together.
    pub(crate) fn commit(&self, operations: Vec<Operation>) -> Result<Pending> {
        let (reply, receiver) = bounded(1);
        let stopped = Error::Stopped { thread: "writer" };
        self.commits
            .as_ref()
            .ok_or(stopped)?
            .send(Commit { operations, reply })
            .map_err(|_| Error::Stopped { thread: "writer" })?;
        Ok(Pending(receiver))
    }
}

/// Many operations on their way, in batches that become durable one after another.
pub(crate) struct Stream<'a> {
    writer: &'a Writer,
    batch: Vec<Operation>,
    under_way: VecDeque<Pending>,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(writer: &'a Writer) -> Self {
        Self { writer, batch: Vec::with_capacity(BATCH), under_way: VecDeque::new() }
    }

    /// Takes an operation. An error is that of an operation some batches before; nothing more should follow.
    pub(crate) fn push(&mut self, operation: Operation) -> Result<()> {
        self.batch.push(operation);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.send()?;
        match self.under_way.len() > IN_FLIGHT {
            true => self.under_way.pop_front().map_or(Ok(()), |pending| pending.wait().map(drop)),
            false => Ok(()),
        }
    }

    /// Waits for all that is under way, and before for the last batch if `rest`; the first error.
    pub(crate) fn finish(mut self, rest: bool) -> Result<()> {
        let sent = if rest { self.send() } else { Ok(()) };
        self.under_way.into_iter().fold(sent, |outcome, pending| {
            let waited = pending.wait().map(drop);
            outcome.and(waited)
        })
    }

    fn send(&mut self) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.under_way.push_back(self.writer.commit(batch)?);
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has acknowledged nothing since; its callers were told by their closed channels.
            let _ = thread.join();
        }
    }
}

fn run(store: &Store, live: &Live, commits: &Receiver<Commit>) {
    while let Ok(first) = commits.recv() {
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

fn commit(store: &Store, live: &Live, group: Vec<Commit>) {
    let mut records = Vec::new();
    let mut spans = Vec::with_capacity(group.len());
    {
        let catalogues = live.catalogues.read();
        let mut ids = Resolver::new(&catalogues);
        for commit in group {
            let start = records.len();
            let resolved = ids
                .check(&commit.operations)
                .and_then(|()| commit.operations.iter().try_for_each(|operation| ids.resolve(operation, &mut records)));
            match resolved {
                Ok(()) => spans.push((commit.reply, start..records.len())),
                Err(error) => drop(commit.reply.send(Err(error))),
            }
        }
    }
    if records.is_empty() {
        spans.into_iter().for_each(|(reply, _)| drop(reply.send(Ok(0))));
        return;
    }
    match store.append(&records) {
        Ok(last) => {
            let first = last + 1 - records.len() as u64;
            let _applying = live.applying.lock();
            let defined = live.catalogues.write().apply(&records);
            let tail = live.tail();
            for (reply, span) in spans {
                let changed = tail.apply(first + span.start as u64, &records[span]);
                // Whoever has given up waiting needs no answer.
                let _ = reply.send(match &defined {
                    Ok(()) => Ok(changed),
                    Err(error) => Err(Error::Damaged { what: error.to_string() }),
                });
            }
        }
        Err(error) => {
            let source = Arc::new(error);
            for (reply, _) in spans {
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
}

impl<'a> Resolver<'a> {
    fn new(catalogues: &'a Catalogues) -> Self {
        let numbers = |side, known| Numbers { side, known, new: Catalogue::new(side) };
        Self { users: numbers(Side::User, &catalogues.users), items: numbers(Side::Item, &catalogues.items) }
    }

    /// Refuses a commit that names an id of the wrong kind, before any of it is resolved.
    fn check(&self, operations: &[Operation]) -> Result<()> {
        let (mut user_kind, mut item_kind) = (self.users.kind(), self.items.kind());
        for operation in operations {
            let (user, item, defines) = match operation {
                Operation::Insert(i) => (Some(&i.user), Some(&i.item), true),
                Operation::Remove { user, item } => (Some(user), Some(item), false),
                Operation::ForgetUser(user) => (Some(user), None, false),
                Operation::RetireItem(item) => (None, Some(item), false),
                Operation::Define { side: Side::User, id } => (Some(id), None, true),
                Operation::Define { side: Side::Item, id } => (None, Some(id), true),
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
        Ok(())
    }

    fn resolve(&mut self, operation: &Operation, records: &mut Vec<Record>) -> Result<()> {
        match operation {
            Operation::Insert(Interaction { user, item, weight, time }) => {
                let (user, item) = (self.users.number(user, records)?, self.items.number(item, records)?);
                records.push(Record::Insert { user, item, weight: *weight, time: *time });
            }
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
            Operation::Define { side, id } => {
                let numbers = match side {
                    Side::User => &mut self.users,
                    Side::Item => &mut self.items,
                };
                numbers.number(id, records)?;
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
