//! A disk under a file system that has been given a prefix of a trace: what is on it for sure, and what may be.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::{fmt, fs};

use crate::random::Random;
use crate::trace::Event;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// What a file system promises of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Changes of names and lengths reach the disk in their order, each sync of a file or directory taking with it all that came before the last
    /// change of it.
    Ordered,
    /// A change of a name is there for sure only once its directory was synced; before that any subset may be.
    Strict,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Ordered, Kind::Strict];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Kind::Ordered { "ordered" } else { "strict" })
    }
}

/// A change of a file's bytes.
enum Change<'a> {
    Data { at: usize, data: &'a [u8] },
    Length(usize),
}

/// A change of a directory's names.
enum Link {
    Add(String, usize),
    Remove(String, usize),
    /// A new name for a node that is in the same directory.
    Move(String, usize),
}

enum Content<'a> {
    File { changes: Vec<(usize, Change<'a>)>, length: usize },
    Directory { changes: Vec<(usize, Link)>, names: BTreeMap<String, usize> },
}

struct Node<'a> {
    content: Content<'a>,
    /// Changes before this event are durable.
    settled: usize,
    /// Events that changed more than bytes.
    touched: Vec<usize>,
}

/// Syncs that are taken not to have happened, by what they sync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deaf {
    /// Of files whose name ends like this.
    To(&'static str),
    ToDirectories,
    /// One of the syncs, by its event.
    ToOne(usize),
    ToNothing,
}

/// The state after a number of events.
pub struct Disk<'a> {
    nodes: Vec<Node<'a>>,
    inodes: HashMap<u64, usize>,
    cut: usize,
    deaf: Deaf,
    /// Where names and lengths are ordered, those before this event are durable.
    committed: usize,
}

const ROOT: usize = 0;

