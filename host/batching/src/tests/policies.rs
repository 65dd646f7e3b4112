//! The seam for other policies: what they see and what becomes of their decisions.

use super::stage::{Fake, MS, Stage, all_ok, example_of, examples, told};
use crate::{BatchPolicy, Config, Decision, QueueView};
use consort_inference::Call;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

struct Scripted<F>(F);

impl<F: FnMut(&QueueView<'_>) -> Decision + Send> BatchPolicy for Scripted<F> {
    fn decide(&mut self, view: &QueueView<'_>) -> Decision {
        (self.0)(view)
    }
}

fn stage(decide: impl FnMut(&QueueView<'_>) -> Decision + Send + 'static) -> Stage {
    let config = Config {
        max_batch_size: Some(4),
        ..Config::default()
    };
    Stage::with_policy(Fake::new(), config, Box::new(Scripted(decide)))
}

#[tokio::test(start_paused = true)]
async fn a_policy_decides_how_many_run() {
    let stage = stage(|view| Decision::Run(view.waiting().div_ceil(2)));
    assert_eq!(told(&stage.infer(examples(0..6)).await), all_ok(0..6));
    let batches = [vec![0, 1, 2], vec![3, 4], vec![5]];
    assert_eq!(stage.fake.batches(), batches);
}

#[tokio::test(start_paused = true)]
async fn a_policy_cannot_run_none_or_more_than_fit() {
    let stage = stage(|view| Decision::Run(if view.waiting() > 4 { 1_000 } else { 0 }));
    assert_eq!(told(&stage.infer(examples(0..6)).await), all_ok(0..6));
    assert_eq!(stage.fake.batches(), [vec![0, 1, 2, 3], vec![4], vec![5]]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_past_is_running() {
    let stage = stage(|view| Decision::WaitUntil(view.now()));
    assert_eq!(told(&stage.infer(examples(0..6)).await), all_ok(0..6));
    assert_eq!(stage.fake.batches(), [vec![0, 1, 2, 3], vec![4, 5]]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_asked_again_at_its_instant() {
    let mut first = None;
    let stage = stage(move |view| {
        let begin = *first.get_or_insert(view.now());
        if view.now() < begin + MS * 30 {
            Decision::WaitUntil(view.now() + MS * 10)
        } else {
            Decision::Run(view.waiting())
        }
    });
    assert_eq!(told(&stage.infer(examples([0])).await), all_ok([0]));
    assert_eq!(stage.fake.runs()[0].at_ms, 30);
}

#[tokio::test(start_paused = true)]
async fn a_policy_sees_the_queue_and_the_replicas() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let stage = stage(move |view| {
        log.lock().unwrap().push((
            view.waiting(),
            view.depth(),
            view.lanes(),
            view.batch_size_max(),
            (view.replicas_free(), view.replicas()),
            view.now() - view.oldest(),
            view.earliest_deadline().map(|at| at - view.now()),
            view.kind().clone(),
        ));
        let due = view.oldest() + MS * 60;
        if view.depth() < 3 && view.now() < due {
            Decision::WaitUntil(due)
        } else {
            Decision::Run(view.waiting())
        }
    });
    let first = stage.send_by(examples([0]), Some(MS * 100)).await;
    tokio::time::sleep(MS * 20).await;
    seen.lock().unwrap().clear();
    let more = vec![example_of("default", 1, 1), example_of("default", 2, 2)];
    let layouts = [&more[0], &more[1]].map(|one| crate::LaneKind::of(&one.tensors));
    let layouts = (layouts[0].clone(), layouts[1].clone());
    let call = Call {
        deadline: Some((Instant::now() + MS * 500).into_std()),
        ..Call::default()
    };
    assert_eq!(told(&stage.batcher.infer(more, call).await), all_ok([1, 2]));
    assert_eq!(told(&first.await.unwrap()), all_ok([0]));
    let seen = seen.lock().unwrap();
    let first = (2, 3, 2, 4, (1, 1), MS * 20, Some(MS * 80), layouts.0);
    assert_eq!(seen[0], first);
    let alone = (
        1,
        1,
        1,
        4,
        (1, 1),
        Duration::ZERO,
        Some(MS * 500),
        layouts.1,
    );
    assert!(seen.contains(&alone), "{seen:?}");
}
