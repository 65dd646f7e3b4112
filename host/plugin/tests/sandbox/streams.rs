//! Plugins that call models which keep states of streams.

use crate::common::*;
use crate::fake_model::{FakeModel, grant, signature};
use consort_inference::{
    Call, Datatype, Example, Failure, FailureKind, Key, StreamStates, TenantId,
};
use consort_plugin::{Plugin, PluginConfig};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Sums that go on, by tenant and key.
#[derive(Default)]
struct Sums(Mutex<HashMap<(TenantId, Key), i64>>);

impl StreamStates for Sums {
    fn forget(&self, tenant: &TenantId, key: &Key) {
        let key = (tenant.clone(), key.clone());
        self.0.lock().unwrap().remove(&key);
    }
}

/// Adds what it is sent to the sum of its key; on 13 it is busy.
fn summing(sums: &Arc<Sums>) -> FakeModel {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1)])];
    let kept = sums.clone();
    let model = FakeModel::new("a", signature(x, x), move |example| {
        let x = x_of(&example.tensors);
        if x == 13 {
            return Err((FailureKind::QueueFull, "busy".to_owned()));
        }
        let key = (example.tenant.clone(), example.key.clone().unwrap());
        let mut sums = kept.0.lock().unwrap();
        let sum = sums.entry(key).or_default();
        *sum += x;
        Ok(tensors(*sum))
    });
    model.keeping(sums.clone())
}

async fn passing_on(world: &World, sums: &Arc<Sums>) -> Plugin {
    let model = Arc::new(summing(sums));
    let config = PluginConfig {
        config: "passes on".to_owned(),
        ..grant(config("code_ensemble"), [&model])
    };
    world.load(config).await
}

async fn sent(
    plugin: &Plugin,
    sent: impl IntoIterator<Item = (String, i64)>,
) -> Vec<Result<i64, Failure>> {
    let example = |(key, x): (String, i64)| Example {
        key: Some(key.into()),
        ..number("default", x)
    };
    let examples = sent.into_iter().map(example).collect();
    let results = plugin.run_ensemble(examples, Call::default()).await;
    let results = results.into_iter();
    results
        .map(|result| result.map(|outcome| x_made(&outcome)))
        .collect()
}

/// Far more streams than are worked on at a time, and of each several examples in one call.
#[tokio::test]
async fn the_examples_of_a_stream_go_in_order() {
    let world = world();
    let sums = Arc::default();
    let plugin = passing_on(&world, &sums).await;
    assert_eq!(plugin.states().len(), 1);
    let numbers = (1..=5).flat_map(|x| (0..40).map(move |stream| (format!("s{stream}"), x)));
    let results = sent(&plugin, numbers).await;
    let expected: Vec<i64> = [1, 3, 6, 10, 15]
        .into_iter()
        .flat_map(|sum| [sum; 40])
        .collect();
    let results: Vec<i64> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results, expected);
}

#[tokio::test]
async fn a_stream_goes_no_further_than_what_may_be_asked_again() {
    let world = world();
    let plugin = passing_on(&world, &Arc::default()).await;
    let numbers = [("k", 1), ("other", 4), ("k", 13), ("k", 2), ("other", 4)];
    let numbers = numbers.map(|(key, x)| (key.to_owned(), x));
    let results = sent(&plugin, numbers).await;
    assert_eq!(results[0], Ok(1));
    let failed: Vec<_> = results[2..4]
        .iter()
        .map(|r| r.as_ref().unwrap_err())
        .collect();
    assert!(
        failed
            .iter()
            .all(|failure| failure.kind == FailureKind::QueueFull)
    );
    let told = "an earlier example of its stream failed";
    assert!(failed[1].message.contains(told), "{}", failed[1]);
    assert_eq!([&results[1], &results[4]], [&Ok(4), &Ok(8)]);
}
