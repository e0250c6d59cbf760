//! The samples as a picture: one panel a figure over the same time, a line where a kill was.

use std::fmt::Write as _;

use super::sample::{Sample, Samples};

const WIDTH: f64 = 900.0;
const PANEL: f64 = 130.0;
const LEFT: f64 = 70.0;
const GAP: f64 = 34.0;

/// A panel: its title, and its lines, each with a colour.
type Panel = (&'static str, &'static [(&'static str, fn(&Sample) -> f64)]);

const MIB: f64 = (1 << 20) as f64;

const PANELS: [Panel; 6] = [
    ("memory, MiB", &[("#3366cc", |s| s.memory as f64 / MIB)]),
    ("open files", &[("#3366cc", |s| s.n_files as f64)]),
    ("WALs, MiB", &[("#3366cc", |s| s.wal as f64 / MIB)]),
    ("events a second", &[("#3366cc", |s| s.events_per_s)]),
    ("append, ms: p50, p99", &[("#3366cc", |s| s.append_ms[0]), ("#cc5533", |s| s.append_ms[1])]),
    (
        "delivery, ms: p50, p99",
        &[("#3366cc", |s| s.delivery_ms[0]), ("#cc5533", |s| s.delivery_ms[1])],
    ),
];

/// The picture.
pub(super) fn svg(samples: &Samples) -> String {
    let height = PANELS.len() as f64 * (PANEL + GAP) + GAP;
    let end = samples.samples.last().map_or(1.0, |sample| sample.at_s).max(1.0);
    let x = |at_s: f64| LEFT + (WIDTH - LEFT - 10.0) * at_s / end;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (n, (title, lines)) in PANELS.iter().enumerate() {
        let top = GAP + n as f64 * (PANEL + GAP);
        let values = lines.iter().flat_map(|(_, get)| samples.samples.iter().map(get));
        let most = values.fold(0.0, f64::max).max(1e-9);
        let y = |value: f64| top + PANEL * (1.0 - value / most);
        panel(&mut svg, title, top, most);
        for (at_s, _) in &samples.restarts {
            let x = x(*at_s);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{}\" stroke=\"#bbbbbb\"/>",
                top + PANEL
            );
        }
        for (colour, get) in *lines {
            let mut points = String::new();
            for sample in &samples.samples {
                let _ = write!(points, "{:.1},{:.1} ", x(sample.at_s), y(get(sample)));
            }
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>",
                points.trim_end()
            );
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\">0 to {end:.0} s; a grey line is a kill -9</text>\n</svg>",
        height - 10.0
    );
    svg
}

/// The frame of a panel, with its title and the ends of its scale.
fn panel(svg: &mut String, title: &str, top: f64, most: f64) {
    let (bottom, width) = (top + PANEL, WIDTH - LEFT - 10.0);
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{PANEL}\" fill=\"none\" \
         stroke=\"#dddddd\"/>\n<text x=\"{LEFT}\" y=\"{}\">{title}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most:.1}</text>\n\
         <text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>",
        top - 6.0,
        LEFT - 6.0,
        top + 10.0,
        LEFT - 6.0,
    );
}
