//! The search by a budget of codes: what promises most is scored first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::nodes::{LEAF_BLOCKS, Nodes};
use super::probe::Probe;
use super::tree::{WAITING, Waiting, open};
use crate::kernel::popcount::Source;

/// Heads that are looked at for every code a budget allows, before it is left at the blocks already bounded.
const HEADS_A_CODE: u64 = 32;

/// Blocks of codes that wait to be scored: bounds order as their bits do, equal ones go by number.
type Blocks = BinaryHeap<(u32, Reverse<usize>)>;

/// Nodes and blocks wait side by side, and the best bound is next: a node is opened, a block is scored. So a block is scored only when none
/// promises more. The search ends, proved, when the next bound is below the k-th score, and otherwise unproved: when the budget is spent, or
/// when all blocks worth scoring are scored of as many heads as the budget allows. Without `nodes` all blocks wait from the start.
///
/// O(nodes and blocks bounded x log) beside the codes.
pub(super) fn search(probe: &mut Probe<'_>, nodes: Option<&Nodes>) {
    let (mut waiting, mut blocks) = (BinaryHeap::<Waiting>::with_capacity(WAITING), Blocks::with_capacity(1024));
    let levels = nodes.map_or(&[][..], Nodes::levels);
    let last = probe.linear.blocks().len();
    match levels.last() {
        Some(top) => open(probe, levels, levels.len() - 1, 0..top.blocks(), &mut waiting),
        None => wait(probe, 0..last, f32::MAX, &mut blocks),
    }
    let most_heads = probe.budget().map_or(u64::MAX, |budget| budget.saturating_mul(HEADS_A_CODE));
    while !probe.spent {
        let node = waiting.peek().map(|node| node.bound());
        let block = blocks.peek().map(|&(bound, _)| f32::from_bits(bound));
        let threshold = probe.top.threshold();
        if node.is_none_or(|bound| bound < threshold) && block.is_none_or(|bound| bound < threshold) {
            return;
        }
        let looked = probe.work.heads >= most_heads;
        if block.is_some() && (looked || block >= node) {
            if block.is_some_and(|bound| bound < threshold) {
                probe.spent = true;
            } else if let Some((_, Reverse(at))) = blocks.pop() {
                probe.scan_codes_within(at..at + 1);
            }
        } else if looked && probe.top.is_full() {
            probe.spent = true;
        } else if let Some(next) = waiting.pop() {
            let at = next.node();
            match next.level() {
                0 => {
                    let range = at * LEAF_BLOCKS..((at + 1) * LEAF_BLOCKS).min(last);
                    wait(probe, range, next.bound(), &mut blocks);
                }
                level => open(probe, levels, level - 1, at..at + 1, &mut waiting),
            }
        }
    }
}

/// Has the blocks of `range` wait, by their heads, or by `most` without heads.
fn wait(probe: &mut Probe<'_>, range: Range<usize>, most: f32, blocks: &mut Blocks) {
    probe.bound_blocks(range, most, |block, bound| blocks.push((bound.to_bits(), Reverse(block))));
}
