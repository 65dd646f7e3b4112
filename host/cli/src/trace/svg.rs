//! A trace as an SVG that needs nothing beside itself: a row a span, its bar where and as long
//! as it was, what lies inside below.

use super::Title;
use super::chrome::end;
use crate::draw::svg::escaped;
use consort_inference::{Span, SpanId};
use std::fmt::Write;
use std::time::{Duration, Instant};

const ROW: f64 = 22.0;
const BAR: f64 = 14.0;
const NAMES: f64 = 330.0;
const BARS: f64 = 760.0;
/// Where a bar's own words may stand beside it.
const WORDS: f64 = 320.0;
const MARGIN: f64 = 24.0;
const HEAD: f64 = 74.0;
const TICKS: usize = 5;
/// Rows of a picture. A trace that has more says so; the JSON has all.
const ROWS_MAX: usize = 400;
/// The narrowest bar that can be seen.
const BAR_MIN: f64 = 1.5;

const STYLE: &str = "\
text{font-family:ui-sans-serif,'Helvetica Neue',Arial,sans-serif;font-size:12.5px;fill:#2b3440}\
.h{font-size:17px;font-weight:600}.k{fill:#8a97a8;font-size:11px}\
.m{font-family:ui-monospace,Menlo,'DejaVu Sans Mono',monospace;font-size:11px;fill:#5a6675}\
.g{stroke:#e3e8ee;stroke-width:1}";

/// What is drawn of a span.
struct Row<'a> {
    span: &'a Span,
    depth: usize,
}

/// Draws the whole call.
pub(super) fn draw(title: &Title<'_>, spans: &[Span]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(title, spans, &mut out);
    out
}

fn write(title: &Title<'_>, spans: &[Span], out: &mut String) -> std::fmt::Result {
    let rows = rows(spans);
    let shown = rows.len().min(ROWS_MAX);
    let begin = spans.first().map(|span| span.begin);
    let whole = begin.map_or(Duration::ZERO, |begin| {
        let ends = spans.iter().map(|span| end(spans, span));
        ends.max().map_or(Duration::ZERO, |last| last - begin)
    });
    let width = 2.0 * MARGIN + NAMES + BARS + WORDS;
    let height = HEAD + ROW * shown as f64 + 2.0 * MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fbfcfd\"/>\n\
         <text class=\"h\" x=\"{MARGIN}\" y=\"36\">{} call {}: {}</text>",
        escaped(title.endpoint),
        title.number,
        time(whole)
    )?;
    let scale = BARS / whole.as_secs_f64().max(1e-9);
    let left = MARGIN + NAMES;
    for tick in 0..=TICKS {
        let part = tick as f64 / TICKS as f64;
        let x = left + BARS * part;
        writeln!(
            out,
            "<path class=\"g\" d=\"M{x:.1} {HEAD}V{:.1}\"/>\
             <text class=\"k\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEAD + ROW * shown as f64,
            HEAD - 8.0,
            time(whole.mul_f64(part))
        )?;
    }
    for (at, row) in rows.iter().take(ROWS_MAX).enumerate() {
        let since = |time: Instant| begin.map_or(0.0, |begin| (time - begin).as_secs_f64());
        let top = HEAD + ROW * at as f64;
        let ended = end(spans, row.span);
        let x = left + scale * since(row.span.begin);
        let wide = (scale * (ended - row.span.begin).as_secs_f64()).max(BAR_MIN);
        bar(row, (x, top, wide), ended - row.span.begin, out)?;
    }
    let unseen = rows.len() - shown;
    let left_out = title.left_out + unseen as u64;
    if left_out > 0 {
        let y = height - MARGIN;
        writeln!(
            out,
            "<text class=\"k\" x=\"{MARGIN}\" y=\"{y:.1}\">{left_out} more spans are not drawn</text>"
        )?;
    }
    writeln!(out, "</svg>")
}

/// The row of one span: its name, its bar, and how long it took.
fn bar(
    row: &Row<'_>,
    (x, top, wide): (f64, f64, f64),
    took: Duration,
    out: &mut String,
) -> std::fmt::Result {
    let Row { span, depth } = row;
    let middle = top + ROW / 2.0 + 4.0;
    let abandoned = match span.end {
        Some(_) => "",
        None => ", abandoned",
    };
    let told = format!("{}{abandoned}", time(took));
    let hint = format!("{} {}: {told} {}", span.kind, span.name, span.detail);
    writeln!(
        out,
        "<g><title>{}</title>\
         <text x=\"{:.1}\" y=\"{middle:.1}\">{} <tspan class=\"k\">{}</tspan></text>\
         <rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{BAR}\" rx=\"2.5\" \
         fill=\"{}\"/>\
         <text class=\"m\" x=\"{:.1}\" y=\"{middle:.1}\">{}</text></g>",
        escaped(&hint),
        MARGIN + 14.0 * *depth as f64,
        escaped(&span.name),
        span.kind,
        top + (ROW - BAR) / 2.0,
        colour(span.kind),
        x + wide + 6.0,
        escaped(&match span.detail.is_empty() {
            true => told,
            false => format!("{told}  {}", span.detail),
        })
    )
}

/// The spans in the order of a tree: each before what lies inside it, by begin.
fn rows(spans: &[Span]) -> Vec<Row<'_>> {
    let inside = |parent: Option<SpanId>| {
        let own = spans.iter().enumerate();
        let mut own: Vec<usize> = own
            .filter(|(_, span)| span.inside == parent)
            .map(|(at, _)| at)
            .collect();
        own.sort_by_key(|at| spans.get(*at).map(|span| span.begin));
        own.reverse();
        own
    };
    let mut rows = Vec::with_capacity(spans.len());
    let mut open: Vec<(usize, usize)> = inside(None).into_iter().map(|at| (at, 0)).collect();
    while let Some((at, depth)) = open.pop() {
        let Some(span) = spans.get(at) else { continue };
        rows.push(Row { span, depth });
        let below = inside(Some(SpanId(at))).into_iter();
        open.extend(below.map(|at| (at, depth + 1)));
    }
    rows
}

fn colour(kind: &str) -> &'static str {
    match kind {
        "request" => "#8a97a8",
        "plugin" => "#8b5fbf",
        "guest" => "#b79ad9",
        "model" => "#2f7dc4",
        "batch" => "#7fb2e0",
        "queue" | "instance" => "#d8dee6",
        "ensemble" => "#2f9e77",
        _ => "#d08a1d",
    }
}

/// A duration with three digits that mean something.
fn time(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        0.0 => "0".to_owned(),
        ..1e3 => format!("{us:.0} µs"),
        ..1e5 => format!("{:.2} ms", us / 1e3),
        ..1e6 => format!("{:.0} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}
