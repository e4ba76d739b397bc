//! Texts and tags by row, and rows by word.

use std::sync::Arc;

use kithdb_storage::{IdKind, Side};
use roaring::RoaringBitmap;

use super::bulk::ascending;
use crate::catalogue::Catalogue;
use crate::persistent::Pages;

/// Cells a page holds.
const PAGE: usize = 32;

/// Numbered words, those of each row, and the rows of each word. A copy is O(1); a change of a shared one copies pages, and the rows of a word.
#[derive(Clone)]
pub(crate) struct Words {
    dictionary: Catalogue,
    cells: Pages<[Cell; PAGE]>,
    rows: Pages<[Rows; PAGE]>,
}

/// The words of a row, ascending by number.
#[derive(Clone, Default, PartialEq)]
enum Cell {
    #[default]
    None,
    One(u32),
    Many(Arc<[u32]>),
}

impl Cell {
    /// Of words, ascending by number.
    fn of(words: &[u32]) -> Self {
        match *words {
            [] => Cell::None,
            [word] => Cell::One(word),
            _ => Cell::Many(words.into()),
        }
    }

    fn words(&self) -> &[u32] {
        match self {
            Cell::None => &[],
            Cell::One(word) => std::slice::from_ref(word),
            Cell::Many(words) => words,
        }
    }
}

/// The rows of a word: words of one row are many where texts differ.
#[derive(Clone, Default)]
enum Rows {
    #[default]
    None,
    One(u32),
    Many(Arc<RoaringBitmap>),
}

impl Rows {
    /// Of rows, ascending.
    fn of(rows: &[u32]) -> Self {
        match *rows {
            [] => Rows::None,
            [row] => Rows::One(row),
            _ => Rows::Many(Arc::new(ascending(rows.iter().copied()))),
        }
    }

    fn insert(&mut self, row: u32) {
        match self {
            Rows::None => *self = Rows::One(row),
            Rows::One(first) => *self = Rows::Many(Arc::new(RoaringBitmap::from_iter([*first, row]))),
            Rows::Many(rows) => _ = Arc::make_mut(rows).insert(row),
        }
    }

    fn remove(&mut self, row: u32) {
        match self {
            Rows::One(first) if *first == row => *self = Rows::None,
            Rows::Many(rows) => {
                Arc::make_mut(rows).remove(row);
                if rows.is_empty() {
                    *self = Rows::None;
                }
            }
            _ => {}
        }
    }
}

/// The words of each row, by rows and words in order.
fn cells(given: &[(u32, u32)]) -> Pages<[Cell; PAGE]> {
    let (mut cells, mut words) = (Pages::new(), Vec::new());
    for page in given.chunk_by(|a, b| a.0 as usize / PAGE == b.0 as usize / PAGE) {
        let mut own = [const { Cell::None }; PAGE];
        for of_row in page.chunk_by(|a, b| a.0 == b.0) {
            words.clear();
            words.extend(of_row.iter().map(|&(_, word)| word));
            own[of_row[0].0 as usize % PAGE] = Cell::of(&words);
        }
        // Pages that none of the rows is on.
        while cells.len() < page[0].0 as usize / PAGE {
            cells.push([const { Cell::None }; PAGE]);
        }
        cells.push(own);
    }
    cells
}

/// The rows of each of so many words, by a counting sort.
fn rows(words: usize, given: &[(u32, u32)]) -> Pages<[Rows; PAGE]> {
    let mut ends = vec![0; words];
    given.iter().for_each(|&(_, word)| ends[word as usize] += 1);
    let mut sum = 0;
    for end in &mut ends {
        // Where the word's rows start, until they are placed.
        sum += std::mem::replace(end, sum);
    }
    let mut placed = vec![0; given.len()];
    for &(row, word) in given {
        let end = &mut ends[word as usize];
        placed[*end] = row;
        *end += 1;
    }
    let (mut rows, mut start) = (Pages::new(), 0);
    for ends in ends.chunks(PAGE) {
        let mut page = [const { Rows::None }; PAGE];
        for (own, &end) in page.iter_mut().zip(ends) {
            *own = Rows::of(&placed[start..end]);
            start = end;
        }
        rows.push(page);
    }
    rows
}

impl Default for Words {
    fn default() -> Self {
        let dictionary = Catalogue::of_kind(Side::Item, IdKind::Str);
        Self { dictionary, cells: Pages::new(), rows: Pages::new() }
    }
}

impl Words {
    /// Of words, each once, numbered as they come, and rows, ascending, with the numbers of their words, ascending for each. O(words + rows).
    /// `None` where a word is of no letters.
    pub(super) fn of_rows(words: &[&str], given: &[(u32, u32)]) -> Option<Self> {
        let ends = words.iter().scan(0, |end, word| {
            *end += word.len() as u64;
            Some(*end)
        });
        let (keys, ends) = (words.concat(), ends.collect::<Vec<u64>>());
        let dictionary = Catalogue::decode(Side::Item, Some(IdKind::Str), keys.as_bytes(), &ends).ok()?;
        (dictionary.live() == words.len() as u64).then(|| Self {
            dictionary,
            cells: cells(given),
            rows: rows(words.len(), given),
        })
    }

    fn numbers(&self, row: u32) -> &[u32] {
        self.cells.get(row as usize / PAGE).map_or(&[], |page| page[row as usize % PAGE].words())
    }

