//! Votes, means and booleans.

use super::fake::{Fake, example, fake, fake_of, member, numbered, spec, tell, told};
use crate::Step;
use crate::patterns::*;
use consort_inference::{Call, Datatype, FailureKind, Outcome, Tensor, Tensors};
use std::sync::Arc;

fn combine(fakes: &[(&Arc<Fake>, f64)], rule: Rule, members_min: Option<usize>) -> Combine {
    let voter = |(fake, weight): &(&Arc<Fake>, f64)| Voter {
        weight: *weight,
        member: member(fake),
    };
    let config = CombineConfig {
        name: "all".into(),
        members: fakes.iter().map(voter).collect(),
        rules: Combined::All(rule),
        members_min,
    };
    Combine::new(config).unwrap()
}

#[tokio::test(start_paused = true)]
async fn most_votes_win_then_weight_then_the_first() {
    let fakes: Vec<_> = (0..4)
        .map(|index| {
            fake(&format!("m{index}"), move |votes| {
                Ok(votes / 10i64.pow(index) % 10)
            })
        })
        .collect();
    let weights = [1.0, 1.0, 3.0, 1.0];
    let voters: Vec<_> = fakes.iter().zip(weights).collect();
    let vote = combine(&voters, Rule::Vote, None);
    // Digits from the right are what m0 to m3 say.
    let results = told(&vote, numbered(&[7557, 1222, 4321, 7755])).await;
    assert_eq!(results, ["5", "2", "3", "7"]);
    let even: Vec<_> = fakes.iter().map(|fake| (fake, 1.0)).collect();
    let results = told(&combine(&even, Rule::Vote, None), numbered(&[7755, 4321])).await;
    assert_eq!(results, ["5", "1"]);
}

#[tokio::test(start_paused = true)]
async fn members_run_at_the_same_time_and_a_quorum_may_do() {
    let good = fake("good", Ok);
    let bad = fake("bad", |x| {
        if x == 2 {
            Err(FailureKind::ModelFailed)
        } else {
            Ok(x)
        }
    });
    let three = [(&good, 1.0), (&bad, 1.0), (&fake("too", Ok), 1.0)];
    let begin = tokio::time::Instant::now();
    let results = told(&combine(&three, Rule::Vote, None), numbered(&[1, 2])).await;
    assert_eq!(results, ["1", "model_failed"]);
    assert_eq!(begin.elapsed(), good.takes);
    let quorum = combine(&three, Rule::Vote, Some(2));
    let results = quorum.run(numbered(&[1, 2]), Call::default()).await;
    let Ok(Outcome::Predicted(_, origin)) = &results[1] else {
        panic!("{results:?}");
    };
    assert_eq!(origin.partial.len(), 1, "the prediction says who failed");
    let results: Vec<String> = results.into_iter().map(tell).collect();
    assert_eq!(results, ["1", "2"]);
}

fn constant(name: &str, output: Tensor) -> Arc<Fake> {
    let (datatype, dims) = (output.datatype(), vec![-1]);
    let outputs = vec![spec("y", datatype, &dims)];
    let inputs = vec![spec("x", Datatype::Int64, &[1])];
    Arc::new(fake_of(name, inputs, outputs, move |_| {
        Ok(Tensors::from_named([("y".into(), output.clone())]).unwrap())
    }))
}

async fn combined(tensors: &[(Tensor, f64)], rule: Rule) -> Result<Tensor, String> {
    let fakes: Vec<_> = tensors
        .iter()
        .enumerate()
        .map(|(index, (tensor, _))| constant(&format!("m{index}"), tensor.clone()))
        .collect();
    let voters: Vec<_> = fakes
        .iter()
        .zip(tensors.iter().map(|(_, weight)| *weight))
        .collect();
    let combine = combine(&voters, rule, None);
    let examples = vec![example(None, super::fake::tensors_of(&[("x", 0)]))];
    match combine.run(examples, Call::default()).await.remove(0) {
        Ok(Outcome::Predicted(tensors, _)) => Ok(tensors.tensor("y").unwrap().clone()),
        Ok(other) => panic!("{other:?}"),
        Err(failure) => Err(failure.message),
    }
}

#[tokio::test(start_paused = true)]
async fn means_are_weighted_and_booleans_meet() {
    let floats = |values: &[f32]| Tensor::from_slice(vec![values.len()], values).unwrap();
    let pair = [(floats(&[1.0, 0.0]), 1.0), (floats(&[4.0, 8.0]), 3.0)];
    let mean = combined(&pair, Rule::Average).await.unwrap();
    assert_eq!(mean, floats(&[3.25, 6.0]));
    let ragged = [(floats(&[1.0]), 1.0), (floats(&[1.0, 2.0]), 1.0)];
    let error = combined(&ragged, Rule::Average).await.unwrap_err();
    assert!(error.contains("shapes [1] and [2]"), "{error}");
    let bools = |values: &[bool]| (Tensor::from_slice(vec![values.len()], values).unwrap(), 1.0);
    let two = [bools(&[true, true, false]), bools(&[true, false, false])];
    assert_eq!(
        combined(&two, Rule::Any).await.unwrap(),
        bools(&[true, true, false]).0
    );
    assert_eq!(
        combined(&two, Rule::All).await.unwrap(),
        bools(&[true, false, false]).0
    );
}
