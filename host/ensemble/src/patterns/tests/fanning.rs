//! For each: out and in again.

use super::fake::{Fake, example, fake_of, spec};
use crate::Step;
use crate::patterns::*;
use consort_inference::{Call, Datatype, Example, Failure, FailureKind, Outcome, Tensor, Tensors};
use std::sync::Arc;

/// An item `n` and a `scale` make a tensor of `n` times `scale`, `n` elements long unless
/// `even`; 13 fails.
fn body(even: bool) -> Arc<Fake> {
    let inputs = vec![
        spec("n", Datatype::Int64, &[]),
        spec("scale", Datatype::Int64, &[1]),
    ];
    Arc::new(fake_of(
        "body",
        inputs,
        vec![spec("y", Datatype::Int64, &[-1])],
        move |tensors| {
            let number = |name| super::fake::value(tensors, name);
            let (n, scale) = (number("n"), number("scale"));
            if n == 13 {
                return Err(FailureKind::ModelFailed);
            }
            let row = vec![n * scale; if even { 2 } else { n as usize }];
            let tensor = Tensor::from_slice(vec![row.len()], &row).unwrap();
            Ok(Tensors::from_named([("y".into(), tensor)]).unwrap())
        },
    ))
}

fn for_each(body: &Arc<Fake>, pad: bool) -> ForEach {
    let config = ForEachConfig {
        pad,
        items_max: 1000,
        output_bytes_max: 4096,
        ..ForEachConfig::new("each", body.clone(), vec!["n".into()])
    };
    ForEach::new(config).unwrap()
}

fn items(key: &str, items: &[i64]) -> Example {
    let named = [
        (
            "n".into(),
            Tensor::from_slice(vec![items.len()], items).unwrap(),
        ),
        (
            "scale".into(),
            Tensor::from_slice(vec![1], &[10i64]).unwrap(),
        ),
    ];
    example(Some(key), Tensors::from_named(named).unwrap())
}

/// `shape elements`, or the failure.
async fn told(step: &ForEach, examples: Vec<Example>) -> Vec<String> {
    let results = step.run(examples, Call::default()).await;
    let tell = |result: Result<Outcome, Failure>| match result {
        Ok(Outcome::Forward(tensors) | Outcome::Predicted(tensors, _)) => {
            let tensor: &Tensor = tensors.tensor("y").unwrap();
            step.signature().check_outputs(&tensors).unwrap();
            format!("{:?} {:?}", tensor.shape(), tensor.to_vec::<i64>().unwrap())
        }
        Ok(other) => format!("{other:?}"),
        Err(failure) => format!("{}: {}", failure.kind, failure.message),
    };
    results.into_iter().map(tell).collect()
}

#[tokio::test(start_paused = true)]
async fn all_items_of_all_examples_share_one_call_and_come_back_in_order() {
    let body = body(true);
    let step = for_each(&body, false);
    let results = told(
        &step,
        vec![items("a", &[3, 1]), items("b", &[]), items("c", &[2])],
    )
    .await;
    assert_eq!(
        results,
        ["[2, 2] [30, 30, 10, 10]", "[0, 0] []", "[1, 2] [20, 20]"]
    );
    assert_eq!(body.calls(), ["a a c"], "items keep their example's key");
}

#[tokio::test(start_paused = true)]
async fn a_failing_item_fails_its_example_and_no_other() {
    let step = for_each(&body(true), false);
    let results = told(&step, vec![items("a", &[1, 2, 13, 13]), items("b", &[4])]).await;
    assert_eq!(
        results,
        ["model_failed: item 2: as told", "[1, 2] [40, 40]"]
    );
}

#[tokio::test(start_paused = true)]
async fn ragged_outputs_are_padded_only_if_asked() {
    let refused = told(&for_each(&body(false), false), vec![items("a", &[1, 3])]).await;
    assert_eq!(
        refused,
        [
            "model_contract: the output \"y\" has shape [1] in item 0 and [3] in item 1; write \
          pad = true to fill the shorter with zeros"
        ]
    );
    let padded = told(&for_each(&body(false), true), vec![items("a", &[1, 3])]).await;
    assert_eq!(padded, ["[2, 3] [10, 0, 0, 30, 30, 30]"]);
    // 60 items of up to 60 elements take more than 4096 bytes.
    let many: Vec<i64> = (14..60).collect();
    let large = told(&for_each(&body(false), true), vec![items("a", &many)]).await;
    assert!(
        large[0].starts_with("too_large") && large[0].contains("output_bytes_max"),
        "{large:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_million_items_are_refused_before_anything_runs() {
    let body = body(true);
    let step = for_each(&body, false);
    let results = told(&step, vec![items("a", &vec![0; 1_000_000])]).await;
    assert_eq!(
        results,
        ["too_large: it has 1000000 items; at most 1000 are allowed (items_max)"]
    );
    assert!(body.calls().is_empty());
}
