//! A trace in the JSON form of Chrome's trace viewer, which Perfetto and others read too.
//!
//! Source: "Trace Event Format", complete events (`"ph": "X"`).

use super::Title;
use consort_inference::{Span, SpanId};
use serde_json::{Value, json};
use std::time::Instant;

/// All spans as complete events, times in microseconds since the call began.
pub(super) fn json(title: &Title<'_>, spans: &[Span]) -> Value {
    let Some(first) = spans.first() else {
        return json!({"traceEvents": []});
    };
    let us = |time: Instant| time.saturating_duration_since(first.begin).as_secs_f64() * 1e6;
    let events = spans.iter().zip(lanes(spans)).map(|(span, lane)| {
        let end = end(spans, span);
        let args = match span.end {
            Some(_) => json!({"detail": span.detail}),
            None => json!({"detail": span.detail, "abandoned": true}),
        };
        json!({
            "name": &*span.name,
            "cat": span.kind,
            "ph": "X",
            "ts": us(span.begin),
            "dur": us(end) - us(span.begin),
            "pid": 1,
            "tid": lane,
            "args": args,
        })
    });
    json!({
        "traceEvents": events.collect::<Vec<_>>(),
        "displayTimeUnit": "ms",
        "otherData": {
            "endpoint": title.endpoint,
            "call": title.number,
            "spans_left_out": title.left_out,
        },
    })
}

/// When a span ended; one that was abandoned ended with the call.
pub(super) fn end(spans: &[Span], span: &Span) -> Instant {
    let whole = spans.first().and_then(|root| root.end);
    span.end.or(whole).unwrap_or(span.begin).max(span.begin)
}

/// A lane for each span. The viewer puts spans of one lane inside one another, so that those
/// that overlap without lying inside one another need different ones: a span goes where its
/// parent is, or else into a lane that has none at that time.
fn lanes(spans: &[Span]) -> Vec<usize> {
    let mut lanes: Vec<usize> = Vec::with_capacity(spans.len());
    // The spans of each lane that have been placed.
    let mut placed: Vec<Vec<usize>> = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        let overlaps = |other: usize| {
            !is_ancestor(spans, other, span)
                && spans.get(other).is_some_and(|other| {
                    other.begin < end(spans, span) && span.begin < end(spans, other)
                })
        };
        let is_free = |lane: &Vec<usize>| !lane.iter().any(|other| overlaps(*other));
        let parent = span.inside.and_then(|SpanId(id)| lanes.get(id).copied());
        let beside = parent.filter(|lane| placed.get(*lane).is_some_and(is_free));
        let lane = beside
            .or_else(|| placed.iter().position(is_free))
            .unwrap_or(placed.len());
        if lane == placed.len() {
            placed.push(Vec::new());
        }
        if let Some(lane) = placed.get_mut(lane) {
            lane.push(at);
        }
        lanes.push(lane);
    }
    lanes
}

/// Whether a span lies inside another, at whatever depth.
fn is_ancestor(spans: &[Span], other: usize, span: &Span) -> bool {
    let mut inside = span.inside;
    while let Some(SpanId(id)) = inside {
        if id == other {
            return true;
        }
        inside = spans.get(id).and_then(|span| span.inside);
    }
    false
}