    /// The words of a row, in the order of their first use.
    pub(super) fn get(&self, row: u32) -> impl Iterator<Item = &str> {
        self.numbers(row).iter().filter_map(|&word| self.dictionary.text(word))
    }

    /// How many words a row has.
    pub(super) fn count(&self, row: u32) -> usize {
        self.numbers(row).len()
    }

    pub(super) fn set<'w>(&mut self, row: u32, words: impl Iterator<Item = &'w str>) {
        let mut numbers: Vec<u32> = words.filter_map(|word| self.number(word)).collect();
        numbers.sort_unstable();
        let before = self.numbers(row).to_vec();
        if before == numbers {
            return;
        }
        let page = row as usize / PAGE;
        while self.cells.len() <= page {
            self.cells.push([const { Cell::None }; PAGE]);
        }
        for &word in before.iter().filter(|word| !numbers.contains(word)) {
            self.change(word, |rows| rows.remove(row));
        }
        for &word in numbers.iter().filter(|word| !before.contains(word)) {
            self.change(word, |rows| rows.insert(row));
        }
        if let Some(cells) = self.cells.get_mut(page) {
            cells[row as usize % PAGE] = Cell::of(&numbers);
        }
        if self.dictionary.forgotten().len() > self.dictionary.live() + 1024 {
            self.renumber();
        }
    }

    /// The number of a word, a new one where it has none.
    fn number(&mut self, word: &str) -> Option<u32> {
        if let Some(number) = self.dictionary.find(word.as_bytes()) {
            return Some(number);
        }
        let number = self.dictionary.len();
        self.dictionary.define(number, IdKind::Str, word.as_bytes()).ok()?;
        if self.rows.len() * PAGE <= number as usize {
            self.rows.push([const { Rows::None }; PAGE]);
        }
        Some(number)
    }

    /// Changes the rows of a word, which is forgotten where it has none left.
    fn change(&mut self, word: u32, change: impl FnOnce(&mut Rows)) {
        if let Some(page) = self.rows.get_mut(word as usize / PAGE) {
            let rows = &mut page[word as usize % PAGE];
            change(rows);
            if matches!(rows, Rows::None) {
                self.dictionary.forget(word);
            }
        }
    }

    /// Leaves out the words that no row has any more.
    fn renumber(&mut self) {
        let mut anew = Self::default();
        for row in 0..(self.cells.len() * PAGE) as u32 {
            let words: Vec<&str> = self.get(row).collect();
            if !words.is_empty() {
                anew.set(row, words.into_iter());
            }
        }
        *self = anew;
    }

    /// The rows of a word; O(1).
    pub(crate) fn rows(&self, word: &str) -> Arc<RoaringBitmap> {
        self.dictionary.find(word.as_bytes()).map_or_else(Arc::default, |word| self.rows_of(word))
    }

    /// The numbers of the words of a row: for counts by word.
    pub(crate) fn of(&self, row: u32) -> &[u32] {
        self.numbers(row)
    }

    /// The rows of a word's number; O(1).
    pub(crate) fn rows_of(&self, word: u32) -> Arc<RoaringBitmap> {
        match self.rows.get(word as usize / PAGE).map(|page| &page[word as usize % PAGE]) {
            None | Some(Rows::None) => Arc::default(),
            Some(Rows::One(row)) => Arc::new(RoaringBitmap::from_iter([*row])),
            Some(Rows::Many(rows)) => Arc::clone(rows),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let cells = self.cells.iter().flatten().map(|cell| match cell {
            Cell::Many(words) => 16 + size_of_val(&**words),
            _ => 0,
        });
        let rows = self.rows.iter().flatten().map(|rows| match rows {
            Rows::Many(rows) => 40 + rows.serialized_size(),
            _ => 0,
        });
        let pages = self.cells.len() * size_of::<[Cell; PAGE]>() + self.rows.len() * size_of::<[Rows; PAGE]>();
        pages + cells.sum::<usize>() + rows.sum::<usize>() + self.dictionary.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn words_are_found_by_row_and_rows_by_word(
            steps in prop::collection::vec((0u32..100, prop::collection::btree_set("[a-e]{1,2}", 0..4)), 0..300),
            fresh in 0u32..2,
        ) {
            let (mut words, mut naive) = (Words::default(), BTreeMap::<u32, BTreeSet<String>>::new());
            // Many words that come and go, so that the dictionary is made anew.
            for n in 0..fresh * 3_000 {
                words.set(7, [format!("word {n}").as_str()].into_iter());
                naive.insert(7, BTreeSet::from([format!("word {n}")]));
            }
            let copy = (words.clone(), naive.clone());
            for (row, set) in steps {
                words.set(row, set.iter().map(String::as_str));
                naive.insert(row, set);
            }
            for (words, naive) in [copy, (words, naive)] {
                let all: BTreeSet<&String> = naive.values().flatten().collect();
                for row in 0..100 {
                    let found: BTreeSet<String> = words.get(row).map(str::to_owned).collect();
                    prop_assert_eq!(found, naive.get(&row).cloned().unwrap_or_default());
                }
                for word in all {
                    let expected: RoaringBitmap = naive.iter().filter(|(_, set)| set.contains(word)).map(|(&row, _)| row).collect();
                    prop_assert_eq!(&*words.rows(word), &expected);
                }
                for row in 0..100 {
                    prop_assert!(words.of(row).iter().all(|&word| words.rows_of(word).contains(row)));
                }
                prop_assert!(words.rows("nothing").is_empty());
            }
        }
    }
}
