//! A count a number.

use super::Pages;

/// Counts a page holds.
const PAGE: usize = 128;

/// One count for each of the numbers from 0, 0 where nothing was counted.
#[derive(Clone)]
pub(crate) struct Counts {
    pages: Pages<[u32; PAGE]>,
}

impl Counts {
    /// The counts of the first numbers.
    pub(crate) fn of(counts: &[u32]) -> Self {
        let mut pages = Pages::new();
        for chunk in counts.chunks(PAGE) {
            let mut page = [0; PAGE];
            page[..chunk.len()].copy_from_slice(chunk);
            pages.push(page);
        }
        Self { pages }
    }

    /// The count of a number.
    pub(crate) fn get(&self, number: u32) -> u32 {
        self.pages.get(number as usize / PAGE).map_or(0, |page| page[number as usize % PAGE])
    }

    /// Counts a number up, or down to 0 at the least.
    pub(crate) fn step(&mut self, number: u32, up: bool) {
        let at = number as usize / PAGE;
        while self.pages.len() <= at {
            self.pages.push([0; PAGE]);
        }
        if let Some(page) = self.pages.get_mut(at) {
            let count = &mut page[number as usize % PAGE];
            *count = if up { count.saturating_add(1) } else { count.saturating_sub(1) };
        }
    }

    /// The counts from 0 on; how many there are says nothing.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.pages.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_by_number() {
        let start: Vec<u32> = (0..700).map(|n| n % 3).collect();
        let mut counts = Counts::of(&start);
        let before = counts.clone();
        for number in [0, 1, 255, 256, 699, 5_000] {
            counts.step(number, true);
        }
        counts.step(1, false);
        counts.step(0, false);
        counts.step(0, false);
        assert_eq!([0, 1, 2, 255, 256, 699, 5_000, 5_001, 1 << 30].map(|n| counts.get(n)), [0, 1, 2, 1, 2, 1, 1, 0, 0]);
        assert!(before.iter().take(700).eq(start) && before.iter().skip(700).all(|count| count == 0));
        assert_eq!(counts.iter().nth(5_000), Some(1));
    }
}
