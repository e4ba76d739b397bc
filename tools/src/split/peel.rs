use kithdb::Interaction;

use super::dense::Numbers;

/// The k-core: what is left when users and items with fewer than `k` interactions are taken away until there are none. It is the largest set of
/// interactions in which everybody has k, so it does not depend on the order of taking away. `edges` has no (user, item) twice. O(edges).
pub fn core(edges: Vec<Interaction>, k: usize) -> Vec<Interaction> {
    if k <= 1 {
        return edges;
    }
    // Users and items are the nodes of one graph, users with even numbers.
    let (mut users, mut items) = (Numbers::default(), Numbers::default());
    let ends: Vec<[usize; 2]> =
        edges.iter().map(|edge| [2 * users.number(&edge.user), 2 * items.number(&edge.item) + 1]).collect();
    let mut of_node: Vec<Vec<usize>> = vec![Vec::new(); 2 * users.len().max(items.len())];
    for (at, ends) in ends.iter().enumerate() {
        for &node in ends {
            if let Some(edges) = of_node.get_mut(node) {
                edges.push(at);
            }
        }
    }
    let mut degrees: Vec<usize> = of_node.iter().map(Vec::len).collect();
    let mut stays = vec![true; edges.len()];
    let mut leaving: Vec<usize> = (0..degrees.len()).filter(|&node| degrees[node] < k).collect();
    while let Some(node) = leaving.pop() {
        for &at in &of_node[node] {
            if std::mem::replace(&mut stays[at], false) {
                for &end in &ends[at] {
                    degrees[end] -= 1;
                    // Just now: it leaves once.
                    if degrees[end] + 1 == k {
                        leaving.push(end);
                    }
                }
            }
        }
    }
    edges.into_iter().zip(stays).filter(|(_, stays)| *stays).map(|(edge, _)| edge).collect()
}
