//! An ordered map: a B+ tree.

use std::sync::Arc;

use arrayvec::ArrayVec;

/// Entries of a leaf at most.
const LEAF: usize = 32;
/// Children of a branch at most.
const BRANCH: usize = 16;

/// An ordered map from integers to small values. A copy is O(1). Looking up and changing are O(log n); a change of a shared map copies one leaf
/// and one branch a level.
#[derive(Clone)]
pub(crate) struct Tree<V> {
    root: Option<Node<V>>,
    len: u64,
}

#[derive(Clone)]
enum Node<V> {
    Leaf(Arc<Leaf<V>>),
    Branch(Arc<Branch<V>>),
}

/// Keys ascend over the first `len` places; values past them are the default.
#[derive(Clone)]
struct Leaf<V> {
    len: usize,
    keys: [u64; LEAF],
    values: [V; LEAF],
}

/// Keys of child i are at least `firsts[i]`, but for those of the first child, and below `firsts[i + 1]`.
#[derive(Clone)]
struct Branch<V> {
    firsts: ArrayVec<u64, BRANCH>,
    children: ArrayVec<Node<V>, BRANCH>,
}

/// A node that was split off, and the least key it can hold.
type Split<V> = Option<(u64, Node<V>)>;

impl<V> Tree<V> {
    /// An empty map.
    pub(crate) fn new() -> Self {
        Self { root: None, len: 0 }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: u64) -> Option<&V> {
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.find(key).ok().map(|at| &leaf.values[at]),
                Node::Branch(branch) => node = &branch.children[branch.child(key)],
            }
        }
    }

    /// The entries from `key` on, in order.
    pub(crate) fn from(&self, key: u64) -> Iter<'_, V> {
        let mut iter = Iter { branches: Vec::new(), leaf: None, at: 0 };
        if let Some(root) = &self.root {
            iter.descend(root, key);
        }
        iter
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> Iter<'_, V> {
        self.from(0)
    }
}

impl<V: PartialEq> Tree<V> {
    /// Visits the keys that have another value here than in `other`, or are in one of the two only, in order. Leaves that both share are passed
    /// over unread.
    pub(crate) fn differences(&self, other: &Self, mut visit: impl FnMut(u64)) {
        let (mut ours, mut theirs) = (self.iter(), other.iter());
        loop {
            if let (Some(a), Some(b)) = (ours.unread_leaf(), theirs.unread_leaf())
                && Arc::ptr_eq(a, b)
            {
                ours.skip_leaf();
                theirs.skip_leaf();
                continue;
            }
            match (ours.peek(), theirs.peek()) {
                (None, None) => return,
                (Some((a, x)), Some((b, y))) if a == b => {
                    if x != y {
                        visit(a);
                    }
                    ours.next();
                    theirs.next();
                }
                (Some((a, _)), b) if b.is_none_or(|(b, _)| a < b) => {
                    visit(a);
                    ours.next();
                }
                (_, Some((b, _))) => {
                    visit(b);
                    theirs.next();
                }
                // The second arm takes every key without a counterpart.
                (Some(_), None) => return,
            }
        }
    }
}

impl<V: Clone + Default> Tree<V> {
    /// Sets the value of a key; the one it had.
    pub(crate) fn insert(&mut self, key: u64, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Node::Leaf(Arc::new(Leaf::of(key, value))));
            self.len = 1;
            return None;
        };
        let (old, split) = root.insert(key, value);
        if let Some((first, right)) = split {
            let left = root.clone();
            let mut branch = Branch::new();
            branch.push(0, left);
            branch.push(first, right);
            *root = Node::Branch(Arc::new(branch));
        }
        self.len += u64::from(old.is_none());
        old
    }

    /// Sets the values of keys that ascend; `old` visits each key with the value it had. Keys that meet in a leaf share the way there.
    pub(crate) fn insert_ascending(&mut self, entries: &[(u64, V)], mut old: impl FnMut(u64, Option<V>)) {
        let mut rest = entries;
        while let Some(((key, value), later)) = rest.split_first() {
            let taken = self.root.as_mut().map_or((0, 0), |root| root.extend(rest, &mut old));
            self.len += taken.1;
            rest = &rest[taken.0..];
            if taken.0 == 0 {
                old(*key, self.insert(*key, value.clone()));
                rest = later;
            }
        }
    }

    /// Takes a key out; the value it had.
    pub(crate) fn remove(&mut self, key: u64) -> Option<V> {
        // A key that is not there copies nothing.
        self.get(key)?;
        let root = self.root.as_mut()?;
        let old = root.remove(key);
        self.len -= u64::from(old.is_some());
        while let Some(Node::Branch(branch)) = &self.root
            && branch.children.len() <= 1
        {
            self.root = branch.children.first().cloned();
        }
        if self.root.as_ref().is_some_and(|root| root.len() == 0) {
            self.root = None;
        }
        old
    }
}

