//! Which step runs when, on which tensors.

use super::sketch::sketch;
use crate::{EdgeKind, NodeKind};

#[tokio::test(start_paused = true)]
async fn independent_steps_run_at_the_same_time() {
    let play = sketch(
        "plugin pre: text -> x | 1ms
         model left: x -> l | 5ms +10
         model right: x -> r | 3ms +20
         model late: r -> s | 1ms +30
         plugin join: l s -> y | 1ms",
    )
    .unwrap();
    assert_eq!(
        play.run(&[1, 2]).await,
        ["y=62 by late:1", "y=64 by late:1"]
    );
    assert_eq!(
        play.log.lines(),
        [
            "join [0 1] 6-7",
            "late [0 1] 4-5",
            "left [0 1] 1-6",
            "pre [0 1] 0-1",
            "right [0 1] 1-4",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_order_of_the_text_does_not_matter_for_distinct_names() {
    let play = sketch(
        "in text
         out y
         plugin join: l r -> y | 1ms
         model right: x -> r | 3ms +20
         model left: x -> l | 5ms +10
         plugin pre: text -> x | 1ms",
    )
    .unwrap();
    assert_eq!(play.run(&[1]).await, ["y=32 by left:1"]);
    assert_eq!(play.elapsed(), 7);
}

#[tokio::test(start_paused = true)]
async fn the_latest_tensor_of_a_name_before_a_step_counts() {
    let play = sketch(
        "plugin a: x -> x | +1
         plugin b: x -> y | +10
         plugin c: x -> x | +100
         plugin d: x y -> z",
    )
    .unwrap();
    // a makes 1, b 11 of it, c 101 of it; d adds what c and b made.
    assert_eq!(play.run(&[0]).await, ["z=112 by d:1"]);
}

#[tokio::test(start_paused = true)]
async fn steps_on_different_tensors_of_the_request_begin_at_once() {
    let play = sketch(
        "in image text
         out a b
         model see: image -> a | 4ms +1
         model read: text -> b | 2ms +2",
    )
    .unwrap();
    assert_eq!(play.run(&[5]).await, ["a=6 b=7 by read:1"]);
    assert_eq!(play.elapsed(), 4);
}

#[test]
fn steps_in_a_circle_are_an_error_that_names_them() {
    let error = sketch(
        "in text
         plugin a: text z -> x
         plugin b: x -> y
         plugin c: y -> z
         plugin d: z -> w",
    );
    assert_eq!(
        error.err().unwrap(),
        "step \"a\": it waits for itself: \"a\" needs \"z\" of \"c\", \"c\" needs \"y\" of \"b\", \
         \"b\" needs \"x\" of \"a\""
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = sketch(
        "in text lost text
         out y nowhere
         plugin a: text gone -> x
         plugin b: x -> y | when missing > 1
         plugin c: x -> v | answers 1 -> other",
    );
    assert_eq!(
        error.err().unwrap().lines().collect::<Vec<_>>(),
        [
            "step \"a\": it needs a tensor \"gone\" (INT64 [1]), which neither the request nor \
             another step gives",
            "step \"b\": its condition asks for a tensor \"missing\", which neither the request \
             nor another step gives",
            "step \"b\": its condition may pass an example by, and nothing before it gives the \
             tensor \"y\", which is needed",
            "step \"c\": it answers by itself, but without the ensemble's output \"y\" (INT64 [1])",
            "step \"c\": it answers with \"other\", which is no output of the ensemble",
            "no step reads the request's tensor \"lost\", so that nothing says what it is",
            "the request's tensor \"text\" is named twice",
            "no step gives the output \"nowhere\"",
        ]
    );
}

#[test]
fn an_ensemble_says_what_it_is_made_of() {
    let play = sketch(
        "plugin pre: text -> x
         model cheap: x -> y
         model dear: x -> y | when y < 3
         plugin extra: x -> e | optional
         plugin post: y -> label",
    )
    .unwrap();
    let graph = play.ensemble.graph();
    let nodes = graph.nodes.iter().map(|node| match &node.kind {
        NodeKind::Request | NodeKind::Prediction => node.name.to_string(),
        NodeKind::Step(step) => format!(
            "{} {} at {}{}{}",
            step.drawing.kind,
            node.name,
            step.level,
            if step.optional { ", optional" } else { "" },
            step.when
                .iter()
                .map(|when| format!(", when {when}"))
                .collect::<String>(),
        ),
    });
    assert_eq!(
        nodes.collect::<Vec<_>>(),
        [
            "request",
            "plugin pre at 0",
            "model cheap at 1",
            "model dear at 2, when y < 3",
            "plugin extra at 1, optional",
            "plugin post at 3",
            "prediction",
        ]
    );
    let edges = graph.edges.iter().map(|edge| {
        let (from, to) = (&graph.nodes[edge.from].name, &graph.nodes[edge.to].name);
        let kind = match edge.kind {
            EdgeKind::Input => "",
            EdgeKind::Condition => " (condition)",
            EdgeKind::Older => " (older)",
            EdgeKind::Answer => " (answer)",
        };
        format!("{from} -> {to}: {} {}{kind}", edge.tensor.name, edge.tensor)
    });
    assert_eq!(
        edges.collect::<Vec<_>>(),
        [
            "request -> pre: text INT64 [1]",
            "pre -> cheap: x INT64 [1]",
            "pre -> dear: x INT64 [1]",
            "cheap -> dear: y INT64 [1] (condition)",
            "cheap -> dear: y INT64 [1] (older)",
            "pre -> extra: x INT64 [1]",
            "dear -> post: y INT64 [1]",
            "post -> prediction: label INT64 [1]",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn outputs_are_chosen_and_named_and_nothing_else_leaves() {
    let play = sketch(
        "in text size
         out sum before=x size
         plugin pre: text -> x | +1
         model m: x size -> sum | +10
         plugin last: sum -> unused",
    )
    .unwrap();
    assert_eq!(play.run(&[1]).await, ["sum=13 before=2 size=1 by m:1"]);
    let outputs = play.ensemble.signature.outputs.iter();
    let outputs: Vec<&str> = outputs.map(|spec| &*spec.name).collect();
    assert_eq!(outputs, ["sum", "before", "size"]);
    let error = sketch("out label=z x\nmodel m: x -> y").err().unwrap();
    assert!(
        error.contains("no step gives the tensor \"z\", the output \"label\""),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_by_the_names_of_the_outputs() {
    let play =
        sketch("out label=y\nplugin a: x -> x | answers 3 -> label\nmodel m: x -> y").unwrap();
    let results = play.run(&[1, 3]).await;
    assert!(results[0].starts_with("label=1"), "{results:?}");
    assert!(results[1].starts_with("label=-3"), "{results:?}");
}
