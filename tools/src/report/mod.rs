//! A page about a database: one file of HTML that needs nothing else, with charts as SVG, in light and dark.

mod chart;

use std::fmt::Write;

pub(crate) use chart::{Chart, Series};

/// A page under way.
pub(crate) struct Page {
    title: String,
    body: String,
}

impl Page {
    pub(crate) fn new(title: &str) -> Self {
        let body = format!("<h1>{}</h1>\n", escaped(title));
        Self { title: title.to_owned(), body }
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, name: &str) {
        self.add(format_args!("<h2>{}</h2>\n", escaped(name)));
    }

    /// Begins a part of a section.
    pub(crate) fn part(&mut self, name: &str) {
        self.add(format_args!("<h3>{}</h3>\n", escaped(name)));
    }

    /// Adds a paragraph.
    pub(crate) fn text(&mut self, text: &str) {
        self.add(format_args!("<p>{}</p>\n", escaped(text)));
    }

    /// Adds what is said in passing.
    pub(crate) fn remark(&mut self, text: &str) {
        self.add(format_args!("<p class=\"quiet\">{}</p>\n", escaped(text)));
    }

    /// Adds figures with their names.
    pub(crate) fn tiles(&mut self, tiles: &[(&str, String)]) {
        self.body.push_str("<ul class=\"tiles\">\n");
        for (name, figure) in tiles {
            self.add(format_args!("<li><b>{}</b><span>{}</span></li>\n", escaped(figure), escaped(name)));
        }
        self.body.push_str("</ul>\n");
    }

    /// Adds a table. A name that begins with `>` heads a column of numbers.
    pub(crate) fn table(&mut self, caption: &str, header: &[&str], rows: &[Vec<String>]) {
        let table = table(caption, header, rows);
        self.body.push_str(&table);
    }

    /// Adds a chart, with its figures as a table behind it.
    pub(crate) fn chart(&mut self, chart: &Chart<'_>) {
        let html = chart.html();
        self.body.push_str(&html);
    }

    /// The whole page.
    pub(crate) fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            escaped(&self.title),
            include_str!("style.css"),
            self.body
        )
    }

    fn add(&mut self, html: std::fmt::Arguments<'_>) {
        // A String takes all that is written to it.
        let _ = self.body.write_fmt(html);
    }
}

fn table(caption: &str, header: &[&str], rows: &[Vec<String>]) -> String {
    let class =
        |at: usize| if header.get(at).is_some_and(|name| name.starts_with('>')) { " class=\"number\"" } else { "" };
    let head: String = (header.iter().enumerate())
        .map(|(at, name)| format!("<th scope=\"col\"{}>{}</th>", class(at), escaped(name.trim_start_matches('>'))))
        .collect();
    let cell = |(at, cell): (usize, &String)| format!("<td{}>{}</td>", class(at), escaped(cell));
    let row = |row: &Vec<String>| format!("<tr>{}</tr>\n", row.iter().enumerate().map(cell).collect::<String>());
    format!(
        "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n",
        escaped(caption),
        rows.iter().map(row).collect::<String>()
    )
}

/// Text as HTML shows it: nothing in it is markup, and control characters are shown as what they are.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c if c.is_control() => html.extend(c.escape_default()),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_is_markup() {
        let mut page = Page::new("<script>alert(1)</script>");
        page.section("a & b");
        page.table("c", &["d", ">e"], &[vec!["<b>".into(), "\u{1b}[0m\"'".into()]]);
        let series = [Series { name: "<i>", values: vec![1.0, f64::NAN, 3.0] }];
        page.chart(&Chart { title: "<u>", labels: vec!["<p>".into(); 3], series: &series, digits: 0 });
        let html = page.html();
        for markup in ["<script", "<b>\u{1b}", "<i>", "<u>", "<p>", "\u{1b}"] {
            assert!(!html.contains(markup), "{markup}");
        }
        assert!(html.contains("&lt;script&gt;") && html.contains("\\u{1b}[0m"));
    }
}
