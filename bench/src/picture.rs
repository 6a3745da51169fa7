//! CPU per 1000 listeners against listeners, a line a server.

use std::fmt::Write as _;

use crate::results::Results;
use crate::scenario::{FLOOR, ICECAST, NGINX, PROXY};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 52.0;
/// Each has its name at its end: colour alone tells nobody which it is.
const LINES: [(&str, &str); 4] = [
    (ICECAST, "#b2182b"),
    (NGINX, "#7f7f7f"),
    (PROXY, "#2166ac"),
    (FLOOR, "#1b7837"),
];

/// A server's name, its colour, and its points: listeners, percent.
type Line = (&'static str, &'static str, Vec<(f64, f64)>);

/// An SVG.
pub(crate) fn draw(results: &Results) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for (label, colour) in LINES {
        let mut points: Vec<(f64, f64)> = results
            .scenarios
            .iter()
            .filter(|one| one.name.starts_with("fanout-") || one.name == "most")
            .filter_map(|one| results.of(&one.name, label))
            .map(|run| (run.listeners as f64, run.percent()))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !points.is_empty() {
            lines.push((label, colour, points));
        }
    }
    let all = || lines.iter().flat_map(|(_, _, points)| points);
    let widest = all().map(|point| point.0).fold(1000.0, f64::max);
    let least = all().map(|point| point.0).fold(widest, f64::min);
    let highest = all().map(|point| point.1).fold(10.0, f64::max);
    let top = (highest / 10.0).ceil() * 10.0;
    // Listeners stand on a logarithmic axis.
    let span = (widest / least).ln().max(0.1);
    let x = |listeners: f64| LEFT + (listeners / least).ln() / span * (WIDTH - LEFT - RIGHT);
    let y = |percent: f64| HEIGHT - BOTTOM - percent / top * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\" fill=\"#222\">CPU to serve 1000 listeners of 128 kbit/s, in percent of a core</text>\n"
    );
    for step in 0..=5 {
        let value = top / 5.0 * f64::from(step);
        let at = y(value);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{value:.0}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
    }
    let mut seen = Vec::new();
    for (listeners, _) in all() {
        if !seen.contains(listeners) {
            seen.push(*listeners);
            let at = x(*listeners);
            let _ = writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444\">{listeners:.0}</text>",
                HEIGHT - BOTTOM + 20.0
            );
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.0}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444\">listeners</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0
    );
    // Labels that would lie on one another move apart.
    let mut ends: Vec<(f64, usize)> = lines
        .iter()
        .enumerate()
        .filter_map(|(index, (_, _, points))| Some((y(points.last()?.1), index)))
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    for index in 1..ends.len() {
        ends[index].0 = ends[index].0.max(ends[index - 1].0 + 17.0);
    }
    for (at, index) in ends {
        let (label, colour, points) = &lines[index];
        let path: Vec<String> = points
            .iter()
            .map(|(listeners, percent)| format!("{:.1},{:.1}", x(*listeners), y(*percent)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            path.join(" ")
        );
        for (listeners, percent) in points {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"><title>{label}: {percent:.1} % at {listeners:.0}</title></circle>",
                x(*listeners),
                y(*percent)
            );
        }
        let last = points.last().map_or(0.0, |point| point.0);
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\" font-weight=\"bold\">{label}</text>",
            x(last) + 10.0,
            at + 4.0
        );
    }
    out += "</svg>\n";
    out
}
