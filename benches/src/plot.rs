//! Rates over time as a picture: SVG with lines, axes and a legend, and nothing else.

use std::fmt::Write as _;

/// One line of a panel.
pub struct Line<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its colour.
    pub colour: &'a str,
    /// Its values, one for each step.
    pub values: &'a [f64],
}

/// One diagram: lines over the same time.
pub struct Panel<'a> {
    /// What it shows.
    pub title: &'a str,
    /// The hour at which it begins.
    pub from: f64,
    /// Hours between two values.
    pub step: f64,
    /// Hours between two marks of the axis.
    pub mark: f64,
    /// The lines; the first is drawn first.
    pub lines: &'a [Line<'a>],
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 34.0;
const PANEL: f64 = 330.0;

/// Draws panels one below the other, from zero to the same height, which is `top` with a mark at each `mark`.
pub fn svg(panels: &[Panel<'_>], unit: &str, top: f64, mark: f64) -> String {
    let mut out = String::new();
    let (width, height) = (LEFT + WIDTH + 20.0, PANEL * panels.len() as f64);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>"#
    );
    for (number, panel) in panels.iter().enumerate() {
        let _ = writeln!(out, r#"<g transform="translate({LEFT},{})">"#, TOP + PANEL * number as f64);
        draw(&mut out, panel, unit, top, mark);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel<'_>, unit: &str, top: f64, mark: f64) {
    let steps = panel.lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(1);
    let hours = panel.step * steps as f64;
    let y = |value: f64| HEIGHT * (1.0 - (value / top).min(1.0));
    let _ = writeln!(out, r#"<text y="-12" font-weight="bold">{}</text>"#, escaped(panel.title));
    let mut height = 0.0;
    while height <= top {
        let _ = writeln!(
            out,
            r##"<path d="M0 {0:.1}H{WIDTH}" stroke="#ddd"/><text x="-8" y="{1:.1}" text-anchor="end">{height}</text>"##,
            y(height),
            y(height) + 4.0,
        );
        height += mark;
    }
    let _ = writeln!(out, r#"<text x="-8" y="-12" text-anchor="end">{}</text>"#, escaped(unit));
    let mut hour = (panel.from / panel.mark).ceil() * panel.mark;
    while hour <= panel.from + hours + 1e-9 {
        let x = WIDTH * (hour - panel.from) / hours;
        // The nearest minute, written as a clock does.
        let minutes = (hour * 60.0).round();
        let _ = writeln!(
            out,
            r##"<path d="M{x:.1} {HEIGHT}v5" stroke="#444"/><text x="{x:.1}" y="{}" text-anchor="middle">{:02}:{:02}</text>"##,
            HEIGHT + 18.0,
            (minutes / 60.0).floor(),
            minutes % 60.0,
        );
        hour += panel.mark;
    }
    for (number, line) in panel.lines.iter().enumerate() {
        let mut points = String::new();
        for (step, value) in line.values.iter().enumerate() {
            let _ = write!(points, "{:.1},{:.1} ", WIDTH * (step as f64 + 0.5) / steps as f64, y(*value));
        }
        let colour = escaped(line.colour);
        let _ = writeln!(
            out,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{}"/>"#,
            points.trim_end()
        );
        let x = WIDTH - 170.0 * (panel.lines.len() - number) as f64;
        let _ = writeln!(
            out,
            r#"<path d="M{x} -16h24" stroke="{colour}" stroke-width="3"/><text x="{}" y="-12">{}</text>"#,
            x + 30.0,
            escaped(line.name)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_points_and_texts_are_escaped() {
        let lines = [Line { name: "a < b", colour: "red", values: &[0.0, 50.0, 200.0] }];
        let panel = Panel { title: "T & U", from: 1.0, step: 1.0, mark: 1.5, lines: &lines };
        let svg = svg(&[panel], "per s", 100.0, 50.0);
        // Zero is at the bottom, half in the middle, and what is beyond the top is cut there.
        assert!(svg.contains(r#"points="150.0,260.0 450.0,130.0 750.0,0.0""#), "{svg}");
        assert!(svg.contains("T &amp; U") && svg.contains("a &lt; b"), "{svg}");
        assert!(svg.contains(">01:30<") && svg.contains(">03:00<"), "{svg}");
        assert_eq!(svg.matches("#ddd").count(), 3, "a mark each at 0, 50 and 100");
    }
}
