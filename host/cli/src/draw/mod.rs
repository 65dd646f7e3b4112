//! Pictures of a compiled ensemble: for a terminal and as SVG. Both are made of the same
//! [`Graph`] and hold no state; neither knows how a step runs.

pub(crate) mod layout;
pub(crate) mod svg;
pub(crate) mod text;

#[cfg(test)]
mod tests;

use consort_ensemble::{Drawing, Edge, EdgeKind, NodeKind};
use std::fmt::Write;

/// A part of a pattern deeper than this is not drawn.
const DEPTH_MAX: usize = 16;

/// What a node is called in the picture.
pub(crate) fn title(kind: &NodeKind, name: &str) -> String {
    match kind {
        NodeKind::Request => "request".to_owned(),
        NodeKind::Prediction => "prediction".to_owned(),
        NodeKind::Step(step) => called(&step.drawing, name),
    }
}

/// The kind and the name, and the step's own name where that is another one.
fn called(drawing: &Drawing, step: &str) -> String {
    let Drawing { kind, name, .. } = drawing;
    // A pattern around a step is called after it: `ab.shadow`.
    let own = name.strip_prefix(step).unwrap_or(name);
    match own.is_empty() || own.starts_with('.') {
        true => thing(kind, step),
        false => format!("{} as {step}", thing(kind, name)),
    }
}

/// A kind and a name, which is left out where it says nothing more.
fn thing(kind: &str, name: &str) -> String {
    let own = name.rsplit('.').next().unwrap_or(name);
    match own == kind {
        true => kind.to_owned(),
        false => format!("{kind} {name}"),
    }
}

/// What a step is made of and under which conditions it runs, line by line. Each has its
/// depth, and whether it only stands beside.
pub(crate) fn lines(kind: &NodeKind) -> Vec<Line> {
    let mut lines = Vec::new();
    if let NodeKind::Step(step) = kind {
        parts(&step.drawing, 0, &mut lines);
        let mut plain = |text: String| {
            lines.push(Line {
                text,
                depth: 0,
                dashed: false,
            });
        };
        if let Some(when) = &step.when {
            plain(format!("when {when}"));
        }
        if step.optional {
            plain("optional".to_owned());
        }
    }
    lines
}

/// One line inside a node.
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) depth: usize,
    /// A shadow: nobody waits for it.
    pub(crate) dashed: bool,
}

fn parts(drawing: &Drawing, depth: usize, lines: &mut Vec<Line>) {
    if depth >= DEPTH_MAX {
        return;
    }
    for (word, part) in &drawing.parts {
        lines.push(Line {
            text: format!("{word}: {}", thing(part.kind, &part.name)),
            depth,
            dashed: word.starts_with("shadow"),
        });
        parts(part, depth + 1, lines);
    }
}

/// A tensor with its type, and what it is for where it is no plain input.
pub(crate) fn label(edge: &Edge) -> String {
    let mut text = format!("{} {}", edge.tensor.name, edge.tensor);
    let purpose = match edge.kind {
        EdgeKind::Input => "",
        EdgeKind::Condition => " (when)",
        EdgeKind::Older => " (older)",
        EdgeKind::Answer => " (answer)",
    };
    // Writing to a String cannot fail.
    let _ = write!(text, "{purpose}");
    text
}
