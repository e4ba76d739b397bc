//! Bars, as inline SVG.

use std::fmt::Write;

use super::{escaped, table};

/// Values of one kind, a bar each.
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    /// One a label; what is no number has no bar.
    pub(crate) values: Vec<f64>,
}

/// Bars side by side: a group a label, in each a bar a series, of which there are one or two.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) labels: Vec<String>,
    pub(crate) series: &'a [Series<'a>],
    /// Digits behind the point.
    pub(crate) digits: usize,
}

/// Where bars are drawn, in units of the picture.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 28.0;

/// About so many units a character of a label takes, and the room between two labels.
const CHARACTER: f64 = 7.0;
const BETWEEN: f64 = 12.0;

const CLASSES: [&str; 2] = ["first", "second"];

impl Chart<'_> {
    pub(super) fn html(&self) -> String {
        let keys: String = if self.series.len() < 2 {
            String::new()
        } else {
            let key = |(class, series): (&str, &Series<'_>)| {
                format!("<span><span class=\"key {class}\"></span>{}</span>", escaped(series.name))
            };
            format!("<div class=\"keys\">{}</div>\n", CLASSES.into_iter().zip(self.series).map(key).collect::<String>())
        };
        let names: Vec<String> = self.series.iter().map(|series| format!(">{}", series.name)).collect();
        let header: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
        let row = |(at, label): (usize, &String)| {
            let value = |series: &Series<'_>| self.shown(series.values.get(at).copied().unwrap_or(f64::NAN));
            std::iter::once(label.clone()).chain(self.series.iter().map(value)).collect()
        };
        let rows: Vec<Vec<String>> = self.labels.iter().enumerate().map(row).collect();
        format!(
            "<figure>\n<figcaption>{}</figcaption>\n{keys}<div class=\"scroll\" tabindex=\"0\">{}</div>\n<details><summary>the figures</summary>\n{}</details>\n</figure>\n",
            escaped(self.title),
            self.svg(),
            table(self.title, &header, &rows)
        )
    }

    fn svg(&self) -> String {
        let all = || self.series.iter().flat_map(|series| &series.values).copied().filter(|value| value.is_finite());
        let most = ceiling(all().fold(0.0, f64::max));
        let (bottom, room) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP);
        let group = (WIDTH - LEFT) / self.labels.len().max(1) as f64;
        let bar = (group * 0.8 / self.series.len().max(1) as f64).min(48.0);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(&format!("{}: bars, whose figures follow as a table", self.title))
        );
        // A String takes all that is written to it.
        for tick in [0.0, 0.5, 1.0] {
            let y = bottom - tick * room;
            let _ = writeln!(svg, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                self.shown(tick * most)
            );
        }
        let longest = self.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
        let every = ((CHARACTER * longest + BETWEEN) / group).ceil().max(1.0) as usize;
        for (at, label) in self.labels.iter().enumerate() {
            let middle = LEFT + group * (at as f64 + 0.5);
            for (n, (class, series)) in CLASSES.into_iter().zip(self.series).enumerate() {
                let value = series.values.get(at).copied().filter(|value| value.is_finite()).unwrap_or(0.0);
                let (x, height) = (middle + bar * (n as f64 - self.series.len() as f64 / 2.0), room * value / most);
                let _ = writeln!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
                    bottom - height,
                    (bar - 1.0).max(0.5),
                    escaped(&format!("{label}: {} {}", series.name, self.shown(value)))
                );
            }
            if at % every == 0 {
                let y = HEIGHT - 8.0;
                let _ =
                    writeln!(svg, "<text x=\"{middle:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escaped(label));
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn shown(&self, value: f64) -> String {
        match value {
            value if !value.is_finite() => String::new(),
            value if self.digits == 0 && value >= 10_000.0 => format!("{:.0} k", value / 1000.0),
            value => format!("{value:.*}", self.digits),
        }
    }
}

/// The next of some steps between powers of ten, whose halves are short too.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|&step| step >= value * 0.9999)
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_above_the_highest_bar() {
        for (value, end) in [(0.0, 1.0), (0.07, 0.08), (1.0, 1.0), (1.1, 1.5), (37.0, 40.0), (900.0, 1000.0)] {
            assert!((ceiling(value) - end).abs() < 1e-9 * end, "{value}: {}", ceiling(value));
        }
    }
}
