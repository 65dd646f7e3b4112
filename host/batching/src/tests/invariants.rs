//! Whatever fails: exactly one result for each example, its own, to its own caller.

use super::stage::{Answer, Fake, MS, Stage, example_of, id_of, since_start_ms};
use crate::Config;
use consort_inference::{Call, Datatype, Example, FailureKind, PredictError, Tensor, Tensors};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What becomes of an example in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    /// Fails every run that it is in.
    Poison,
    /// Panics in every run that it is in.
    Panic,
    /// Its own result is not as promised.
    Breach,
    /// Does not fit the model.
    Misfit,
}

/// What becomes of a run, whatever is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Failed,
    OutOfMemory,
    OneTooFew,
    OneTooMany,
}

#[derive(Debug, Clone)]
struct Row {
    tenant: usize,
    length: usize,
    fate: Fate,
}

#[derive(Debug, Clone)]
struct Caller {
    at_ms: u32,
    rows: Vec<Row>,
    deadline_ms: Option<u32>,
    leaves_after_ms: Option<u32>,
}

#[derive(Debug, Clone)]
struct Plot {
    config: Config,
    run_ms: u32,
    faults: Vec<Fault>,
    callers: Vec<Caller>,
}

fn rows() -> impl Strategy<Value = Row> {
    let fate = prop_oneof![
        16 => Just(Fate::Good),
        1 => Just(Fate::Poison),
        1 => Just(Fate::Panic),
        1 => Just(Fate::Breach),
        1 => Just(Fate::Misfit),
    ];
    (0..3usize, 1..3usize, fate).prop_map(|(tenant, length, fate)| Row {
        tenant,
        length,
        fate,
    })
}

fn callers() -> impl Strategy<Value = Caller> {
    let deadline = proptest::option::weighted(0.3, 1..60u32);
    let leaves = proptest::option::weighted(0.2, 0..40u32);
    (0..50u32, vec(rows(), 1..7), deadline, leaves).prop_map(
        |(at_ms, rows, deadline_ms, leaves_after_ms)| Caller {
            at_ms,
            rows,
            deadline_ms,
            leaves_after_ms,
        },
    )
}

fn configs() -> impl Strategy<Value = Config> {
    let sizes = (1..9usize, 8..40usize, 1..4usize);
    let tenant = proptest::option::weighted(0.3, 4..10usize);
    (sizes, tenant, 0..20u32).prop_map(|((batch, queue, replicas), tenant, delay_ms)| Config {
        max_batch_size: Some(batch),
        max_queue_delay: Some(MS * delay_ms),
        max_queue_size: queue,
        max_queue_bytes: queue * 12,
        max_tenant_queue_size: tenant,
        replicas,
        default_timeout: Some(Duration::from_secs(60)),
        ..Config::default()
    })
}

fn plots() -> impl Strategy<Value = Plot> {
    let fault = prop_oneof![
        12 => Just(Fault::None),
        1 => Just(Fault::Failed),
        1 => Just(Fault::OutOfMemory),
        1 => Just(Fault::OneTooFew),
        1 => Just(Fault::OneTooMany),
    ];
    (
        configs(),
        0..12u32,
        vec(fault, 0..24),
        vec(callers(), 1..20),
    )
        .prop_map(|(config, run_ms, faults, callers)| Plot {
            config,
            run_ms,
            faults,
            callers,
        })
}

/// What the fake model saw and did.
#[derive(Default)]
struct Seen {
    /// How many runs there were.
    runs: usize,
    /// Examples that were in a run whose results were taken.
    delivered: Vec<i64>,
}

fn fake(plot: &Plot, fates: BTreeMap<i64, Fate>, seen: Arc<Mutex<Seen>>) -> Fake {
    let faults = plot.faults.clone();
    let predict = move |ids: &[i64], mut rows: Vec<Tensors>| {
        let fault = {
            let mut seen = seen.lock().unwrap();
            seen.runs += 1;
            faults.get(seen.runs - 1).copied().unwrap_or(Fault::None)
        };
        let fated = |fate| ids.iter().any(|id| fates[id] == fate);
        match fault {
            Fault::Failed => return Err(PredictError::Failed("this run".to_owned())),
            Fault::OutOfMemory => return Err(PredictError::OutOfMemory("this run".to_owned())),
            Fault::OneTooFew => {
                rows.pop();
                return Ok(rows);
            }
            Fault::OneTooMany => {
                rows.extend(rows.first().cloned());
                return Ok(rows);
            }
            Fault::None => (),
        }
        if fated(Fate::Panic) {
            std::panic::resume_unwind(Box::new("fated to panic"));
        }
        if fated(Fate::Poison) {
            return Err(PredictError::Failed("poison".to_owned()));
        }
        for (id, row) in ids.iter().zip(&mut rows) {
            if fates[id] == Fate::Breach {
                row.insert("more", Tensor::from_slice(vec![1], &[1f32]).unwrap());
            }
        }
        seen.lock().unwrap().delivered.extend(ids);
        Ok(rows)
    };
    Fake::new().takes(MS * plot.run_ms).predicts(predict)
}

/// The example of a row; its name tells the caller and the place in the call.
fn example(id: i64, row: &Row) -> Example {
    let tenant = ["a", "b", "c"][row.tenant];
    let mut example = example_of(tenant, id, row.length);
    if row.fate == Fate::Misfit {
        let misfit = Tensor::new(Datatype::Int32, vec![1], vec![0; 4].into()).unwrap();
        example.tensors.insert("x", misfit);
    }
    example
}

fn name(caller: usize, row: usize) -> i64 {
    i64::try_from(caller * 100 + row).unwrap()
}

