//! A table of a Markdown file, between two markers.

use std::path::Path;

use anyhow::Context;

/// The table between `<!-- NAME: begin -->` and `<!-- NAME: end -->`; everything around it is left as it is.
pub struct Table {
    before: String,
    after: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a file. Rows of another header are dropped.
    pub fn read(path: &Path, name: &str, header: &[&str]) -> anyhow::Result<Table> {
        let text = std::fs::read_to_string(path)?;
        let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
        let (before, rest) = text.split_once(&begin).with_context(|| format!("no line {begin:?}"))?;
        let (within, after) = rest.split_once(&end).with_context(|| format!("no line {end:?}"))?;
        let cells = |line: &str| -> Vec<String> {
            let line = line.trim().trim_start_matches('|').trim_end_matches('|');
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let mut lines = within.lines().filter(|line| line.starts_with('|')).map(cells);
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        let rows = match lines.next() {
            Some(old) if old == header => lines.skip(1).filter(|row| row.len() == header.len()).collect(),
            _ => Vec::new(),
        };
        Ok(Table { before: before.to_owned() + &begin, after: end + after, header, rows })
    }

    /// Replaces the row with the same first two cells, or adds one.
    pub fn put(&mut self, row: Vec<String>) {
        match self.rows.iter_mut().find(|old| old[..2] == row[..2]) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    /// Sorts the rows; those of equal keys stay in order.
    pub fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&[String]) -> K) {
        self.rows.sort_by_key(|row| key(row));
    }

    /// The rows.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.header.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        std::fs::write(path, format!("{}\n{}{rule}{rows}\n{}", self.before, line(&self.header), self.after))?;
        Ok(())
    }
}
