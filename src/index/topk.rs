/// The best k of a stream of scored rows: descending score, ties by ascending rank.
///
/// A buffer of about 1.5 k entries that is cut to k when it is full, so an entry costs O(1) amortised; [`TopK::threshold`] is then the
/// k-th best score so far, and anything below it cannot enter.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    capacity: usize,
    threshold: f32,
    entries: Vec<Entry>,
}

/// Score and rank as one integer that is larger for better rows, and the row.
type Entry = (u64, u32);

impl TopK {
    /// The best `k` of at most `rows` rows.
    pub fn new(k: usize, rows: usize) -> Self {
        let k = k.min(rows);
        let capacity = k.saturating_add((k / 2).max(32)).min(rows.max(1));
        Self {
            k,
            capacity,
            threshold: if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY },
            entries: Vec::with_capacity(capacity),
        }
    }

    /// Scores below it cannot enter any more; equal ones can, by their rank.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// How many rows are wanted.
    pub(super) fn k(&self) -> usize {
        self.k
    }

    /// Whether there are k rows already.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.k
    }

    /// Offers a row. Ranks are distinct; the score is finite.
    pub fn push(&mut self, score: f32, rank: u32, row: u32) {
        if self.k == 0 {
            return;
        }
        self.entries.push((key(score, rank), row));
        if self.entries.len() == self.capacity {
            self.cut();
        }
    }

    /// Keeps the best k and raises the threshold.
    fn cut(&mut self) {
        if self.entries.len() > self.k {
            self.select();
        }
    }

    /// [`TopK::cut`] of at least k > 0 entries.
    fn select(&mut self) {
        // No two keys are alike, as no two ranks are.
        self.entries.select_nth_unstable_by(self.k - 1, |a, b| b.0.cmp(&a.0));
        self.entries.truncate(self.k);
        self.threshold = score(self.entries[self.k - 1].0);
    }

    /// The k-th best score so far; minus infinity where there are fewer than k rows.
    pub(super) fn kth(&mut self) -> f32 {
        if self.k > 0 && self.is_full() {
            self.select();
        }
        self.threshold
    }

    /// The scores so far, best first, at least the best k of them.
    pub(super) fn scores(&self) -> Vec<f32> {
        let mut scores: Vec<f32> = self.entries.iter().map(|&(key, _)| score(key)).collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        scores
    }

    /// Brings the threshold up to date where that pays: as soon as there are k rows, then after every eighth of k. Amortised O(1) a push.
    pub fn tighten(&mut self) {
        let pending = self.entries.len() > self.k + self.k / 8;
        if self.k > 0 && (pending || self.threshold == f32::NEG_INFINITY && self.entries.len() >= self.k) {
            self.select();
        }
    }

    /// The rows and scores, best first.
    pub fn into_sorted(mut self) -> Vec<(u32, f32)> {
        self.cut();
        self.entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.0));
        self.entries.into_iter().map(|(key, row)| (row, score(key))).collect()
    }
}

/// Order-preserving: a float's bits, the negative ones inverted, the others above them.
fn key(score: f32, rank: u32) -> u64 {
    let bits = score.to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(!rank)
}

/// The score of a key.
fn score(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}
