//! The table as a picture: recall against seconds of training, with what others have published as lines.

use std::fmt::Write;
use std::path::Path;

use crate::program::Measured;
use crate::sets::{PUBLISHED, SETS};

/// Pixels of the picture's width, of a set's panel, and around what is drawn in it.
const WIDTH: f64 = 860.0;
const PANEL: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
/// Pixels between two lines of text.
const LINE: f64 = 12.0;

/// A model's place.
struct Point<'a> {
    name: &'a str,
    seconds: f64,
    recall: f64,
}

/// Writes the picture of a table's rows to `path`: a panel a set, processor seconds on a logarithmic axis. Models without a training are left out.
pub fn write(path: &Path, rows: &[Vec<String>]) -> anyhow::Result<()> {
    let column = |name: &str| Measured::HEADER.iter().position(|&header| header == name).unwrap_or(0);
    let (recall, seconds) = (column("recall@20, 1-bit"), column("processor, s"));
    let number = |cell: &str| cell.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    let panels: Vec<(&str, Vec<Point<'_>>)> = SETS
        .iter()
        .map(|&(set, _)| {
            let rows = rows.iter().filter(|row| row[0] == set);
            let point = |row: &'_ Vec<String>| number(&row[seconds]).zip(number(&row[recall]));
            (
                set,
                rows.filter_map(|row| point(row).map(|(seconds, recall)| Point { name: &row[1], seconds, recall }))
                    .collect(),
            )
        })
        .filter(|(_, points): &(_, Vec<_>)| !points.is_empty())
        .collect();
    let height = PANEL * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, (set, points)) in panels.iter().enumerate() {
        writeln!(svg, "<g transform=\"translate(0 {})\">", PANEL * at as f64)?;
        panel(&mut svg, set, points)?;
        svg += "</g>\n";
    }
    svg += "</svg>\n";
    Ok(std::fs::write(path, svg)?)
}

/// One set.
fn panel(svg: &mut String, set: &str, points: &[Point<'_>]) -> std::fmt::Result {
    let published: Vec<(&str, f64)> =
        PUBLISHED.iter().filter(|published| published.set == set).map(|published| published.line()).collect();
    let recalls = || points.iter().map(|point| point.recall).chain(published.iter().map(|line| line.1));
    let (least, most) = bounds(recalls());
    let (first, last) = bounds(points.iter().map(|point| point.seconds.max(0.1).log10()));
    let margin = |least: f64, most: f64| ((most - least) * 0.06).max(1e-3);
    let (y_margin, x_margin) = (margin(least, most), margin(first, last).max(0.05));
    let (least, most, first, last) = (least - y_margin, most + y_margin, first - x_margin, last + x_margin);
    let x = |seconds: f64| LEFT + (seconds.max(0.1).log10() - first) / (last - first) * (WIDTH - LEFT - RIGHT);
    let y = |recall: f64| PANEL - BOTTOM - (recall - least) / (most - least) * (PANEL - TOP - BOTTOM);
    let (right, bottom) = (WIDTH - RIGHT, PANEL - BOTTOM);
    writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{set}: recall@20 of 1-bit codes, processor seconds of loading and training</text>"
    )?;
    writeln!(svg, "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>")?;
    for (tick, label) in ticks(least, most).into_iter().map(|tick| (tick, format!("{tick:.3}"))) {
        let y = y(tick);
        writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}h-4\" stroke=\"black\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            y + 4.0
        )?;
    }
    for seconds in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].map(f64::from) {
        let at = x(seconds);
        if (LEFT..=right).contains(&at) {
            writeln!(
                svg,
                "<path d=\"M{at:.1} {bottom}v4\" stroke=\"black\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds}</text>",
                bottom + 16.0
            )?;
        }
    }
    let mut lines = published;
    lines.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut free = f64::NEG_INFINITY;
    for (name, recall) in lines {
        let at = y(recall);
        free = (free + LINE).max(at + 4.0);
        writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#999\" stroke-dasharray=\"4 3\"/><text x=\"{}\" y=\"{free:.1}\" fill=\"#666\">{name}</text>",
            right + 6.0
        )?;
    }
    let mut order: Vec<&Point<'_>> = points.iter().collect();
    order.sort_by(|a, b| b.recall.total_cmp(&a.recall));
    let mut labels: Vec<(f64, f64)> = Vec::new();
    for point in order {
        let (x, y) = (x(point.seconds), y(point.recall));
        let mut label = y + 4.0;
        while labels.iter().any(|&(at, line)| (at - x).abs() < 110.0 && (line - label).abs() < LINE - 1.0) {
            label += 1.0;
        }
        labels.push((x, label));
        writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"#1f6fb4\"/><text x=\"{:.1}\" y=\"{label:.1}\">{}</text>",
            x + 6.0,
            point.name
        )?;
    }
    Ok(())
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
}

/// Round numbers between two, about six.
fn ticks(least: f64, most: f64) -> Vec<f64> {
    let steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
    let step = steps.into_iter().find(|step| (most - least) / step <= 7.0).unwrap_or(0.2);
    let first = (least / step).ceil() as u64;
    (first..).map(|tick| tick as f64 * step).take_while(|tick| *tick <= most).collect()
}
