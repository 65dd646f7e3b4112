//! Ensembles as steps of others, and what a trace tells of them.

use super::sketch::{sketch, told};
use crate::{EndpointStep, Ensemble, Metrics, Plan, PlannedStep};
use consort_inference::{
    Call, Endpoint, Example, Headers, ModelId, Priority, TenantId, Tensors, Trace,
};
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// An ensemble around another one and a plain step after it.
fn around(inner: &str) -> Ensemble {
    let inner = sketch(inner).unwrap().ensemble;
    let after = super::sketch::plan(
        "plugin after: y -> label | 1ms",
        &Default::default(),
        tokio::time::Instant::now(),
    );
    let nested = EndpointStep::new("ensemble", inner);
    let mut steps = vec![PlannedStep::new("nested", Arc::new(nested))];
    steps.extend(after.steps);
    let plan = Plan {
        outputs: Some(vec!["label".into(), "extra".into()]),
        ..Plan::new(ModelId::new("outer", "1"), steps)
    };
    let metrics = Metrics::register(&mut Registry::default());
    Ensemble::compile(plan, &metrics).unwrap()
}

const INNER: &str = "out y extra
    model m: x -> y | 3ms
    model spice: x -> extra | 2ms fails 3 optional";

fn examples(values: &[i64]) -> Vec<Example> {
    let example = |value: &i64| Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("x".into(), super::sketch::number(*value))]).unwrap(),
    };
    values.iter().map(example).collect()
}

#[tokio::test(start_paused = true)]
async fn what_lacks_inside_lacks_outside_and_says_why() {
    let outer = around(INNER);
    let results = outer.infer(examples(&[2, 3]), Call::default()).await;
    assert_eq!(
        results.into_iter().map(told).collect::<Vec<_>>(),
        [
            "label=2 extra=2 by spice:1",
            "label=3 by m:1, without spice (model_failed)",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn spans_of_inner_steps_lie_inside_that_of_the_outer_one() {
    let outer = around(INNER);
    let trace = Trace::new(100);
    let begin = tokio::time::Instant::now().into_std();
    let call = Call {
        trace: Some(trace.clone()),
        priority: Priority(3),
        headers: Headers::new(),
        ..Call::default()
    };
    outer.infer(examples(&[2, 3]), call).await;
    let spans = trace.spans();
    let mut told: Vec<String> = spans
        .iter()
        .map(|span| {
            let inside = span.inside.map_or("-", |id| &*spans[id.0].name);
            let at = |instant: std::time::Instant| (instant - begin).as_millis();
            let (from, to) = (at(span.begin), at(span.end.unwrap()));
            let (kind, name, detail) = (span.kind, &span.name, &span.detail);
            format!("{inside}/{name} {kind} {from}-{to} {detail}")
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "-/after plugin 3-4 2 examples",
            "-/nested ensemble 0-3 2 examples",
            "nested/m model 0-3 2 examples",
            "nested/spice model 0-2 2 examples, 1 failed",
        ]
    );
}
