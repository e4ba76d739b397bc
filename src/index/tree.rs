use std::collections::BinaryHeap;

use super::nodes::{LEAF_BLOCKS, Nodes, SIZES};
use super::probe::Probe;
use crate::kernel::popcount::{Balls, LANES, Source};

/// Middle nodes that are opened before the search asks whether bounds prune; then again after every eightfold.
const FIRST_JUDGEMENT: usize = 8;

/// Nodes that there is room for from the start: what allocators hand out at once.
pub(super) const WAITING: usize = 120;

/// A node that waits to be opened, as one integer that is larger for what is opened first: bounds are not negative, so their bits order as they do, and equal
/// bounds go by level and by falling number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting(u64);

/// Bits of a node's number: rows are numbered by 32 bits, and no node is smaller than a block.
const NUMBER: u32 = 32 - LANES.ilog2();

impl Waiting {
    fn new(bound: f32, level: usize, node: usize) -> Waiting {
        let number = (1 << NUMBER) - 1 - node as u64;
        Waiting(u64::from(bound.to_bits()) << 32 | (level as u64) << NUMBER | number)
    }

    /// The most that an item in it can score.
    pub(super) fn bound(self) -> f32 {
        f32::from_bits((self.0 >> 32) as u32)
    }

    pub(super) fn level(self) -> usize {
        (self.0 >> NUMBER) as usize & (LANES - 1)
    }

    pub(super) fn node(self) -> usize {
        (1 << NUMBER) - 1 - (self.0 as usize & ((1 << NUMBER) - 1))
    }
}

/// Opens nodes best bound first until the next bound is below the k-th score: the certificate that nothing outside can enter, as every
/// score is at most the bound of the nodes that hold it ([`Balls`]). A bound that equals the k-th score is opened, since ties go by rank.
///
/// Where more than half of the items are behind bounds that still qualify, order does not pay any more: the rest is scanned in the order
/// of storage, leaving out the middle nodes that do not qualify, and the smallest ones where their bounds prune.
///
/// O(n / 8192 + nodes opened x log) beside the heads and codes it touches.
pub(super) fn search(probe: &mut Probe<'_>, nodes: &Nodes) {
    let levels = nodes.levels();
    let mut waiting = BinaryHeap::with_capacity(WAITING);
    let top = levels.len() - 1;
    open(probe, levels, top, 0..levels[top].blocks(), &mut waiting);
    let mut opened = vec![0u64; levels[1].len().div_ceil(64)];
    let mut count = 0;
    let mut judgement = FIRST_JUDGEMENT;
    while let Some(next) = waiting.pop() {
        let (level, node) = (next.level(), next.node());
        if next.bound() < probe.top.threshold() {
            return;
        }
        if level > 1 {
            open(probe, levels, level - 1, node..node + 1, &mut waiting);
            continue;
        }
        scan_leaves(probe, &levels[0], node);
        opened[node / 64] |= 1 << (node % 64);
        count += 1;
        if count == judgement {
            judgement *= 8;
            if qualifying(probe, &waiting) > probe.linear.len() / 2 {
                return scan_rest(probe, levels, &opened);
            }
        }
    }
}

/// Bounds the nodes in `blocks` of a level and keeps those that qualify.
pub(super) fn open(
    probe: &mut Probe<'_>,
    levels: &[Balls],
    level: usize,
    blocks: std::ops::Range<usize>,
    waiting: &mut BinaryHeap<Waiting>,
) {
    let nodes = &levels[level];
    let threshold = probe.top.threshold();
    probe.work.nodes += (nodes.len().min(blocks.end * LANES) - blocks.start * LANES) as u64;
    let mut sink = |block: usize, mut lanes: u16, bounds: &[f32; LANES]| {
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            lanes &= lanes - 1;
            let node = block * LANES + lane;
            // Padding lanes of the last block are no nodes.
            if node < nodes.len() {
                waiting.push(Waiting::new(bounds[lane], level, node));
            }
        }
        threshold
    };
    probe.linear.kernel().scan(nodes, probe.query, blocks, threshold, &mut sink);
}

/// Scans the smallest nodes inside a middle one that qualify, neighbours together; returns how many did.
fn scan_leaves(probe: &mut Probe<'_>, leaves: &Balls, node: usize) -> usize {
    let mut lanes = 0u16;
    let mut sink = |_: usize, reached: u16, _: &[f32; LANES]| {
        lanes = reached;
        f32::INFINITY
    };
    probe.linear.kernel().scan(leaves, probe.query, node..node + 1, probe.top.threshold(), &mut sink);
    probe.work.nodes += (leaves.len().min((node + 1) * LANES) - node * LANES) as u64;
    let qualified = lanes.count_ones() as usize;
    let (first, last) = (node * LANES * LEAF_BLOCKS, probe.linear.blocks().len());
    let (mut list, mut listed) = ([0; LANES * LEAF_BLOCKS], 0);
    while lanes != 0 {
        let leaf = lanes.trailing_zeros() as usize;
        lanes &= lanes - 1;
        for block in (first + leaf * LEAF_BLOCKS..last).take(LEAF_BLOCKS) {
            list[listed] = block as u32;
            listed += 1;
        }
    }
    probe.scan_list(&list[..listed]);
    qualified
}

/// Items behind bounds that still qualify.
fn qualifying(probe: &Probe<'_>, waiting: &BinaryHeap<Waiting>) -> usize {
    let threshold = probe.top.threshold();
    waiting.iter().filter(|node| node.bound() >= threshold).map(|node| SIZES[node.level()]).sum()
}

/// Middle nodes after which it is judged whether the bounds of their leaves prune.
const JUDGED: usize = 8;

/// Scans what was not opened, front to back.
fn scan_rest(probe: &mut Probe<'_>, levels: &[Balls], opened: &[u64]) {
    let (leaves, middle) = (&levels[0], &levels[1]);
    let mut rest: Vec<(usize, f32)> = Vec::new();
    let threshold = probe.top.threshold();
    let mut sink = |block: usize, lanes: u16, bounds: &[f32; LANES]| {
        let nodes = (block * LANES..middle.len()).zip(bounds).enumerate();
        rest.extend(nodes.filter(|(lane, _)| lanes >> lane & 1 == 1).map(|(_, (node, &bound))| (node, bound)));
        threshold
    };
    probe.linear.kernel().scan(middle, probe.query, 0..middle.blocks(), threshold, &mut sink);
    probe.work.nodes += middle.len() as u64;
    let blocks = LANES * LEAF_BLOCKS;
    let (mut tried, mut qualified, mut blind) = (0, 0, 0usize);
    for (node, bound) in rest {
        if opened[node / 64] >> (node % 64) & 1 == 1 || bound < probe.top.threshold() {
            continue;
        }
        if blind > 0 {
            blind -= 1;
            probe.scan(node * blocks..((node + 1) * blocks).min(probe.linear.blocks().len()));
            continue;
        }
        qualified += scan_leaves(probe, leaves, node);
        tried += LANES;
        if tried == JUDGED * LANES {
            // A bound of 16 leaves costs an eighth of their heads, so it pays to look unless nearly all qualify.
            blind = if 5 * qualified > 4 * tried { 8 * JUDGED } else { 0 };
            (tried, qualified) = (0, 0);
        }
    }
}