impl<V> Node<V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len,
            Node::Branch(branch) => branch.children.len(),
        }
    }
}

impl<V: Clone + Default> Node<V> {
    fn insert(&mut self, key: u64, value: V) -> (Option<V>, Split<V>) {
        match self {
            Node::Leaf(leaf) => Arc::make_mut(leaf).insert(key, value),
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                let at = branch.child(key);
                let (old, split) = branch.children[at].insert(key, value);
                (old, split.and_then(|(first, node)| branch.insert(at + 1, first, node)))
            }
        }
    }

    /// Sets as many of the first entries as belong to one leaf and have room there; how many, and how many of their keys are new.
    fn extend(&mut self, entries: &[(u64, V)], old: &mut impl FnMut(u64, Option<V>)) -> (usize, u64) {
        let Some(&(first, _)) = entries.first() else { return (0, 0) };
        let (mut node, mut end) = (self, None);
        loop {
            match node {
                Node::Branch(branch) => {
                    let branch = Arc::make_mut(branch);
                    let at = branch.child(first);
                    end = branch.firsts.get(at + 1).copied().or(end);
                    node = &mut branch.children[at];
                }
                Node::Leaf(leaf) => {
                    let leaf = Arc::make_mut(leaf);
                    let (mut taken, mut new) = (0, 0);
                    for (key, value) in entries.iter().take_while(|(key, _)| end.is_none_or(|end| *key < end)) {
                        match leaf.find(*key) {
                            Ok(at) => old(*key, Some(std::mem::replace(&mut leaf.values[at], value.clone()))),
                            Err(at) if leaf.len < LEAF => {
                                leaf.place(at, *key, value.clone());
                                old(*key, None);
                                new += 1;
                            }
                            Err(_) => break,
                        }
                        taken += 1;
                    }
                    return (taken, new);
                }
            }
        }
    }

    /// Takes out a key that is there.
    fn remove(&mut self, key: u64) -> Option<V> {
        match self {
            Node::Leaf(leaf) => Arc::make_mut(leaf).remove(key),
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                let at = branch.child(key);
                let old = branch.children[at].remove(key);
                branch.tidy(at);
                old
            }
        }
    }

    /// Takes in the entries of `right`, whose keys are at least `first` and above this node's, if both are sparse.
    fn absorb(&mut self, first: u64, right: &Self) -> bool {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) if left.len + right.len <= LEAF * 3 / 4 => {
                let left = Arc::make_mut(left);
                let (start, end) = (left.len, left.len + right.len);
                left.keys[start..end].copy_from_slice(&right.keys[..right.len]);
                left.values[start..end].clone_from_slice(&right.values[..right.len]);
                left.len = end;
                true
            }
            (Node::Branch(left), Node::Branch(right))
                if left.children.len() + right.children.len() <= BRANCH * 3 / 4 =>
            {
                let left = Arc::make_mut(left);
                let firsts = std::iter::once(first).chain(right.firsts.iter().skip(1).copied());
                left.firsts.extend(firsts);
                left.children.extend(right.children.iter().cloned());
                true
            }
            _ => false,
        }
    }
}

impl<V> Leaf<V> {
    /// Where the key is, or where it would be.
    fn find(&self, key: u64) -> Result<usize, usize> {
        self.keys[..self.len].binary_search(&key)
    }
}

impl<V: Clone + Default> Leaf<V> {
    fn new() -> Self {
        Self { len: 0, keys: [0; LEAF], values: std::array::from_fn(|_| V::default()) }
    }

    fn of(key: u64, value: V) -> Self {
        let mut leaf = Self::new();
        leaf.place(0, key, value);
        leaf
    }

    /// Puts an entry before place `at` of a leaf that is not full.
    fn place(&mut self, at: usize, key: u64, value: V) {
        self.keys.copy_within(at..self.len, at + 1);
        self.keys[at] = key;
        self.values[at..=self.len].rotate_right(1);
        self.values[at] = value;
        self.len += 1;
    }

    fn insert(&mut self, key: u64, value: V) -> (Option<V>, Split<V>) {
        match self.find(key) {
            Ok(at) => (Some(std::mem::replace(&mut self.values[at], value)), None),
            Err(at) if self.len < LEAF => {
                self.place(at, key, value);
                (None, None)
            }
            // Keys that ascend leave full leaves behind.
            Err(LEAF) => (None, Some((key, Node::Leaf(Arc::new(Self::of(key, value)))))),
            Err(at) => {
                let mut right = Self::new();
                let half = LEAF / 2;
                right.len = LEAF - half;
                right.keys[..right.len].copy_from_slice(&self.keys[half..]);
                right.values[..LEAF - half].swap_with_slice(&mut self.values[half..]);
                self.len = half;
                if at <= half {
                    self.place(at, key, value);
                } else {
                    right.place(at - half, key, value);
                }
                (None, Some((right.keys[0], Node::Leaf(Arc::new(right)))))
            }
        }
    }

