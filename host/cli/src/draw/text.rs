//! An ensemble for a terminal: a box for each node, from the request down to the prediction,
//! each with what it is made of, what it reads from whom and what it gives.

use super::{label, lines, title};
use consort_ensemble::{Graph, NodeKind};

/// The characters that boxes are made of.
pub(crate) struct Pen {
    horizontal: char,
    vertical: char,
    top: [char; 2],
    bottom: [char; 2],
    down: char,
    reads: &'static str,
    gives: &'static str,
    dashed: &'static str,
    solid: &'static str,
}

/// For terminals that show UTF-8.
pub(crate) const BOXES: Pen = Pen {
    horizontal: '─',
    vertical: '│',
    top: ['╭', '╮'],
    bottom: ['╰', '╯'],
    down: '┬',
    reads: "◂",
    gives: "▸",
    dashed: "┄┄",
    solid: "──",
};

/// For all others.
pub(crate) const ASCII: Pen = Pen {
    horizontal: '-',
    vertical: '|',
    top: ['+', '+'],
    bottom: ['+', '+'],
    down: '+',
    reads: "<",
    gives: ">",
    dashed: "..",
    solid: "--",
};

/// Draws the whole graph; each line ends with a line break.
pub(crate) fn draw(graph: &Graph, pen: &Pen) -> String {
    let boxes: Vec<(String, Vec<String>)> = (0..graph.nodes.len())
        .filter_map(|at| one(graph, at, pen))
        .collect();
    let content = boxes.iter().flat_map(|(title, lines)| {
        let title = title.chars().count() + 2;
        lines.iter().map(|line| line.chars().count()).chain([title])
    });
    let width = content.max().unwrap_or_default() + 2;
    let middle = width / 2;
    let mut text = String::new();
    let rule = |length: usize| pen.horizontal.to_string().repeat(length);
    for (at, (title, lines)) in boxes.iter().enumerate() {
        let rest = width - title.chars().count() - 3;
        let [left, right] = pen.top;
        text.push_str(&format!(
            "{left}{} {title} {}{right}\n",
            rule(1),
            rule(rest)
        ));
        for line in lines {
            let space = " ".repeat(width - 2 - line.chars().count());
            text.push_str(&format!("{0} {line}{space} {0}\n", pen.vertical));
        }
        let [left, right] = pen.bottom;
        if at + 1 == boxes.len() {
            text.push_str(&format!("{left}{}{right}\n", rule(width)));
        } else {
            let after = width - middle - 1;
            let bottom = format!("{left}{}{}{}{right}\n", rule(middle), pen.down, rule(after));
            text.push_str(&bottom);
            text.push_str(&format!("{}{}\n", " ".repeat(middle + 1), pen.vertical));
        }
    }
    text
}

/// The title and the lines of a node.
fn one(graph: &Graph, at: usize, pen: &Pen) -> Option<(String, Vec<String>)> {
    let node = graph.nodes.get(at)?;
    let mut content = Vec::new();
    for line in lines(&node.kind) {
        let lead = if line.dashed { pen.dashed } else { pen.solid };
        content.push(format!("{}{lead} {}", "   ".repeat(line.depth), line.text));
    }
    for edge in graph.edges.iter().filter(|edge| edge.to == at) {
        let from = graph.nodes.get(edge.from)?;
        let from = match &from.kind {
            NodeKind::Request => "request",
            NodeKind::Step(_) | NodeKind::Prediction => &from.name,
        };
        content.push(format!("{} {}  from {from}", pen.reads, label(edge)));
    }
    let mut given: Vec<String> = Vec::new();
    for edge in graph.edges.iter().filter(|edge| edge.from == at) {
        let line = format!("{} {} {}", pen.gives, edge.tensor.name, edge.tensor);
        if !given.contains(&line) {
            given.push(line);
        }
    }
    content.extend(given);
    Some((title(&node.kind, &node.name), content))
}
