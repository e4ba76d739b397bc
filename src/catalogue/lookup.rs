//! From the hash of a key to the numbers that may have it.

use crate::persistent::Pages;

/// Entries a bucket holds on average, at most.
const LOAD: usize = 16;
/// Entries a bucket has room for before it overflows.
const ROOM: usize = 32;

/// A persistent table of numbers by hash, in as many buckets as it takes, which are added one at a time: linear hashing (Litwin, VLDB 1980). With
/// n buckets, `2^l <= n < 2^(l + 1)`, a hash belongs to the bucket its last l + 1 bits name, or, while there is no such bucket, its last l.
#[derive(Clone)]
pub(crate) struct Lookup {
    buckets: Pages<Bucket>,
    len: usize,
}

/// Numbers in no order. What a look-up reads lies together.
#[derive(Clone)]
struct Bucket {
    len: usize,
    /// The first byte of each number's hash.
    tags: [u8; ROOM],
    numbers: [u32; ROOM],
    /// What there was no room for.
    more: Vec<u32>,
}

impl Lookup {
    /// A table with room for so many entries.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        let mut buckets = Pages::new();
        (0..entries.div_ceil(LOAD).max(1)).for_each(|_| buckets.push(Bucket::new()));
        Self { buckets, len: 0 }
    }

    /// Bytes held in memory, but for what overflows.
    pub(crate) fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    /// The number under `hash` that is the one looked for. O(1).
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let bucket = self.buckets.get(self.place(hash))?;
        // All tags at once: bit i where tag i is the hash's.
        let tag = tag(hash);
        let mut same = bucket.tags.iter().enumerate().fold(0u32, |same, (i, &t)| same | u32::from(t == tag) << i);
        while same != 0 {
            let at = same.trailing_zeros() as usize;
            if at < bucket.len && is_it(bucket.numbers[at]) {
                return Some(bucket.numbers[at]);
            }
            same &= same - 1;
        }
        bucket.more.iter().copied().find(|&number| is_it(number))
    }

    /// Adds a number; `hash_of` tells the hash of this and of every number added before. O(1).
    pub(crate) fn insert(&mut self, number: u32, hash_of: impl Fn(u32) -> u32) {
        let hash = hash_of(number);
        let place = self.place(hash);
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.push(hash, number);
            self.len += 1;
        }
        if self.len > LOAD * self.buckets.len() {
            self.split(hash_of);
        }
    }

    /// Takes a number out. O(1).
    pub(crate) fn remove(&mut self, hash: u32, number: u32) {
        let place = self.place(hash);
        if let Some(bucket) = self.buckets.get_mut(place)
            && bucket.remove(number)
        {
            self.len -= 1;
        }
    }

    fn place(&self, hash: u32) -> usize {
        let count = self.buckets.len();
        let level = 1usize << count.max(1).ilog2();
        let place = hash as usize & (2 * level - 1);
        if place < count { place } else { hash as usize & (level - 1) }
    }

    /// Adds a bucket, and gives it its part of the one it comes from.
    fn split(&mut self, hash_of: impl Fn(u32) -> u32) {
        let count = self.buckets.len();
        let level = 1usize << count.max(1).ilog2();
        let (mut stays, mut goes) = (Bucket::new(), Bucket::new());
        if let Some(bucket) = self.buckets.get_mut(count - level) {
            for &number in bucket.numbers[..bucket.len].iter().chain(&bucket.more) {
                let hash = hash_of(number);
                let to = if hash as usize & level == 0 { &mut stays } else { &mut goes };
                to.push(hash, number);
            }
            *bucket = stays;
        }
        self.buckets.push(goes);
    }
}

impl Bucket {
    fn new() -> Self {
        Self { len: 0, tags: [0; ROOM], numbers: [0; ROOM], more: Vec::new() }
    }

    fn push(&mut self, hash: u32, number: u32) {
        if self.len == ROOM {
            self.more.push(number);
            return;
        }
        (self.tags[self.len], self.numbers[self.len]) = (tag(hash), number);
        self.len += 1;
    }

    fn remove(&mut self, number: u32) -> bool {
        if let Some(at) = self.numbers[..self.len].iter().position(|&n| n == number) {
            self.len -= 1;
            (self.tags[at], self.numbers[at]) = (self.tags[self.len], self.numbers[self.len]);
            return true;
        }
        let at = self.more.iter().position(|&n| n == number);
        at.map(|at| self.more.swap_remove(at)).is_some()
    }
}

/// The bits of a hash that no place depends on while there are fewer than 2^24 buckets.
fn tag(hash: u32) -> u8 {
    (hash >> 24) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn what_was_put_in_is_found(
            bits in 4u32..=32,
            capacity in 0usize..2_000,
            keys in prop::collection::vec((any::<u32>(), any::<bool>()), 0..4_000),
        ) {
            // Few bits make many numbers share a hash, and buckets overflow.
            let hash = |number: u32| number.wrapping_mul(0x9e37_79b9) >> (32 - bits);
            let mut lookup = Lookup::with_capacity(capacity);
            let mut naive = BTreeMap::new();
            let mut copy = None;
            for (at, &(number, gone)) in keys.iter().enumerate() {
                if naive.insert(number, !gone).is_none_or(|there| !there) {
                    lookup.insert(number, hash);
                }
                if gone {
                    lookup.remove(hash(number), number);
                }
                if at == keys.len() / 2 {
                    copy = Some((lookup.clone(), naive.clone()));
                }
            }
            for (lookup, naive) in copy.into_iter().chain([(lookup, naive)]) {
                prop_assert_eq!(lookup.len, naive.values().filter(|&&there| there).count());
                for (number, there) in naive {
                    prop_assert_eq!(lookup.find(hash(number), |n| n == number), there.then_some(number));
                }
            }
        }
    }
}
