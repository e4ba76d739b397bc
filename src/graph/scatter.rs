//! Parallel counting sort of edges into rows.
//!
//! Two passes, both stable, without shared writes: every chunk of edges sorts itself by bucket (a power-of-two range of
//! rows), then every bucket collects its runs from all chunks, in order, and sorts them by row inside the cache. Stability
//! makes the result the same for every number of chunks and threads.

use std::ops::Range;

use crate::pool;

/// Edges `(row, target, value)` that can be visited by position.
pub(super) trait Edges: Sync {
    /// Whether edges of the same row come by rising target, each once.
    const SORTED: bool;

    fn len(&self) -> usize;

    fn visit(&self, range: Range<usize>, visit: impl FnMut(u32, u32, f32));
}

impl Edges for [(u32, u32, f32)] {
    const SORTED: bool = false;

    fn len(&self) -> usize {
        self.len()
    }

    fn visit(&self, range: Range<usize>, mut visit: impl FnMut(u32, u32, f32)) {
        self[range].iter().for_each(|&(row, target, value)| visit(row, target, value));
    }
}

/// Rows in compressed form.
pub(super) struct Grouped {
    pub(super) offsets: Vec<u64>,
    pub(super) targets: Vec<u32>,
    pub(super) values: Option<Vec<f32>>,
}

/// Edges of a chunk: enough to pay for its table of buckets, few enough to stay in the second-level cache.
const CHUNK: usize = 1 << 16;
/// Buckets at most: their write positions must stay in the first-level cache.
const BUCKETS: usize = 1 << 10;

/// A chunk's edges sorted by bucket, and where each bucket starts.
struct Sorted {
    starts: Vec<u32>,
    edges: Vec<(u32, u32)>,
    values: Vec<f32>,
}

/// A bucket's rows: degrees, then the edges.
#[derive(Default)]
struct Rows {
    degrees: Vec<u32>,
    targets: Vec<u32>,
    values: Vec<f32>,
}

/// Sorts edges by row and target; of equal ones the last stays. Values are dropped unless `WEIGHTED`.
pub(super) fn group<const WEIGHTED: bool>(n_rows: usize, edges: &(impl Edges + ?Sized)) -> Grouped {
    let shift = (n_rows.div_ceil(BUCKETS).max(1)).next_power_of_two().trailing_zeros();
    let n_buckets = n_rows.div_ceil(1 << shift).max(1);
    let chunks: Vec<Sorted> =
        pool::map(edges.len(), CHUNK, |range| sort_chunk::<WEIGHTED>(edges, range, shift, n_buckets));
    let buckets: Vec<Rows> = pool::map(n_buckets, 1, |bucket| {
        let first = bucket.start << shift;
        let rows = (n_rows - first).min(1 << shift);
        collect_bucket::<WEIGHTED>(&chunks, bucket.start, first, rows, edges_sorted(edges))
    });
    drop(chunks);
    concatenate::<WEIGHTED>(n_rows, &buckets)
}

fn edges_sorted<E: Edges + ?Sized>(_: &E) -> bool {
    E::SORTED
}

fn sort_chunk<const WEIGHTED: bool>(
    edges: &(impl Edges + ?Sized),
    range: Range<usize>,
    shift: u32,
    n_buckets: usize,
) -> Sorted {
    let mut starts = vec![0u32; n_buckets + 1];
    edges.visit(range.clone(), |row, _, _| starts[(row >> shift) as usize + 1] += 1);
    for bucket in 0..n_buckets {
        starts[bucket + 1] += starts[bucket];
    }
    let mut next = starts.clone();
    let mut sorted = vec![(0, 0); range.len()];
    let mut values = vec![0.0; if WEIGHTED { range.len() } else { 0 }];
    edges.visit(range, |row, target, value| {
        let at = &mut next[(row >> shift) as usize];
        sorted[*at as usize] = (row, target);
        if WEIGHTED {
            values[*at as usize] = value;
        }
        *at += 1;
    });
    Sorted { starts, edges: sorted, values }
}

fn collect_bucket<const WEIGHTED: bool>(
    chunks: &[Sorted],
    bucket: usize,
    first: usize,
    n_rows: usize,
    sorted: bool,
) -> Rows {
    let run = |chunk: &Sorted| chunk.starts[bucket] as usize..chunk.starts[bucket + 1] as usize;
    let mut ends = vec![0u32; n_rows + 1];
    for chunk in chunks {
        chunk.edges[run(chunk)].iter().for_each(|&(row, _)| ends[row as usize - first + 1] += 1);
    }
    for row in 0..n_rows {
        ends[row + 1] += ends[row];
    }
    let n_edges = ends[n_rows] as usize;
    // After the loop below `ends[row]` is the end of the row, which is where the next one starts.
    let mut entries = vec![(0u32, 0.0f32); if sorted { 0 } else { n_edges }];
    let mut targets = vec![0u32; if sorted { n_edges } else { 0 }];
    let mut values = vec![0.0f32; if sorted && WEIGHTED { n_edges } else { 0 }];
    for chunk in chunks {
        for at in run(chunk) {
            let (row, target) = chunk.edges[at];
            let to = &mut ends[row as usize - first];
            if sorted {
                targets[*to as usize] = target;
                if WEIGHTED {
                    values[*to as usize] = chunk.values[at];
                }
            } else {
                entries[*to as usize] = (target, if WEIGHTED { chunk.values[at] } else { 1.0 });
            }
            *to += 1;
        }
    }
    let mut rows = Rows { degrees: Vec::with_capacity(n_rows), targets, values };
    let mut start = 0;
    for &end in &ends[..n_rows] {
        let span = start as usize..end as usize;
        start = end;
        if sorted {
            rows.degrees.push(span.len() as u32);
            continue;
        }
        let row = &mut entries[span];
        if !row.is_sorted_by(|a, b| a.0 < b.0) {
            row.sort_by_key(|entry| entry.0);
        }
        let before = rows.targets.len();
        for (at, &(target, value)) in row.iter().enumerate() {
            if row.get(at + 1).is_none_or(|next| next.0 != target) {
                rows.targets.push(target);
                if WEIGHTED {
                    rows.values.push(value);
                }
            }
        }
        rows.degrees.push((rows.targets.len() - before) as u32);
    }
    rows
}

fn concatenate<const WEIGHTED: bool>(n_rows: usize, buckets: &[Rows]) -> Grouped {
    let n_edges = buckets.iter().map(|bucket| bucket.targets.len()).sum();
    let mut offsets = Vec::with_capacity(n_rows + 1);
    let mut end = 0u64;
    offsets.push(end);
    for degree in buckets.iter().flat_map(|bucket| &bucket.degrees) {
        end += u64::from(*degree);
        offsets.push(end);
    }
    let mut targets = vec![0u32; n_edges];
    spread(&mut targets, buckets.iter().map(|bucket| bucket.targets.as_slice()));
    let values = WEIGHTED.then(|| {
        let mut values = vec![0.0f32; n_edges];
        spread(&mut values, buckets.iter().map(|bucket| bucket.values.as_slice()));
        values
    });
    Grouped { offsets, targets, values }
}

/// Copies slices one after the other, in parallel.
fn spread<'a, T: Copy + Send + Sync + 'a>(mut out: &mut [T], from: impl Iterator<Item = &'a [T]>) {
    let mut jobs = Vec::new();
    for from in from {
        let (head, tail) = out.split_at_mut(from.len());
        jobs.push((head, from));
        out = tail;
    }
    pool::each(jobs, |(to, from)| to.copy_from_slice(from));
}
