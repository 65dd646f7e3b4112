//! The drawing of a checked plan.

use super::order::Waits;
use super::sources::{Source, Sources};
use super::{Draft, Reads, named, needed};
use crate::{Edge, EdgeKind, Graph, Node, NodeKind, StepNode};
use std::sync::Arc;

pub(super) fn draw(
    name: Arc<str>,
    drafts: &[Draft],
    sources: &Sources,
    reads: &Reads,
    waits: &Waits,
) -> Graph {
    let end = drafts.len() + 1;
    let levels = waits.levels();
    let level = |index: usize| levels.iter().find(|(step, _)| *step == index);
    let mut nodes = vec![Node {
        name: "request".into(),
        kind: NodeKind::Request,
    }];
    nodes.extend(drafts.iter().enumerate().map(|(index, draft)| Node {
        name: draft.planned.name.clone(),
        kind: NodeKind::Step(StepNode {
            drawing: draft.planned.step.drawing(),
            when: draft.planned.when.as_ref().map(ToString::to_string),
            optional: draft.planned.optional,
            level: level(index).map_or(0, |(_, level)| *level),
        }),
    }));
    nodes.push(Node {
        name: "prediction".into(),
        kind: NodeKind::Prediction,
    });
    let mut edges = Vec::new();
    let mut edge = |source: Source, to: usize, kind: EdgeKind| {
        let Some(tensor) = sources.spec(source).cloned() else {
            return;
        };
        let from = source.step().map_or(0, |step| step + 1);
        edges.push(Edge {
            from,
            to,
            tensor,
            kind,
        });
    };
    let needed = needed(sources, reads);
    for (index, inputs) in reads.inputs.iter().enumerate() {
        for source in inputs.iter().flatten() {
            edge(*source, index + 1, EdgeKind::Input);
        }
        if let Some(source) = reads.conditions.get(index).copied().flatten() {
            edge(source, index + 1, EdgeKind::Condition);
        }
        for output in 0..sources.made.get(index).map_or(0, Vec::len) {
            let source = Source::Step {
                step: index,
                output,
            };
            if let (true, Some(older)) = (needed.contains(&(index, output)), sources.older(source))
            {
                edge(older, index + 1, EdgeKind::Older);
            }
        }
    }
    for (output, source) in &reads.outputs {
        let spec = source.and_then(|source| Some((source, sources.spec(source)?)));
        edges.extend(spec.map(|(source, spec)| Edge {
            from: source.step().map_or(0, |step| step + 1),
            to: end,
            tensor: named(spec, &output.name),
            kind: EdgeKind::Input,
        }));
    }
    for (index, draft) in drafts.iter().enumerate() {
        edges.extend(draft.planned.step.answers().iter().map(|answer| Edge {
            from: index + 1,
            to: end,
            tensor: answer.clone(),
            kind: EdgeKind::Answer,
        }));
    }
    Graph { name, nodes, edges }
}
