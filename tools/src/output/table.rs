//! Aligned columns.

use comfy_table::{CellAlignment, presets};

use super::escape::escaped;

/// A table of text: the first column of words to the left, or all columns as told, numbers to the right.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// A table with a header. A name that begins with `>` heads a column aligned to the right.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(header.iter().map(|name| name.trim_start_matches('>')));
        for (at, name) in header.iter().enumerate() {
            if let Some(column) = table.column_mut(at) {
                column.set_padding((0, 2));
                if name.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self(table)
    }

    /// Adds a row; control characters in its cells are escaped, and a cell that begins or ends with a blank is in quotes.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells.into_iter().map(|cell| {
            let text = escaped(&cell);
            if cell.trim() == cell { text.into_owned() } else { format!("\"{text}\"") }
        }));
    }

    /// The lines, without blanks at their ends.
    pub(crate) fn text(&self) -> String {
        self.0.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut table = Table::new(&["item", ">score"]);
        table.row(["a".into(), "1.5".into()]);
        table.row(["kettle".into(), "10.25".into()]);
        table.row(["a\nb\u{1b}".into(), "1".into()]);
        table.row(["a ".into(), "2".into()]);
        assert_eq!(
            table.text(),
            "item        score\na             1.5\nkettle      10.25\na\\nb\\u{1b}      1\n\"a \"            2"
        );
    }
}