impl<'a> Disk<'a> {
    /// The state after these events.
    pub fn after(events: &[Event<'a>], deaf: Deaf) -> Disk<'a> {
        let mut disk = Disk { nodes: Vec::new(), inodes: HashMap::new(), cut: events.len(), deaf, committed: 0 };
        disk.add_node(Content::Directory { changes: Vec::new(), names: BTreeMap::new() }, 0);
        for (index, event) in events.iter().enumerate() {
            disk.take(index, event);
        }
        disk
    }

    fn add_node(&mut self, content: Content<'a>, index: usize) -> usize {
        self.nodes.push(Node { content, settled: 0, touched: vec![index] });
        self.nodes.len() - 1
    }

    fn names(&self, directory: usize) -> &BTreeMap<String, usize> {
        match &self.nodes[directory].content {
            Content::Directory { names, .. } => names,
            Content::File { .. } => panic!("a file has no names in it"),
        }
    }

    /// The directory of a path, and the name in it.
    fn place<'b>(&self, path: &'b str) -> (usize, &'b str) {
        let (above, name) = path.rsplit_once('/').unwrap();
        let node = above.split('/').skip(1).fold(ROOT, |node, name| self.names(node)[name]);
        (node, name)
    }

    fn link(&mut self, index: usize, directory: usize, link: Link) {
        let node = &mut self.nodes[directory];
        node.touched.push(index);
        let Content::Directory { changes, names } = &mut node.content else { panic!("a file has no names in it") };
        apply(names, &link);
        changes.push((index, link));
    }

    fn change(&mut self, index: usize, inode: u64, change: Change<'a>) {
        let node = &mut self.nodes[self.inodes[&inode]];
        let Content::File { changes, length } = &mut node.content else { panic!("a directory has no bytes") };
        let new = match change {
            Change::Data { at, data } => (at + data.len()).max(*length),
            Change::Length(length) => length,
        };
        if new != *length {
            node.touched.push(index);
        }
        *length = new;
        changes.push((index, change));
    }

    fn take(&mut self, index: usize, event: &Event<'a>) {
        match *event {
            Event::Made { path: "", inode } => drop(self.inodes.insert(inode, ROOT)),
            Event::Created { path, inode } | Event::Made { path, inode } => {
                let content = match event {
                    Event::Made { .. } => Content::Directory { changes: Vec::new(), names: BTreeMap::new() },
                    _ => Content::File { changes: Vec::new(), length: 0 },
                };
                let node = self.add_node(content, index);
                self.inodes.insert(inode, node);
                let (directory, name) = self.place(path);
                self.link(index, directory, Link::Add(name.to_owned(), node));
            }
            Event::Renamed { old, new } => {
                let ((directory, old), (other, new)) = (self.place(old), self.place(new));
                assert_eq!(directory, other, "a name was moved to another directory, which this disk does not know");
                let node = self.names(directory)[old];
                self.nodes[node].touched.push(index);
                self.link(index, directory, Link::Move(new.to_owned(), node));
            }
            Event::Removed { path } => {
                let (directory, name) = self.place(path);
                let node = self.names(directory)[name];
                self.nodes[node].touched.push(index);
                self.link(index, directory, Link::Remove(name.to_owned(), node));
            }
            Event::Written { inode, at, data } => self.change(index, inode, Change::Data { at, data }),
            Event::Truncated { inode, length } => self.change(index, inode, Change::Length(length)),
            Event::Synced { inode: Some(inode), begun } => {
                let node = self.inodes[&inode];
                if !self.is_deaf_to(node) && self.deaf != Deaf::ToOne(index) {
                    self.settle(node, begun);
                }
            }
            Event::Synced { inode: None, begun } => (0..self.nodes.len()).for_each(|node| self.settle(node, begun)),
            Event::Begun => (0..self.nodes.len()).for_each(|node| self.settle(node, index)),
            Event::Said(_) | Event::WrittenBack => {}
        }
    }

    fn is_deaf_to(&self, node: usize) -> bool {
        match (self.deaf, &self.nodes[node].content) {
            (Deaf::To(name), Content::File { .. }) => self.nodes.iter().any(|directory| match &directory.content {
                Content::Directory { names, .. } => {
                    names.iter().any(|(known, at)| *at == node && known.ends_with(name))
                }
                Content::File { .. } => false,
            }),
            (Deaf::ToDirectories, Content::Directory { .. }) => true,
            _ => false,
        }
    }

    fn settle(&mut self, node: usize, begun: usize) {
        let node = &mut self.nodes[node];
        node.settled = node.settled.max(begun);
        let last = node.touched.iter().rev().find(|&&touched| touched < begun);
        self.committed = self.committed.max(last.map_or(0, |last| last + 1));
    }

    /// Writes into a directory what may be on the disk if the power goes now; which of all that may be is chosen by the random numbers.
    pub fn image(&self, kind: Kind, random: &mut Random, to: &Path) {
        let chances = Chances { names: random.below(5), lengths: random.below(5), data: random.below(5) };
        let reached = match kind {
            Kind::Ordered if random.happens(2) => self.cut,
            Kind::Ordered => self.committed + random.below(self.cut - self.committed + 1),
            Kind::Strict => 0,
        };
        let mut choice = Choice { kind, chances, reached, random };
        fs::create_dir_all(to).unwrap();
        self.write(ROOT, &mut choice, to);
    }

    /// Writes all there is, as it is without a power cut.
    pub fn whole(&self, to: &Path) {
        let chances = Chances { names: 4, lengths: 4, data: 4 };
        fs::create_dir_all(to).unwrap();
        self.write(
            ROOT,
            &mut Choice { kind: Kind::Ordered, chances, reached: self.cut, random: &mut Random::new(0) },
            to,
        );
    }

    fn write(&self, node: usize, choice: &mut Choice<'_>, to: &Path) {
        let node = &self.nodes[node];
        match &node.content {
            Content::File { changes, length } => {
                fs::write(to, choice.bytes(changes, node.settled, *length)).unwrap();
            }
            Content::Directory { changes, .. } => {
                let mut names = BTreeMap::new();
                for (index, link) in changes {
                    if choice.survives(*index, node.settled, choice.chances.names) {
                        apply(&mut names, link);
                    }
                }
                for (name, node) in names {
                    let path = to.join(name);
                    if matches!(self.nodes[node].content, Content::Directory { .. }) {
                        fs::create_dir(&path).unwrap();
                    }
                    self.write(node, choice, &path);
                }
            }
        }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, link: &Link) {
    match link {
        Link::Add(name, node) => drop(names.insert(name.clone(), *node)),
        Link::Remove(name, node) if names.get(name) == Some(node) => drop(names.remove(name)),
        Link::Remove(..) => {}
        Link::Move(name, node) => {
            // Whichever name it has on the disk, this one replaces it.
            names.retain(|_, other| other != node);
            names.insert(name.clone(), *node);
        }
    }
}

/// How often what is not durable is there all the same, in quarters.
struct Chances {
    names: usize,
    lengths: usize,
    data: usize,
}

struct Choice<'a> {
    kind: Kind,
    chances: Chances,
    /// Where names are ordered, the event up to which they have reached the disk.
    reached: usize,
    random: &'a mut Random,
}

/// How far the writes to a page have reached it: up to an event, as a whole or each sector for itself.
type Fate = [usize; PAGE / SECTOR];

impl Choice<'_> {
    /// Whether a change of a name or length is on the disk.
    fn survives(&mut self, index: usize, settled: usize, quarters: usize) -> bool {
        match self.kind {
            _ if index < settled => true,
            Kind::Ordered => index < self.reached,
            Kind::Strict => self.random.happens(quarters),
        }
    }