    fn remove(&mut self, key: u64) -> Option<V> {
        let at = self.find(key).ok()?;
        let last = self.len - 1;
        self.keys.copy_within(at + 1..self.len, at);
        self.values[at..self.len].rotate_left(1);
        self.len = last;
        Some(std::mem::take(&mut self.values[last]))
    }
}

impl<V> Branch<V> {
    fn new() -> Self {
        Self { firsts: ArrayVec::new(), children: ArrayVec::new() }
    }

    /// The child that holds a key, if any does.
    fn child(&self, key: u64) -> usize {
        self.firsts.partition_point(|&first| first <= key).max(1) - 1
    }

    fn push(&mut self, first: u64, node: Node<V>) {
        self.firsts.push(first);
        self.children.push(node);
    }

    /// Puts a child before place `at`.
    fn insert(&mut self, at: usize, first: u64, node: Node<V>) -> Split<V> {
        if self.children.len() < BRANCH {
            self.firsts.insert(at, first);
            self.children.insert(at, node);
            return None;
        }
        let mut right = Self::new();
        if at == BRANCH {
            right.push(first, node);
        } else {
            right.firsts.extend(self.firsts.drain(BRANCH / 2..));
            right.children.extend(self.children.drain(BRANCH / 2..));
            let (side, at) = if at <= BRANCH / 2 { (self, at) } else { (&mut right, at - BRANCH / 2) };
            side.firsts.insert(at, first);
            side.children.insert(at, node);
        }
        Some((right.firsts[0], Node::Branch(Arc::new(right))))
    }
}

impl<V: Clone + Default> Branch<V> {
    /// After a removal from child `at`: an empty child goes, a sparse one joins a neighbour.
    fn tidy(&mut self, at: usize) {
        let (len, full) = match &self.children[at] {
            Node::Leaf(leaf) => (leaf.len, LEAF),
            Node::Branch(branch) => (branch.children.len(), BRANCH),
        };
        if len == 0 {
            self.take(at);
            return;
        }
        if len > full / 4 {
            return;
        }
        for left in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            if let Some(&first) = self.firsts.get(left + 1)
                && let Some([a, b]) = self.children.get_mut(left..left + 2)
                && a.absorb(first, b)
            {
                self.take(left + 1);
                return;
            }
        }
    }

    fn take(&mut self, at: usize) {
        self.firsts.remove(at);
        self.children.remove(at);
    }
}

/// Entries of a map in order.
pub(crate) struct Iter<'a, V> {
    /// The branches above the leaf, and which child comes next.
    branches: Vec<(&'a Branch<V>, usize)>,
    leaf: Option<&'a Arc<Leaf<V>>>,
    at: usize,
}

impl<'a, V> Iter<'a, V> {
    fn descend(&mut self, mut node: &'a Node<V>, key: u64) {
        loop {
            match node {
                Node::Branch(branch) => {
                    let child = branch.child(key);
                    self.branches.push((branch, child + 1));
                    node = &branch.children[child];
                }
                Node::Leaf(leaf) => {
                    (self.leaf, self.at) = (Some(leaf), leaf.find(key).unwrap_or_else(|at| at));
                    return;
                }
            }
        }
    }

    /// Goes to a leaf that has an entry left; `None` at the end.
    fn settle(&mut self) -> Option<&'a Arc<Leaf<V>>> {
        loop {
            match self.leaf {
                Some(leaf) if self.at < leaf.len => return Some(leaf),
                _ => {
                    let (branch, next) = self.branches.last_mut()?;
                    match branch.children.get(*next) {
                        Some(node) => {
                            *next += 1;
                            self.descend(node, 0);
                        }
                        None => drop(self.branches.pop()),
                    }
                }
            }
        }
    }

    fn peek(&mut self) -> Option<(u64, &'a V)> {
        let leaf = self.settle()?;
        Some((leaf.keys[self.at], &leaf.values[self.at]))
    }

    /// The leaf that comes next, if none of its entries has been read.
    fn unread_leaf(&mut self) -> Option<&'a Arc<Leaf<V>>> {
        self.settle().filter(|_| self.at == 0)
    }

    fn skip_leaf(&mut self) {
        self.at = LEAF;
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (u64, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.peek();
        self.at += usize::from(entry.is_some());
        entry
    }
}

#[cfg(test)]
mod tests;
