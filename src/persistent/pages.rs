//! A vector of pages.

use std::sync::Arc;

/// Pages a group holds.
const GROUP: usize = 64;

/// A vector of `T`s that are changed one at a time, each some hundreds of bytes or more. A copy is O(1); a change of a shared vector copies the
/// page, the pointers of its group, and one pointer a group.
#[derive(Clone, Debug)]
pub(crate) struct Pages<T> {
    groups: Arc<Vec<Arc<Group<T>>>>,
    len: usize,
}

/// Neighbouring pages, the places past the last one empty.
#[derive(Clone, Debug)]
struct Group<T>([Option<Arc<T>>; GROUP]);

impl<T> Pages<T> {
    /// No pages.
    pub(crate) fn new() -> Self {
        Self { groups: Arc::new(Vec::new()), len: 0 }
    }

    /// How many pages there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The page at a place.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.groups.get(at / GROUP)?.0[at % GROUP].as_deref()
    }

    /// All pages in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups.iter().flat_map(|group| group.0.iter().flatten()).map(|page| &**page)
    }
}

impl<T: Clone> Pages<T> {
    /// The page at a place, to be changed.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len {
            return None;
        }
        let group = Arc::make_mut(&mut self.groups).get_mut(at / GROUP)?;
        Arc::make_mut(group).0[at % GROUP].as_mut().map(Arc::make_mut)
    }

    /// Appends a page.
    pub(crate) fn push(&mut self, page: T) {
        let groups = Arc::make_mut(&mut self.groups);
        if self.len.is_multiple_of(GROUP) {
            groups.push(Arc::new(Group(std::array::from_fn(|_| None))));
        }
        if let Some(group) = groups.last_mut() {
            Arc::make_mut(group).0[self.len % GROUP] = Some(Arc::new(page));
        }
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn copies_keep_their_moment(steps in prop::collection::vec((0usize..300, 0u32..1_000, any::<bool>()), 0..400)) {
            let (mut pages, mut naive) = (Pages::new(), Vec::new());
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
