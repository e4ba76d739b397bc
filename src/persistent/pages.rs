//! A vector of pages.

use std::sync::Arc;

/// Pages a group holds, and groups a block holds.
const GROUP: usize = 32;
/// Pages a block holds.
const BLOCK: usize = GROUP * GROUP;

/// A vector of `T`s that are changed one at a time, each some hundreds of bytes or more. A copy is O(1); a change of a shared vector copies the
/// page, the pointers of its group and block, and one pointer a block.
#[derive(Clone, Debug)]
pub(crate) struct Pages<T> {
    blocks: Arc<Vec<Arc<Group<Group<T>>>>>,
    len: usize,
}

/// Neighbours, the places past the last one empty.
#[derive(Debug)]
struct Group<T>([Option<Arc<T>>; GROUP]);

impl<T> Group<T> {
    fn new() -> Self {
        Self([const { None }; GROUP])
    }
}

// Not derived: the neighbours are shared, not copied.
impl<T> Clone for Group<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Pages<T> {
    /// No pages.
    pub(crate) fn new() -> Self {
        Self { blocks: Arc::new(Vec::new()), len: 0 }
    }

    /// How many pages there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The page at a place.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        let group = self.blocks.get(at / BLOCK)?.0[at / GROUP % GROUP].as_ref()?;
        group.0[at % GROUP].as_deref()
    }

    /// All pages in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let groups = self.blocks.iter().flat_map(|block| block.0.iter().flatten());
        groups.flat_map(|group| group.0.iter().flatten()).map(|page| &**page)
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> Pages<T> {
    /// The page at a place, to be changed.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len {
            return None;
        }
        let block = Arc::make_mut(&mut self.blocks).get_mut(at / BLOCK)?;
        let group = Arc::make_mut(block).0[at / GROUP % GROUP].as_mut()?;
        Arc::make_mut(group).0[at % GROUP].as_mut().map(Arc::make_mut)
    }

    /// Appends a page.
    pub(crate) fn push(&mut self, page: T) {
        let at = self.len;
        let blocks = Arc::make_mut(&mut self.blocks);
        if at.is_multiple_of(BLOCK) {
            blocks.push(Arc::new(Group::new()));
        }
        if let Some(block) = blocks.last_mut() {
            let group = &mut Arc::make_mut(block).0[at / GROUP % GROUP];
            let group = group.get_or_insert_with(|| Arc::new(Group::new()));
            Arc::make_mut(group).0[at % GROUP] = Some(Arc::new(page));
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn copies_keep_their_moment(start in 0u32..1_100, steps in prop::collection::vec((0usize..1_500, 0u32..1_000, prop::bool::weighted(0.1)), 0..400)) {
            let (mut pages, mut naive) = (Pages::new(), Vec::new());
            for value in 0..start {
                pages.push(value);
                naive.push(value);
            }
            let mut copies = Vec::new();
            for (at, value, copy) in steps {
                match pages.get_mut(at) {
                    Some(page) => {
                        *page = value;
                        naive[at] = value;
                    }
                    None => {
                        pages.push(value);
                        naive.push(value);
                    }
                }
                if copy {
                    copies.push((pages.clone(), naive.clone()));
                }
            }
            copies.push((pages, naive));
            for (pages, naive) in copies {
                prop_assert_eq!(pages.len(), naive.len());
                prop_assert!(pages.iter().eq(&naive));
                prop_assert!((0..naive.len() + 1).all(|at| pages.get(at) == naive.get(at)));
            }
        }
    }
}