    /// The bytes of a file. Of writes that were not synced any page may have been written at any time since, or been torn while it was.
    fn bytes(&mut self, changes: &[(usize, Change<'_>)], settled: usize, live: usize) -> Vec<u8> {
        let mut writes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().filter(|(index, _)| *index >= settled) {
            if let Change::Data { at, data } = change {
                (at / PAGE..(at + data.len()).div_ceil(PAGE))
                    .for_each(|page| writes.entry(page).or_default().push(*index));
            }
        }
        let fates: BTreeMap<usize, Fate> =
            writes.into_iter().map(|(page, indices)| (page, self.fate(&indices))).collect();
        let mut bytes = Vec::new();
        for (index, change) in changes {
            match *change {
                Change::Length(length) => {
                    if self.survives(*index, settled, self.chances.lengths) {
                        bytes.resize(length, 0);
                    }
                }
                Change::Data { at, data } if *index < settled => put(&mut bytes, at, data),
                Change::Data { at, data } => {
                    for sector in at / SECTOR..(at + data.len()).div_ceil(SECTOR) {
                        let (from, to) = (at.max(sector * SECTOR), (at + data.len()).min((sector + 1) * SECTOR));
                        let page = sector * SECTOR / PAGE;
                        if *index < fates[&page][sector % (PAGE / SECTOR)] {
                            put(&mut bytes, from, &data[from - at..to - at]);
                        }
                    }
                }
            }
        }
        // A length may be there before the bytes it makes room for, and bytes in a file's old blocks before a length.
        match self.kind {
            Kind::Strict if bytes.len() < live && self.random.happens(1) => bytes.resize(live, 0),
            Kind::Strict if self.random.happens(1) => bytes.truncate(length_before(changes, settled)),
            Kind::Strict => {}
            Kind::Ordered => bytes.truncate(length_before(changes, self.reached.max(settled))),
        }
        bytes
    }

    fn fate(&mut self, indices: &[usize]) -> Fate {
        let all = [usize::MAX; PAGE / SECTOR];
        if self.random.happens(self.chances.data) {
            return all;
        }
        let which = self.random.below(3);
        // The writes before one of them, or all.
        let mut some = || indices.get(self.random.below(indices.len() + 1)).copied().unwrap_or(usize::MAX);
        match which {
            0 => [0; PAGE / SECTOR],
            1 => [some(); PAGE / SECTOR],
            _ => std::array::from_fn(|_| some()),
        }
    }
}

/// The length of a file before an event.
fn length_before(changes: &[(usize, Change<'_>)], event: usize) -> usize {
    changes.iter().filter(|(index, _)| *index < event).fold(0, |length, (_, change)| match change {
        Change::Length(length) => *length,
        Change::Data { at, data } => length.max(at + data.len()),
    })
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}
