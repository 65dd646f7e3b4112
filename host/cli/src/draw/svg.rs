//! An ensemble as an SVG that needs nothing beside itself.

use super::layout::{Placed, Size, place};
use super::{label, lines, title};
use consort_ensemble::{EdgeKind, Graph, NodeKind};
use std::collections::BTreeMap;
use std::fmt::Write;

const LINE: f64 = 18.0;
const PAD: f64 = 14.0;
const MARGIN: f64 = 28.0;
const HEAD: f64 = 44.0;
/// The width of a character of the fonts that are asked for, on average and rounded up.
const TITLE_CHAR: f64 = 8.2;
const TEXT_CHAR: f64 = 7.3;

const STYLE: &str = "\
text{font-family:ui-sans-serif,'Helvetica Neue',Arial,sans-serif;font-size:12.5px;fill:#2b3440}\
.t{font-size:14px;font-weight:600}.h{font-size:17px;font-weight:600}\
.l{font-family:ui-monospace,Menlo,'DejaVu Sans Mono',monospace;font-size:11px;fill:#5a6675}\
.a{fill:none;stroke:#8a97a8;stroke-width:1.4}.d{stroke-dasharray:5 4}\
.b{fill:#fff;stroke-width:1.4}.c{fill:#fff;fill-opacity:.92}";

/// Draws the whole graph.
pub(crate) fn draw(graph: &Graph) -> String {
    let sizes: Vec<Size> = graph
        .nodes
        .iter()
        .map(|node| {
            let inside = lines(&node.kind);
            let widths = inside
                .iter()
                .map(|line| TEXT_CHAR * chars(&line.text) + 34.0 + 14.0 * line.depth as f64);
            let title = TITLE_CHAR * chars(&title(&node.kind, &node.name));
            Size {
                width: widths.fold(title, f64::max).max(90.0) + 2.0 * PAD,
                height: 38.0
                    + LINE * inside.len() as f64
                    + if inside.is_empty() { 0.0 } else { 6.0 },
            }
        })
        .collect();
    // All tensors that go from one node to another share an arrow.
    let mut bundles: BTreeMap<(usize, usize), Vec<(String, EdgeKind)>> = BTreeMap::new();
    for edge in &graph.edges {
        let bundle = bundles.entry((edge.from, edge.to)).or_default();
        bundle.push((label(edge), edge.kind));
    }
    let arrows: Vec<(usize, usize, Size)> = bundles
        .iter()
        .map(|((from, to), labels)| {
            let width = labels.iter().map(|(text, _)| 6.8 * chars(text));
            let size = Size {
                width: width.fold(0.0, f64::max) + 10.0,
                height: 15.0 * labels.len() as f64,
            };
            (*from, *to, size)
        })
        .collect();
    let placed = place(&sizes, &arrows);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(graph, &placed, &bundles, &arrows, &mut out);
    out
}

type Bundles = BTreeMap<(usize, usize), Vec<(String, EdgeKind)>>;

fn write(
    graph: &Graph,
    placed: &Placed,
    bundles: &Bundles,
    arrows: &[(usize, usize, Size)],
    out: &mut String,
) -> std::fmt::Result {
    let heading = format!("ensemble {}", graph.name);
    let width = placed.width.max(9.5 * chars(&heading)) + 2.0 * MARGIN;
    let height = placed.height + 2.0 * MARGIN + HEAD;
    let left = (width - placed.width) / 2.0;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n<style>{STYLE}</style>\n\
         <defs><marker id=\"m\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0.8L7 4L0 7.2z\" fill=\"#8a97a8\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fbfcfd\"/>\n\
         <text class=\"h\" x=\"{MARGIN}\" y=\"40\">{}</text>",
        escaped(&heading)
    )?;
    writeln!(
        out,
        "<g transform=\"translate({left:.1} {:.1})\">",
        MARGIN + HEAD
    )?;
    for (points, labels) in placed.arrows.iter().zip(bundles.values()) {
        arrow(points, labels, out)?;
    }
    for ((points, labels), (.., size)) in placed.arrows.iter().zip(bundles.values()).zip(arrows) {
        labels_of(points, labels, *size, out)?;
    }
    for (node, spot) in graph.nodes.iter().zip(&placed.nodes) {
        let (stroke, fill) = colours(&node.kind);
        let (x, y) = (spot.x, spot.y);
        let Size { width, height } = spot.size;
        let optional = matches!(&node.kind, NodeKind::Step(step) if step.optional);
        let dashed = if optional { " d" } else { "" };
        writeln!(
            out,
            "<rect class=\"b{dashed}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"8\" stroke=\"{stroke}\" style=\"fill:{fill}\"/>\n\
             <text class=\"t\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x + width / 2.0,
            y + 24.0,
            escaped(&title(&node.kind, &node.name))
        )?;
        for (at, line) in lines(&node.kind).iter().enumerate() {
            let (x, y) = (
                x + PAD + 14.0 * line.depth as f64,
                y + 44.0 + LINE * at as f64,
            );
            let dashed = if line.dashed { " d" } else { "" };
            writeln!(
                out,
                "<path class=\"a{dashed}\" d=\"M{x:.1} {:.1}h20\" style=\"stroke:{stroke}\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 4.0,
                x + 28.0,
                escaped(&line.text)
            )?;
        }
    }
    writeln!(out, "</g>\n</svg>")
}

fn arrow(
    points: &[(f64, f64)],
    labels: &[(String, EdgeKind)],
    out: &mut String,
) -> std::fmt::Result {
    let aside = labels.iter().all(|(_, kind)| *kind != EdgeKind::Input);
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    for (x, y) in points {
        match last {
            None => write!(path, "M{x:.1} {y:.1}")?,
            Some((from_x, from_y)) => {
                let middle = (from_y + y) / 2.0;
                write!(
                    path,
                    "C{from_x:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}"
                )?;
            }
        }
        last = Some((*x, *y));
    }
    let dashed = if aside { " d" } else { "" };
    writeln!(
        out,
        "<path class=\"a{dashed}\" marker-end=\"url(#m)\" d=\"{path}\"/>"
    )
}

/// The labels stand at the arrow's last piece, where it comes to the node that reads.
fn labels_of(
    points: &[(f64, f64)],
    labels: &[(String, EdgeKind)],
    size: Size,
    out: &mut String,
) -> std::fmt::Result {
    let [.., from, to] = points else {
        return Ok(());
    };
    // Near the end the lines of a fan are apart, and those that meet are told by where they
    // come from: the middle serves both.
    let (x, y) = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
    let (left, top) = (x - size.width / 2.0, y - size.height / 2.0);
    writeln!(
        out,
        "<rect class=\"c\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"4\"/>",
        size.width, size.height
    )?;
    for (at, (text, _)) in labels.iter().enumerate() {
        let y = top + 11.5 + 15.0 * at as f64;
        let text = escaped(text);
        writeln!(
            out,
            "<text class=\"l\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{text}</text>"
        )?;
    }
    Ok(())
}

/// Outline and ground of a node, by what it is.
fn colours(kind: &NodeKind) -> (&'static str, &'static str) {
    match kind {
        NodeKind::Request | NodeKind::Prediction => ("#8a97a8", "#f1f4f7"),
        NodeKind::Step(step) => match step.drawing.kind {
            "plugin" => ("#8b5fbf", "#f7f2fc"),
            "model" => ("#2f7dc4", "#eff6fc"),
            "ensemble" => ("#2f9e77", "#eefaf5"),
            _ => ("#d08a1d", "#fef7ea"),
        },
    }
}

fn chars(text: &str) -> f64 {
    text.chars().count() as f64
}

pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
