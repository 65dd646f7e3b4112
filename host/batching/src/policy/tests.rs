//! When the learned policy waits. Which sizes it finds is tested in `tests/simulated.rs`.

use super::*;
use crate::Config;
use crate::kind::LaneKey;
use crate::queue::{Arrival, Helping, Limits, Queue, Row, Segment};
use crate::reply::Reply;
use crate::turns::Turns;
use consort_inference::{
    BatchHints, InferenceArgs, Priority, Stage, StageKind, TenantId, Tensor, Tensors,
};
use std::sync::Arc;

const MS: Duration = Duration::from_millis(1);

/// A lane to which an example has come each millisecond, and 50 of which have run at a time.
struct Scene {
    queue: Queue,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let limits = Limits {
            examples: 1_000,
            bytes: 1_000_000,
            tenant_examples: None,
        };
        let queue = Queue::new(limits, Turns::default());
        let now = Instant::now();
        let mut scene = Self { queue, now };
        for _ in 0..10 {
            for _ in 0..50 {
                scene.now += MS;
                scene.arrive(None);
            }
            let (id, _) = scene.queue.lanes().next().unwrap();
            let helping = Helping {
                examples: 50,
                bytes: usize::MAX,
                weight: u64::MAX,
                cost: 1.0,
            };
            scene.queue.take(id, &helping, scene.now, &mut Vec::new());
        }
        scene
    }

    fn arrive(&mut self, patience: Option<Duration>) {
        let tensor = Tensor::from_slice(vec![1], &[0f32]).unwrap();
        let tensors = Tensors::from_named([("x".into(), tensor)]).unwrap();
        let stage = Stage::new(StageKind::Inference, "m");
        self.queue.push(Arrival {
            key: LaneKey {
                kind: Arc::new(LaneKind::of(&tensors)),
                args: InferenceArgs::new(),
                tenant: None,
            },
            segment: Segment {
                rows: [Row {
                    tensors,
                    index: 0,
                    bytes: 4,
                    weight: 0,
                }]
                .into(),
                tenant: TenantId::default(),
                priority: Priority::default(),
                arrived: self.now,
                deadline: patience.map(|patience| self.now + patience),
                reply: Reply::new(stage, 1, None),
            },
        });
    }

    /// What the policy says to what waits.
    fn ask(&self, policy: &mut LearnedPolicy, replicas_free: usize) -> Decision {
        let (_, lane) = self.queue.lanes().next().unwrap();
        policy.decide(&QueueView {
            now: self.now,
            lane,
            batch_size_max: 4_096,
            depth: lane.len(),
            lanes: 1,
            replicas: replicas_free,
            replicas_free,
        })
    }
}

fn policy(config: &Config, cost_ms: fn(usize) -> f64) -> LearnedPolicy {
    let tensor = Tensor::from_slice(vec![1], &[0f32]).unwrap();
    let tensors = Tensors::from_named([("x".into(), tensor)]).unwrap();
    let kind = LaneKind::of(&tensors);
    let mut policy = LearnedPolicy::of(config, &BatchHints::default());
    for _ in 0..4 {
        for size in [1, 2, 4, 8, 16, 32, 64] {
            let elapsed = Duration::from_secs_f64(cost_ms(size) / 1e3);
            policy.observe(&kind, size, elapsed, RunOutcome::Succeeded);
        }
    }
    policy
}

fn flat(config: &Config) -> LearnedPolicy {
    policy(config, |_| 50.0)
}

fn wait(decision: Decision, scene: &Scene) -> Option<Duration> {
    match decision {
        Decision::Run(_) => None,
        Decision::WaitUntil(at) => Some(at - scene.now),
    }
}

#[test]
fn it_waits_where_others_would_have_to_wait_for_two_runs() {
    let mut scene = Scene::new();
    scene.arrive(None);
    let mut policy = flat(&Config::default());
    let waits = wait(scene.ask(&mut policy, 1), &scene).unwrap();
    assert!(waits > MS && waits < MS * 50, "{waits:?}");
    // The wait is over when it has been waited for.
    scene.now += waits;
    assert_eq!(scene.ask(&mut policy, 1), Decision::Run(1));
}

#[test]
fn it_waits_no_more_once_as_many_are_there_as_come_in_a_run() {
    let mut scene = Scene::new();
    (0..50).for_each(|_| scene.arrive(None));
    let decision = scene.ask(&mut flat(&Config::default()), 1);
    assert_eq!(decision, Decision::Run(50));
}

#[test]
fn it_never_waits_while_another_replica_is_free() {
    let mut scene = Scene::new();
    scene.arrive(None);
    let decision = scene.ask(&mut flat(&Config::default()), 2);
    assert_eq!(decision, Decision::Run(1));
}

#[test]
fn it_never_waits_where_batches_gain_nothing() {
    let mut scene = Scene::new();
    scene.arrive(None);
    let mut linear = policy(&Config::default(), |size| size as f64);
    assert_eq!(scene.ask(&mut linear, 1), Decision::Run(1));
}

#[test]
fn it_never_waits_before_it_knows_costs() {
    let mut scene = Scene::new();
    scene.arrive(None);
    let mut new = LearnedPolicy::of(&Config::default(), &BatchHints::default());
    assert_eq!(scene.ask(&mut new, 1), Decision::Run(1));
}

#[test]
fn a_written_delay_and_a_deadline_bound_the_wait() {
    let mut scene = Scene::new();
    scene.arrive(None);
    let config = Config {
        max_queue_delay: Some(Duration::from_millis(2)),
        ..Config::default()
    };
    let waits = wait(scene.ask(&mut flat(&config), 1), &scene).unwrap();
    assert!(waits <= MS * 2, "{waits:?}");
    let mut scene = Scene::new();
    // Time for a run and little more.
    scene.arrive(Some(MS * 101));
    let decision = scene.ask(&mut flat(&Config::default()), 1);
    let waits = wait(decision, &scene).unwrap_or_default();
    assert!(waits <= MS, "{waits:?}");
}
