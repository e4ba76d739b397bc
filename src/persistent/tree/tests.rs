//! The map against a `BTreeMap`.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u32),
    /// So many keys that ascend.
    Ascending(u64, u64),
    Remove(u64),
    /// All keys of a range.
    Clear(u64, u64),
    Copy,
}

fn steps(keys: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..keys, 0u32..50).prop_map(|(key, value)| Step::Insert(key, value)),
        1 => (0..keys, 0..keys / 4).prop_map(|(from, count)| Step::Ascending(from, count)),
        4 => (0..keys).prop_map(Step::Remove),
        1 => (0..keys, 0..keys / 2).prop_map(|(from, count)| Step::Clear(from, count)),
        1 => Just(Step::Copy),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn it_is_the_naive_map_and_copies_keep_their_moment(steps in prop_oneof![steps(100), steps(20_000)]) {
        let (mut tree, mut naive) = (Tree::new(), BTreeMap::new());
        let mut copies = vec![(tree.clone(), naive.clone())];
        for step in steps {
            match step {
                Step::Insert(key, value) => prop_assert_eq!(tree.insert(key, value), naive.insert(key, value)),
                Step::Ascending(from, count) => {
                    let entries: Vec<(u64, u32)> = (from..from + count).map(|n| (n * n % 7 + 7 * n, 7)).collect();
                    let mut told = Vec::new();
                    tree.insert_ascending(&entries, |key, old| told.push((key, old)));
                    let expected: Vec<_> = entries.iter().map(|&(key, value)| (key, naive.insert(key, value))).collect();
                    prop_assert_eq!(told, expected);
                }
                Step::Remove(key) => prop_assert_eq!(tree.remove(key), naive.remove(&key)),
                Step::Clear(from, count) => for key in from..from + count {
                    prop_assert_eq!(tree.remove(key), naive.remove(&key));
                },
                Step::Copy => copies.push((tree.clone(), naive.clone())),
            }
        }
        copies.push((tree, naive));
        for (tree, naive) in &copies {
            prop_assert_eq!(tree.len(), naive.len() as u64);
            prop_assert!(tree.iter().eq(naive.iter().map(|(&key, value)| (key, value))));
            for from in [0, 31, 63, 64, 65, 5_000, 19_999, u64::MAX] {
                prop_assert!(tree.from(from).eq(naive.range(from..).map(|(&key, value)| (key, value))));
                prop_assert_eq!(tree.get(from), naive.get(&from));
            }
        }
        for pair in copies.windows(2) {
            let [(a, naive_a), (b, naive_b)] = pair else { continue };
            let mut found = Vec::new();
            a.differences(b, |key| found.push(key));
            let keys: std::collections::BTreeSet<u64> = naive_a.keys().chain(naive_b.keys()).copied().collect();
            let expected: Vec<u64> = keys.into_iter().filter(|key| naive_a.get(key) != naive_b.get(key)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn ascending_keys_fill_their_leaves_and_removals_leave_no_sparse_ones() {
    fn leaves<V>(node: &Node<V>) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Branch(branch) => branch.children.iter().map(leaves).sum(),
        }
    }
    let mut tree = Tree::new();
    for key in 0..10_000u64 {
        tree.insert(key, 1u32);
    }
    assert_eq!(leaves(tree.root.as_ref().unwrap()), 10_000usize.div_ceil(LEAF));
    for key in (0..10_000u64).filter(|key| key % 50 != 0) {
        tree.remove(key);
    }
    assert_eq!(tree.len(), 200);
    assert!(leaves(tree.root.as_ref().unwrap()) <= 200 / (LEAF / 8));
    for key in 0..10_000u64 {
        tree.remove(key);
    }
    assert!(tree.root.is_none() && tree.len() == 0);
}