/// What a caller got, and when it left if it did.
enum End {
    Answered(Vec<Answer>),
    Left { at_ms: u128 },
}

async fn play(caller: Caller, number: usize, stage: Arc<Stage>) -> End {
    sleep(MS * caller.at_ms).await;
    let examples: Vec<_> = (0..)
        .zip(&caller.rows)
        .map(|(row, content)| example(name(number, row), content))
        .collect();
    let now = Instant::now();
    let deadline = caller.deadline_ms.map(|ms| (now + MS * ms).into_std());
    let call = stage.batcher.infer(
        examples,
        Call {
            deadline,
            ..Call::default()
        },
    );
    let answered = match caller.leaves_after_ms {
        None => Some(call.await),
        Some(ms) => timeout(MS * ms, call).await.ok(),
    };
    if let Some(ms) = caller.deadline_ms {
        assert!(now.elapsed() <= MS * ms, "told after the deadline");
    }
    match answered {
        Some(answers) => End::Answered(answers),
        None => End::Left {
            at_ms: since_start_ms(),
        },
    }
}

fn check_answers(plot: &Plot, caller: &Caller, number: usize, answers: &[Answer]) {
    assert_eq!(answers.len(), caller.rows.len());
    let faulty = |fault| plot.faults.contains(&fault);
    for (index, (row, answer)) in caller.rows.iter().zip(answers).enumerate() {
        let kind = match answer {
            Ok(outputs) => {
                assert_eq!(row.fate, Fate::Good);
                assert_eq!(id_of(outputs, "y"), name(number, index), "another's result");
                let length = outputs.tensor("y").unwrap().element_count();
                assert_eq!(length, row.length);
                continue;
            }
            Err(failure) => failure.kind,
        };
        let explained = match kind {
            FailureKind::QueueFull => true,
            FailureKind::TooLarge => {
                caller.rows.len() > plot.config.max_tenant_queue_size.unwrap_or(usize::MAX)
                    || caller.rows.len() * 16 > plot.config.max_queue_bytes
            }
            FailureKind::InvalidArgument => row.fate == Fate::Misfit,
            FailureKind::DeadlineExceeded => caller.deadline_ms.is_some(),
            FailureKind::ModelFailed => row.fate == Fate::Poison || faulty(Fault::Failed),
            FailureKind::Internal => row.fate == Fate::Panic,
            FailureKind::OutOfMemory => faulty(Fault::OutOfMemory),
            FailureKind::ModelContract => {
                row.fate == Fate::Breach || faulty(Fault::OneTooFew) || faulty(Fault::OneTooMany)
            }
            _ => false,
        };
        assert!(explained, "{kind} for {row:?} of caller {number}");
    }
}

fn check_runs(plot: &Plot, stage: &Stage, seen: &Seen, ends: &[End]) {
    let length = |id: i64| {
        let (caller, row) = (id / 100, id % 100);
        plot.callers[usize::try_from(caller).unwrap()].rows[usize::try_from(row).unwrap()].length
    };
    for run in stage.fake.runs() {
        assert!((1..=plot.config.max_batch_size.unwrap()).contains(&run.ids.len()));
        let layouts: BTreeSet<_> = run.ids.iter().map(|id| length(*id)).collect();
        assert_eq!(layouts.len(), 1, "layouts were mixed in {run:?}");
        for id in &run.ids {
            if let End::Left { at_ms } = ends[usize::try_from(id / 100).unwrap()] {
                assert!(run.at_ms <= at_ms, "{id} ran although its caller had left");
            }
        }
    }
    let once: BTreeSet<_> = seen.delivered.iter().collect();
    assert_eq!(once.len(), seen.delivered.len(), "an example was run again");
}

fn perform(plot: Plot) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    // A thread of its own, for the stage's clock belongs to the thread.
    let scene = || {
        runtime.block_on(async {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let fates = plot
                .callers
                .iter()
                .enumerate()
                .flat_map(|(number, caller)| {
                    let rows = caller.rows.iter().enumerate();
                    rows.map(move |(row, content)| (name(number, row), content.fate))
                });
            let fake = fake(&plot, fates.collect(), seen.clone());
            let stage = Arc::new(Stage::new(fake, plot.config.clone()));
            let callers = plot.callers.iter().cloned().enumerate();
            let played: Vec<_> = callers
                .map(|(number, caller)| tokio::spawn(play(caller, number, stage.clone())))
                .collect();
            let mut ends = Vec::new();
            for end in played {
                ends.push(end.await.unwrap());
            }
            stage.batcher.drain().await;
            assert_eq!(stage.batcher.queue_depth(), 0);
            assert_eq!(stage.metric("consort_queue_bytes{"), Some(0.0));
            assert_eq!(stage.metric("consort_replicas_busy{"), Some(0.0));
            for (number, (caller, end)) in plot.callers.iter().zip(&ends).enumerate() {
                if let End::Answered(answers) = end {
                    check_answers(&plot, caller, number, answers);
                }
            }
            check_runs(&plot, &stage, &seen.lock().unwrap(), &ends);
        });
    };
    std::thread::scope(|scope| {
        if let Err(panic) = scope.spawn(scene).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn exactly_one_result_for_each_example_to_its_own_caller(plot in plots()) {
        perform(plot);
    }

    #[test]
    fn without_trouble_everything_is_predicted(mut plot in plots()) {
        plot.faults.clear();
        plot.config.max_queue_size = 1_000;
        plot.config.max_queue_bytes = 1_000_000;
        plot.config.max_tenant_queue_size = None;
        for caller in &mut plot.callers {
            caller.deadline_ms = None;
            caller.leaves_after_ms = None;
        }
        // Now `check_answers` explains no failure but the example's own fate.
        perform(plot);
    }
}
