//! Drawings of a fixed graph against golden files. `BLESS=1 cargo test -p consort-cli draw`
//! writes them anew; look at them before you commit them.

use super::{layout, svg, text};
use consort_ensemble::{Drawing, Edge, EdgeKind, Graph, Node, NodeKind, StepNode};
use consort_inference::{Datatype, TensorSpec};
use layout::{Size, place};
use std::path::Path;

fn check(name: &str, drawn: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/drawings")
        .join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, drawn).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(drawn, expected, "{name}");
}

fn step(name: &str, drawing: Drawing) -> Node {
    Node {
        name: name.into(),
        kind: NodeKind::Step(StepNode {
            drawing,
            when: None,
            optional: false,
            level: 0,
        }),
    }
}

/// A graph with every kind of node, part and arrow.
fn shop() -> Graph {
    let end = |kind, name: &str| Node {
        name: name.into(),
        kind,
    };
    let model = |name: &str| Drawing::plain("model", name);
    let mut split = Drawing::plain("split", "ab");
    split.parts = vec![
        ("90 %".to_owned(), model("v1")),
        ("10 %".to_owned(), model("v2")),
        ("shadow 5 %".to_owned(), model("v3")),
    ];
    let mut dear = step("dear", model("large"));
    if let NodeKind::Step(step) = &mut dear.kind {
        step.when = Some("max of score < 0.8".to_owned());
        step.optional = true;
    }
    let edge = |from, to, name: &str, shape: &[Option<usize>], kind| Edge {
        from,
        to,
        tensor: TensorSpec {
            name: name.into(),
            datatype: Datatype::Fp32,
            shape: shape.to_vec(),
        },
        kind,
    };
    let input = EdgeKind::Input;
    Graph {
        name: "shop <1>".into(),
        nodes: vec![
            end(NodeKind::Request, "request"),
            step("tokens", Drawing::plain("plugin", "tokenizer")),
            step("ab", split),
            dear,
            step("finish", Drawing::plain("plugin", "finish")),
            end(NodeKind::Prediction, "prediction"),
        ],
        edges: vec![
            edge(0, 1, "text", &[], input),
            edge(1, 2, "ids", &[None], input),
            edge(1, 2, "mask", &[None], input),
            edge(1, 3, "ids", &[None], input),
            edge(2, 3, "score", &[Some(3)], EdgeKind::Condition),
            edge(2, 4, "score", &[Some(3)], EdgeKind::Older),
            edge(3, 4, "score", &[Some(3)], input),
            edge(4, 5, "label", &[], input),
        ],
    }
}

#[test]
fn as_text() {
    check("shop.txt", &text::draw(&shop(), &text::BOXES));
    let ascii = text::draw(&shop(), &text::ASCII);
    assert!(ascii.is_ascii());
    check("shop-ascii.txt", &ascii);
}

#[test]
fn as_svg() {
    check("shop.svg", &svg::draw(&shop()));
}

#[test]
fn nothing_overlaps_and_arrows_go_down() {
    let box_of = |width| Size {
        width,
        height: 40.0,
    };
    let sizes: Vec<Size> = [80.0, 120.0, 60.0, 200.0, 90.0].map(box_of).to_vec();
    let label = Size {
        width: 50.0,
        height: 15.0,
    };
    let arrows = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (0, 4)];
    let arrows: Vec<_> = arrows
        .iter()
        .map(|(from, to)| (*from, *to, label))
        .collect();
    let placed = place(&sizes, &arrows);
    for (at, one) in placed.nodes.iter().enumerate() {
        assert!(one.x >= 0.0 && one.x + one.size.width <= placed.width);
        for other in placed.nodes.iter().skip(at + 1) {
            let beside = one.x + one.size.width <= other.x || other.x + other.size.width <= one.x;
            let below = one.y + one.size.height <= other.y || other.y + other.size.height <= one.y;
            assert!(beside || below, "{one:?} {other:?}");
        }
    }
    for points in &placed.arrows {
        let mut pairs = points.iter().zip(points.iter().skip(1));
        assert!(pairs.all(|(above, below)| above.1 <= below.1), "{points:?}");
    }
    // The arrow over a row has a place of its own in it.
    assert_eq!(placed.arrows.last().unwrap().len(), 4);
}

#[test]
fn an_empty_picture_is_one_too() {
    let placed = place(&[], &[]);
    assert_eq!((placed.width, placed.height), (0.0, 0.0));
}
