//! Curves over time, as SVG.

/// Points from left to right.
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
/// Left of the curves, and above and below them.
const MARGIN: f64 = 56.0;
/// Lines across.
const LINES: u32 = 5;
const COLOURS: [&str; 3] = ["#1f5fa8", "#c2541b", "#4c8c2b"];

/// Draws curves over an axis that is called `over`. The first is a line, the others, of few points, are marks.
pub fn draw(title: &str, over: &str, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let room = 0.08 * (high - low).max(1e-6);
    let (low, high) = (low - room, high + room);
    let x = |value: f64| MARGIN + (value - left) / (right - left).max(1e-9) * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN - (value - low) / (high - low) * (HEIGHT - 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">{title}</text>\n"
    );
    for line in 0..=LINES {
        let share = f64::from(line) / f64::from(LINES);
        let (value, at) = (low + share * (high - low), left + share * (right - left));
        let (level, edge) = (y(value), WIDTH - MARGIN);
        out += &format!(
            "<line x1=\"{MARGIN}\" y1=\"{level:.1}\" x2=\"{edge}\" y2=\"{level:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.4}</text>\n\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{at:.0}</text>\n",
            MARGIN - 6.0,
            level + 4.0,
            x(at),
            HEIGHT - MARGIN + 18.0,
        );
    }
    out += &format!("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{over}</text>\n", WIDTH / 2.0, HEIGHT - 14.0);
    for (at, (curve, colour)) in curves.iter().zip(COLOURS).enumerate() {
        let places: Vec<(f64, f64)> = curve.points.iter().map(|&(a, b)| (x(a), y(b))).collect();
        if at == 0 {
            let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            out += &format!("<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>\n", line.join(" "));
        }
        let radius = if at == 0 { 2.0 } else { 4.5 };
        for (x, y) in places {
            out += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>\n");
        }
        let (name, level) = (&curve.name, 60.0 + 18.0 * at as f64);
        out += &format!("<text x=\"{}\" y=\"{level}\" fill=\"{colour}\">{name}</text>\n", MARGIN + 12.0);
    }
    out + "</svg>\n"
}
